"""A run's folder: its record before the first step, its figures, checkpoints, tracks and verdicts; and reading it back.

A folder that stands is gone on with where it holds an unfinished run of the same config, and refused otherwise.
Knows files, not training.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..conf.agent_schema import AGENTS
from ..conf.env_schema import ENVS
from ..conf.schema import TrainConfig
from ..market.bars import Bars
from ..market.funding import Funding

RECORD, CONFIG, METRICS_FILE, PASSPORT = "run.json", "config.yaml", "metrics.jsonl", "passport"
PACKAGES = ("wavetank", "numpy", "numba", "torch", "stable-baselines3", "ray", "gymnasium", "onnxruntime", "mlflow")
STUMPS = {CONFIG, f".{CONFIG}.half", f".{RECORD}.half"}  # what a kill leaves before there is a record
_ELSEWHERE = ("out", "resume", "tracking", "checkpoint_every", "ray")  # keys that do not change what is learnt


class RunError(ValueError):
    """A run's folder that is not one, or cannot be used as asked."""


@dataclass(frozen=True)
class RunFolder:
    """One run's folder, and the `Metrics` sink that writes its `metrics.jsonl`."""

    path: Path
    is_resumed: bool = False

    @property
    def passport(self) -> Path:
        return self.path / PASSPORT

    @property
    def draft(self) -> Path:
        """Where the passport waits until everything else is written: one in its place means a finished run."""
        return self.path / ".draft" / PASSPORT

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def track(self, name: str) -> Path:
        """Where the track `name` lies."""
        return self.path / "tracks" / f"{name}.npz"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl; what is not finite is left out."""
        finite = {name: float(value) for name, value in values.items() if np.isfinite(value)}
        with (self.path / METRICS_FILE).open("a") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics.jsonl beyond `step`, and one that a kill tore: a resumed run writes them again."""
        file = self.path / METRICS_FILE
        if file.is_file():
            kept = [line for line in read_metrics(file) if line["step"] <= step]
            _write_whole(file, "".join(f"{json.dumps(line)}\n" for line in kept))

    def write(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write `data` as JSON, whole or not at all."""
        return write_json(self.path / name, data)

    def record(self) -> dict[str, Any]:
        """What run.json says."""
        return read_json(self.path / RECORD)


def begin_run(out: str | Path, config: TrainConfig) -> RunFolder:
    """Claim `out` for a run of `config`: a new folder (not made yet), or an unfinished run of the same config.

    Raises RunError where the folder holds anything else.
    """
    path = Path(out)
    if not path.exists():
        return RunFolder(path)
    if not path.is_dir():
        raise RunError(f"out {path} is a file; name a folder")
    if not (path / RECORD).is_file():
        if {file.name for file in path.iterdir()} - STUMPS:
            raise RunError(f"out {path} holds other files and no run; name a new folder")
        return RunFolder(path)
    check_same(path, config)
    if (path / PASSPORT).exists():
        raise RunError(f"out {path} holds a finished run; name a new folder")
    return RunFolder(path, is_resumed=True)


def open_record(run: RunFolder, config: TrainConfig, facts: Mapping[str, Any]) -> None:
    """Make the folder and write config.yaml and run.json, before the first step."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"out {run.path} cannot be made: {error.strerror}") from error
    _write_config(run, config)
    run.write(RECORD, {**_told(config), **origin(), **facts})


def reopen_record(run: RunFolder, config: TrainConfig, at: str, step: int, facts: Mapping[str, Any]) -> None:
    """Add to the record of an interrupted run that it goes on: `at` (ISO, UTC), from `step`, to how many steps."""
    record = run.record()
    now, commit = origin(), ("git_commit", "git_dirty")
    resumed = {"at": at, "step": step, "steps": config.steps, **{key: now[key] for key in commit}}
    history = [*record.get("resumes", []), resumed]
    _write_config(run, config)
    run.write(RECORD, {**record, **facts, **_told(config), "resumes": history})


@contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """Keep other processes from training in a run's folder; a kill lets go of it. RunError where one does."""
    folder = os.open(run.path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RunError(f"the run in {run.path} is being trained by another process") from error
    finally:
        os.close(folder)


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last one that a kill tore is left out, a damaged one is a RunError."""
    lines, found = file.read_text().splitlines(), []
    for number, line in enumerate(lines, 1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            if number < len(lines):
                raise RunError(f"{file}: line {number} cannot be read: {error}") from error
    return found


def read_run(path: str | Path) -> tuple[RunFolder, TrainConfig]:
    """A finished run and its config; RunError in one sentence where there is none."""
    path = Path(path)
    if not (path / RECORD).is_file():
        raise RunError(f"{path} is not a run's folder: it has no {RECORD}")
    if not (path / PASSPORT).is_dir():
        raise RunError(f"the run in {path} is not finished: it has no passport yet")
    return RunFolder(path), read_config(path)


def read_config(path: Path) -> TrainConfig:
    """The config that a run's folder holds."""
    try:
        raw = OmegaConf.load(path / CONFIG)
        kinds = {
            "env": OmegaConf.structured(ENVS[str(OmegaConf.select(raw, "env.kind"))]),
            "agent": OmegaConf.structured(AGENTS[str(OmegaConf.select(raw, "agent.backend"))]),
        }
        node = OmegaConf.merge(OmegaConf.structured(TrainConfig), kinds, raw)
        config = OmegaConf.to_object(node)
    except (OSError, KeyError, OmegaConfBaseException) as error:
        raise RunError(f"{path / CONFIG} cannot be read: {error}") from error
    assert isinstance(config, TrainConfig)
    return config


def check_same(path: Path, config: TrainConfig) -> None:
    """Raise RunError, naming the key, where the run in `path` learns otherwise than `config` says."""
    theirs, ours = _leaves(asdict(read_config(path))), _leaves(asdict(config))
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            raise RunError(f"out {path} holds a run with {key}={theirs.get(key)}, not {ours.get(key)}")


def config_digest(config: TrainConfig) -> str:
    """sha256 of everything in the config that changes what is learnt."""
    return hashlib.sha256(json.dumps(_leaves(asdict(config)), sort_keys=True).encode()).hexdigest()


def bars_digest(bars: Bars) -> str:
    """sha256 of a stretch of bars: interval, times, prices, volume."""
    digest = hashlib.sha256(bars.interval.encode())
    for name in ("opened_at", "open", "high", "low", "close", "volume"):
        digest.update(np.ascontiguousarray(getattr(bars, name)).tobytes())
    return digest.hexdigest()


def bars_facts(bars: Bars) -> dict[str, Any]:
    """Hash, count and range of a stretch of bars."""
    return {
        "sha256": bars_digest(bars),
        "bars": len(bars),
        "from": int(bars.opened_at[0]),
        "until": int(bars.closed_at[-1]),
    }


def funding_facts(funding: Funding) -> dict[str, Any]:
    """Hash and count of a series of funding rates."""
    return {"stamps": len(funding.stamps), "sha256": funding.digest}


def origin() -> dict[str, Any]:
    """Where the code comes from: git commit, lock hash, versions of what computes."""
    root = Path(__file__).resolve().parents[1]
    lock = root / "requirements.lock"
    return {
        "git_commit": _git(root, "rev-parse", "HEAD"),
        "git_dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def write_json(path: Path, data: Mapping[str, Any]) -> Path:
    """Write JSON whole or not at all; NaN and infinity are refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; RunError where it is not one."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path} does not hold an object")
    return data


def discard(run: RunFolder) -> None:
    """Remove a run's folder that came to nothing: it has neither checkpoint nor passport."""
    if not run.is_resumed and not any(run.checkpoints.glob("[!.]*")) and not run.passport.exists():
        shutil.rmtree(run.path, ignore_errors=True)


def _told(config: TrainConfig) -> dict[str, Any]:
    return {"config": asdict(config), "config_digest": config_digest(config), "seed": config.seed}


def _write_config(run: RunFolder, config: TrainConfig) -> None:
    _write_whole(run.path / CONFIG, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))


def _write_whole(path: Path, text: str) -> Path:
    half = path.with_name(f".{path.name}.half")
    half.write_text(text)
    half.replace(path)
    return path


def _leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if prefix == "" and key in _ELSEWHERE:
            continue
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _git(root: Path, *words: str) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
