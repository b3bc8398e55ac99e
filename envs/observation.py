"""The observation spec: which named columns a policy sees, in which order. Its digest travels with every policy."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import yaml

from ..memory.columns import MEMORY_COLUMNS
from .features import FEATURES

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


@dataclass(frozen=True)
class ObservationSpec:
    """Columns in vector order: market, memory, account. Compared and pinned by `digest`."""

    name: str
    version: int
    market: tuple[str, ...]
    memory: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.market:
            raise ValueError(f"observation {self.name}: there must be at least one market column")
        _check(self.name, "market", self.market, tuple(FEATURES))
        _check(self.name, "memory", self.memory, MEMORY_COLUMNS)
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

    @cached_property
    def digest(self) -> str:
        """sha256 over name, version and columns."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "market": list(self.market),
            "memory": list(self.memory),
            "account": list(self.account),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ObservationSpec":
        if tuple(data.get("account", ACCOUNT_COLUMNS)) != ACCOUNT_COLUMNS:
            raise ValueError(f"observation {data.get('name')}: account columns {data['account']} are not this desk's")
        unknown = set(data) - {"name", "version", "market", "memory", "account"}
        if unknown:
            raise ValueError(f"observation {data.get('name')}: unknown key {', '.join(sorted(unknown))}")
        return cls(str(data["name"]), int(data["version"]), tuple(data["market"]), tuple(data.get("memory", ())))

    @classmethod
    def load(cls, name: str) -> "ObservationSpec":
        """The spec `conf/observation/NAME.yaml`."""
        folder = files("wavetank.conf") / "observation"
        source = folder / f"{name}.yaml"
        if not source.is_file():
            known = sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))
            raise ValueError(f"there is no observation {name!r}; known are {', '.join(known)}")
        return cls.from_json(yaml.safe_load(source.read_text()))


def _check(spec: str, group: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"observation {spec}: there is no {group} column {name!r}; known are {', '.join(known)}")
    if len(set(names)) != len(names):
        raise ValueError(f"observation {spec}: a {group} column stands twice")
