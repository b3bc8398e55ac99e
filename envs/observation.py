"""The observation spec: which named columns a policy sees, in which order. Its digest travels with every policy."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..market.addresses import own_digests
from ..memory.columns import MEMORY_COLUMNS
from .families import families
from .features import describe, find_column

LONGEST_WINDOW = 512
ACCOUNT_COLUMNS = (
    "position",
    "unrealised",
    "drawdown",
    "idle",
    "margin_headroom",
    "loss_headroom",
    "exposure_headroom",
    "trading_state",
)
_ABOUT_ACCOUNT = (
    "value of the position over the allowed exposure, equity × leverage",
    "unrealised profit over equity",
    "fall from the highest equity, as a share of it",
    "log(1 + bars since the last fill)",
    "1 − maintenance margin over equity",
    "share of the daily loss limit that is left; 1 at the day's start, 0 at the limit",
    "share of the exposure limit that is left",
    "0 active, ½ reducing, 1 halted",
)


@dataclass(frozen=True)
class ObservationSpec:
    """Columns in vector order: market, memory, account. Compared and pinned by `digest`."""

    name: str
    version: int
    market: tuple[str, ...]
    memory: tuple[str, ...] = ()
    window: int = 1  # bars shown at once, as rows: 1 shows the last one alone

    def __post_init__(self) -> None:
        if not 1 <= self.window <= LONGEST_WINDOW:
            raise ValueError(f"observation {self.name}: window {self.window} must lie in 1 … {LONGEST_WINDOW} bars")
        if not self.market:
            raise ValueError(f"observation {self.name}: there must be at least one market column")
        _check_market(self.name, self.market)
        unknown = next((name for name in self.memory if name not in MEMORY_COLUMNS), None)
        if unknown is not None:
            known = ", ".join(MEMORY_COLUMNS)
            raise ValueError(f"observation {self.name}: there is no memory column {unknown!r}; known are {known}")
        if self.memory and self.memory != MEMORY_COLUMNS:
            raise ValueError(f"observation {self.name}: memory columns come all ten, in order, or not at all")

    @property
    def account(self) -> tuple[str, ...]:
        return ACCOUNT_COLUMNS

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.market, *self.memory, *self.account)

    @property
    def width(self) -> int:
        return len(self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation: (columns,), or (window, columns) with the newest bar last."""
        return (self.width,) if self.window == 1 else (self.window, self.width)

    @cached_property
    def digest(self) -> str:
        """sha256 over name, version and columns and, where some are a user's own, over the sources of these."""
        own = own_digests(self.market)
        pinned = self.to_json() | ({"own": own} if own else {})
        return hashlib.sha256(json.dumps(pinned, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "market": list(self.market),
            "memory": list(self.memory),
            "account": list(self.account),
            **({} if self.window == 1 else {"window": self.window}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ObservationSpec":
        missing = {"name", "version", "market"} - set(data)
        if missing:
            raise ValueError(f"observation {data.get('name')}: {', '.join(sorted(missing))} is missing")
        if tuple(data.get("account", ACCOUNT_COLUMNS)) != ACCOUNT_COLUMNS:
            raise ValueError(f"observation {data.get('name')}: account columns {data['account']} are not this desk's")
        unknown = set(data) - {"name", "version", "market", "memory", "account", "window"}
        if unknown:
            raise ValueError(f"observation {data.get('name')}: unknown key {', '.join(sorted(unknown))}")
        return cls(
            str(data["name"]),
            int(data["version"]),
            tuple(data["market"]),
            tuple(data.get("memory", ())),
            int(data.get("window", 1)),
        )

    @classmethod
    def load(cls, name: str) -> "ObservationSpec":
        """The spec `conf/observation/NAME.yaml`, or that of a file of one's own, where `name` ends in .yaml."""
        if name.endswith(".yaml"):
            return cls.from_json(_read(Path(name)))
        folder = files("wavetank.conf") / "observation"
        source = folder / f"{name}.yaml"
        if not source.is_file():
            known = sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))
            raise ValueError(f"there is no observation {name!r}; known are {', '.join(known)}")
        return cls.from_json(yaml.safe_load(source.read_text()))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"there is no observation file {file}")
    data = yaml.safe_load(file.read_text())
    if not isinstance(data, dict):
        raise ValueError(f"observation file {file} holds no keys: it wants name, version, market, memory")
    return data


def observation_page(names: tuple[str, ...]) -> str:
    """docs/observation.md: every column of the named specs, generated so that it cannot go stale."""
    lines = ["# What a policy sees", "", "Generated by `make docs`; the order is that of the vector, float32.", ""]
    lines += [
        "A spec of one's own is a YAML file of names like those in `conf/observation/`; its path, ending in `.yaml`, "
        "stands where a spec's name stands. A market column is one of the families at the end with any numbers, one of "
        "them over bars of a higher interval (`rsi_14@4h`, seen once these have closed), or a feature of a module "
        "(`my_package.features:spike`, see `envs/own.py`; `wavetank doctor my_package.features` tries it).",
        "",
    ]
    for name in names:
        spec = ObservationSpec.load(name)
        lines += [f"## {spec.name} v{spec.version}: {spec.width} columns", "", f"digest `{spec.digest[:16]}`", ""]
        lines += ["| # | column | what it is |", "|---|---|---|"]
        about = [describe(column) for column in spec.market]
        about += [f"memory: {column.replace('_', ' ')} of the most similar known moments" for column in spec.memory]
        about += [f"account: {text}" for text in _ABOUT_ACCOUNT]
        lines += [f"| {k} | `{c}` | {text} |" for k, (c, text) in enumerate(zip(spec.columns, about, strict=True))]
        lines.append("")
    lines += ["## Families of market columns", "", "| column | what it is |", "|---|---|"]
    lines += [f"| `{form}` | {text} |" for form, text in families()]
    return "\n".join([*lines, ""])


def _check_market(spec: str, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            find_column(name)
        except ValueError as error:
            raise ValueError(f"observation {spec}: {error}") from error
    if len(set(names)) != len(names):
        raise ValueError(f"observation {spec}: a market column stands twice")
