"""Walk a batch of arenas and print whether it was compiled and a sha256 of all that it told.

NUMBA_DISABLE_JIT=1 python interpreted_arena.py
"""

import hashlib
import sys

import numpy as np

from wavetank.envs.arena import BatchArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.market.costs import Costs
from wavetank.market.jit import COMPILED
from wavetank.market.limits import Limits


def digest() -> str:
    """Of what two markets told, with targets and with orders."""
    return hashlib.sha256((_targets() + _orders()).encode()).hexdigest()


def _targets() -> str:
    """A window, a higher interval, limits at work, two resets in each."""
    env = BatchArenaEnv(
        ["normal", "flash_crash"],
        2,
        episode_bars=3,
        observation=ObservationSpec("tiny", 1, ("return_1", "return_1@3m"), window=2),
        limits=Limits("live", max_exposure=0.7, daily_loss=0.002),
        costs=Costs(borrow_bps_per_day=50.0),
        parts=True,
    )
    told = hashlib.sha256(env.reset(seed=3)[0].tobytes())
    for k in range(7):
        *arrays, infos = env.step(np.array([0.9, -0.7]) * (-1) ** k)
        for array in (*arrays, infos["reward_parts"], *env.arenas.field):
            told.update(array.tobytes())
    return told.hexdigest()


def _orders() -> str:
    """Quotes, orders at market and cancels, wakes inside bars and on fills, the book in a window."""
    env = BatchArenaEnv(
        "normal",
        2,
        episode_bars=2,
        observation=ObservationSpec("tiny", 1, ("return_1", "return_1@3m"), window=2),
        limits=Limits("live", max_exposure=0.7, daily_loss=0.002),
        costs=Costs(maker_fee_bps=-1.0),
        actions="orders",
        book=3,
        wake_steps=15,
        wake_on_fill=True,
    )
    told = hashlib.sha256(env.reset(seed=3)[0].tobytes())
    for action in np.random.default_rng(1).integers(0, (3, 4, 3, 2), (24, 2, 4)):
        *arrays, _ = env.step(action)
        for array in (*arrays, *env.arenas.field):
            told.update(array.tobytes())
    return told.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{COMPILED} {digest()}\n")
