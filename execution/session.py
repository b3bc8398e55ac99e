"""A session: a trader, its settings and a journal put together, for the first time or again.

The first row of a journal holds the settings; a later start must bring the same ones and the same policy. Knows no
file of bars and no command line.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..agents.frozen import PassportError
from ..envs.passport import load_passport
from ..envs.past import Live
from ..market.bars import INTERVALS
from ..market.funding import Funding
from ..market.limits import Limits
from ..market.terms import Terms
from .clock import Clock
from .gates import Gates
from .journal import Journal, JournalError, Kind
from .parts import Desk, Parts, Policy, Step
from .runner import Runner
from .trail import Trail
from .venue import PaperVenue

STAGE = "paper"
SEAL = "manifest.sha256"  # of a passport: it covers the exact bytes of every other file


@dataclass(frozen=True)
class Trader:
    """A policy at its desk, as a passport describes it. `digest` names the passport's exact bytes."""

    name: str
    digest: str
    folder: str
    interval: str
    policy: Policy
    desk: Desk
    terms: Terms
    funding_bps_per_8h: float
    actions: str = "box"
    past: Live | None = None
    funding: Funding | None = None  # the instrument's rates; without them the constant is charged

    def close(self) -> None:
        """Let go of the store that a policy with a memory keeps."""
        if self.past is not None:
            self.past.close()


def load_trader(
    folder: str | Path,
    limits: str,
    *,
    now: datetime | None = None,
    feed_interval: str | None = None,
    store: Path | None = None,
    exact: bool = False,
    funding: Funding | None = None,
) -> Trader:
    """The trader that a passport describes, under its own limits in mode `limits`.

    A policy with a memory keeps it in the folder `store`, made from the archive that its passport carries; with `exact`
    it searches there exactly, however large that is.
    `feed_interval`, where given, must be the policy's: nothing is written for a feed that does not fit.

    Raises PassportError where the passport is not what it says, has expired at `now`, or may not trade on paper.
    """
    passport = load_passport(folder, now=now)
    if STAGE not in passport.manifest["stages"]:
        raise PassportError(f"passport {folder} allows {', '.join(passport.manifest['stages'])}, not {STAGE}")
    if feed_interval not in (None, passport.terrain.interval):
        raise PassportError(f"the feed holds {feed_interval} bars, the policy lives at {passport.terrain.interval}")
    if passport.memory is not None and store is None:
        raise PassportError(f"passport {folder} looks into a past, and no folder was named to keep it in")
    past = None
    if passport.memory is not None and store is not None:
        past = passport.memory.live(store, exact=exact)
    terrain = passport.terrain.with_limits(replace(passport.terrain.limits, mode=limits))
    return Trader(
        name=str(passport.manifest["name"]),
        digest=hashlib.sha256((Path(folder) / SEAL).read_bytes()).hexdigest(),
        folder=str(Path(folder).resolve()),
        interval=terrain.interval,
        policy=passport.policy,
        desk=replace(passport, terrain=terrain).desk(past),
        terms=terrain.terms,
        funding_bps_per_8h=terrain.costs.funding_bps_per_8h,
        actions=terrain.action,
        past=past,
        funding=funding,
    )


@dataclass(frozen=True)
class Settings:
    """What a session adds to a passport; it stays the same for the journal's whole life.

    `limits` is the mode of the limits. `stale_after`, in intervals, is the oldest bar acted on without doubt;
    `snapshot_every`, in bars, the most that a restart walks again.
    """

    cash: float = 100_000.0
    limits: str = "live"
    stale_after: float = 3.0
    snapshot_every: int = 256

    def __post_init__(self) -> None:
        Limits(mode=self.limits)
        if not self.cash > 0:
            raise ValueError(f"cash {self.cash} must be above 0")
        if self.snapshot_every < 1:
            raise ValueError(f"snapshot_every {self.snapshot_every} must be 1 or more")


def assemble(
    trader: Trader,
    settings: Settings,
    trail: Trail,
    clock: Clock,
    watch: Callable[[Step], None] | None = None,
) -> Runner:
    """A runner with a fresh account on paper, its trail not walked yet."""
    interval_ms = INTERVALS[trader.interval]
    parts = Parts(
        clock=clock,
        venue=PaperVenue(trader.terms, interval_ms, settings.cash, trader.funding_bps_per_8h, trader.funding),
        desk=trader.desk,
        policy=trader.policy,
        gates=Gates(trader.terms, interval_ms, settings.stale_after, trader.actions),
        interval_ms=interval_ms,
        stream=trader.digest,
        snapshot_every=settings.snapshot_every,
    )
    return Runner(parts, trail, watch)


def begin(
    journal: Journal,
    trader: Trader,
    settings: Settings,
    clock: Clock,
    *,
    source: str,
    watch: Callable[[Step], None] | None = None,
) -> Runner:
    """A runner that stands where the journal ends, whatever ended it.

    Raises JournalError where the journal was begun by another policy or with other settings, or where its tail is not
    what was written.
    """
    told = begun(journal)
    if told is not None:
        _check_same(told, describe(trader, settings, source), journal.path)
    snapshot = journal.last(Kind.SNAPSHOT)
    ahead = journal.after(snapshot)
    journal.append(Kind.SESSION, describe(trader, settings, source))
    journal.commit()
    runner = assemble(trader, settings, Trail(journal, ahead), clock, watch)
    runner.recover(snapshot.facts if snapshot else None)
    return runner


def begun(journal: Journal) -> dict[str, Any] | None:
    """The facts of the journal's first session; None for a new journal."""
    row = journal.first(Kind.SESSION)
    return row.facts if row else None


def describe(trader: Trader, settings: Settings, source: str) -> dict[str, Any]:
    """The payload of a session row."""
    return {
        "policy": {"name": trader.name, "digest": trader.digest, "folder": trader.folder},
        "interval": trader.interval,
        "terms": trader.terms._asdict(),
        "funding_bps_per_8h": trader.funding_bps_per_8h,
        "funding": None if trader.funding is None else trader.funding.to_json(),
        "settings": asdict(settings),
        "feed": source,
        "wavetank": __version__,
        "process": os.getpid(),
    }


def _check_same(told: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    if told["policy"]["digest"] != now["policy"]["digest"]:
        raise JournalError(
            f"{path} was begun by policy {told['policy']['name']} ({told['policy']['digest'][:12]}), "
            f"not by {now['policy']['name']} ({now['policy']['digest'][:12]}): use another journal"
        )
    for part in ("settings", "terms"):
        for key, value in now[part].items():
            if told[part].get(key) != value:
                raise JournalError(f"{path} was begun with {key} {told[part].get(key)}, not {value}")
    for key in ("interval", "funding_bps_per_8h"):
        if told[key] != now[key]:
            raise JournalError(f"{path} was begun with {key} {told[key]}, not {now[key]}")
    if told.get("funding") != now["funding"]:
        raise JournalError(f"{path} was begun with other funding rates")
