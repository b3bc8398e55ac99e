"""What a single arena's policy sees at a wake: the desk's observation, the account of now, and the book block.

The desk observes at closes. Between them its last observation stands, with account and book of now in the newest row;
rows before show account and book as they were observed at their closes. Knows no market.
"""

from collections import deque

import numpy as np

from ..market.ledger import Account
from .arena_field import Columns
from .arena_setup import ArenaSetup
from .desk import N_ACCOUNT, Desk, account_columns


class View:
    """Observations of one desk in one arena; what it returns belongs to the caller."""

    def __init__(self, setup: ArenaSetup, desk: Desk) -> None:
        self._desk, self._width = desk, setup.spec.width
        self._window, self._block = setup.spec.window, len(setup.block)
        self._seen: Columns = np.zeros(0, np.float32)
        self._blocks: deque[Columns] = deque(maxlen=self._window)

    def begin(self) -> None:
        """Another market begins."""
        self._blocks.clear()

    def at_close(self, account: Account, block: Columns) -> Columns:
        """The observation at the close of the bar that the desk saw last; `block` (b,) float32 the book now."""
        seen = self._desk.observe(account)
        if not self._block:
            self._seen = seen
            return seen.copy()
        while len(self._blocks) < self._window - 1:  # before the first decision the book was as it is
            self._blocks.append(block)
        self._blocks.append(block)
        self._seen = np.hstack([seen, np.stack(self._blocks) if self._window > 1 else block])
        return self._seen.copy()

    def inside(self, account: Account, price: float, block: Columns) -> Columns:
        """The observation at a wake inside a bar, the account valued at `price`."""
        seen = self._seen.copy()
        newest = seen if self._window == 1 else seen[-1]
        newest[self._width - N_ACCOUNT : self._width] = account_columns(account, price, self._desk.terms)
        newest[self._width :] = block
        return seen
