"""Seeds: one small number the user gives becomes a far-apart 64-bit base for every role, fold and worker.

Environments seed episode stream i with base + i, so small neighbouring seeds would share streams; these do not.
"""

import numpy as np

ROLES = ("train", "validation", "test", "stress", "promote", "memory")


def derive_seed(run_seed: int, role: str, fold: int = 0, worker: int = 0) -> int:
    """The 64-bit base seed of one role, fold and worker of a run; equal arguments give equal seeds.

    Raises ValueError on an unknown role and on a negative number.
    """
    if role not in ROLES:
        raise ValueError(f"there is no seed role {role!r}; known are {', '.join(ROLES)}")
    for name, value in (("seed", run_seed), ("fold", fold), ("worker", worker)):
        if value < 0:
            raise ValueError(f"{name} {value} must be 0 or more")
    sequence = np.random.SeedSequence([run_seed, ROLES.index(role), fold, worker])
    return int(sequence.generate_state(1, np.uint64)[0])


def role_rng(run_seed: int, role: str, fold: int = 0, worker: int = 0) -> np.random.Generator:
    """A generator of one role's own randomness."""
    return np.random.default_rng(derive_seed(run_seed, role, fold, worker))


def library_seed(seed: int) -> int:
    """A 64-bit seed folded to the 32 bits that numpy's and torch's global seeding take."""
    return (seed ^ (seed >> 32)) & 0xFFFF_FFFF
