"""Vectors as eight-bit integers, and their products: four times as fast as float32, with a proven bound on the error.

A fixed random rotation keeps every dot product and evens out the columns; then one scale fits all. The only file that
knows torch here, for the integer product alone and only when it is asked for: without it there is none, and recall
goes on in float32. Knows nothing of time.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Singles
from .scoring import ROUNDING, Floats

Codes = NDArray[np.int8]
Products = NDArray[np.int32]

LARGEST = 127
BLOCK = 2048  # points a product: codes and products of one block stay in the second-level cache
WIDEST = (2**31 - 1) // LARGEST**2  # columns up to which a sum of products of codes fits an int32
_ROWS = 8192  # rotated at once
FEWEST_ROWS = 16  # fewer queries than this go through float32: the integer product has a floor of its own
_ROUNDED = 1.0 + 1e-4  # more than float32 can lose in the length of a row
_SEED = 20261128  # of the rotation: the same everywhere

IntegerProduct = Callable[[Codes, Codes, Products], None]


@dataclass(frozen=True, eq=False)
class Quantised:
    """Rows as `scale` × codes in rotated axes: `blocks` of (D, BLOCK) int8, transposed; the last one is padded.

    `error` (n,) bounds |turned row − scale × codes| of each row, `length` the norm of scale × codes of any row.
    """

    codes: Codes
    scale: float
    error: Floats
    length: float

    def blocks(self) -> list[Codes]:
        """The codes by blocks of BLOCK rows, transposed."""
        return [_transposed(self.codes[start : start + BLOCK]) for start in range(0, len(self.codes), BLOCK)]


def _transposed(codes: Codes) -> Codes:
    """A copy whose strides are what its shape says: torch leaves the output as it was where those of a row are odd."""
    block = np.empty(codes.shape[::-1], np.int8)
    block[:] = codes.T
    return block


def quantised(vectors: Singles) -> Quantised:
    """(n, D) float32 as codes."""
    rotation = _rotation(vectors.shape[1])
    parts = range(0, len(vectors), _ROWS)
    largest = max((float(np.abs(vectors[a : a + _ROWS] @ rotation).max(initial=0.0)) for a in parts), default=0.0)
    scale = largest / LARGEST if largest > 0.0 else 1.0
    codes, error, length = np.empty(vectors.shape, np.int8), np.empty(len(vectors)), 0.0
    for start in parts:
        turned = vectors[start : start + _ROWS] @ rotation
        rounded = np.rint(turned * np.float32(1.0 / scale))
        codes[start : start + _ROWS] = np.clip(rounded, -LARGEST, LARGEST, out=rounded)
        rounded *= np.float32(scale)
        length = max(length, float(_norms(rounded).max(initial=0.0)))
        error[start : start + _ROWS] = _norms(np.subtract(turned, rounded, out=turned))
    # What float32 did on the way: to the rotation, and to the lengths themselves.
    width = vectors.shape[1]
    turning = math.sqrt(width) * (width + 2) * ROUNDING * _norms(vectors)
    return Quantised(codes, scale, error * _ROUNDED + turning, length * _ROUNDED)


def code_slack(queries: Quantised, points: Quantised, norms: Floats) -> Floats:
    """(q,) A bound on |scales × integer product − similarity| of each query with any of the points.

    For x = x' + e and y = y' + f, xy − x'y' = xf + ey', at most |x| |f| + |e| |y'|; `norms` (q,) are the |x|. The rest
    is the rounding of a similarity to float32.
    """
    worst = float(points.error.max(initial=0.0))
    bound: Floats = norms * worst + queries.error * points.length + 2.0 * ROUNDING * norms * (points.length + worst)
    return bound


def is_loaded() -> bool:
    """Whether torch is in the process already, so that asking for the product costs nothing."""
    return "torch" in sys.modules


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each product run on the thread that asks for it: whoever calls from many keeps all cores busy so."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def integer_product() -> IntegerProduct | None:
    """`product(left (q, D), right (D, p), out (q, p) int32)`, or None where there is none that is right."""
    try:
        import torch  # heavy, and absent from the runner
    except ImportError:
        return None
    multiply: Any = getattr(torch, "_int_mm", None)  # a private name: it may go, or refuse
    if multiply is None:
        return None

    def product(left: Codes, right: Codes, out: Products) -> None:
        multiply(torch.from_numpy(left), torch.from_numpy(right), out=torch.from_numpy(out))

    return product if _is_right(product) else None


def _is_right(product: IntegerProduct) -> bool:
    """Whether it gives what integers give, at their extremes and on shapes of a block."""
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-LARGEST, LARGEST + 1, shape, np.int8) for shape in ((33, 128), (128, 96)))
    left[0], right[:, 0] = LARGEST, -LARGEST
    out = np.empty((33, 96), np.int32)
    try:
        product(left, right, out)
    except (RuntimeError, TypeError):
        return False
    return bool(np.array_equal(out, left.astype(np.int32) @ right.astype(np.int32)))


@cache
def _rotation(width: int) -> Singles:
    """A random orthogonal matrix, the same for the same width."""
    gaussian = np.random.default_rng([_SEED, width]).standard_normal((width, width))
    rotation: Singles = np.linalg.qr(gaussian)[0].astype(np.float32)
    return rotation


def _norms(rows: Singles) -> Floats:
    norms: Floats = np.sqrt(np.einsum("ij,ij->i", rows, rows)).astype(np.float64)
    return norms
