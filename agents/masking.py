"""Which discrete levels an account may take, told from its own columns in the observation.

The rule is the risk limits' own (`market/limits.py`): halted, only flat; reducing, nothing larger and nothing on the
other side. It is a function of the observation, so the mask is the same in a rollout, in the exported graph and on
paper, and nobody has to hand it over. Knows no library; `networks` writes it in torch.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

REDUCING, HALTED = 0.5, 1.0  # as the column `trading_state` shows them
SLACK = 1e-6  # float32 columns against float64 levels


class Masking(NamedTuple):
    """Target exposures of the levels, and the places of two account columns among the observation's columns."""

    levels: tuple[float, ...]
    position: int
    trading_state: int


def allowed(masking: Masking, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n, levels) bool from rows (n, n_columns): the plain form of what the network applies. Flat is always allowed;
    where no level is flat, those nearest to it are."""
    levels = np.array(masking.levels, np.float32)
    position = rows[:, masking.position, None]
    state = rows[:, masking.trading_state, None]
    flattest = np.abs(levels) <= np.abs(levels).min() + SLACK
    smaller = (levels * np.sign(position) >= 0.0) & (np.abs(levels) <= np.abs(position) + SLACK)
    free: NDArray[np.bool_] = (state < REDUCING) | flattest | ((state < HALTED) & smaller)
    return free
