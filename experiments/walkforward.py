"""Walk forward: in every window train, freeze, and judge out of sample; then one track out of the windows' tests.

Each window has its own data, scaler, past and seed; a purge stands between what trains and what judges. Finished
windows are kept, so a run that was interrupted goes on. Decides nothing: `promote` reads the result.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ..agents.policy import Callback, Metrics
from ..conf.schema import TrainConfig, WalkForwardConfig
from ..envs.passport import load_passport
from ..market.bars import Bars
from .baselines import rules_of
from .course import course_of, purge_bars, terrain_of, whole_timeline
from .evaluate import Track, stitch
from .fitting import Fitting
from .runs import RECORD, RunError, RunFolder, bars_digest, check_same, config_digest, open_record
from .splits import Fold, walk_forward
from .tracking import open_run
from .train import freeze, judge_all

log = logging.getLogger(__name__)

RESULT = "walkforward.json"


@dataclass(frozen=True, eq=False)
class WalkResult:
    """Stitched out-of-sample tracks of the policy and of every baseline, and what walkforward.json says."""

    folder: Path
    tracks: dict[str, Track]
    told: dict[str, Any]

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of the stitched tracks by name."""
        found: dict[str, dict[str, float]] = self.told["stitched"]
        return found


def walk(
    config: WalkForwardConfig,
    *,
    now: datetime,
    callbacks: Sequence[Callback] = (),
    sinks: Sequence[Metrics] = (),
) -> WalkResult:
    """Walk through all windows of `config.walk` and write walkforward.json, tracks/oos_NAME.npz and folds/N/.

    `config.out` is a new folder, or that of a run with the same training keys. A baseline runs without limits.
    """
    own = _training_part(config)
    bars = whole_timeline(own)
    folds = windows_of(config, bars)
    _check(config, own, bars, folds[0])
    run = _claim(config, own)
    tracker = None
    if config.tracking.root is not None:
        tracker = open_run(config.tracking.root, config.tracking.experiment, f"walkforward {run.path.name}")
    is_new = not run.is_resumed
    try:
        if is_new:
            open_record(run, own, {"started_at": now.isoformat(), "data": {"sha256": bars_digest(bars)}})
        if tracker:
            tracker.config(asdict(config))
            tracker.dataset("all", bars_digest(bars), source=str(config.market.path), context="walk", rows=len(bars))
        watching = (*sinks, *([tracker] if tracker else []))
        parts = [_window(fold, bars, config, own, run, now, callbacks, watching) for fold in folds]
        result = _conclude(config, own, bars, folds, parts, run)
    except BaseException as error:
        if tracker:
            tracker.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        if is_new and not (run.path / "folds").exists():
            _remove_record(run)
        raise
    if tracker:
        figures = result.figures["policy"]
        tracker.log(config.steps, {f"walkforward/{name}": value for name, value in figures.items()})
        tracker.artifact(run.path / RESULT)
        tracker.close()
    return result


def windows_of(config: WalkForwardConfig, bars: Bars) -> list[Fold]:
    """The windows that the shares of `config.walk` cut out of `bars`."""
    n, plan = len(bars), config.walk
    return walk_forward(
        n,
        plan.windows,
        train=round(n * plan.train),
        validation=round(n * plan.validation),
        test=round(n * plan.test),
        purge=purge_bars(config, terrain_of(config).spec, bars.interval_ms),
        embargo=plan.embargo,
        anchored=plan.anchored,
    )


def _window(
    fold: Fold,
    bars: Bars,
    config: WalkForwardConfig,
    own: TrainConfig,
    run: RunFolder,
    now: datetime,
    callbacks: Sequence[Callback],
    sinks: Sequence[Metrics],
) -> dict[str, Track]:
    """One window's test tracks; its passport is made, or taken from a run that was interrupted."""
    folder = run.path / "folds" / str(fold.index)
    course = course_of(bars, fold, own)
    if not (folder / "passport").exists():
        log.info("window %d of %d", fold.index + 1, config.walk.windows)
        metrics = _Prefixed(f"fold_{fold.index}", sinks)
        with closing(Fitting(own, course, folder / "checkpoints", fold=fold.index, metrics=metrics)) as fitting:
            fitting.begin()
            freeze(fitting.fit(callbacks), folder / "passport", own, course, now=now)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # the window is done
    passport = load_passport(folder / "passport")
    if passport.terrain.spec.digest != course.terrain.spec.digest:
        raise RunError(f"{folder} was trained on another observation: {own.env.observation} has changed since")
    policy = passport.policy
    if course.validation is not None:
        own_figures = course.judge(policy, "validation", name="policy").metrics()
        RunFolder(folder).write("validation.json", {"policy": own_figures})
    return judge_all(policy, course, "test", config.baselines, close_out=True)


def _conclude(
    config: WalkForwardConfig,
    own: TrainConfig,
    bars: Bars,
    folds: Sequence[Fold],
    parts: Sequence[Mapping[str, Track]],
    run: RunFolder,
) -> WalkResult:
    names = list(parts[0])
    tracks = {name: stitch(name, [part[name] for part in parts]) for name in names}
    for name, track in tracks.items():
        track.save(run.track(f"oos_{name}"))
    told: dict[str, Any] = {
        "config_digest": config_digest(own),
        "data_sha256": bars_digest(bars),
        "purge": purge_bars(own, terrain_of(own).spec, bars.interval_ms),
        "embargo": config.walk.embargo,
        "anchored": config.walk.anchored,
        "steps": own.steps,
        "baseline_limits": "off",
        "windows": [
            {
                **fold.to_json(),
                "test_from": int(bars.opened_at[fold.test[0]]),
                "test_until": int(bars.closed_at[fold.test[1] - 1]),
                "figures": {name: part[name].metrics() for name in names},
            }
            for fold, part in zip(folds, parts, strict=True)
        ],
        "stitched": {name: track.metrics() for name, track in tracks.items()},
    }
    run.write(RESULT, told)
    return WalkResult(run.path, tracks, told)


def _check(config: WalkForwardConfig, own: TrainConfig, bars: Bars, first: Fold) -> None:
    """What could go wrong hours later goes wrong here."""
    rules_of(config.baselines)
    with closing(Fitting(own, course_of(bars, first, own), Path(config.out) / "none")) as fitting:
        fitting.begin()


def _claim(config: WalkForwardConfig, own: TrainConfig) -> RunFolder:
    path = Path(config.out)
    if (path / RESULT).exists():
        raise RunError(f"out {path} holds a walk-forward already; name a new folder")
    if (path / RECORD).is_file():
        check_same(path, own)
        return RunFolder(path, is_resumed=True)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"out {path} holds other files and no run; name a new folder")
    return RunFolder(path)


def _remove_record(run: RunFolder) -> None:
    for file in (run.path / RECORD, run.path / "config.yaml"):
        file.unlink(missing_ok=True)
    if run.path.is_dir() and not any(run.path.iterdir()):
        run.path.rmdir()


def _training_part(config: WalkForwardConfig) -> TrainConfig:
    return TrainConfig(**{field.name: getattr(config, field.name) for field in fields(TrainConfig)})


class _Prefixed:
    """A `Metrics` sink that passes points on under a window's name."""

    def __init__(self, prefix: str, sinks: Sequence[Metrics]) -> None:
        self._prefix, self._sinks = prefix, sinks

    def log(self, step: int, values: Mapping[str, float]) -> None:
        named = {f"{self._prefix}/{name}": value for name, value in values.items()}
        for sink in self._sinks:
            sink.log(step, named)
