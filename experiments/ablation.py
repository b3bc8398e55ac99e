"""What a policy makes of its memory: the same policy over the same bars without it, or with outcomes that are others'.

`off` shows the ten columns as they are where nothing is known; `shuffled` keeps all neighbours and gives each the
outcome of another moment, known no later. Trains nothing: what training with a memory is worth is measured elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Decision, Policy
from ..envs.observation import ObservationSpec
from ..envs.past import Tabled
from ..envs.remembrance import Remembrance
from ..market.bars import Bars
from .arena_course import ArenaCourse
from .course import Course, CourseError, history_bars
from .evaluate import Track
from .figure_groups import KINDS, Section
from .paired_growth import crossed_growth, growth_of
from .seeds import derive_seed, role_rng
from .slices import neighbours_in
from .statistics import Interval

ON, OFF, SHUFFLED = "on", "off", "shuffled"
SEEDS = 8  # of shuffled outcomes, where nothing else is asked for
SHOWN = (
    ("total_return", "total return", "share"),
    ("sharpe", "Sharpe, a year", "ratio"),
    ("max_drawdown", "deepest drawdown", "share"),
    ("trades", "fills", "count"),
    ("turnover_per_day", "turnover a day, × equity", "ratio"),
    ("time_in_market", "time in market", "share"),
    ("cost_share", "costs paid, of first equity", "share"),
)

Progress = Callable[[str], None]
Walks = Iterator[tuple[str, Track]]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A policy with its memory beside itself with what `mode` leaves of it, paired period by period.

    `ahead` is the log growth a period, a `unit` ("day" or "bar"), by which it grew faster with its memory;
    `before_fees` the same with all fees given back: columns that jump more make a policy trade more, which is no
    knowledge. `by_seed` is `ahead` of every walk without, `figures` are theirs: one of memory off, one a shuffle.
    """

    mode: str
    unit: str
    periods: int
    ahead: Interval
    before_fees: Interval
    by_seed: tuple[float, ...]
    figures: tuple[dict[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Ablation":
        """What `to_json` wrote."""
        lists = {name: tuple(told[name]) for name in ("by_seed", "figures")}
        intervals = {name: Interval(**told[name]) for name in ("ahead", "before_fees")}
        return cls(**{**told, **lists, **intervals})


class Judged(Protocol):
    """Drives a policy over the bars that are examined; with a `past` in place of the one that these bars have."""

    def __call__(self, policy: Policy, *, name: str, past: Tabled | None = None) -> Track: ...


class Forgetful:
    """A policy to which nothing is known of the past: the memory columns that it sees are zeros, `available` too."""

    def __init__(self, policy: Policy, spec: ObservationSpec) -> None:
        self._policy = policy
        self._columns = slice(len(spec.market), len(spec.market) + len(spec.memory))

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """Decide on the same observations without memory."""
        seen = np.array(observations, np.float32)
        seen[..., self._columns] = 0.0
        return self._policy.act(seen, state, starts)


def check_memory(spec: ObservationSpec, mode: str) -> None:
    """Raise CourseError where a policy that sees these columns has no memory that could be taken away."""
    if mode != ON and not spec.memory:
        raise CourseError(
            f"memory={mode} takes away what a policy knows of the past: observation {spec.name} has no memory columns"
        )


def walks_without(
    policy: Policy, spec: ObservationSpec, mode: str, pasts: Iterator[Tabled], judged: Judged, progress: Progress
) -> list[Track]:
    """The tracks of `policy` with what `mode` leaves of its memory: one, or one for each of `pasts`, made up ones."""
    if mode == OFF:
        progress("memory off")
        return [judged(Forgetful(policy, spec), name="memory_off")]
    tracks = []
    for seed, past in enumerate(pasts, 1):
        progress(f"shuffled {seed}")
        tracks.append(judged(policy, name=f"memory_shuffled_{seed}", past=past))
    return tracks


def compared(mode: str, with_memory: Track, without: Sequence[Track], *, run_seed: int) -> Ablation:
    """The walk with memory against those without, over the same bars; the interval's draws derive from `run_seed`."""
    after, before = (growth_of([with_memory, *without], before_fees=given) for given in (False, True))
    differences, gross = (each.values[0] - each.values[1:] for each in (after, before))
    ahead, before_fees = (crossed_growth(each, rng=role_rng(run_seed, "memory")) for each in (differences, gross))
    by_seed = tuple(float(mean) for mean in differences.mean(axis=1))
    figures = tuple(track.metrics() for track in without)
    return Ablation(mode, after.unit, differences.shape[1], ahead, before_fees, by_seed, figures)


def shuffled_course(course: Course, seeds: int) -> Iterator[Tabled]:
    """Pasts of a run's own bars with outcomes shuffled by seeds that derive from the run's; CourseError in a crowd."""
    if isinstance(course, ArenaCourse) or course.memory is None:
        raise CourseError(
            "memory=shuffled draws from the outcomes of recorded bars, and env=arena has none; say memory=off"
        )
    config = course.config
    bars, cache = history_bars(config.market), neighbours_in(config.memory)
    return shuffled_pasts(bars, course.memory, config.seed, seeds, cache=cache)


def shuffled_pasts(
    bars: Bars, memory: Remembrance, run_seed: int, seeds: int, *, cache: Path | None = None
) -> Iterator[Tabled]:
    """The table of `bars` once for each of `seeds` shuffles."""
    for draw in shuffles(run_seed, seeds):
        yield Tabled.of(
            bars,
            memory.embedder,
            k=memory.neighbours,
            horizon=memory.horizon,
            embargo=memory.embargo,
            shuffled=draw,
            cache=cache,
        )


def shuffles(run_seed: int, seeds: int) -> list[int]:
    """Seeds of so many shuffles, none of them the one that a run may be trained with."""
    return [derive_seed(run_seed, "memory", worker=worker) for worker in range(1, seeds + 1)]


def section_of(ablation: Ablation, with_memory: Mapping[str, float]) -> Section:
    """The ablation as text: figures of the policy with its memory, and without; of several walks mean and extremes."""
    several = len(ablation.figures) > 1
    names = [ON, ablation.mode, *(("least", "most") if several else ())]
    rows = [
        (label, [KINDS[kind](value) for value in (with_memory[key], *_spread([one[key] for one in ablation.figures]))])
        for key, label, kind in SHOWN
    ]
    behind = [f"{_points(value)} bp" for value in _spread(ablation.by_seed)]
    rows.append((f"on is ahead, a {ablation.unit}", ["", *behind]))
    note = f"{verdict_of(ablation).capitalize()}. {difference_of(ablation).capitalize()}."
    return Section(f"Memory {ablation.mode}", note, names, rows)


def difference_of(ablation: Ablation) -> str:
    """By how much memory on is ahead, after and before fees."""
    after, before = (
        f"{_points(found.estimate)} bp [{_points(found.low)}, {_points(found.high)}]"
        for found in (ablation.ahead, ablation.before_fees)
    )
    shuffles = f" and {len(ablation.figures)} shuffles" if ablation.mode == SHUFFLED else ""
    luck = f"{ablation.ahead.level:.0%} over {ablation.periods:,} {ablation.unit}s{shuffles}"
    return f"log growth on − {ablation.mode}, a {ablation.unit}: {after}, before fees {before}; {luck}"


def verdict_of(ablation: Ablation) -> str:
    """Whether luck explains the difference, and if not, whether fees do."""
    ahead, before_fees = ablation.ahead, ablation.before_fees
    if ahead.low == ahead.high == before_fees.low == before_fees.high == 0.0:
        return "it does the same without its memory"
    if ahead.low > 0.0:
        return "its memory helps it" if before_fees.low > 0.0 else "with its memory it pays less for trading, no more"
    if ahead.high < 0.0:
        return "its memory harms it" if before_fees.high < 0.0 else "with its memory it pays more for trading, no more"
    return "luck explains the difference"


def _spread(values: Sequence[float]) -> list[float]:
    """The mean, and of several the least and the most."""
    mean = float(np.mean(values))
    return [mean, min(values), max(values)] if len(values) > 1 else [mean]


def _points(share: float) -> str:
    """In hundredths of a per cent."""
    return f"{round(1e4 * share, 3) + 0.0:.3f}".replace("-", "−")
