"""A user's own code in a passport: written at export, file by file, and brought along when it is loaded.

Columns and embedder: where the package is not installed, the passport's copy is imported; where it is, it must be the
same, byte for byte. Reward parts lie apart, as provenance: nothing that trades runs them. The seal has been checked
before: nothing is imported from a passport that is not what it was.
"""

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..agents.frozen import PassportError
from ..agents.seal import file_digests
from ..market.addresses import own_digests, own_sources
from .observation import ObservationSpec

FOLDER, REWARDS_FOLDER = "own", "rewards"


def write_own(draft: Path, spec: ObservationSpec, also: Iterable[str] = ()) -> dict[str, str]:
    """Put the sources of a spec's own columns, and of what is `also` needed to trade, into a passport's draft.

    Returns sha256 by place, as the manifest holds them.
    """
    return _write(draft / FOLDER, (*spec.market, *also))


def write_rewards(draft: Path, weights: Mapping[str, float]) -> dict[str, Any]:
    """The same of a reward's own parts; its weights by name beside the hashes."""
    return {"weights": dict(weights), "own": _write(draft / REWARDS_FOLDER, tuple(weights))}


def bring_own(folder: Path, manifest: dict[str, Any]) -> None:
    """Make the own columns of a passport importable; PassportError naming the file where this installation differs."""
    _check_rewards(folder, (manifest.get("rewards") or {}).get("own", {}))
    told: dict[str, str] = manifest.get("features", {}).get("own", {})
    if not told:
        return
    wanted = (*manifest["observation"]["market"], (manifest.get("memory") or {}).get("kind", ""))
    names = [name.partition("@")[0] for name in wanted if ":" in name]
    if any(_is_absent(name.partition(":")[0].partition(".")[0], told) for name in names):
        sys.path.append(str((folder / FOLDER).resolve()))
        sys.dont_write_bytecode = True  # a __pycache__ beside the sources would break the seal
    try:
        found = own_digests(names)
    except ValueError as error:
        raise PassportError(f"passport {folder}: {error}") from error
    for place in sorted(told.keys() | found.keys()):
        if told.get(place) != found.get(place):
            raise PassportError(f"passport {folder}: {place} is not the code that its columns were trained with")


def _write(folder: Path, names: Iterable[str]) -> dict[str, str]:
    names = tuple(names)
    for place, source in own_sources(names).items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)
    return own_digests(names)


def _check_rewards(folder: Path, told: dict[str, str]) -> None:
    found = file_digests(folder / REWARDS_FOLDER)
    for place in sorted(told.keys() | found.keys()):
        if told.get(place) != found.get(place):
            raise PassportError(f"passport {folder}: {REWARDS_FOLDER}/{place} is not what its manifest says")


def _is_absent(package: str, places: Iterable[str]) -> bool:
    """Whether nothing of the code is installed; a folder that merely has the package's name does not count."""
    spec = find_spec(package)
    if spec is None or spec.origin is not None:
        return spec is None
    roots = [Path(folder).parent for folder in spec.submodule_search_locations or ()]
    return not any((root / place).is_file() for root in roots for place in places)
