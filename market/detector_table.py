"""Detector tables: a trained detector as one JSON file, with what it reads, how it was trained and a hash over it all.

Trained elsewhere, evaluated here by base dependencies alone. A file of another format, of features whose code has
changed since, with columns that this version does not have, or altered by hand, is refused in one sentence.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import pump_features, spoof_features
from .chunks import Pace
from .detector_model import Model, model_of

FORMAT = "wavetank detector 1"
FOLDER = Path(__file__).parent / "detectors"
PUMP, SPOOF, PUMP_BARS = "pump", "spoof", "pump bars"
KINDS = {  # kind: its features in order, and the version of the code that makes them
    PUMP: (tuple(pump_features.PUMP_FEATURES), pump_features.FEATURE_CODE),
    PUMP_BARS: (tuple(pump_features.PUMP_FEATURES), pump_features.FEATURE_CODE),
    SPOOF: (tuple(spoof_features.SPOOF_FEATURES), spoof_features.FEATURE_CODE),
}
SHIPPED = {PUMP: "pump", PUMP_BARS: "pump_bars", SPOOF: "spoof"}  # kind: its file's name in `FOLDER`
KEYS = ("format", "kind", "feature_code", "features", "low", "high", "bias", "weights", "trees", "threshold")
MORE_KEYS = ("refractory_ms", "pace", "training", "sha256")


class TableError(ValueError):
    """A detector's table cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class DetectorTable:
    """A detector that can be evaluated: it alarms at `threshold` and is then silent for `refractory_ms`.

    `features` are read from the kind's columns, clipped to [low, high]. `training` says where the numbers come from.
    """

    kind: str
    features: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    bias: float
    threshold: float
    refractory_ms: int
    weights: tuple[float, ...] = ()
    trees: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pace: Pace = Pace()
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TableError(f"a detector of {self.kind!r} is not one of {', '.join(KINDS)}")
        unknown = [name for name in self.features if name not in KINDS[self.kind][0]]
        if unknown:
            raise TableError(f"feature {unknown[0]!r} is not one of a {self.kind} detector's")
        if self.kind == PUMP_BARS and not set(self.features) <= set(pump_features.BAR_FEATURES):
            raise TableError(f"bars only tell {', '.join(pump_features.BAR_FEATURES)}, not all of {self.features}")
        if not 0.0 < self.threshold <= 1.0:
            raise TableError(f"threshold {self.threshold} is not a probability above 0")
        if self.refractory_ms < 0:
            raise TableError(f"refractory_ms {self.refractory_ms} is negative")
        self.model()

    def model(self) -> Model:
        """The arithmetic, its columns found among the kind's features."""
        places = KINDS[self.kind][0]
        columns = [places.index(name) for name in self.features]
        try:
            return model_of(columns, self.low, self.high, self.bias, self.weights, self.trees)
        except ValueError as error:
            raise TableError(f"the {self.kind} detector's model is broken: {error}") from error


def write_table(path: Path, table: DetectorTable) -> str:
    """Write the table as JSON, a line for each key; return its sha256. An equal table makes an equal file."""
    facts = asdict(table) | {"format": FORMAT, "feature_code": KINDS[table.kind][1]}
    facts["trees"] = {name: list(numbers) for name, numbers in table.trees.items()}
    digest = _digest(facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_written(facts | {"sha256": digest}))
    return digest


def read_table(path: str | Path, kind: str | None = None) -> DetectorTable:
    """Read a table; a bare name is one of the shipped. Raises TableError in one sentence, naming the file."""
    path = Path(path)
    path = path if path.suffix == ".json" else FOLDER / f"{path}.json"
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such detector") from None
    except ValueError as error:
        raise TableError(f"{path}: no JSON, {error}") from error
    try:
        _check(facts)
        table = _table_of(facts)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    if kind is not None and table.kind != kind:
        raise TableError(f"{path}: a {table.kind} detector, where one for {kind} is wanted")
    return table


def shipped_table(kind: str) -> DetectorTable:
    """The detector of a kind that comes with the house, trained in the crowd: `wavetank detectors`."""
    if kind not in SHIPPED:
        raise TableError(f"a detector of {kind!r} is not one of {', '.join(SHIPPED)}")
    return read_table(SHIPPED[kind], kind)


def _check(facts: Any) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        said = facts.get("format") if isinstance(facts, dict) else type(facts).__name__
        raise TableError(f"format {said!r}, this version reads {FORMAT!r}")
    missing, unknown = ({*KEYS, *MORE_KEYS} - set(facts)), (set(facts) - {*KEYS, *MORE_KEYS})
    if missing or unknown:
        raise TableError(f"keys missing: {sorted(missing) or 'none'}, unknown: {sorted(unknown) or 'none'}")
    if facts["sha256"] != _digest({key: facts[key] for key in facts if key != "sha256"}):
        raise TableError("its sha256 does not fit its contents: the file was altered")
    if facts["kind"] not in KINDS:
        raise TableError(f"a detector of {facts['kind']!r} is not one of {', '.join(KINDS)}")
    code = KINDS[facts["kind"]][1]
    if facts["feature_code"] != code:
        raise TableError(f"trained on feature code {facts['feature_code']}, this version has {code}: train it anew")


def _table_of(facts: Mapping[str, Any]) -> DetectorTable:
    try:
        pace = Pace(**facts["pace"])
        return DetectorTable(
            str(facts["kind"]),
            tuple(facts["features"]),
            tuple(facts["low"]),
            tuple(facts["high"]),
            float(facts["bias"]),
            float(facts["threshold"]),
            int(facts["refractory_ms"]),
            tuple(facts["weights"]),
            dict(facts["trees"]),
            pace,
            dict(facts["training"]),
        )
    except TableError:
        raise
    except (TypeError, ValueError) as error:
        raise TableError(f"a value has the wrong form: {error}") from error


def _written(facts: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(key)}: {json.dumps(facts[key], sort_keys=True)}" for key in sorted(facts)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
