"""A rehearsal: a passport trades given bars on paper, journalled, and what its journal tells comes back.

The evidence of parity, and the demo's storm, are made here: a door wires both loops, no room imports the other.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..execution.clock import BarClock
from ..execution.feed import ReplayFeed
from ..execution.history import History, read_history
from ..execution.journal import Journal
from ..execution.parts import Step
from ..execution.session import Settings, begin, load_trader
from ..market.bars import Bars
from ..market.funding import Funding

if TYPE_CHECKING:
    from ..experiments.evaluate import Track


def rehearse(
    passport: Path,
    bars: Bars,
    journal: Path,
    *,
    source: str,
    cash: float,
    funding: Funding | None = None,
    exact: bool = False,
    watch: Callable[[Step], None] | None = None,
) -> History:
    """Trade `bars` on paper under live limits, into a new journal; return what the journal then tells.

    A policy with a memory keeps it beside the journal, as on paper; with `exact` it is asked so, whatever its size.
    """
    if journal.exists():
        raise ValueError(f"{journal} exists: a rehearsal begins a journal of its own")
    settings = Settings(cash=cash)
    store = Path(f"{journal}.memory")
    trader = load_trader(passport, settings.limits, store=store, exact=exact, funding=funding)
    clock = BarClock()
    book = Journal(journal)
    try:
        begin(book, trader, settings, clock, source=source, watch=watch).run(ReplayFeed(bars, source, clock))
    finally:
        book.close()
        trader.close()
    return read_history(journal)


def track_of(history: History, interval_ms: int, lot: float) -> "Track":
    """What the journal tells, as a track; a bar without a decision keeps the last action."""
    from ..experiments.evaluate import Track  # heavy, as in train

    held = history.lots * lot * history.close
    solvent = history.equity > 0.0
    decided = np.maximum.accumulate(np.where(np.isnan(history.action), 0, np.arange(len(history))))
    return Track(
        name="policy",
        interval_ms=interval_ms,
        closed_at=history.opened_at + interval_ms - 1,
        close=history.close,
        equity=history.equity,
        exposure=np.divide(held, history.equity, out=np.zeros_like(held), where=solvent),
        action=np.nan_to_num(history.action[decided]),
        fees=history.fees,
        funding=history.funding,
        borrow=history.borrow,
        turnover=history.turnover,
        trades=history.trades,
        state=history.state,
    )


def parity(track: "Track", history: History, interval_ms: int, passport: Path) -> dict[str, object]:
    """The evidence that the environment's `track` and the paper account are equal to the last bit."""
    from ..experiments.promote import BOOKED, parity_evidence  # heavy, as in train

    columns = {name: np.asarray(getattr(history, name)) for name in BOOKED}
    return parity_evidence(track, history.opened_at + interval_ms - 1, columns, passport)


def actions_apart(exact: History, graph: History) -> dict[str, float]:
    """How the actions out of a memory's graph differ from those out of an exact search, on the same bars."""
    apart = np.abs(np.nan_to_num(exact.action) - np.nan_to_num(graph.action))
    return {
        "bars": len(apart),
        "actions_apart": int((apart > 0.0).sum()),
        "largest": float(apart.max(initial=0.0)),
        "lots_apart": int((exact.lots != graph.lots).sum()),
    }
