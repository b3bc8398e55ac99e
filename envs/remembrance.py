"""What a policy remembers when it leaves the trainer: its embedder and the archive of its training slice.

Both travel inside the passport; whoever trades the policy makes a store of them and feeds it bar by bar. Knows no
policy and no account.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..market.addresses import is_own
from ..market.bars import Bars
from ..memory.archive import Archive
from ..memory.edge import EdgeMemory
from ..memory.embedding import STATISTICS, Fitted, kind_of, load_embedder
from ..memory.moments import PastError, moments_of
from ..memory.recall import embargo_ms
from ..memory.store import EF, ingest
from .past import Live, Tabled

FOLDER, EMBEDDER, ARCHIVE = "memory", "embedder.npz", "archive"
EXACT = "exact"  # the neighbours are the nearest there are
HNSW = "hnsw"  # nearly always so: the answer of the store's graph, which is all that a large past has time for
SHUFFLED = "shuffled"  # an ablation's: the neighbours are right, what is said to have followed them is not
EXACT_UP_TO = 200_000  # moments of the archive: beyond it a decision does not wait for a scan of them all
MADE_UP = (
    "the policy was trained with memory.outcomes=shuffled, to measure what a memory is worth; "
    "such a one is neither promoted, nor exported, nor traded"
)


@dataclass(frozen=True, eq=False)
class Remembrance:
    """How a past is asked (`neighbours`, `horizon` and `embargo` in bars) and what it knew at the end of training.

    An `embargo` of None is the longer of horizon and window, which is also the shortest there may be.
    """

    embedder: Fitted
    symbol: str
    interval: str
    neighbours: int
    horizon: int
    archive: Archive | None = None
    embargo: int | None = None
    mode: str = EXACT

    def __post_init__(self) -> None:
        least = max(self.horizon, self.embedder.window)
        if self.embargo is not None and self.embargo < least:
            raise PastError(
                f"an embargo of {self.embargo} bars is too short: what is asked and what is remembered overlap by up "
                f"to {least}, the longer of horizon and window"
            )

    @property
    def own(self) -> tuple[str, ...]:
        """Addresses of a user's own code that it needs."""
        kind = kind_of(self.embedder)
        return (kind,) if is_own(kind) else ()

    def write(self, draft: Path, training: Bars) -> dict[str, Any]:
        """Write embedder and archive of `training` into a passport's draft; what its manifest says of them."""
        folder = draft / FOLDER
        folder.mkdir()
        self.embedder.save(folder / EMBEDDER)
        archive = Archive.create(
            folder / ARCHIVE,
            width=self.embedder.width,
            interval=self.interval,
            horizon=self.horizon,
            embedder=self.embedder.digest,
        ).append(moments_of(training, self.embedder, self.horizon))
        return {**replace(self, mode=_mode(self.mode, archive)).to_json(), "archive": _facts(archive)}

    def to_json(self) -> dict[str, Any]:
        """The terms, as a manifest and a run's record hold them; `window`, `horizon` and `embargo` in bars."""
        return {
            "kind": kind_of(self.embedder),
            "embedder": self.embedder.digest,
            "window": self.embedder.window,
            "width": self.embedder.width,
            "symbol": self.symbol,
            "interval": self.interval,
            "neighbours": self.neighbours,
            "horizon": self.horizon,
            "embargo": embargo_ms(self.embedder, 1, self.horizon, self.embargo),
            "mode": self.mode,
            **({"ef": EF} if self.mode == HNSW else {}),
        }

    @classmethod
    def read(cls, passport: Path, told: dict[str, Any]) -> "Remembrance":
        """Read what `write` wrote; PastError naming what the manifest says otherwise."""
        embedder = load_embedder(passport / FOLDER / EMBEDDER)
        archive = Archive.open(passport / FOLDER / ARCHIVE)
        mode = _mode(told["mode"], archive)
        usual = embargo_ms(embedder, 1, told["horizon"], None)
        longer = told["embargo"] if isinstance(told["embargo"], int) and told["embargo"] > usual else None
        found = cls(
            embedder, told["symbol"], told["interval"], told["neighbours"], told["horizon"], archive, longer, mode
        )
        # Passports of before there was a choice say nothing of these three; the digest holds them all the same.
        told = {"kind": STATISTICS, "window": embedder.window, "width": embedder.width, **told}
        for name, value in {**found.to_json(), "archive": _facts(archive)}.items():
            if told.get(name) != value:
                raise PastError(f"its memory has {name} {value}, its manifest says {told.get(name)}")
        return found

    def check_real(self) -> None:
        """Raise PastError where what it says of the past was made up."""
        if self.mode == SHUFFLED:
            raise PastError(MADE_UP)

    def tabled(self, bars: Bars, *, shuffled: int | None = None) -> Tabled:
        """What `live`, asked exactly, would say at each close of `bars`, were it fed with them; with `shuffled`, a
        seed, out of outcomes that are others'."""
        return Tabled.of(
            replace(bars, symbol=self.symbol),
            self.embedder,
            k=self.neighbours,
            horizon=self.horizon,
            embargo=self.embargo,
            before=None if self.archive is None else self.archive.moments,
            shuffled=shuffled,
        )

    def live(self, store: Path, *, exact: bool = False) -> Live:
        """A past over the Edge store at `store`, which is made from the archive where it holds less.

        For the mode hnsw what its graph lacks is built then: minutes at first, seconds where much was lived through
        since. `exact` asks a large past exactly all the same.
        """
        self.check_real()
        graph = self.mode == HNSW and not exact
        memory = EdgeMemory(store, self.embedder.width, embedder=self.embedder.digest)
        try:
            if self.archive is not None and memory.count() < len(self.archive):
                ingest(memory, self.archive.moments)
            if graph:  # also where a start before this one was killed on the way; nothing to do takes no time
                memory.optimize()
            return Live(
                memory,
                self.embedder,
                interval=self.interval,
                symbol=self.symbol,
                k=self.neighbours,
                horizon=self.horizon,
                embargo=self.embargo,
                exact=not graph,
                ef=EF if graph else None,
            )
        except BaseException:
            memory.close()  # else it stays locked for whoever tries again
            raise


def _mode(told: str, archive: Archive) -> str:
    """How such an archive is asked; an ablation's mode stays what it is."""
    if told == SHUFFLED:
        return SHUFFLED
    return EXACT if len(archive) <= EXACT_UP_TO else HNSW


def _facts(archive: Archive) -> dict[str, Any]:
    return {"sha256": archive.digest, "moments": len(archive)}
