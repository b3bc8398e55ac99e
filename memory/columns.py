"""The ten memory columns, computed from a moment's neighbours by one scalar function.

The batch table and the live desk call the same kernel on the same neighbours in the same order, so their
columns are equal to the last bit. Knows nothing of how neighbours are found.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.jit import inlined_kernel, kernel

MEMORY_COLUMNS: tuple[str, ...] = (
    "outcome_mean",
    "outcome_sigma",
    "win_rate",
    "forward_drawdown",
    "forward_volatility",
    "novelty",
    "agreement",
    "log_effective_k",
    "high_volatility_share",
    "available",
)
FEWEST = 8  # known outcomes; with fewer the past says nothing: available 0, and zeros
TEMPERATURE = 0.1  # cosine distance at which a neighbour's weight falls to 1/e of the nearest one's

Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Ten = tuple[float, float, float, float, float, float, float, float, float, float]


@inlined_kernel
def wide(value: float | np.float32) -> float:
    """A float32 as a float64: numba's float() leaves it a float32, Python's does not, and the bits would differ."""
    return 1.0 * float(value)


@kernel
def outcome_columns(
    similarities: Singles,
    forward_return: Singles,
    forward_drawdown: Singles,
    forward_volatility: Singles,
    known: int,
    high_volatility: float,
) -> Ten:
    """MEMORY_COLUMNS of one moment, from its first `known` neighbours, the most similar first.

    Weights are exp((similarity − best) / TEMPERATURE), normalised. Novelty is 1 − mean similarity, agreement
    |mean| / root mean square of the outcomes (1 = all alike), effective k is 1 / sum of squared weights.
    """
    if known < FEWEST:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    best = wide(similarities[0])
    total, total_squares, similarity = 0.0, 0.0, 0.0
    mean, squares, wins, fall, volatility, stormy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(known):
        weight = math.exp(min(0.0, wide(similarities[i]) - best) / TEMPERATURE)
        outcome, after = wide(forward_return[i]), wide(forward_volatility[i])
        total += weight
        total_squares += weight * weight
        similarity += wide(similarities[i])
        mean += weight * outcome
        squares += weight * outcome * outcome
        wins += weight if outcome > 0.0 else 0.0
        fall += weight * wide(forward_drawdown[i])
        volatility += weight * after
        stormy += weight if after > high_volatility else 0.0
    mean, squares = mean / total, squares / total
    sigma = math.sqrt(max(0.0, squares - mean * mean))
    agreement = abs(mean) / math.sqrt(squares) if squares > 0.0 else 1.0
    return (
        mean,
        sigma,
        wins / total,
        fall / total,
        volatility / total,
        1.0 - similarity / float(known),
        min(1.0, agreement),
        math.log(max(1.0, total * total / total_squares)),
        stormy / total,
        1.0,
    )


@kernel
def fill_table(
    indices: Ints,
    similarities: Singles,
    forward_return: Singles,
    forward_drawdown: Singles,
    forward_volatility: Singles,
    high_volatility: float,
    rows: Ints,
    out: Singles,
) -> None:
    """Write the columns of query q, whose neighbours are indices[q] (−1: missing), to out[rows[q]]."""
    k = indices.shape[1]
    returns, falls, volatilities = np.empty(k, np.float32), np.empty(k, np.float32), np.empty(k, np.float32)
    for q in range(indices.shape[0]):
        known = 0
        while known < k and indices[q, known] >= 0:
            index = indices[q, known]
            returns[known] = forward_return[index]
            falls[known] = forward_drawdown[index]
            volatilities[known] = forward_volatility[index]
            known += 1
        ten = outcome_columns(similarities[q], returns, falls, volatilities, known, high_volatility)
        for column in range(10):
            out[rows[q], column] = ten[column]
