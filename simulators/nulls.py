"""Null models: markets that share something with a real window and lack the rest, so that a good score means something.

A null takes a real window and draws another one beside it. Its volumes are the window's own, drawn without regard to
returns; only `shuffled_pairs` keeps each volume beside its return. Knows nothing of facts or bands.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..market.jit import kernel

Floats = NDArray[np.float64]
Window = tuple[Floats, Floats]  # returns, volumes

ALPHA, BETA = 0.09, 0.90  # of GARCH(1, 1), the usual values of financial returns
BURN_IN = 1_000  # bars before a GARCH window begins: five half-lives of its variance and more
TAIL_DEGREES = 4  # of GARCH-t4


def draw_null(name: str, rng: np.random.Generator, window: Window) -> Window:
    """One window of the null model `name`, as long as the real `window` and with its variance where it has one."""
    returns, volume = window
    if name not in NULL_NAMES:
        raise ValueError(f"there is no null model {name!r}, there are {', '.join(NULL_NAMES)}")
    if name == SHUFFLED_PAIRS:
        order = rng.permutation(len(returns))
        return returns[order], volume[order]
    return NULLS[name](rng, returns), rng.choice(volume, len(volume))


def garch_kurtosis(alpha: float = ALPHA, beta: float = BETA) -> float:
    """Excess kurtosis of GARCH(1, 1) with normal innovations (Bollerslev 1986)."""
    persistence = alpha + beta
    return 6.0 * alpha * alpha / (1.0 - persistence * persistence - 2.0 * alpha * alpha)


@kernel
def garch(innovations: Floats, alpha: float, beta: float) -> Floats:
    """GARCH(1, 1) of unit variance, which is where it begins, driven by `innovations` of unit variance."""
    out = np.empty(len(innovations))
    variance = 1.0
    for t in range(len(innovations)):
        out[t] = math.sqrt(variance) * float(innovations[t])
        variance = (1.0 - alpha - beta) + alpha * float(out[t]) * float(out[t]) + beta * variance
    return out


def _shuffled(rng: np.random.Generator, returns: Floats) -> Floats:
    return rng.permutation(returns)


def _gaussian(rng: np.random.Generator, returns: Floats) -> Floats:
    return rng.normal(0.0, returns.std(), len(returns))


def _student(degrees: int) -> Callable[[np.random.Generator, Floats], Floats]:
    def draw(rng: np.random.Generator, returns: Floats) -> Floats:
        return float(returns.std()) * _unit_t(rng, degrees, len(returns))

    return draw


def _phases(rng: np.random.Generator, returns: Floats) -> Floats:
    """The surrogate of Theiler et al. (1992): the window's own spectrum, hence its acf, at random phases."""
    spectrum = np.abs(np.fft.rfft(returns))
    turned = spectrum * np.exp(2j * math.pi * rng.random(len(spectrum)))
    turned[0] = spectrum[0]
    if len(returns) % 2 == 0:
        turned[-1] = spectrum[-1]
    return np.fft.irfft(turned, len(returns))


def _bounce(rng: np.random.Generator, returns: Floats) -> Floats:
    """Roll (1984): a Gaussian random walk seen through trades at either side of a spread as wide as twice its step."""
    step = float(returns.std()) / math.sqrt(3.0)
    side = step * rng.choice(np.array([-1.0, 1.0]), len(returns) + 1)
    return rng.normal(0.0, step, len(returns)) + np.diff(side)


def _garch_normal(rng: np.random.Generator, returns: Floats) -> Floats:
    return float(returns.std()) * garch(rng.normal(size=BURN_IN + len(returns)), ALPHA, BETA)[BURN_IN:]


def _garch_t(rng: np.random.Generator, returns: Floats) -> Floats:
    return float(returns.std()) * garch(_unit_t(rng, TAIL_DEGREES, BURN_IN + len(returns)), ALPHA, BETA)[BURN_IN:]


def _unit_t(rng: np.random.Generator, degrees: int, count: int) -> Floats:
    """Student's t of unit variance."""
    return rng.standard_t(degrees, count) * math.sqrt((degrees - 2) / degrees)


NULLS: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "shuffled": _shuffled,
    "iid_t3": _student(3),
    "iid_t4": _student(4),
    "gaussian": _gaussian,
    "phase_randomised": _phases,
    "bid_ask_bounce": _bounce,
    "garch_normal": _garch_normal,
    "garch_t4": _garch_t,
}
SHUFFLED_PAIRS = "shuffled_pairs"
NULL_NAMES = (*NULLS, SHUFFLED_PAIRS)
