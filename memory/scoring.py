"""How alike two moments are, to the last bit, and the lists of the best: the kernels of exact recall.

A similarity is a dot product summed in float64 in order and rounded to float32. Blocked products of lower precision
only say which pairs are worth scoring, within a bound on their error. Knows nothing of time zones, files or stores.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel, kernel, lean_kernel, loose_kernel
from .columns import wide
from .moments import Ints, Singles

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

ROUNDING = 2.0**-24  # half a unit in the last place of a float32
FINE_ROUNDING = 2.0**-53  # and of a float64
STRIDE = 128  # products looked at together
_FARTHEST = 64  # rows of one symbol between a leader's neighbour and what it went on to
_LOWEST, _HIGHEST = -(2**31), 2**31 - 1


class Searched(NamedTuple):
    """The points, in the order of `known_at`; `id` is the caller's row, which settles ties.

    `line` holds the points symbol by symbol, and `place` where in it the point of each id stands.
    """

    vectors: Singles
    known_at: Ints
    symbol: Ints
    episode: Ints
    id: Ints
    line: Ints
    place: Ints


class Asked(NamedTuple):
    """One block of queries, asked `at`: each sees points 0 … prefix−1, and those of its symbol only if known by
    `own_until`.

    `slack` bounds |product − similarity| of each query; `doubt` bounds what the order of a float64 sum can change.
    """

    vectors: Singles
    at: Ints
    prefix: Ints
    symbol: Ints
    own_until: Ints
    slack: Floats
    doubt: float


class Best(NamedTuple):
    """The lists of a block, (q, k), sorted by (similarity, id), of which `filled` places each are filled.

    `limit` is the integer product below which a point cannot enter a list.
    """

    similarity: Singles
    id: Ints
    episode: Ints
    filled: Ints
    limit: Codes


def no_best(queries: int, k: int) -> Best:
    """Empty lists."""
    return Best(
        np.full((queries, k), -np.inf, np.float32),
        np.full((queries, k), -1, np.int64),
        np.zeros((queries, k), np.int64),
        np.zeros(queries, np.int64),
        np.zeros(queries, np.int32),
    )


def product_slack(width: int, norms: float = 1.0) -> float:
    """A bound on |float32 product − similarity|, in whatever order it was summed: twice gamma_D × |x| |y|.

    `norms` is |x| |y|, by default that of unit vectors.
    """
    return (2.0 * width + 4.0) * ROUNDING * norms


def order_doubt(width: int, norms: float = 1.0) -> float:
    """A bound on what the order of a float64 sum of products of float32 changes: the products themselves are exact."""
    return (2.0 * width + 4.0) * FINE_ROUNDING * norms


@kernel
def similarity(left: Singles, right: Singles) -> float:
    """The dot product of two (D,) float32 vectors, summed in float64 in order, rounded to float32."""
    total = 0.0
    for i in range(left.shape[0]):
        total += wide(left[i]) * wide(right[i])
    return wide(np.float32(total))


@inlined_kernel
def _in_order(left: Singles, i: int, right: Singles, j: int) -> float:
    total = 0.0
    for d in range(left.shape[1]):
        total += wide(left[i, d]) * wide(right[j, d])
    return wide(np.float32(total))


@loose_kernel
def _in_any_order(left: Singles, i: int, right: Singles, j: int) -> float:
    total = 0.0
    for d in range(left.shape[1]):
        total += wide(left[i, d]) * wide(right[j, d])
    return total


@inlined_kernel
def quick_similarity(left: Singles, i: int, right: Singles, j: int, doubt: float) -> float:
    """`similarity(left[i], right[j])` to the last bit, at the speed of a sum in any order.

    Where that sum and all within `doubt` of it round to one float32, the sum in order rounds to it too.
    """
    total = _in_any_order(left, i, right, j)
    low = wide(np.float32(total - doubt))
    return low if low == wide(np.float32(total + doubt)) else _in_order(left, i, right, j)


@lean_kernel
def follow(searched: Searched, asked: Asked, led: Ints, leaders: Asked, found: Best, best: Best) -> None:
    """Begin each list with what the neighbours of a leader, `led[q]`, went on to: the next bar's best are mostly there.

    A leader is a query near in time that was answered before. The lists end up the same; they are full at once, so that
    few of the pairs that follow are in question.
    """
    for q in range(len(led)):
        leader = led[q]
        later = asked.at[q] - leaders.at[leader]
        for j in range(found.filled[leader]):
            row = _moved(searched, found.id[leader, j], later)
            if row < asked.prefix[q]:
                _consider(searched, asked, best, q, row)


@inlined_kernel
def _moved(searched: Searched, identity: int, later: int) -> int:
    """The row of the same symbol that became known so much later, or the last before it on the way there."""
    place = searched.place[identity]
    row = searched.line[place]
    wanted = searched.known_at[row] + later
    step = 1 if later > 0 else -1
    for _ in range(_FARTHEST):
        place += step
        if place < 0 or place == len(searched.line):
            break
        beside = searched.line[place]
        known = searched.known_at[beside]
        if searched.symbol[beside] != searched.symbol[row] or (known > wanted if later > 0 else known < wanted):
            break
        row = beside
    return int(row)


@lean_kernel
def scan_singles(products: Singles, first: int, searched: Searched, asked: Asked, best: Best) -> None:
    """Offer what a block of float32 products, with points first …, leaves in question."""
    k = best.similarity.shape[1]
    for q in range(products.shape[0]):
        row, width = products[q], min(products.shape[1], asked.prefix[q] - first)
        limit = _single_limit(asked, best, q, k)
        for stride in range((width + STRIDE - 1) // STRIDE):
            start = stride * STRIDE
            if start + STRIDE <= width:
                hits = False
                for column in range(STRIDE):  # so many at once that vector comparisons pay
                    hits |= wide(row[start + column]) >= limit
                if not hits:
                    continue
            for column in range(start, min(start + STRIDE, width)):
                if wide(row[column]) >= limit and _consider(searched, asked, best, q, first + column):
                    limit = _single_limit(asked, best, q, k)


@lean_kernel
def scan_codes(products: Codes, scale: float, first: int, searched: Searched, asked: Asked, best: Best) -> None:
    """Offer what a block of integer products, of which `scale` makes similarities, leaves in question."""
    k = best.similarity.shape[1]
    for q in range(products.shape[0]):
        row, width = products[q], min(products.shape[1], asked.prefix[q] - first)
        _set_code_limit(asked, best, q, k, scale)
        limit = best.limit[q]
        for stride in range((width + STRIDE - 1) // STRIDE):
            start = stride * STRIDE
            if start + STRIDE <= width:
                hits = False
                for column in range(STRIDE):
                    hits |= row[start + column] >= limit
                if not hits:
                    continue
            for column in range(start, min(start + STRIDE, width)):
                if row[column] >= limit and _consider(searched, asked, best, q, first + column):
                    _set_code_limit(asked, best, q, k, scale)
                    limit = best.limit[q]


@inlined_kernel
def _single_limit(asked: Asked, best: Best, q: int, k: int) -> float:
    """The product below which no point can enter query q's list."""
    return wide(best.similarity[q, k - 1]) - asked.slack[q] if best.filled[q] == k else -math.inf


@inlined_kernel
def _set_code_limit(asked: Asked, best: Best, q: int, k: int, scale: float) -> None:
    limit = _LOWEST
    if best.filled[q] == k:
        limit = math.floor((wide(best.similarity[q, k - 1]) - asked.slack[q]) / scale)
    best.limit[q] = np.int32(min(max(limit, _LOWEST), _HIGHEST))


@inlined_kernel
def _consider(searched: Searched, asked: Asked, best: Best, q: int, row: int) -> bool:
    """Score one pair, unless the embargo forbids it; whether query q's list changed."""
    if searched.symbol[row] == asked.symbol[q] and searched.known_at[row] > asked.own_until[q]:
        return False
    value = quick_similarity(asked.vectors, q, searched.vectors, row, asked.doubt)
    k = best.similarity.shape[1]
    if best.filled[q] == k and value < wide(best.similarity[q, k - 1]):
        return False
    offer(value, searched.id[row], searched.episode[row], q, best.similarity, best.id, best.episode, best.filled)
    return True


@lean_kernel
def offer(
    value: float,
    identity: int,
    episode: int,
    q: int,
    best: Singles,
    best_id: Ints,
    best_episode: Ints,
    count: Ints,
) -> None:
    """Put a point into query q's list, sorted by (similarity, id), unless its episode holds a better one."""
    end = count[q]
    for place in range(count[q]):
        if best_episode[q, place] == episode:
            held = wide(best[q, place])
            if value < held or (value == held and identity > best_id[q, place]):
                return
            end = place
    if end == count[q]:
        if count[q] < best.shape[1]:
            count[q] += 1
        else:
            end -= 1
            worst = wide(best[q, end])
            if value < worst or (value == worst and identity > best_id[q, end]):
                return
    place = end
    while place > 0 and (
        wide(best[q, place - 1]) < value or (wide(best[q, place - 1]) == value and best_id[q, place - 1] > identity)
    ):
        best[q, place] = best[q, place - 1]
        best_id[q, place] = best_id[q, place - 1]
        best_episode[q, place] = best_episode[q, place - 1]
        place -= 1
    best[q, place] = value
    best_id[q, place] = identity
    best_episode[q, place] = episode
