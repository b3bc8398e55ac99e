"""Invented tapes for the tests of detectors: quiet trading, pumps and news, order events of a maker and of a spoofer.

Only machinery is tested with them: nothing is learnt for use from tapes like these. Knows no detector.
"""

import numpy as np

from wavetank.market.order_events import CANCELLED, FILLED, RESTED, TAKEN, OrderEvent, OrderEvents
from wavetank.market.prints import Print, Prints

START = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC
MINUTE = 60_000


def quiet(rng: np.random.Generator, minutes: int, *, a_minute: float = 6.0, price: float = 100.0) -> list[Print]:
    """Orders at random instants, now and then one of two fills; the price walks by a few bp."""
    found, level = list[Print](), price
    for order, at in enumerate(np.sort(rng.integers(0, minutes * MINUTE, rng.poisson(a_minute * minutes))), 1):
        level *= 1.0 + 2e-4 * float(rng.standard_normal())
        side = 1 if rng.random() < 0.5 else -1
        for _ in range(2 if rng.random() < 0.08 else 1):
            found.append(Print(START + int(at), level, float(rng.exponential(3.0)) + 0.01, side, order))
    return found


def burst(
    rng: np.random.Generator, at_ms: int, *, seconds: float, orders: int, fills: int, rise: float, price: float
) -> list[Print]:
    """Buy orders of `fills` fills each, crowded into `seconds`, that lift the price by `rise` in all."""
    found, when = list[Print](), np.sort(rng.integers(0, int(1000 * seconds), orders))
    for k, after in enumerate(when):
        for fill in range(fills):
            level = price * (1.0 + rise * (k * fills + fill + 1) / (orders * fills))
            found.append(Print(at_ms + int(after), level, 5.0 + float(rng.exponential(5.0)), 1, 1_000_000 + k))
    return found


def tape(*parts: list[Print]) -> Prints:
    """All parts in order of time; prints of one instant stay in the order of the parts."""
    rows = sorted((row for part in parts for row in part), key=lambda row: row.at_ms)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Prints(*columns)


def with_ids_hidden(prints: Prints) -> Prints:
    """The same tape as an exchange without order ids tells it."""
    return Prints(prints.at_ms, prints.price, prints.volume, prints.side)


class Quotes:
    """A still book: 100 at 10 lots against 102 at 10 lots; events are written down against it."""

    def __init__(self) -> None:
        self.rows = list[OrderEvent]()
        self.next_id = 0

    def rest(self, at: int, owner: int, side: int, away: int, lots: int) -> int:
        self.next_id += 1
        ticks = 100 - away if side > 0 else 102 + away
        self._note(at, RESTED, owner, self.next_id, side, ticks, lots)
        return self.next_id

    def cancel(self, at: int, owner: int, order_id: int, side: int, lots: int) -> None:
        self._note(at, CANCELLED, owner, order_id, side, 0, lots)

    def fill(self, at: int, owner: int, order_id: int, side: int, lots: int) -> None:
        self._note(at, FILLED, owner, order_id, side, 0, lots)

    def take(self, at: int, owner: int, side: int, lots: int) -> None:
        self.next_id += 1
        self._note(at, TAKEN, owner, self.next_id, side, 0, lots)

    def events(self) -> OrderEvents:
        rows = sorted(self.rows, key=lambda row: row.at_ms)
        return OrderEvents(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))

    def _note(self, at: int, kind: int, owner: int, order_id: int, side: int, ticks: int, lots: int) -> None:
        self.rows.append(OrderEvent(START + at, kind, owner, order_id, side, ticks, lots, 100, 10, 102, 10))


def maker_at_work(book: Quotes, rng: np.random.Generator, owner: int, seconds: int) -> None:
    """Quotes both sides, cancels and quotes anew every few seconds, is filled now and then."""
    for at in range(0, 1000 * seconds, 4000):
        for side in (1, -1):
            lots = int(rng.integers(2, 6))
            order = book.rest(at + int(rng.integers(0, 300)), owner, side, int(rng.integers(0, 3)), lots)
            if rng.random() < 0.3:
                book.fill(at + 2000, owner, order, side, lots)
            else:
                book.cancel(at + 3500, owner, order, side, lots)


def spoofer_at_work(book: Quotes, rng: np.random.Generator, owner: int, first: int, *, side: int, layers: int) -> None:
    """Layers of large orders on `side`, a real trade on the other, everything cancelled again."""
    shown = [book.rest(first + 100 * k, owner, side, k + 1, int(rng.integers(60, 150))) for k in range(layers)]
    book.take(first + 4000, owner, -side, 12)
    for k, order in enumerate(shown):
        book.cancel(first + 6000 + 50 * k, owner, order, side, 1)
