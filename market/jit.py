"""The one door to numba: two decorators that compile a kernel, or leave it as it is.

Where numba is absent, or `NUMBA_DISABLE_JIT=1` stands in the environment, the same source runs interpreted and
gives the same bits, provided the kernel keeps the rules of `docs/kernels.md`. Knows nothing of trading.
"""

import hashlib
import os
from collections.abc import Callable
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


def source_digest() -> str:
    """Hash of every kernel source of the house: a kernel compiled from other bytes is another kernel."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for folder in KERNEL_FOLDERS:
        for source in sorted((root / folder).glob("*.py")):
            digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> str:
    """Where compiled kernels are kept: named after the sources, since numba's own key sees only the outer file."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return given
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "wavetank", source_digest())


_FOLDER = cache_folder() if COMPILED else ""


def _compile(function: F, **options: Any) -> F:
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, _FOLDER  # numba reads it while decorating
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither package nor home can be written: compile each time rather than crash
        return cast(F, numba.njit(**options)(function))
    finally:
        numba.config.CACHE_DIR = before
