"""Hard gates: what must hold of a market before its stylised facts mean anything, because those have no scale.

Each gate looks at arrays that a finished market left: returns, quotes at the end of steps, accounts, events, digests.
Knows nothing of how they came about.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .order_kinds import Event
from .stylised import Floats

Ints = NDArray[np.int64]
Table = NDArray[np.void]

# G1 in bp. 1 minute: proposed, where p05–p95 of real windows was 4–14. 1 hour: as far beyond p05–p95 of 53 windows of
# binance_BTCUSDT_1h (42–141) as the minute's band is beyond its own.
SD_BPS = {"1m": (3.0, 20.0), "1h": (31.0, 201.0)}
TWO_SIDED_LEAST, TRADED_LEAST = 0.995, 0.98
SPREAD_MEDIAN_MOST, SPREAD_P99_MOST = 30.0, 600.0  # ticks

ENTERS_QUEUE = (Event.ACCEPTED, Event.RESTED, Event.REPLACED, Event.REFILLED, Event.TRIGGERED)  # at the back of it


class Gate(NamedTuple):
    """One gate: its name, what was seen, and whether it holds."""

    name: str
    seen: str
    holds: bool


def volatility_gate(returns: Floats, interval: str) -> Gate:
    """G1: the sd of bar returns is that of the asset."""
    low, high = SD_BPS[interval]
    sd = 1e4 * float(returns.std())
    return Gate("G1 sd", f"{sd:.1f} bp in {low:g} … {high:g}", low <= sd <= high)


def two_sided_gate(quotes: Table) -> Gate:
    """G2: both sides are quoted at the end of nearly every step."""
    share = float(np.mean(two_sided(quotes)))
    return Gate("G2 two-sided", f"{share:.2%} of steps, ≥ {TWO_SIDED_LEAST:.1%}", share >= TWO_SIDED_LEAST)


def spread_gate(quotes: Table) -> Gate:
    """G3: the spread is small, and wide only at times."""
    spread = spreads(quotes)
    if not len(spread):
        return Gate("G3 spread", "never two-sided", False)
    median, p99 = np.percentile(spread, [50, 99])
    holds = bool(median <= SPREAD_MEDIAN_MOST and p99 <= SPREAD_P99_MOST)
    return Gate("G3 spread", f"median {median:g} ≤ {SPREAD_MEDIAN_MOST:g}, p99 {p99:g} ≤ {SPREAD_P99_MOST:g}", holds)


def trading_gate(trades_in_bar: Ints) -> Gate:
    """G4: nearly every bar trades."""
    share = float(np.mean(trades_in_bar > 0))
    return Gate("G4 bars that trade", f"{share:.2%}, ≥ {TRADED_LEAST:.0%}", share >= TRADED_LEAST)


def accounting_gate(before: Ints, after: Ints, quotes: Table, trades: Table, events: Table) -> Gate:
    """G5: nothing is lost, nothing crosses, who came first trades first, and an order id is used once.

    `before` and `after` are accounts, (owners, 2) int64 of position and cash; `trades` is all that was traded between
    the two; `events` may cover a part of that time. The crowd has no fees, so cash must sum to 0 as positions do.
    """
    faults = [
        *([] if not after.sum(axis=0).any() else [f"positions and cash sum to {after.sum(axis=0).tolist()}"]),
        *([] if np.array_equal(after[:, 0], before[:, 0] + traded_lots(trades, len(after))) else ["tape ≠ positions"]),
        *_some("crossed steps", crossed(quotes)),
        *_some("trades out of turn", out_of_turn(events)),
        *_some("order ids used twice", repeated_ids(events)),
    ]
    return Gate("G5 books balance", "; ".join(faults) or "sums 0, no cross, first in first out, ids unique", not faults)


def seed_gate(first: str, again: str, others: Sequence[str]) -> Gate:
    """G6: the same seed gives the same tape, and no other seed does."""
    if first != again:
        return Gate("G6 seeds", "the same seed gave another tape", False)
    return Gate("G6 seeds", "same seed same tape, other seeds others", first not in others)


def two_sided(quotes: Table) -> NDArray[np.bool_]:
    """Where both sides were quoted; 0 stands for an empty side."""
    there: NDArray[np.bool_] = (quotes["bid_ticks"] > 0) & (quotes["ask_ticks"] > 0)
    return there


def spreads(quotes: Table) -> Ints:
    """Ask less bid in ticks, where both sides were quoted."""
    both = quotes[two_sided(quotes)]
    ticks: Ints = both["ask_ticks"] - both["bid_ticks"]
    return ticks


def traded_lots(trades: Table, owners: int) -> Ints:
    """What each owner bought less what it sold, (owners,) int64, from the tape alone."""
    lots = np.zeros(owners, np.int64)
    signed = trades["side"] * trades["lots"]
    np.add.at(lots, trades["taker"], signed)
    np.subtract.at(lots, trades["maker"], signed)
    return lots


def crossed(quotes: Table) -> int:
    """Steps that ended with a bid at or above an ask."""
    return int(np.count_nonzero(spreads(quotes) <= 0))


def out_of_turn(events: Table) -> int:
    """Trades at one price of a maker who came later than the maker of a later trade there: 0 in a queue."""
    trades = events[events["kind"] == Event.TRADE]
    if not len(trades):
        return 0
    entered = _entered(events, trades)
    order = np.lexsort((trades["sequence"], trades["ticks"], trades["side"]))
    side, ticks, entered = trades["side"][order], trades["ticks"][order], entered[order]
    same_queue = (side[1:] == side[:-1]) & (ticks[1:] == ticks[:-1])
    return int(np.count_nonzero(same_queue & (entered[1:] < entered[:-1])))


def repeated_ids(events: Table) -> int:
    """Order ids that arrived more than once."""
    ids = events["order_id"][events["kind"] == Event.ACCEPTED]
    return len(ids) - len(np.unique(ids))


def _entered(events: Table, trades: Table) -> Ints:
    """When each trade's maker last entered its queue, as a sequence number; −1 where that was before the events."""
    entries = events[np.isin(events["kind"], ENTERS_QUEUE)]
    _, place = np.unique(np.concatenate([entries["order_id"], trades["maker_id"]]), return_inverse=True)
    span = int(events["sequence"].max()) + 1
    keys = np.sort(place[: len(entries)] * span + entries["sequence"])
    wanted = place[len(entries) :] * span + trades["sequence"]
    found = np.searchsorted(keys, wanted) - 1
    known = (found >= 0) & (keys[found] // span == wanted // span) if len(keys) else np.zeros(len(trades), bool)
    return np.where(known, keys[found] % span if len(keys) else 0, -1).astype(np.int64)


def _some(name: str, count: int) -> list[str]:
    return [f"{count} {name}"] if count else []
