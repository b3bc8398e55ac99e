"""Warm markets: crowds that have traded calmly until a desk can observe, kept as snapshots that episodes begin from.

A market of the pool is raised when it is first asked for. Its seed is derived from its number and from who begins
there: what a policy is validated, tested or judged in never begins where it was trained. Knows no account, no storm.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from ..market.jit import threads
from ..simulators.crowd import CrowdMarket
from ..simulators.ladder import Ints
from ..simulators.population import Population
from ..simulators.snapshots import Snapshot
from ..simulators.storms import Role, Scenario
from ..simulators.tape import bars_of
from .arena_past import Kept, Recollection
from .arena_setup import ArenaSetup
from .features import FeatureStream

BEGINNERS = ("train", "judge", "validation", "test")  # who has a pool; validation and test draw storms as train does
WARM_MARKETS = 0x57A2_3D  # the first word of their seeds, which no episode's seed begins with

Columns = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Warm:
    """A market at the close of its last warm-up bar, and what the desk's market columns remember of it.

    `stream` is the state of a FeatureStream, `memory` the floats in it, `rows` (window, market + memory) float32 the
    columns at the last bars. `opened_at` is the first bar's, `close` the last one's. `kept` is what a past has lived.
    """

    market: Snapshot
    stream: bytes
    memory: NDArray[np.float64]
    rows: Columns
    opened_at: int
    close: float
    median_volume: float
    kept: Kept | None = None


class Pool:
    """`size` warm markets of one profile, interval and set of columns, for one of BEGINNERS."""

    def __init__(self, setup: ArenaSetup, beginner: str, size: int, raised: Callable[[], Any]) -> None:
        self._setup, self._beginner, self.size, self._raised = setup, beginner, size, raised
        self._warm = dict[int, Warm]()
        self._idle = list[Any]()
        self._lock = Lock()

    def warm(self, slot: int) -> Warm:
        """Warm market number `slot`, raised now where nobody asked for it before."""
        found = self._warm.get(slot)
        if found is None:
            with self._lock:
                market = self._idle.pop() if self._idle else None
            market = market if market is not None else self._raised()
            found = self._raise(market, slot)
            with self._lock:
                self._idle.append(market)
                found = self._warm.setdefault(slot, found)
        return found

    def fill(self, slots: "range | list[int] | None" = None) -> None:
        """Raise all of them, or those of `slots`, on as many threads as kernels use."""
        wanted = [slot for slot in dict.fromkeys(slots or range(self.size)) if slot not in self._warm]
        if len(wanted) > 1 and threads() > 1:
            with ThreadPoolExecutor(max_workers=min(threads(), len(wanted))) as workers:
                deque(workers.map(self.warm, wanted), maxlen=0)
        for slot in wanted:
            self.warm(slot)

    def __len__(self) -> int:
        return len(self._warm)

    def _raise(self, market: Any, slot: int) -> Warm:
        setup = self._setup
        market.reset(pool_seed(self._beginner, slot))
        stream, rows, volumes = FeatureStream(setup.spec.market, setup.interval_ms), list[Columns](), list[float]()
        past = Recollection(setup.past, setup.interval, 1, setup.warm_up) if setup.past else None
        nothing = np.zeros(0, np.float32)
        for _ in range(setup.warm_up):
            market.run_bar()
            bar = market.last_bar()
            volumes.append(bar.volume)
            row = stream.update(bar)
            recalled = past.columns([0], [shown(market, setup.past.bars)])[0] if past and setup.past else nothing
            if row is not None:
                rows.append(np.concatenate([row.astype(np.float32), recalled]))
        opened_at = bar.opened_at - (setup.warm_up - 1) * setup.interval_ms
        desk = stream.state(), stream.memory.copy(), np.stack(rows)
        kept = past.taken(0) if past else None
        return Warm(market.state(), *desk, opened_at, bar.close, float(np.median(volumes)), kept)


def shown(market: CrowdMarket, count: int) -> Bars:
    """The last bars of a market, up to `count`."""
    done = market.bars_done
    return bars_between(market.world.bars, max(0, done - count), done, market.opened_at, market.crowd)


def bars_between(rows: Ints, start: int, stop: int, opened_at: int, crowd: Population) -> Bars:
    """Bars `start` … `stop` − 1 of a market whose first one opened at `opened_at`."""
    began = opened_at + start * crowd.unit.step_ms * crowd.unit.steps_per_bar
    return bars_of(rows[start:stop], began, crowd)


def pool_seed(beginner: str, slot: int) -> int:
    """The seed of a warm market; ValueError where there is no such pool."""
    if beginner not in BEGINNERS:
        raise ValueError(f"there is no pool of {beginner!r}; there are those of {', '.join(BEGINNERS)}")
    sequence = np.random.SeedSequence([WARM_MARKETS, BEGINNERS.index(beginner), slot])
    return int(sequence.generate_state(1, np.uint64)[0])


_POOLS: "WeakValueDictionary[tuple[Any, ...], Pool]" = WeakValueDictionary()


def pool_of(setup: ArenaSetup, scenario: Scenario, role: Role, kind: Callable[..., Any] = CrowdMarket) -> Pool:
    """The pool for a scenario's profile, that of `setup.pool_role` or else of `role`; arenas that can share one do.

    `kind` makes the markets.
    """
    beginner = setup.pool_role or role
    pool_seed(beginner, 0)
    key = (
        kind,
        scenario.settings(),
        setup.interval,
        beginner,
        setup.spec.market,
        setup.warm_up,
        setup.pool,
        setup.past,
    )
    found = _POOLS.get(key)
    if found is None:

        def raised() -> Any:
            return kind(scenario, 0, interval=setup.interval, role=role, calm=True, tape=False)

        found = _POOLS[key] = Pool(setup, beginner, setup.pool, raised)
    return found
