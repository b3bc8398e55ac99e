"""A market laid by hand for one class of traders: a book of round numbers, the class's accounts, a street that owns
the first orders, and what the class has sent. Knows no class."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wavetank.simulators import ladder, matching, world
from wavetank.simulators.arrivals import deliver
from wavetank.simulators.climate import look_around, set_knobs
from wavetank.simulators.draws import keys_of
from wavetank.simulators.ladder import Ints, empty_book
from wavetank.simulators.matching import ALL_EVENTS, LIMIT, MARKET, Event, process
from wavetank.simulators.population import Makers, Readers, Value
from wavetank.simulators.world import Part, World, empty_world

OWNERS, STREET, PASSER = 20, 17, 16  # the last two accounts are the fund's and the bank's
FUND, BANK = OWNERS - 2, OWNERS - 1
TRADER = 5  # first owner of the class under test
SIDE, PRICE, LOTS, OWNER, KIND, LIFE = range(6)  # columns of what was sent


def laid(levels: int = 40, lots: int = 1_000) -> World:
    """Bids from 990 down and asks from 1010 up, a thousand lots on each tick, mid 1000; everyone calm."""
    state = empty_world(empty_book(4096, 1024, OWNERS, 1 << 16), 64)
    head = state.book.head
    head[ladder.LOG_KINDS], head[ladder.LAST] = ALL_EVENTS, 1000
    state.keys[:] = keys_of(np.random.SeedSequence(3).spawn(world.PARTS))
    state.cohorts[:, world.FIRST_OWNER] = TRADER
    state.clock[[world.FIRST_OUTSIDER, world.STEPS_A_BAR]] = OWNERS, 60
    state.mood[[world.FACTOR, world.ACTIVITY, world.LOT]] = 1.0, 1.0, 0.001
    state.mood[world.MID] = 1000.0
    state.mood[[world.LOG_VALUE, world.LOG_MID]] = math.log(1000.0)
    state.history.fill(math.log(1000.0))
    set_knobs(state.knobs)
    street(state, [(LIMIT, side, 1000 - side * (10 + i), lots) for i in range(levels) for side in (1, -1)])
    head[ladder.LOGGED] = 0
    return state


def street(state: World, orders: list[tuple[int, int, int, int]], owner: int = STREET) -> None:
    """Let the street send orders at once: kind, side, ticks, lots."""
    messages = np.zeros((len(orders), matching.MESSAGE_WIDTH), np.int64)
    first = 1_000_000 + int(state.book.head[ladder.SEQUENCE])
    for i, (kind, side, ticks, lots) in enumerate(orders):
        messages[i, :6] = kind, first + i, owner, side, ticks, lots
    process(state.book, messages, len(orders), np.zeros(len(orders), np.int64))


def shock(state: World, lots: int) -> None:
    """A passer-by trades signed `lots` at market with the street."""
    street(state, [(MARKET, 1 if lots > 0 else -1, 0, abs(lots))], PASSER)


def live(
    state: World, steps: int, act: Callable[..., None], who: Part, rules: Any, readers: Readers | None = None
) -> None:
    """Market steps in which one class trades alone: messages arrive, it looks around, it acts."""
    for _ in range(steps):
        state.book.head[ladder.NOW] = state.clock[world.STEP]
        deliver(state)
        look_around(state, Value(), Readers(traders=0) if readers is None else readers, Makers())
        act(state, int(who), rules)
        state.clock[world.STEP] += 1


def events(state: World, kind: Event) -> Ints:
    """What the book logged of one kind."""
    rows = state.book.events[: int(state.book.head[ladder.LOGGED])]
    picked: Ints = rows[rows[:, ladder.EVENT_KIND] == kind]
    return picked


def arrived(state: World) -> list[tuple[int, int, int, int, int]]:
    """Labelled orders as the book took them: step, owner, side, lots, label."""
    rows = events(state, Event.ACCEPTED)
    names = ("AT", "OWNER", "SIDE", "LOTS", "LABEL")
    columns = [getattr(ladder, f"EVENT_{name}") for name in names]
    return [tuple(int(row[c]) for c in columns) for row in rows if row[ladder.EVENT_LABEL] != 0]  # type: ignore[misc]


def held(state: World, owner: int) -> int:
    return int(state.book.accounts[owner, ladder.POSITION])


def cash(state: World, owner: int) -> int:
    return int(state.book.accounts[owner, ladder.CASH])


def give(state: World, owner: int, lots: int, money: int) -> None:
    """Put an owner in a position, against the street."""
    accounts = state.book.accounts
    for account, sign in ((owner, 1), (STREET, -1)):
        accounts[account, ladder.POSITION] += sign * lots
        accounts[account, ladder.CASH] += sign * money


def sent(state: World) -> Ints:
    """Messages under way in the order of posting: side, ticks (0 at market), lots, owner, kind, life."""
    rows = []
    for first in state.calendar[world.ARRIVALS]:
        row = int(first)
        while row:
            rows.append(state.underway[row])
            row = int(state.underway[row, world.AFTER])
    rows.sort(key=lambda row: int(row[world.SORT]) & 0xFFFFFFFF)
    names = ("SIDE", "PRICE", "LOTS", "OWNER", "KIND")
    columns = [*(getattr(matching, f"MESSAGE_{name}") for name in names), world.LIVES]
    return np.array([row[columns] for row in rows], np.int64).reshape(-1, len(columns))


def repeat(state: World, steps: int, act: Callable[..., None], who: Part, rules: tuple[float, ...]) -> None:
    """Let a cohort act for some steps without delivering what it sends."""
    for _ in range(steps):
        act(state, int(who), rules)
        state.clock[world.STEP] += 1


def live_blind(state: World, steps: int, act: Callable[..., None], who: Part, rules: tuple[float, ...]) -> None:
    """Let a cohort act for some steps in which its messages arrive and it sees the market as it first was."""
    for _ in range(steps):
        deliver(state)
        act(state, int(who), rules)
        state.clock[world.STEP] += 1
    deliver(state)


def resting(state: World) -> int:
    return int(state.book.head[ladder.BIDS] + state.book.head[ladder.ASKS])
