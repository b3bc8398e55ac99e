"""Say what this installation is, and what is wrong with it.

    wavetank doctor                 # exit code 0: sound, 1: something named above is wrong
    wavetank doctor --keep-cache    # leave the compiled kernels of other versions alone
    wavetank doctor my_package.features     # try every feature of a module of yours; 1: one of them failed

Looks and reports; apart from old kernel caches it changes nothing. Knows no market and no policy.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import __file__ as package_file
from ..envs.features import feature_matrix
from ..envs.own import own_features
from ..envs.own_trials import drawn_market, try_feature
from ..market import jit
from .cli import TELEMETRY_OFF

ROOT = Path(package_file).resolve().parent
SUPPORTED = ((3, 11), (3, 12))
DEFAULT_DATA = "../shared/data"
# A cache folder is named after its sources; one untouched for a day belongs to an edit long gone.
KERNEL_CACHE_KEPT_S = 86_400
SPEED_BARS = 2_000  # plain Python walks them in some 10 ms
REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[([\w-]+)\])?")
FOUND_BEFORE = "memory"  # the folder of neighbours that training has found, beside the kernels'
CACHE_NAME = re.compile(r"[0-9a-f]{16}")


class Finding(NamedTuple):
    """One line of the report: what was looked at, what was seen, and whether it is wrong."""

    name: str
    seen: str
    is_wrong: bool = False


def main() -> int:
    """Print every finding; return 1 if one of them is wrong."""
    arguments = _parser().parse_args()
    if arguments.module:
        findings = list(_own_features(arguments.module))
    else:
        findings = [*_house(), *_packages(), *_kernels(prune=not arguments.keep_cache), *_surroundings()]
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'!!' if finding.is_wrong else '  '} {finding.name:<{width}}  {finding.seen}")
    wrong = [finding.name for finding in findings if finding.is_wrong]
    print(f"\nwrong: {', '.join(wrong)}" if wrong else "\nsound")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wavetank doctor", description=__doc__.partition("\n")[0])
    parser.add_argument("module", nargs="?", help="a module with features of your own, to be tried")
    parser.add_argument("--keep-cache", action="store_true", help="do not remove old compiled kernels")
    return parser


def _own_features(module: str) -> Iterator[Finding]:
    """Every trial of every feature that stands in `module`; the working folder is looked into last."""
    sys.path.append(os.getcwd())
    names = own_features(module)
    if not names:
        raise ValueError(f"module {module} holds no Feature (wavetank.envs.own.Feature)")
    for name in names:
        yield from _one_feature(name)


def _one_feature(name: str) -> Iterator[Finding]:
    """Its trials. First interpreted: where that breaks, compiled code may read what lies behind its state."""
    digest, fault = _interpreted_digest(name)
    if fault:
        yield Finding(f"{name} interpreted", fault, True)
        return
    for trial, seen, passed, is_warning in try_feature(name, digest):
        yield Finding(f"{name} {trial}", f"warning: {seen}" if is_warning else seen, not passed and not is_warning)
    yield Finding(f"{name} speed", _speed(name))


def _interpreted_digest(name: str) -> tuple[str, str]:
    """(what a process without compiled kernels says of a market, "") or ("", why it could not)."""
    code = f"from wavetank.envs.own_trials import digest; print(digest({name!r}))"
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), os.getcwd()])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout.strip(), ""
    return "", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it ended without a word"


def _speed(name: str) -> str:
    bars = drawn_market(SPEED_BARS, 5)
    try:
        feature_matrix(bars, (name,))
        began = time.perf_counter()
        feature_matrix(bars, (name,))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"not measured: {error}"
    return f"{(time.perf_counter() - began) / SPEED_BARS * 1e6:.2f} µs a bar over whole histories"


def _house() -> Iterator[Finding]:
    yield Finding("wavetank", f"{metadata.version('wavetank')}, imported from {package_file}")
    version = sys.version_info[:2]
    yield Finding("python", f"{platform.python_version()} at {sys.executable}", version not in SUPPORTED)
    here = Path.cwd()
    # Python (and each Ray worker) puts the working folder first on its path.
    other = next((f for f in (here, here / "wavetank") if _is_another_house(f)), None)
    if other is not None:
        yield Finding("working folder", f"{other} is another copy of wavetank: start from {ROOT}", True)
    links = ROOT / "src" / "wavetank"
    if links.is_dir():  # a clone; a wheel has none
        found = sorted(link for link in links.iterdir() if link.name != "__pycache__")
        broken = [link.name for link in found if not (link.is_symlink() and link.exists())]
        seen = f"{', '.join(broken)} in {links}: not a link to a room" if broken else "as they should be"
        yield Finding("links", seen, bool(broken))


def _is_another_house(folder: Path) -> bool:
    is_house = (folder / "__init__.py").is_file() and (folder / "market" / "ledger.py").is_file()
    return is_house and folder.resolve() != ROOT


def _packages() -> Iterator[Finding]:
    for extra, names in _requirements().items():
        have = {name: _version(name) for name in sorted(set(names))}
        missing = [name for name, version in have.items() if version is None]
        versions = " ".join(f"{name} {version}" for name, version in have.items() if version is not None)
        if extra == "":
            yield Finding("base", versions)
            if missing:
                yield Finding("base, missing", f"{', '.join(missing)}: pip install wavetank", True)
        elif not missing:
            yield Finding(f"[{extra}]", versions)
        else:
            absent = f"without {', '.join(missing)}" if versions else "absent"
            yield Finding(f"[{extra}]", f"{absent}: pip install 'wavetank[{extra}]'")


def _requirements(distribution: str = "wavetank") -> dict[str, list[str]]:
    """Names of the distributions that one requires, by extra; "" is the base."""
    wanted: dict[str, list[str]] = {"": []}
    for requirement in metadata.requires(distribution) or []:
        name, inner = REQUIREMENT.findall(requirement)[0]
        extra = re.search(r"""extra\s*==\s*['"]([\w-]+)['"]""", requirement)
        names = wanted.setdefault(extra.group(1) if extra else "", [])
        names.append(name)
        if inner and _version(name):  # mesa[viz]: what that asks for beside mesa
            names.extend(_requirements(name).get(inner, []))
    return wanted


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _kernels(prune: bool) -> Iterator[Finding]:
    if not jit.COMPILED:
        why = "NUMBA_DISABLE_JIT is set" if os.environ.get("NUMBA_DISABLE_JIT") else "numba is not installed"
        yield Finding("kernels", f"interpreted ({why})")
        return
    total = _sum_of_squares(np.arange(4.0))  # the threading layer is chosen by the first parallel kernel
    layer = jit.numba.threading_layer()
    yield Finding("kernels", f"compiled, {jit.threads()} threads, threading layer {layer}", total != 14.0)
    if layer == "workqueue":
        yield Finding("threading layer", "workqueue: one batch kernel at a time, from one thread of Python")
    folder, found = jit.cache_root(), jit.cache_root() / FOUND_BEFORE
    kernels = _megabytes(folder) - _megabytes(found)
    yield Finding("kernel cache", f"{folder} ({kernels:.1f} MB)")
    if found.is_dir():
        searches = sum(1 for search in found.iterdir() if search.is_dir())
        yield Finding("memory cache", f"{found} ({searches} searches, {_megabytes(found):.1f} MB; may be removed)")
    if prune and "NUMBA_CACHE_DIR" not in os.environ:
        yield from _pruned(folder, jit.kernel_folders())


@jit.batch_kernel
def _sum_of_squares(values: NDArray[np.float64]) -> float:
    squares = np.empty(values.shape[0])
    for i in jit.prange(values.shape[0]):
        squares[i] = values[i] * values[i]
    total = 0.0
    for i in range(values.shape[0]):
        total += squares[i]
    return total


def _pruned(root: Path, current: set[str]) -> Iterator[Finding]:
    if not root.is_dir():
        return
    oldest = time.time() - KERNEL_CACHE_KEPT_S
    old = [
        folder
        for folder in root.iterdir()
        if CACHE_NAME.fullmatch(folder.name) and folder.name not in current and _touched(folder) < oldest
    ]
    if old:
        size = sum(_megabytes(folder) for folder in old)
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too
        yield Finding("kernel cache, old", f"{len(old)} folders of other versions removed ({size:.1f} MB)")


def _touched(folder: Path) -> float:
    return max((path.stat().st_mtime for path in (folder, *folder.rglob("*"))), default=0.0)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _surroundings() -> Iterator[Finding]:
    data = Path(os.environ.get("WAVETANK_DATA", DEFAULT_DATA)).resolve()
    absent = f"{data} is absent: recorded markets are skipped (WAVETANK_DATA names another folder)"
    yield Finding("data", str(data) if data.is_dir() else absent)
    for name, off in TELEMETRY_OFF.items():
        value: Any = os.environ.get(name)
        yield Finding("telemetry", f"{name}={value}", value != off)
    yield Finding("cores", f"{os.cpu_count()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")
