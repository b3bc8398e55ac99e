"""The children of a market's seed, by purpose: what each part of a market draws from. Draws nothing itself."""

import numpy as np

from .world import PARTS

CLOCK_SEED, TRAITS_SEED, STORM_SEED, MESA_SEED, PARTS_SEED = range(5)  # from PARTS_SEED on one for each `world.Part`


def seeds_of(entropy: int) -> list[np.random.SeedSequence]:
    """The children of seed `entropy`, by the constants above."""
    if entropy < 0:
        raise ValueError(f"seed {entropy} is negative")
    return [np.random.SeedSequence(entropy, spawn_key=(child,)) for child in range(PARTS_SEED + PARTS)]
