"""What training with a memory is worth: policies that learnt with it, without it, and with outcomes that are others'.

Three arms of several seeds each, alike in everything but their past, and judged on the test bars through their
passports; what they earned is compared day by day and seed by seed. The arm with shuffled outcomes sees as many columns
as the one that remembers, and its neighbours are right: what it lacks is what followed them. Trains what is not trained
yet. Decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Policy
from ..conf.schema import TrainConfig
from .baselines import rules_of
from .course import Course, open_course, terrain_of
from .crowd_worth import trained
from .evaluate import Track
from .paired_growth import crossed_growth, growth_of
from .runs import RunError
from .statistics import Interval
from .train import UNLIMITED

WITHOUT, WITH, SHUFFLED = "without", "memory", "shuffled"  # the arms
ARMS = (WITHOUT, WITH, SHUFFLED)
FLAT, HOLD = "flat", "hold"
PAIRS = ((WITH, WITHOUT), (WITH, SHUFFLED), (SHUFFLED, WITHOUT), (WITH, FLAT), (WITHOUT, FLAT))
FIGURES = ("total_return", "sharpe", "max_drawdown", "trades", "cost_share", "time_in_market")
OWN = ("env.observation", "memory.outcomes", "out")  # keys in which arms differ

Floats = NDArray[np.float64]
Progress = Callable[[str], None]
Arms = Mapping[str, Sequence[TrainConfig]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One arm against another: log growth a period, a `unit` ("day" or "bar"), by which it is ahead; `before_fees` the
    same with all fees given back; `by_seed` of each pair of policies."""

    ours: str
    theirs: str
    unit: str
    periods: int
    ahead: Interval
    before_fees: Interval
    by_seed: tuple[float, ...]

    @property
    def better(self) -> int:
        """In how many pairs ours grew faster."""
        return sum(value > 0.0 for value in self.by_seed)


@dataclass(frozen=True, eq=False)
class Worth:
    """All that was measured: `figures` by arm or baseline and name, a value a seed; and the pairs of `PAIRS`."""

    figures: dict[str, dict[str, list[float]]]
    pairs: tuple[Pair, ...]
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"figures": self.figures, "pairs": [asdict(pair) for pair in self.pairs], "test": dict(self.data)}


def memory_worth(arms: Arms, *, now: datetime, seed: int = 0, progress: Progress = lambda _: None) -> Worth:
    """Train the arms, of equal seeds, drive all policies over the test bars, and compare; `seed` draws intervals."""
    _check(arms)
    found, data = dict[str, list[Track]](), list[Mapping[str, Any]]()
    for arm, configs in arms.items():
        found[arm] = []
        for config in configs:
            policy = trained(config, now=now, progress=progress).policy
            course = open_course(config)
            data.append(course.facts()["test"])
            if data[-1] != data[0]:
                raise RunError(f"the arms are judged on other bars: {arm} of seed {config.seed} on {data[-1]}")
            found[arm].append(course.judge(policy, "test", name=arm))
    found |= _yardsticks(open_course(arms[WITHOUT][0]))
    return compared(found, data[0], seed=seed)


def compared(found: Mapping[str, Sequence[Track]], data: Mapping[str, Any], *, seed: int = 0) -> Worth:
    """Figures and pairs of tracks by arm, in the order of their seeds; of a baseline there is one."""
    figures = {
        name: {key: [track.metrics()[key] for track in tracks] for key in FIGURES} for name, tracks in found.items()
    }
    return Worth(figures, tuple(_pair(found, *names, seed) for names in PAIRS), data)


def _pair(found: Mapping[str, Sequence[Track]], ours: str, theirs: str, seed: int) -> Pair:
    mine, other = found[ours], found[theirs]
    after, before = (growth_of([*mine, *other], before_fees=given) for given in (False, True))
    net, gross = (each.values[: len(mine)] - each.values[len(mine) :] for each in (after, before))
    ahead, before_fees = (crossed_growth(each, rng=np.random.default_rng(seed)) for each in (net, gross))
    by_seed = tuple(float(mean) for mean in net.mean(axis=1))
    return Pair(ours, theirs, after.unit, net.shape[1], ahead, before_fees, by_seed)


def _yardsticks(course: Course) -> dict[str, list[Track]]:
    rules: Mapping[str, Policy] = rules_of((FLAT, HOLD))
    return {name: [course.judge(rule, "test", name=name, limits=UNLIMITED)] for name, rule in rules.items()}


def _check(arms: Arms) -> None:
    """RunError where the arms differ in more than their past, or in less."""
    if tuple(arms) != ARMS:
        raise RunError(f"the arms are {', '.join(arms)}, not {', '.join(ARMS)}")
    counts = {len(configs) for configs in arms.values()}
    if len(counts) > 1 or counts == {0}:
        raise RunError(f"the arms have {', '.join(str(len(each)) for each in arms.values())} seeds; they go in threes")
    for configs in zip(*arms.values(), strict=True):
        leaves = [_leaves(asdict(config)) for config in configs]
        for key in leaves[0]:
            if key not in OWN and len({repr(each.get(key)) for each in leaves}) > 1:
                raise RunError(f"the arms differ in {key}: {', '.join(str(each.get(key)) for each in leaves)}")
        outcomes = tuple(config.memory.outcomes for config in configs)
        if outcomes != ("known", "known", "shuffled"):
            raise RunError(f"memory.outcomes is {', '.join(outcomes)}, not known, known, shuffled")
        without, *others = (terrain_of(config).spec for config in configs)
        if without.memory or any(each.market != without.market or not each.memory for each in others):
            names = ", ".join(config.env.observation for config in configs)
            raise RunError(f"the arms see {names}; all must see the same market, and the latter two its past")


def _leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
