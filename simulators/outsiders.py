"""Traders from outside a crowd market: their accounts, their orders on the way, their fills and replies.

Outside orders have ids of their own range, arrive after the crowd's of the same step and touch no cohort's draws, so
a market with an idle outsider is the market without one. Knows nothing of who stands behind an account.
"""

import numpy as np

from ..market.jit import kernel
from . import world
from .ladder import Ints
from .matching import MESSAGE_EXTRA
from .posting import LAST_OF_ALL, OUTSIDE, POSTED_BITS, fill_row, put_under_way
from .world import CALENDAR, FILLS_ROOM, OUTSIDE_IDS, REPLIES_ROOM, Label, World


class Outsiders:
    """Names of outside traders, their accounts `seats`, and how far each has read its fills."""

    def __init__(self, seats: range) -> None:
        self.seats = seats
        self.names: list[str] = []
        self._read: list[int] = []

    def add(self, state: World, name: str) -> int:
        """Open an account; return its owner id."""
        if name in self.names:
            raise ValueError(f"trader {name!r} is already in this market")
        if len(self.names) >= len(self.seats):
            raise ValueError(f"this market has room for {len(self.seats)} outside traders, {name!r} is one too many")
        self.names.append(name)
        self._read.append(int(state.clock[world.FILLS]))
        return self.seats[len(self.names) - 1]

    def forget(self, fills: int = 0) -> None:
        """Begin reading anew, behind so many fills: the market was emptied, or is another one."""
        self._read = [fills] * len(self.names)

    def send(
        self, state: World, owner: int, kind: int, side: int, ticks: int, lots: int, steps: int, extra: int = 0
    ) -> int:
        """Put a message on its way, to arrive after `steps` steps; return its order id. The book refuses nonsense."""
        self._place_of(owner)
        return self._post(state, owner, kind, 0, side, ticks, lots, steps, extra)

    def withdraw(self, state: World, owner: int, kind: int, order_id: int, steps: int) -> None:
        """Put a cancel of an own order on its way."""
        self._place_of(owner)
        self._post(state, owner, kind, order_id, 0, 0, 0, steps, 0)

    def fills(self, state: World, owner: int) -> Ints:
        """What `owner` traded since the last call, (n, 3) int64: ticks, signed lots, market step."""
        place, end = self._place_of(owner), int(state.clock[world.FILLS])
        begin = self._read[place]
        if end - begin > FILLS_ROOM:
            raise ValueError(f"{end - begin} fills passed unread, a market keeps {FILLS_ROOM}: read them more often")
        self._read[place] = end
        rows = state.fills[np.arange(begin, end) & (FILLS_ROOM - 1)]
        mine = rows[rows[:, world.FILL_OWNER] == owner]
        return np.ascontiguousarray(mine[:, world.FILL_TICKS :])

    def reply(self, state: World, order_id: int) -> int | None:
        """What the book answered to an order, None while it travels or where that was long ago."""
        known = state.replies[: min(int(state.clock[world.REPLIES]), REPLIES_ROOM)]
        found = known[known[:, world.REPLY_ID] == order_id]
        return int(found[0, world.REPLY_ANSWER]) if len(found) else None

    def _post(
        self,
        state: World,
        owner: int,
        kind: int,
        order_id: int,
        side: int,
        ticks: int,
        lots: int,
        steps: int,
        extra: int,
    ) -> int:
        if not 0 < steps < CALENDAR:
            raise ValueError(f"an order that travels {steps} steps cannot be sent, it travels 1 … {CALENDAR - 1}")
        state.clock[world.NEXT_OUTSIDE_ID] += 1
        order_id = order_id or OUTSIDE_IDS + int(state.clock[world.NEXT_OUTSIDE_ID])
        if not post_outside(state, steps, kind, order_id, owner, side, ticks, lots, extra):
            raise ValueError("too many orders are on their way already, the market takes no more")
        return order_id

    def _place_of(self, owner: int) -> int:
        place = owner - self.seats.start
        if not 0 <= place < len(self.names):
            raise ValueError(f"owner {owner} is no outside trader of this market, ask add_trader for one")
        return place


@kernel
def post_outside(
    state: World, steps: int, kind: int, order_id: int, owner: int, side: int, ticks: int, lots: int, extra: int
) -> bool:
    """Send a message from outside, to arrive `steps` after the step that ran last; False where no room is left."""
    posted = int(state.clock[world.POSTED])
    row = put_under_way(state, int(state.clock[world.STEP]) - 1 + steps, LAST_OF_ALL)
    state.clock[world.POSTED] = posted  # the crowd's count is the crowd's alone
    if row == 0:
        return False
    fill_row(state, row, kind, order_id, owner, side, ticks, lots, Label.NONE)
    state.underway[row, MESSAGE_EXTRA] = extra
    state.underway[row, world.SORT] = (LAST_OF_ALL << POSTED_BITS) | int(state.clock[world.NEXT_OUTSIDE_ID])
    state.underway[row, world.LIVES] = 0
    state.underway[row, world.COHORT] = OUTSIDE
    return True
