"""The passport as the desk sees it: write one from a trained network, load one and prove it on golden bars.

A loaded passport holds all that stands between a bar and an order: policy, observation, instrument, costs, limits,
interval. Whoever evaluates, storms or trades a policy begins here. Reads no clock: callers say what time it is.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..agents.frozen import FrozenPolicy, PassportError
from ..agents.manifest import GOLDEN, GRAPH, REFERENCE, STAGES, check_stages, read_manifest, write_manifest
from ..agents.reference import read_reference, reference_of
from ..agents.seal import whole_folder
from ..market.bars import INTERVALS, Bars
from ..market.contract import terms_of
from ..market.costs import Costs
from ..market.limits import Limits
from ..market.orders import Instrument
from ..market.terms import Terms
from ..memory.moments import PastError
from .desk import Desk
from .features import code_digest, feature_matrix
from .golden import Golden, record_golden, replay_golden
from .observation import ObservationSpec
from .own_code import bring_own, write_own, write_rewards
from .past import Past, Tabled
from .remembrance import MADE_UP, SHUFFLED, Remembrance

if TYPE_CHECKING:
    from ..agents.export import Network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terrain:
    """What a policy was trained to trade, apart from its bars: the part of a passport that config decides."""

    spec: ObservationSpec
    instrument: Instrument
    costs: Costs
    limits: Limits
    interval: str
    action: str = "box"
    dead_band: float = 0.02

    @property
    def terms(self) -> Terms:
        """The same as one row of numbers for kernels."""
        return terms_of(self.instrument, self.costs, self.limits, self.dead_band)

    def with_limits(self, limits: Limits) -> "Terrain":
        """The same terrain under other limits (paper and stress run `live` ones)."""
        return replace(self, limits=limits)

    def to_json(self) -> dict[str, Any]:
        return {
            "observation": {**self.spec.to_json(), "columns": list(self.spec.columns), "digest": self.spec.digest},
            "instrument": self.instrument.to_json(),
            "costs": asdict(self.costs),
            "limits": asdict(self.limits),
            "interval": self.interval,
            "action": {"kind": self.action, "dead_band": self.dead_band},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Terrain":
        observation = {k: v for k, v in data["observation"].items() if k not in ("columns", "digest")}
        return cls(
            ObservationSpec.from_json(observation),
            Instrument.from_json(data["instrument"]),
            Costs(**data["costs"]),
            Limits(**data["limits"]),
            data["interval"],
            data["action"]["kind"],
            data["action"]["dead_band"],
        )


@dataclass(frozen=True, eq=False)
class Passport:
    """A verified passport: the policy, and the terrain it may trade on."""

    policy: FrozenPolicy
    terrain: Terrain
    memory: Remembrance | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        return self.policy.manifest

    def desk(self, past: Past | None = None) -> Desk:
        """A fresh desk as the policy knows it; a policy with a memory needs a `past`, say `memory.live(store)`."""
        return Desk(self.terrain.spec, self.terrain.terms, INTERVALS[self.terrain.interval], past)


def export_passport(
    network: "Network",
    folder: str | Path,
    terrain: Terrain,
    bars: Bars,
    *,
    name: str,
    created_at: datetime,
    training: dict[str, Any],
    rewards: Mapping[str, float] | None = None,
    origin: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
    memory: Remembrance | None = None,
    past: Tabled | None = None,
    expires_at: datetime | None = None,
    stages: tuple[str, ...] = STAGES,
    signing_key: bytes | None = None,
) -> Path:
    """Write a sealed passport, whole or not at all. `bars` are the training slice: golden bars and reference columns.

    `training` says what it learnt from, `rewards` (weights by part) what for; `origin` holds git commit and lock hash.
    A policy with memory columns needs `past`, the table they came from, and `memory`, which travels with it.
    """
    from ..agents.export import export_graph, graph_facts  # torch, needed to export only

    spec = terrain.spec
    if bars.interval != terrain.interval:
        raise ValueError(f"the bars are {bars.interval}, the policy lives at {terrain.interval}")
    if not bool(spec.memory) == (memory is not None) == (past is not None):
        raise ValueError(f"observation {spec.name} has {len(spec.memory)} memory columns: memory differs")
    check_stages(stages)
    with whole_folder(Path(folder)) as draft:
        export_graph(network, draft / GRAPH, spec.width)
        policy = FrozenPolicy.from_graph(draft / GRAPH)
        if policy.shape != spec.shape:
            raise ValueError(f"the network takes {policy.shape}, observation {spec.name} shows {spec.shape}")
        golden = record_golden(policy, bars, spec, terrain.terms, terrain.action, past)
        np.savez(draft / GOLDEN, **golden.arrays())  # type: ignore[arg-type]  # numpy types savez too narrowly
        reference = reference_of(fitted_rows(bars, spec, past), (*spec.market, *spec.memory))
        np.savez(draft / REFERENCE, **reference)  # type: ignore[arg-type]  # as above
        manifest = {
            "name": name,
            "created_at": created_at.isoformat(),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "stages": list(stages),
            "graph": graph_facts(draft / GRAPH),
            "features": {"digest": code_digest(), "own": write_own(draft, spec, () if memory is None else memory.own)},
            "training": training,
            "rewards": None if rewards is None else write_rewards(draft, rewards),
            "memory": None if memory is None else memory.write(draft, bars),
            "evidence": evidence,
            **(origin or {}),
            **terrain.to_json(),
        }
        write_manifest(draft, manifest, signing_key)
    return Path(folder)


def load_passport(folder: str | Path, *, now: datetime | None = None, public_key: bytes | None = None) -> Passport:
    """Verify and load: seal, manifest, graph, expiry, golden rows by the policy, golden bars by this desk.

    Raises PassportError in one sentence that names what differs.
    """
    policy = FrozenPolicy.load(folder, now=now, public_key=public_key)
    manifest, folder = policy.manifest, Path(folder)
    bring_own(folder, manifest)
    try:
        terrain, stages = Terrain.from_json(manifest), manifest["stages"]
        read_reference(folder / REFERENCE, (*terrain.spec.market, *terrain.spec.memory))
    except (KeyError, TypeError, ValueError) as error:
        raise PassportError(f"passport {folder}: {_whole(error)}") from error
    if not isinstance(stages, list):
        raise PassportError(f"passport {folder}: its stages are {stages!r}, not a list")
    if terrain.spec.digest != manifest["observation"].get("digest"):
        raise PassportError(f"passport {folder}: its observation is not the one that its digest names")
    if manifest.get("features", {}).get("digest") != code_digest():
        log.warning("passport %s was made by other feature code; its golden bars decide", folder)
    difference = replay_golden(_golden(folder, terrain.interval), terrain.spec, terrain.terms, terrain.action)
    if difference is not None:
        raise PassportError(f"passport {folder}: {difference}")
    return Passport(policy, terrain, _memory(folder, terrain, manifest.get("memory")))


def check_real_memory(folder: str | Path) -> None:
    """Raise PassportError where a policy was trained on an ablation's past: it is neither promoted nor handed on."""
    told = read_manifest(Path(folder)).get("memory") or {}
    if told.get("mode") == SHUFFLED:
        raise PassportError(f"passport {folder}: {MADE_UP}")


def fitted_rows(bars: Bars, spec: ObservationSpec, past: Tabled | None) -> NDArray[np.float32]:
    """(T, market + memory) float32 of the warm bars: what a policy's scaler was fitted on, and drift is told from."""
    rows = feature_matrix(bars, spec.market)
    if past is not None:
        rows = np.hstack([rows, past.matrix_for(bars)])
    return rows[np.isfinite(rows).all(axis=1)]


def _whole(error: Exception) -> str:
    return f"its manifest has no {error}" if isinstance(error, KeyError) else str(error)


def _memory(folder: Path, terrain: Terrain, told: dict[str, Any] | None) -> Remembrance | None:
    if bool(terrain.spec.memory) != (told is not None):
        raise PassportError(f"passport {folder}: its observation and its memory do not go together")
    try:
        return None if told is None else Remembrance.read(folder, told)
    except (KeyError, PastError) as error:
        raise PassportError(f"passport {folder}: {error}") from error


def _golden(folder: Path, interval: str) -> Golden:
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as file:
            return Golden.from_arrays(interval, {name: file[name] for name in file.files})
    except (OSError, ValueError, KeyError) as error:
        raise PassportError(f"passport {folder}: {GOLDEN} cannot be read: {error}") from error
