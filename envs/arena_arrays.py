"""The arrays of a batch of arenas, made: what no step changes, the state of N arenas, and the witness of accounts.

Beside `arena_field`, which says what they mean. Draws nothing and moves nothing.
"""

import numpy as np

from ..market.ledger import N_COUNTS, N_MONEY
from ..market.terms import Terms, terms_rows
from .arena_field import Field, Floats, Ground, Ints
from .arena_orders import OWN_WIDTH, ROOM
from .arena_setup import ArenaSetup
from .desk import N_ACCOUNT
from .features import ColumnSet
from .house import HouseColumns
from .rewards import N_MOMENTS, Reward
from .world import Witness


def ground_of(
    setup: ArenaSetup, terms: Terms, reward: Reward, columns: ColumnSet, owner: int, latency_steps: int
) -> Ground:
    """What no step changes; `owner` is the policy's account, `latency_steps` how long its orders travel."""
    groups, plan, numbers = _houses(columns)
    menu = setup.menu
    options = [
        setup.steps_per_bar,
        owner,
        latency_steps,
        setup.interval_ms,
        setup.spec.window,
        setup.spec.width - N_ACCOUNT,
        bool(reward.own),
        len(columns.memory),
        setup.wake,
        setup.wake_on_fill,
        setup.wakes_inside,
        setup.book,
        len(setup.block),
        menu is not None,
        menu.levels if menu else 0,
    ]
    return Ground(
        terms_rows(terms, 1),
        reward.rule.watched,
        reward.rule.weights,
        np.array(options, np.int64),
        np.array(menu.sizes if menu else (1.0,), np.float64),
        np.array([setup.costs.funding_bps_per_8h, terms.tick, terms.lot]),
        groups,
        plan,
        numbers,
    )


def field_of(setup: ArenaSetup, count: int, reward: Reward, columns: ColumnSet) -> Field:
    """The state of `count` arenas that nobody has begun."""
    parts, spec, block = len(reward.names), setup.spec, len(setup.block)
    return Field(
        money=np.zeros((count, N_MONEY)),
        counts=np.zeros((count, N_COUNTS), np.int64),
        clock=np.zeros((count, 7), np.int64),
        streams=np.zeros(count, np.int64),
        sums=np.zeros((count, parts + 3)),
        parts=np.zeros((count, parts)),
        moments=np.zeros((count, N_MOMENTS)),
        memory=np.zeros(count * len(columns.memory)),
        rows=np.zeros((count, spec.window * (spec.width - N_ACCOUNT)), np.float32),
        accounts=np.zeros((count, spec.window * N_ACCOUNT), np.float32),
        closes=np.zeros(count),
        stamps=np.zeros(count, np.int64),
        lots=np.zeros((count, 2), np.int64),
        wrong=np.zeros(count, np.int64),
        booked_money=np.zeros((count, N_MONEY)),
        booked_counts=np.zeros((count, N_COUNTS), np.int64),
        units=np.zeros(count),
        block=np.zeros((count, block), np.float32),
        blocks=np.zeros((count, spec.window * block), np.float32),
        orders=np.zeros((count * ROOM if setup.menu else 0, OWN_WIDTH), np.int64),
    )


def witness_of(count: int, reward: Reward) -> Witness:
    """Rows for accounts before and after a step, where somebody's own reward part asks for them."""
    rows = count if reward.own else 0
    money, counts = (np.zeros((2, rows, width), kind) for width, kind in ((N_MONEY, float), (N_COUNTS, np.int64)))
    return Witness(money[0], counts[0], money[1], counts[1])


def _houses(columns: ColumnSet) -> tuple[Ints, Ints, Floats]:
    """The house's columns by interval: (g, 6) groups, and the plan and the numbers that they go by."""
    groups, plans, numbers = list[tuple[int, ...]](), list[Ints](), list[Floats]()
    for part, (begin, end) in zip(columns.parts, columns.spans, strict=True):
        if isinstance(part, HouseColumns):
            first = sum(map(len, plans))
            plans.append(part.group.plan)
            numbers.append(part.group.numbers)
            stop = first + len(part.group.plan)
            groups.append((part.group.base_ms, part.group.higher_ms, first, stop, begin, end))
    return (
        np.array(groups, np.int64).reshape(-1, 6),
        np.concatenate([np.zeros((0, 4), np.int64), *plans]),
        np.concatenate([np.zeros((0, 3)), *numbers]),
    )
