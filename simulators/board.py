"""The board of a crowd market: what anybody can see of it, now and of its past, in ticks and lots or in real units.

Reads the market's arrays and changes nothing. Knows nothing of Mesa, storms' causes or how the market is advanced.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar, Bars
from ..market.orders import Instrument
from . import climate, ladder, world
from .book import depth
from .ladder import Ints
from .matching import Reject
from .population import Population
from .recorder import Recorder
from .storms import Storm
from .tape import bar_of, bars_of, digest_of, events_of, orders_of, quotes_of, trades_of
from .world import Part, World


class Board:
    """What can be seen of a market, which has a world of arrays, its crowd, its first instant and a recorder."""

    world: World
    crowd: Population
    opened_at: int
    storms: tuple[Storm, ...]
    _recorder: Recorder

    # what was traded

    def bars(self) -> Bars:
        """The finished bars."""
        return bars_of(self._bar_rows(), self.opened_at, self.crowd)

    def last_bar(self) -> Bar:
        """The bar that finished last."""
        if not self.bars_done:
            raise ValueError("this market has not finished a bar yet")
        return bar_of(self._last_row(), self.opened_at, self.bars_done - 1, self.crowd)

    def trades(self) -> NDArray[np.void]:
        """Every trade: at_ms, sequence, step, ticks, lots, side, taker, maker, their order ids and labels."""
        return trades_of(self._recorder.events(self.world), self.opened_at, self.crowd.unit.step_ms)

    def orders(self) -> NDArray[np.void]:
        """Every order as it arrived; needs `all_orders=True`."""
        return orders_of(self._recorder.all_events(self.world), self.opened_at, self.crowd.unit.step_ms, labelled=False)

    def events(self) -> NDArray[np.void]:
        """All that happened to every order, arrivals, trades and cancels; needs `all_orders=True`."""
        return events_of(self._recorder.all_events(self.world), self.opened_at, self.crowd.unit.step_ms)

    def quotes(self) -> NDArray[np.void]:
        """The book's top at the end of every step, and the lots within 10 and 100 bp; needs `quotes=True`."""
        return quotes_of(self._recorder.tops(self.world), self.opened_at, self.crowd.unit.step_ms)

    def labels(self) -> NDArray[np.void]:
        """The storm's own orders, the ground truth of detectors: at_ms, step, owner, side, ticks, lots, label …"""
        return orders_of(self._recorder.events(self.world), self.opened_at, self.crowd.unit.step_ms, labelled=True)

    def tape_digest(self) -> str:
        """sha256 over tape, bars and clock: equal digests, equal markets."""
        return digest_of(self._recorder.events(self.world), self._bar_rows(), self.opened_at)

    # what can be seen now

    @property
    def storm(self) -> Storm | None:
        """The storm of this market, the first one where it is composed of several; None where it is calm."""
        return self.storms[0] if self.storms else None

    def instrument(self) -> Instrument:
        """What is traded here."""
        return self.crowd.instrument

    def depth(self, levels: int = 10) -> tuple[Ints, Ints]:
        """The best levels of bids and asks, (n, 2) int64 of ticks and lots, best first."""
        return depth(self.world.book, levels)

    def position(self, owner: int) -> int:
        """Lots that an owner holds, crowd or outsider; negative where short."""
        return int(self.world.book.accounts[owner, ladder.POSITION])

    def cash(self, owner: int) -> int:
        """Cash of an owner in ticks × lots since the market began."""
        return int(self.world.book.accounts[owner, ladder.CASH])

    @property
    def tick(self) -> float:
        return self.crowd.instrument.tick

    @property
    def lot(self) -> float:
        return self.crowd.instrument.lot

    @property
    def mid_ticks(self) -> float:
        """The mid now, or the last trade where one side is empty."""
        return float(climate.reference_ticks(self.world.book))

    @property
    def last_ticks(self) -> int:
        """The price of the last trade."""
        return int(self.world.book.head[ladder.LAST])

    @property
    def bars_done(self) -> int:
        """How many bars are finished."""
        return int(self.world.clock[world.BARS])

    @property
    def close_price(self) -> float:
        """The price of the last trade, in quote units."""
        return self.last_ticks * self.tick

    @property
    def value(self) -> float:
        """The fundamental now, which no trader sees exactly."""
        return math.exp(float(self.world.mood[world.LOG_VALUE])) * self.tick

    @property
    def activity(self) -> float:
        """How busy everyone is, 1 in the middle."""
        return float(self.world.mood[world.ACTIVITY])

    @property
    def volume(self) -> float:
        """Volume of the last finished bar, in units of the asset."""
        return int(self._last_row()[world.VOLUME]) * self.lot

    @property
    def quoted_share(self) -> float:
        """Share of the last bar's steps that ended with both sides quoted."""
        return int(self._last_row()[world.QUOTED_STEPS]) / self.crowd.unit.steps_per_bar

    @property
    def spread_ticks(self) -> float:
        """Mean spread of the last bar, over the steps that had one; 0 where none had."""
        row = self._last_row()
        return int(row[world.SPREAD_SUM]) / max(1, int(row[world.QUOTED_STEPS]))

    @property
    def makers_lots(self) -> int:
        """What the market makers hold together."""
        row = self.world.cohorts[Part.MAKERS]
        first, count = int(row[world.FIRST_OWNER]), int(row[world.COUNT])
        return int(self.world.book.accounts[first : first + count, ladder.POSITION].sum())

    def rejects(self) -> dict[Reject, int]:
        """How many messages the book refused, by reason."""
        return {code: int(self.world.book.head[ladder.REJECTS + code]) for code in Reject}

    def _bar_rows(self) -> Ints:
        return self.world.bars[: self.bars_done]

    def _last_row(self) -> Ints:
        return self.world.bars[self.bars_done - 1] if self.bars_done else np.zeros(world.BAR_WIDTH, np.int64)
