"""Tracks typed by hand, and tracks of an account that a plain book-keeper wrote down trip by trip."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavetank.experiments.evaluate import Track

HOUR = 3_600_000
MONEY = ("equity", "fees", "funding", "borrow", "turnover")


def track_of(equity: list[float] | NDArray[np.float64], *, step: int = HOUR, **columns: Any) -> Track:
    """A track of hour bars; columns that are not given are 0, closes 100."""
    rows = len(equity)
    paid = ("fees", "funding", "borrow", "turnover")
    base: dict[str, Any] = {name: np.zeros(rows) for name in ("exposure", "action", *paid)}
    base |= {"close": np.full(rows, 100.0), "closed_at": np.arange(rows, dtype=np.int64) * step}
    base |= {name: np.array(values, np.float64) for name, values in columns.items() if name != "trades"}
    base["closed_at"] = base["closed_at"].astype(np.int64)
    trades = np.array(columns.get("trades", [0] * rows), np.int64)
    return Track(
        "hand", step, equity=np.array(equity, np.float64), trades=trades, state=np.zeros(rows, np.int8), **base
    )


def walk_of(seed: int, bars: int, drift: float = 0.0, spread: float = 0.004) -> Track:
    """A seeded walk of equity with fat tails, nothing traded."""
    rng = np.random.default_rng(seed)
    steps = drift + spread * rng.standard_t(5, bars)
    return track_of(1e5 * np.cumprod(np.concatenate([[1.0], 1.0 + np.maximum(steps, -0.5)])))


@dataclass
class BookKeeper:
    """Buys and sells fractions of an asset and writes every trip's cash flows into a page of its own."""

    cash: float = 10_000.0
    held: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    borrow: float = 0.0
    turnover: float = 0.0
    trades: int = 0
    pages: list[list[float]] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def fill(self, quantity: float, price: float, rate: float) -> None:
        """Buy (or, negative, sell) at a price; what turns the holding over closes one page and opens the next."""
        if quantity == 0.0:
            return
        self.trades += 1
        self.turnover += abs(quantity) * price
        after = self.held + quantity
        parts = [-self.held, after] if self.held * after < 0.0 else [quantity]
        for part in parts:
            if self.held == 0.0:
                self.pages.append([])
                self.costs.append(0.0)
            self._book(-part * price)
            self._pay(abs(part) * price * rate)
            self.held += part
        self.held = after

    def roll(self, price: float, rate: float) -> None:
        """Pay funding on what is held."""
        if self.held != 0.0:
            paid = self.held * price * rate
            self.funding += paid
            self.costs[-1] += paid
            self._book(-paid)

    def lend(self, price: float, rate: float) -> None:
        """Pay borrow on what is sold short."""
        if self.held < 0.0:
            paid = -self.held * price * rate
            self.borrow += paid
            self.costs[-1] += paid
            self._book(-paid)

    def _pay(self, fee: float) -> None:
        self.fees += fee
        self.costs[-1] += fee
        self._book(-fee)

    def _book(self, amount: float) -> None:
        self.cash += amount
        self.pages[-1].append(amount)


def kept_track(seed: int, bars: int) -> tuple[Track, BookKeeper]:
    """A seeded account that goes long, short, flat, larger and smaller; and its book-keeper."""
    rng = np.random.default_rng(seed)
    book, close = BookKeeper(), 100.0
    rows = [(close, book.cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0)]
    for _ in range(bars):
        price = close * (1.0 + 0.002 * rng.standard_normal())
        if rng.random() < 0.4:
            book.fill(float(rng.choice([-20.0, -10.0, 0.0, 0.0, 10.0, 20.0])) - book.held, price, 0.0005)
        book.roll(price, 0.0001 * float(rng.random() < 0.3))
        book.lend(price, 0.0002)
        close = price * (1.0 + 0.01 * rng.standard_normal())
        equity = book.cash + book.held * close
        paid = (book.fees, book.funding, book.borrow)
        rows.append((close, equity, book.held * close / equity, *paid, book.turnover, book.trades))
    names = ("close", "equity", "exposure", "fees", "funding", "borrow", "turnover", "trades")
    columns: dict[str, Any] = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return track_of(**columns), book


def times(track: Track, factor: float) -> Track:
    """The same track with every amount of money multiplied."""
    columns: dict[str, Any] = {
        name: getattr(track, name) * (factor if name in MONEY else 1)
        for name in ("close", "closed_at", "exposure", "action", "trades", *MONEY)
    }
    return track_of(step=track.interval_ms, **columns)
