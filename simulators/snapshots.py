"""A market copied in place: taken out of a world into a small snapshot, put back into any world of the same cast, and
sent on from there with another seed's draws.

Only what is in use is copied, so that putting one back costs far less than raising a market. The tape is no part of
it. Knows nothing of Mesa, and nothing of why anybody wants to start twice from one place.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import ladder, world
from .draws import keys_of
from .ladder import BLOCK_BITS, Ints
from .seeding import PARTS_SEED, STORM_SEED
from .storms import Role, Scenario, Storm
from .world import World

Snapshot = dict[str, NDArray[np.int64] | NDArray[np.float64]]

SCRATCH = ("events", "due", "origins", "answers")  # read by nobody before it is written again; events are the tape
SPARSE = ("ids", "occupied", "calendar", "stops")  # mostly zeros: their cells in use, and where these lie
PLACES = "_at"  # behind a sparse array's name: the flat places of its cells
BLOCK = 1 << BLOCK_BITS


def snapshot_of(state: World) -> Snapshot:
    """Copies of everything in use, by the names of the world's arrays."""
    taken, counts = Snapshot(), _rows_in_use(state)
    for name, array in _arrays(state):
        if name in SPARSE:
            places = _used_cells(name, array)
            taken[name + PLACES], taken[name] = places, array.reshape(-1)[places]
        elif name == "levels":
            taken[name] = _blocks(array)[_occupied(state)]
        else:
            taken[name] = array[: counts.get(name, len(array))].copy()
    taken["head"][ladder.LOGGED] = 0
    return taken


def put_back(snapshot: Mapping[str, NDArray[np.int64] | NDArray[np.float64]], state: World) -> None:
    """Make `state` the world that the snapshot was taken of; its tables must be as large."""
    _blocks(state.book.levels)[_occupied(state)] = 0
    before = _rows_in_use(state)
    for name, array in _arrays(state):
        kept = snapshot[name]
        if name in SPARSE:
            array.fill(0)
            array.reshape(-1)[snapshot[name + PLACES]] = kept
        elif name != "levels":
            array[: len(kept)] = kept
            array[len(kept) : before.get(name, 0)] = 0
    _blocks(state.book.levels)[_occupied(state)] = snapshot["levels"]


def branch(
    state: World,
    seeds: list[np.random.SeedSequence],
    scenario: Scenario,
    role: Role,
    *,
    onset: int | None = None,
    calm_bars: int = 0,
) -> tuple[Storm, ...]:
    """From here on draw from `seeds`, the children of another market's; its storms are drawn, scheduled and returned.

    A drawn storm comes `calm_bars` later than drawn, unless `onset` names its bar.
    """
    state.keys[:] = keys_of(seeds[PARTS_SEED:])
    storms = storms_drawn(seeds, scenario, role, onset=onset, calm_bars=calm_bars)
    schedule(state, scenario, storms)
    return storms


def storms_drawn(
    seeds: list[np.random.SeedSequence], scenario: Scenario, role: Role, *, onset: int | None, calm_bars: int
) -> tuple[Storm, ...]:
    """What a market of these seeds draws of a scenario; `calm_bars` later than drawn, unless `onset` names the bar."""
    storms = scenario.draw_all(seeds[STORM_SEED], role, onset)
    if onset is not None:
        return storms
    return tuple(replace(storm, onset=storm.onset + calm_bars) for storm in storms)


def schedule(state: World, scenario: Scenario, storms: tuple[Storm, ...]) -> None:
    """Put the storms on the world's schedule, behind the asset's profile, which always holds."""
    per_bar = int(state.clock[world.STEPS_A_BAR])
    table = np.concatenate([scenario.standing(), *(scenario.schedule(storm, per_bar) for storm in storms)])
    state.schedule[: len(table)] = table
    state.schedule[len(table) :] = 0.0
    state.clock[world.SCHEDULED] = len(table)


def _arrays(state: World) -> list[tuple[str, NDArray[Any]]]:
    """Every array but scratch, by name."""
    both: list[tuple[str, NDArray[Any]]] = [
        *zip(state.book._fields, state.book, strict=True),
        *zip(state._fields[1:], state[1:], strict=True),
    ]
    return [(name, array) for name, array in both if name not in SCRATCH]


def _rows_in_use(state: World) -> dict[str, int]:
    """Of tables that fill from their beginning: how many rows have ever been written; row 0 of four of them is none."""
    head, clock = state.book.head, state.clock
    orders, bars = int(head[ladder.FRESH]) + 1, int(clock[world.BARS])
    return {
        "orders": orders,
        "details": orders,
        "underway": int(clock[world.FRESH_ROW]) + 1,
        "endings": int(clock[world.FRESH_NODE]) + 1,
        "fills": min(int(clock[world.FILLS]), world.FILLS_ROOM),
        "replies": min(int(clock[world.REPLIES]), world.REPLIES_ROOM),
        "bars": bars,
        "notes": bars,
        "tops": int(clock[world.QUOTES]),
    }


def _used_cells(name: str, array: NDArray[Any]) -> Ints:
    """Flat places of what is in use; an order id that was forgotten leaves its slot behind."""
    if name == "ids":
        rows = np.flatnonzero(array[:, 0])
        return np.concatenate([2 * rows, 2 * rows + 1])
    return np.flatnonzero(array)


def _occupied(state: World) -> Ints:
    """The blocks of price levels that hold an order."""
    blocks = len(state.book.levels) >> BLOCK_BITS
    return np.flatnonzero(state.book.occupied[0, :blocks])


def _blocks(levels: Ints) -> Ints:
    """The price levels by blocks, a view; an empty level is zeros."""
    if len(levels) % BLOCK:
        raise ValueError(f"{len(levels)} price levels are no whole blocks of {BLOCK}")
    return levels.reshape(-1, BLOCK, levels.shape[1])
