"""Replay: every decision, verdict and client order id of a journal, made again from its bars and compared.

The same loop walks the journalled bars from the first one on, with the policy that the session names; nothing is
written. Knows no feed: bars, clock reads and kills come from the journal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..market.funding import Funding
from .clock import BarClock
from .journal import JournalError, Kind, Row, read_rows, verify
from .session import Settings, Trader, assemble
from .trail import Trail

Loader = Callable[[Path, str], Trader]  # (passport folder, mode of the limits)


@dataclass(frozen=True)
class Replayed:
    """What a replay found equal. The digest and the counts do not depend on how often the session was interrupted."""

    bars: int
    decisions: int
    verdicts: int
    orders: int
    fills: int
    kills: int
    digest: str
    rows: int
    sessions: int

    def to_json(self) -> dict[str, Any]:
        """The part that an interrupted and an uninterrupted session share."""
        return {
            "bars": self.bars,
            "decisions": self.decisions,
            "verdicts": self.verdicts,
            "orders": self.orders,
            "fills": self.fills,
            "kills": self.kills,
            "digest": self.digest,
        }


def replay(
    path: str | Path,
    load: Loader,
    *,
    folder: str | Path | None = None,
    on_row: Callable[[int], None] | None = None,
) -> Replayed:
    """Make a journal's decisions again. `folder` overrides where the session says that its passport lies.

    Raises JournalError naming the first row that was changed, and Mismatch naming the first that comes out otherwise.
    """
    rows = verify(path)
    told = first_session(path)
    place = Path(folder if folder is not None else told["policy"]["folder"])
    settings = Settings(**told["settings"])
    rates = told.get("funding")
    trader = replace(load(place, settings.limits), funding=Funding.from_json(rates) if rates else None)
    if trader.digest != told["policy"]["digest"]:
        raise JournalError(f"{place} holds policy {trader.digest[:12]}; {path} ran {told['policy']['digest'][:12]}")
    trail = Trail(None, _counted(read_rows(path), on_row))
    try:
        assemble(trader, settings, trail, BarClock()).recover()
    finally:
        trader.close()
    counts = trail.counts
    return Replayed(
        bars=counts[Kind.BAR],
        decisions=counts[Kind.DECISION],
        verdicts=counts[Kind.VERDICT],
        orders=counts[Kind.INTENT],
        fills=counts[Kind.FILL],
        kills=counts[Kind.KILL],
        digest=trail.digest,
        rows=rows,
        sessions=counts[Kind.SESSION],
    )


def first_session(path: str | Path) -> dict[str, Any]:
    """Facts of the session that began a journal."""
    for row in read_rows(path, Kind.SESSION):
        return row.facts
    raise JournalError(f"{path} holds no session")


def _counted(rows: Iterator[Row], on_row: Callable[[int], None] | None) -> Iterator[Row]:
    for row in rows:
        if on_row is not None:
            on_row(row.seq)
        yield row
