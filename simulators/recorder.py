"""The recorder of a crowd market: what is kept of events and quotes while it runs, and why its tables never run full.

Knows nothing of what the rows mean.
"""

from typing import Literal

import numpy as np

from ..market.jit import entered
from .ladder import LOG_KINDS, LOGGED, Ints
from .matching import ALL_EVENTS, ONLY_TRADES
from .stepping import TOP_AND_DEPTH, TOP_ONLY, has_room
from .world import BARS, QUOTES, QUOTING, World


class Recorder:
    """Keeps trades, with `all_orders` every order event, with `quotes` the book's top; without `tape` nothing of it."""

    def __init__(self, *, all_orders: bool, quotes: bool | Literal["top"], tape: bool) -> None:
        self.kinds = ALL_EVENTS if all_orders else ONLY_TRADES
        self.quoting = TOP_ONLY if quotes == "top" else TOP_AND_DEPTH * int(quotes)
        self.keeps = tape
        self._events: list[Ints] = []
        self._tops: list[Ints] = []

    def begin(self, state: World) -> None:
        """Forget what was, and record what `state` does from here on."""
        self._events, self._tops = [], []
        head, clock = state.book.head, state.clock
        head[LOGGED], head[LOG_KINDS] = 0, self.kinds
        clock[QUOTES], clock[QUOTING] = 0, self.quoting

    def make_room(self, state: World) -> World:
        """The world with room for one more step: events and quotes taken out, the table of bars doubled where full."""
        if entered(has_room, state)(state):
            return state
        if self.keeps:
            self._events.append(self._new_events(state).copy())
            self._tops.append(self._new_tops(state).copy())
        state.book.head[LOGGED], state.clock[QUOTES] = 0, 0
        return with_bars(state, int(state.clock[BARS]) + 1)

    def events(self, state: World) -> Ints:
        """Every event that was kept, in order."""
        if not self.keeps:
            raise ValueError("this market keeps no tape, ask for CrowdMarket(…, tape=True)")
        return np.concatenate([*self._events, self._new_events(state)])

    def all_events(self, state: World) -> Ints:
        """`events`, refused where they are of trades alone."""
        if self.kinds != ALL_EVENTS:
            raise ValueError("this market keeps trades only, ask for CrowdMarket(…, all_orders=True)")
        return self.events(state)

    def tops(self, state: World) -> Ints:
        """The book's top at the end of every step, in order."""
        if not (self.quoting and self.keeps):
            raise ValueError("this market keeps no quotes, ask for CrowdMarket(…, quotes=True)")
        return np.concatenate([*self._tops, self._new_tops(state)])

    @staticmethod
    def _new_events(state: World) -> Ints:
        return state.book.events[: int(state.book.head[LOGGED])]

    @staticmethod
    def _new_tops(state: World) -> Ints:
        return state.tops[: int(state.clock[QUOTES])]


def with_bars(state: World, count: int) -> World:
    """The world itself where its table of bars has `count` rows, else with that table doubled until it has."""
    while len(state.bars) < count:
        bars, notes = (np.concatenate([kept, np.zeros_like(kept)]) for kept in (state.bars, state.notes))
        state = state._replace(bars=bars, notes=notes)
    return state
