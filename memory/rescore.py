"""Exact recall out of a live store, equal to the batch table to the last bit.

An engine sums its float32 products in an order of its own, so its last bits are its own too. Therefore it is
asked for more than k hits, those are scored again by the batch's scalar function, and it is asked for more
until no point that it held back could be among the k nearest. Ties go by (known_at, id), the archive's order.
"""

from collections.abc import Sequence

import numpy as np

from .columns import MEMORY_COLUMNS, outcome_columns
from .moments import PastError, Singles
from .scoring import product_slack
from .store import MarketMemory, Neighbour, Payload

UNIT = 1.001  # |x| |y| of an embedder's vectors, their own rounding included
FIRST_FETCH = 8  # times k: an episode's near-copies crowd the top
GROWTH = 4


def nearest_in(
    memory: MarketMemory,
    vector: Singles,
    as_of: int,
    *,
    k: int,
    symbol: str | None = None,
    embargo: int = 0,
    episode_ms: int | None = None,
    exact: bool = True,
    ef: int | None = None,
) -> list[Neighbour]:
    """Find up to k nearest moments known at `as_of`, at most one a symbol and stretch of `episode_ms`.

    Vectors are of unit norm. With `exact` the result is that of `nearest_as_of` over the same moments in the
    archive's order; without it, the best of an approximate answer, `ef` candidates wide: more only
    where near-copies leave fewer than k.
    """
    row = np.ascontiguousarray(vector, np.float32)
    if ef is not None and ef < k:
        raise PastError(f"ef {ef} must be at least k, {k}")
    limit = FIRST_FETCH * k if ef is None else min(FIRST_FETCH * k, ef)
    while True:
        beam = None if ef is None else max(ef, limit)
        hits = memory.query(row, as_of, limit, symbol=symbol, embargo=embargo, exact=exact, ef=beam)
        chosen = _one_an_episode(_rescored(row, hits), k, episode_ms)
        if len(hits) < limit or (not exact and len(chosen) == k):
            return chosen
        held_back = min(hit.similarity for hit in hits) + product_slack(memory.width, UNIT)
        if len(chosen) == k and chosen[-1].similarity > held_back:
            return chosen
        limit *= GROWTH


def similarities(vector: Singles, rows: Sequence[Singles]) -> list[float]:
    """`recall.similarity` of one vector and each row, to the last bit: all rows in step, each summed in order.

    The product of two float32 is exact in float64; adding 0.0 makes a sum of nothing but −0.0 the kernel's 0.0.
    """
    if not rows:
        return []
    products = np.asarray(rows, np.float64) * vector.astype(np.float64)
    sums = np.add.accumulate(products, axis=1)[:, -1] + 0.0
    return [float(value) for value in sums.astype(np.float32)]


def columns_of(neighbours: Sequence[Neighbour], high_volatility: float) -> Singles:
    """(10,) float32: MEMORY_COLUMNS from the neighbours of one moment, most similar first."""
    rows = [_outcome(neighbour.payload) for neighbour in neighbours]
    returns, falls, volatilities = np.array(rows, np.float32).reshape(len(rows), 3).T.copy()
    similarities = np.array([neighbour.similarity for neighbour in neighbours], np.float32)
    ten = outcome_columns(similarities, returns, falls, volatilities, len(rows), high_volatility)
    return np.array(ten, np.float64).astype(np.float32).reshape(len(MEMORY_COLUMNS))


def _outcome(payload: Payload) -> tuple[float, float, float]:
    try:
        return payload["forward_return"], payload["forward_drawdown"], payload["forward_volatility"]
    except KeyError as error:
        raise PastError(f"a point known at {payload['known']} carries no {error.args[0]}") from None


def _rescored(vector: Singles, hits: Sequence[Neighbour]) -> list[Neighbour]:
    values = similarities(vector, [hit.vector for hit in hits])
    again = [hit._replace(similarity=value) for hit, value in zip(hits, values, strict=True)]
    return sorted(again, key=lambda hit: (-hit.similarity, hit.payload["known"], hit.id))


def _one_an_episode(ranked: Sequence[Neighbour], k: int, episode_ms: int | None) -> list[Neighbour]:
    if episode_ms is None:
        return list(ranked[:k])
    chosen: dict[tuple[str, int], Neighbour] = {}
    for hit in ranked:
        if "closed_at" not in hit.payload:
            raise PastError(f"point {hit.id} carries no closed_at, so its episode is unknown")
        label = hit.payload.get("symbol", ""), int(hit.payload["closed_at"]) // episode_ms
        chosen.setdefault(label, hit)
        if len(chosen) == k:
            break
    return list(chosen.values())
