"""The one door to numba: two decorators that compile a kernel, or leave it as it is.

Where numba is absent, or `NUMBA_DISABLE_JIT=1` stands in the environment, the same source runs interpreted and
gives the same bits, provided the kernel keeps the rules of `docs/kernels.md`. Knows nothing of trading.
"""

import ast
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

KERNEL_FOLDERS = ("market", "envs", "memory", "simulators")

numba: Any = None
if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0"):
    try:
        import numba as _numba

        numba = _numba
    except ImportError:
        numba = None

COMPILED = numba is not None
prange: Any = numba.prange if COMPILED else range


def kernel(function: F) -> F:
    """Compile a scalar or serial kernel; callable from Python and from other kernels."""
    return _compile(function, nogil=True) if COMPILED else function


def lean_kernel(function: F) -> F:
    """Compile a hot kernel that allocates nothing: without the reference counts numba keeps for every array it passes.

    Those counts are atomic: in the step of the batch environment they cost more than the step itself.
    """
    return _compile(function, nogil=True, _nrt=False) if COMPILED else function


def inlined_kernel(function: F) -> F:
    """Compile a small kernel that allocates nothing, inlined into its caller by LLVM; uncounted like a lean one."""
    return _compile(function, nogil=True, forceinline=True, _nrt=False) if COMPILED else function


def batch_kernel(function: F) -> F:
    """Compile a kernel whose `prange` loop runs over independent episodes or markets."""
    return _compile(function, nogil=True, parallel=True) if COMPILED else function


def set_threads(count: int) -> None:
    """Use `count` threads in batch kernels of this process (at most the number it started with)."""
    if COMPILED:
        numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))


def threads() -> int:
    """Threads that a batch kernel uses now; 1 where kernels are interpreted."""
    return int(numba.get_num_threads()) if COMPILED else 1


def source_digest(source: Path | None = None) -> str:
    """Hash of a kernel file and of all it imports from the house; without one, of every kernel source there is.

    numba's own key sees only the file of the outermost function: change a fee in a file that it imports, and the
    kernel compiled yesterday goes on charging the old one.
    """
    root = Path(__file__).resolve().parents[1]
    files = {path for folder in KERNEL_FOLDERS for path in (root / folder).glob("*.py")} if source is None else None
    digest = hashlib.sha256()
    for path in sorted(files if files is not None else _reached(Path(source or "").resolve())):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """The folder that holds a folder of compiled kernels for every state of the sources they depend on."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "wavetank"


def cache_folder(source: Path) -> str:
    """Where the kernels of one source file are kept."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return str((Path(given) if given else cache_root()) / source_digest(source))


def kernel_folders() -> set[str]:
    """Names of the cache folders that today's sources use; any other can be pruned."""
    root = Path(__file__).resolve().parents[1]
    return {source_digest(path) for folder in KERNEL_FOLDERS for path in (root / folder).glob("*.py")}


@cache
def _reached(source: Path) -> frozenset[Path]:
    """`source` and every file of the house that its relative imports lead to."""
    found, waiting = {source}, [source]
    while waiting:
        for path in _imports(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return frozenset(found)


@cache
def _imports(source: Path) -> frozenset[Path]:
    found = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = source.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found |= {base.with_suffix(".py"), *(base / f"{name.name}.py" for name in node.names)}
    return frozenset(path for path in found if path.is_file())


@cache
def _folder_of(filename: str) -> str:
    return cache_folder(Path(filename))


def _compile(function: F, **options: Any) -> F:
    folder = _folder_of(function.__code__.co_filename)
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder  # numba reads it while decorating
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither package nor home can be written: compile each time rather than crash
        return cast(F, numba.njit(**options)(function))
    finally:
        numba.config.CACHE_DIR = before
