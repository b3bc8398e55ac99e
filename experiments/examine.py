"""Examine a trained policy: the slice its training never saw, or any other bars, beside the baselines.

Acts through the passport alone; with memory=off or shuffled, beside itself without its memory too. The run's data must
still be the data it was trained beside. Where a folder is named or is the run's own, it writes tracks/, evaluation.html
and, last of all, evaluation.json.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..agents.policy import Policy
from ..conf.schema import EvaluateConfig, TrainConfig
from ..envs.passport import Passport, load_passport
from ..envs.past import Tabled
from ..market.costs import Costs
from ..market.limits import Limits
from .ablation import ON, SEEDS, SHUFFLED, Ablation, check_memory, compared, shuffled_course, shuffles, walks_without
from .baselines import rules_of
from .course import CourseError, funding_of, history_bars, open_course
from .evaluate import Track, judge
from .evaluation_page import render_page
from .measured import Measured, measure
from .met_before import met_before
from .runs import RECORD, RunError, RunFolder, bars_facts, funding_facts, read_json, read_run, write_json
from .train import UNLIMITED

RESULT, PAGE = "evaluation.json", "evaluation.html"
OWN_SLICE, CASH = "test", 100_000.0  # where nothing else is asked for
OF_A_CROWD = ("half_spread_bps", "impact_y", "participation", "gap_multiple")  # costs that its order book decides

Progress = Callable[[str], None]  # told each policy as its turn comes


@dataclass(frozen=True, eq=False)
class Examined:
    """What was measured on the policy and the baselines, and on which bars under which costs: `told`.

    `folder` is None where nothing was written, `ablation` where the policy was asked with its memory on alone.
    """

    folder: Path | None
    measured: Measured
    told: Mapping[str, Any]
    ablation: Ablation | None = None

    @property
    def tracks(self) -> Mapping[str, Track]:
        """Tracks of the policy and the baselines on the same bars."""
        return self.measured.tracks

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of every track by name."""
        return self.measured.figures


class Judge(Protocol):
    """Drives a policy over the bars that are examined, under its passport's limits and with its past unless given."""

    def __call__(
        self, policy: Policy, *, name: str, limits: Limits | None = None, past: Tabled | None = None
    ) -> Track: ...


class Ground(NamedTuple):
    """Where a policy is examined: on which bars and how, and what other pasts of these bars can be made up."""

    passport: Passport
    judged: Judge
    told: dict[str, Any]
    shuffled: Callable[[int], Iterator[Tabled]]
    seed: int


def examine(config: EvaluateConfig, *, progress: Progress = lambda _: None) -> Examined:
    """Score `config.policy`, a run's or a passport's folder, and write what was found where it belongs."""
    rules_of(config.baselines)  # a wrong name is found before anything is read
    _check_asked(config)
    path = Path(config.policy)
    is_run = (path / RECORD).is_file()
    if not is_run and not (path / "manifest.json").is_file():
        raise RunError(f"{path} is neither a run's folder nor a passport's")
    if config.market.path is not None:
        record = RunFolder(path).record() if is_run else {}
        ground = _on_file(load_passport(path / "passport" if is_run else path), record, config)
    elif is_run:
        ground = _on_own_slice(path, config)
    else:
        raise CourseError(f"{path} is a passport alone: say on which bars, market.path=FILE.parquet")
    check_memory(ground.passport.terrain.spec, config.memory)
    pasts = ground.shuffled(config.memory_seeds or SEEDS) if config.memory == SHUFFLED else iter(())
    tracks = _tracks(ground, config, progress)
    ablation = None if config.memory == ON else _ablation(ground, config.memory, tracks["policy"], pasts, progress)
    folder = Path(config.out) if config.out else path if is_run else None
    measured = measure(tracks, var_window=config.var_window)
    if folder is not None:
        _write(folder, measured, ground.told, ablation, config.sharpe_days)
    return Examined(folder, measured, ground.told, ablation)


def walks_of(config: EvaluateConfig) -> int:
    """How many walks `examine` will take, each of them told."""
    without = {ON: 0, SHUFFLED: config.memory_seeds or SEEDS}.get(config.memory, 1)
    return 1 + len(config.baselines) + without


def _check_asked(config: EvaluateConfig) -> None:
    """CourseError where something is asked for that these bars would leave without effect."""
    if config.market.path is not None:
        if config.seed is not None:
            raise CourseError(f"seed={config.seed} draws a made market, which market.path={config.market.path} is not")
        if config.slice is not None:
            raise CourseError(
                f"slice={config.slice} is of a run's own market; market.path={config.market.path} is judged whole"
            )
        return
    if config.cash is not None:
        raise CourseError(
            f"cash={config.cash:g} says nothing without market.path: a run begins with the cash it trained with"
        )
    for key, value in asdict(config.market).items():
        if value is not None:
            raise CourseError(f"market.{key}={value} says nothing without market.path: a run has slices of its own")


def _write(
    folder: Path, measured: Measured, told: Mapping[str, Any], ablation: Ablation | None, sharpe_days: int
) -> None:
    ablations = _ablations(folder, measured, told, ablation)
    page = render_page(measured, told, ablations, sharpe_days=sharpe_days)
    for name, track in measured.tracks.items():
        track.save(RunFolder(folder).track(f"{told['slice']}_{name}"))
    half = folder / f".{PAGE}.half"
    half.write_text(page, encoding="utf-8")
    half.replace(folder / PAGE)
    without = {"ablation": {mode: found.to_json() for mode, found in ablations.items()}} if ablations else {}
    write_json(folder / RESULT, {**told, "baseline_limits": "off", **measured.told(), **without})


def _ablations(
    folder: Path, measured: Measured, told: Mapping[str, Any], ablation: Ablation | None
) -> dict[str, Ablation]:
    """By mode: the one just made, and what stands in the folder of the same policy over the same bars."""
    found = dict[str, Ablation]()
    if (folder / RESULT).is_file():
        before = read_json(folder / RESULT)
        same = {"slice": told["slice"], "data": told["data"]}.items() <= before.items()
        if same and before["figures"].get("policy") == measured.figures["policy"]:
            found = {mode: Ablation.from_json(each) for mode, each in before.get("ablation", {}).items()}
    return found | ({} if ablation is None else {ablation.mode: ablation})


def _tracks(ground: Ground, config: EvaluateConfig, progress: Progress) -> dict[str, Track]:
    """Tracks of the policy, and of the baselines without limits."""
    progress("policy")
    tracks = {"policy": ground.judged(ground.passport.policy, name="policy")}
    for name, rule in rules_of(config.baselines).items():
        progress(name)
        tracks[name] = ground.judged(rule, name=name, limits=UNLIMITED)
    return tracks


def _ablation(ground: Ground, mode: str, with_memory: Track, pasts: Iterator[Tabled], progress: Progress) -> Ablation:
    passport = ground.passport
    without = walks_without(passport.policy, passport.terrain.spec, mode, pasts, ground.judged, progress)
    return compared(mode, with_memory, without, run_seed=ground.seed)


def _on_own_slice(path: Path, config: EvaluateConfig) -> Ground:
    run, trained = read_run(path)
    if config.seed is not None:
        trained = replace(trained, seed=config.seed)
    course = open_course(trained)
    facts = course.facts()
    if config.seed is None:
        _check_data(run, trained, facts)
    passport = load_passport(run.passport)
    if passport.terrain.spec.digest != course.terrain.spec.digest:
        raise RunError(f"observation {trained.env.observation} is not the one that {path} was trained with any more")
    role = config.slice or OWN_SLICE

    def judged(policy: Policy, *, name: str, limits: Limits | None = None, past: Tabled | None = None) -> Track:
        ground = course if past is None else replace(course, past=past)
        return ground.judge(policy, role, name=name, limits=limits)

    told = {
        "slice": role,
        "policy": str(path),
        "data": facts.get(role),
        "costs": _costs(passport.terrain.costs, is_crowd=trained.env.kind == "arena"),
        "funding": facts.get("funding"),
        **_memory_of(passport),
    }
    return Ground(passport, judged, told, lambda seeds: shuffled_course(course, seeds), trained.seed)


def _on_file(passport: Passport, record: Mapping[str, Any], config: EvaluateConfig) -> Ground:
    terrain = passport.terrain
    bars = history_bars(config.market)
    if bars.interval != terrain.interval:
        raise CourseError(f"{config.market.path} holds {bars.interval} bars, the policy lives at {terrain.interval}")
    funding = funding_of(config.market, bars)
    cash = CASH if config.cash is None else config.cash
    memory, seed = passport.memory, int(passport.manifest["training"].get("seed", 0))
    if memory is not None:
        memory.check_real()
    own = None if memory is None else memory.tabled(bars)

    def judged(policy: Policy, *, name: str, limits: Limits | None = None, past: Tabled | None = None) -> Track:
        under = terrain if limits is None else terrain.with_limits(limits)
        return judge(policy, bars, under, past=past or own, funding=funding, cash=cash, name=name)

    def shuffled(seeds: int) -> Iterator[Tabled]:
        assert memory is not None  # else check_memory has refused
        return (memory.tabled(bars, shuffled=draw) for draw in shuffles(seed, seeds))

    source = str(config.market.path)
    told = {
        "slice": "file",
        "policy": config.policy,
        "data": bars_facts(bars),
        "source": source,
        "met": met_before(bars, source, passport.manifest["training"], record)._asdict(),
        "costs": _costs(terrain.costs, is_crowd=False),
        "funding": None if funding is None else funding_facts(funding),
        **_memory_of(passport),
    }
    return Ground(passport, judged, told, shuffled, seed)


def _memory_of(passport: Passport) -> dict[str, str]:
    """How a policy with a memory was trained to ask it: exact, or with shuffled outcomes."""
    return {} if passport.memory is None else {"memory_mode": passport.memory.mode}


def _costs(costs: Costs, *, is_crowd: bool) -> dict[str, float]:
    """The costs that were assumed; a crowd's book makes its own spread and impact."""
    return {name: value for name, value in asdict(costs).items() if not (is_crowd and name in OF_A_CROWD)}


def _check_data(run: RunFolder, config: TrainConfig, facts: dict[str, Any]) -> None:
    known = run.record().get("data", {})
    for name in ("train", "validation", "test"):
        if known.get(name, {}).get("sha256") != facts.get(name, {}).get("sha256"):
            raise RunError(
                f"the {name} bars of {config.market.path or config.env.kind} are not those of {run.path} any more"
            )
    if known.get("funding") != facts.get("funding"):
        raise RunError(f"the funding rates of {config.market.funding} are not those of {run.path} any more")
