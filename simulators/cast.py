"""The cast of a crowd: which owners belong to whom, what the cohorts go by, and the arrays that they share.

Owners are numbered cohort after cohort, then the insurance fund, the bank that lent everybody their collateral, and
the accounts kept for traders from outside. Knows nothing of Mesa.
"""

import math
from dataclasses import dataclass

import numpy as np

from .climate import set_knobs
from .ladder import LAST, Ints, empty_book
from .population import COHORTS, LOT_OF_SIZES, Population
from .stepping import Rules
from .world import FIRST_OUTSIDER, LOG_FACTOR, LOG_MID, LOG_VALUE, LOT, MID, STEPS_A_BAR, World, empty_world

LEVELS, CAPACITY, ROOM = 1 << 17, 1 << 12, 1 << 14  # prices up to 4 × the first; live orders; event rows
BARS_ROOM = 1 << 10
OUTSIDERS = 16  # accounts that a market keeps for traders from outside


@dataclass(frozen=True, slots=True)
class Seats:
    """Who owns which accounts."""

    cohorts: tuple[range, ...]  # by `world.Part`
    fund: int
    bank: int
    outsiders: range


def seats_of(crowd: Population, outsiders: int = OUTSIDERS) -> Seats:
    """Number the owners of a crowd."""
    counts = [int(getattr(crowd, name).traders) for name in COHORTS]
    ends = [int(end) for end in np.cumsum(counts)]
    cohorts = tuple(range(end - count, end) for end, count in zip(ends, counts, strict=True))
    fund = ends[-1]
    return Seats(cohorts, fund, fund + 1, range(fund + 2, fund + 2 + outsiders))


def rules_of(crowd: Population) -> Rules:
    """What the kernels of a crowd go by."""
    return Rules(crowd.value, *(getattr(crowd, name) for name in COHORTS))


def stage_of(seats: Seats) -> World:
    """An empty book and world with an account for every owner."""
    return empty_world(empty_book(LEVELS, CAPACITY, seats.outsiders.stop, ROOM), BARS_ROOM)


def clear_stage(state: World, crowd: Population, seats: Seats, keys: Ints, traits: np.random.Generator) -> None:
    """Empty every array in place, and put there what a market begins with: its keys, first price, value and mood."""
    for array in (*state.book, *state[1:]):
        array.fill(0)
    state.keys[:] = keys
    start, mood = round(crowd.value.price), state.mood
    mood[[LOG_VALUE, LOG_MID]] = math.log(start)
    mood[LOG_FACTOR] = crowd.value.factor_sd * float(traits.normal())
    mood[LOT], mood[MID] = LOT_OF_SIZES, start
    state.history.fill(math.log(start))
    state.book.head[LAST] = start
    state.clock[STEPS_A_BAR], state.clock[FIRST_OUTSIDER] = crowd.unit.steps_per_bar, seats.outsiders.start
    set_knobs(state.knobs)
