"""Traders from outside a crowd market: their accounts, their orders on the way, and the fills they have not read yet.

Outside orders have ids of their own range and touch no cohort's draws, so a market with an idle outsider is the
market without one. Knows nothing of who stands behind an account.
"""

import numpy as np

from . import ladder, world
from .ladder import Ints
from .matching import MAX_LOTS, TRADE
from .world import Label, World

OUTSIDERS = 16  # accounts that a market keeps for them


class Outsiders:
    """Names of outside traders, owners from `first` on, and how far each has read the tape."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.names: list[str] = []
        self._read: list[int] = []

    def add(self, state: World, name: str) -> int:
        """Open an account; return its owner id."""
        if name in self.names:
            raise ValueError(f"trader {name!r} is already in this market")
        if len(self.names) >= OUTSIDERS:
            raise ValueError(f"this market has room for {OUTSIDERS} outside traders, {name!r} is one too many")
        self.names.append(name)
        self._read.append(int(state.book.head[ladder.LOGGED]))
        return self.first + len(self.names) - 1

    def forget(self) -> None:
        """Begin reading anew: the tape was emptied."""
        self._read = [0] * len(self.names)

    def send(self, state: World, owner: int, lots: int, latency_steps: int) -> int:
        """Put a market order of signed `lots` on its way; return its order id."""
        self._place_of(owner)
        if not 0 < abs(lots) <= MAX_LOTS:
            raise ValueError(f"a market order of {lots} lots cannot be sent, it has 1 … {MAX_LOTS} lots either way")
        clock, pending = state.clock, state.pending
        waiting = int(clock[world.PENDING])
        if waiting >= world.PENDING_ROOM:
            raise ValueError(f"{waiting} orders are on their way already, the market takes no more")
        clock[world.NEXT_OUTSIDE_ID] += 1
        order_id = world.OUTSIDE_IDS + int(clock[world.NEXT_OUTSIDE_ID])
        due = int(clock[world.STEP]) + latency_steps  # STEP is the step that runs next
        pending[waiting] = due, owner, lots, order_id, Label.NONE
        clock[world.PENDING] = waiting + 1
        return order_id

    def fills(self, state: World, owner: int) -> Ints:
        """What `owner` traded since the last call, (n, 3) int64: ticks, signed lots, market step."""
        place, end = self._place_of(owner), int(state.book.head[ladder.LOGGED])
        events = state.book.events[self._read[place] : end]
        self._read[place] = end
        took, made = events[:, ladder.EVENT_OWNER] == owner, events[:, ladder.EVENT_MAKER] == owner
        mine = events[(events[:, ladder.EVENT_KIND] == TRADE) & (took | made)]
        sign = np.where(mine[:, ladder.EVENT_OWNER] == owner, 1, -1)
        lots = sign * mine[:, ladder.EVENT_SIDE] * mine[:, ladder.EVENT_LOTS]
        return np.stack([mine[:, ladder.EVENT_PRICE], lots, mine[:, ladder.EVENT_AT]], axis=1)

    def _place_of(self, owner: int) -> int:
        place = owner - self.first
        if not 0 <= place < len(self.names):
            raise ValueError(f"owner {owner} is no outside trader of this market, ask add_trader for one")
        return place
