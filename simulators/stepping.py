"""Many market steps in one compiled call: the same kernels, in the same order, as Mesa runs one by one.

Knows nothing of Mesa, scenarios or bars.
"""

from typing import NamedTuple

from ..market.jit import kernel
from .cohorts import act_chartist, act_executor, act_fundamental, act_makers, act_noise
from .ladder import LOGGED, Book
from .population import Chartist, Executor, Fundamental, Makers, Noise, Value
from .world import COHORTS, TURN, World, close_step, open_step

NOISE, FUNDAMENTAL, TREND, CONTRARIAN, MAKERS, EXECUTOR = range(6)
EVENTS_A_SLOT = 3  # event rows kept free for a step, per slot of the order pool: no step has come near


class Rules(NamedTuple):
    """What the cohorts go by, and the value."""

    value: Value
    noise: Noise
    fundamental: Fundamental
    trend: Chartist
    contrarian: Chartist
    makers: Makers
    executor: Executor


@kernel
def has_room(book: Book) -> bool:
    """Whether the event log can take whatever one more step may bring."""
    return len(book.events) - int(book.head[LOGGED]) >= EVENTS_A_SLOT * len(book.orders)


@kernel
def advance(world: World, rules: Rules, steps: int) -> int:
    """Run up to `steps` market steps, fewer where the event log must grow first; return how many ran."""
    for done in range(steps):
        if not has_room(world.book):
            return done
        open_step(world, rules.value)
        for turn in range(COHORTS):
            _act(world, rules, int(world.clock[TURN + turn]))
        close_step(world)
    return steps


@kernel
def _act(world: World, rules: Rules, who: int) -> None:
    if who == NOISE:
        act_noise(world, who, rules.noise)
    elif who == FUNDAMENTAL:
        act_fundamental(world, who, rules.fundamental)
    elif who == TREND:
        act_chartist(world, who, rules.trend)
    elif who == CONTRARIAN:
        act_chartist(world, who, rules.contrarian)
    elif who == MAKERS:
        act_makers(world, who, rules.makers)
    elif who == EXECUTOR:
        act_executor(world, who, rules.executor)
