"""What a policy remembers when it leaves the trainer: its embedder and the archive of its training slice.

Both travel inside the passport; whoever trades the policy makes a store of them and feeds it bar by bar. Knows no
policy and no account.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..market.bars import Bars
from ..memory.archive import Archive
from ..memory.edge import EdgeMemory
from ..memory.embed import Embedder
from ..memory.moments import PastError, moments_of
from ..memory.recall import embargo_ms
from ..memory.store import ingest
from .past import Live

FOLDER, EMBEDDER, ARCHIVE = "memory", "embedder.npz", "archive"


@dataclass(frozen=True, eq=False)
class Remembrance:
    """How a past is asked (`neighbours`, `horizon` in bars) and what it knew at the end of training."""

    embedder: Embedder
    symbol: str
    interval: str
    neighbours: int
    horizon: int
    archive: Archive | None = None

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
        return {**self.to_json(), "archive": _facts(archive)}

    def to_json(self) -> dict[str, Any]:
        """The terms, as a manifest and a run's record hold them; `horizon` and `embargo` in bars."""
        return {
            "embedder": self.embedder.digest,
            "symbol": self.symbol,
            "interval": self.interval,
            "neighbours": self.neighbours,
            "horizon": self.horizon,
            "embargo": embargo_ms(self.embedder, 1, self.horizon, None),
            "mode": "exact",
        }

    @classmethod
    def read(cls, passport: Path, told: dict[str, Any]) -> "Remembrance":
        """Read what `write` wrote; PastError naming what the manifest says otherwise."""
        embedder = Embedder.load(passport / FOLDER / EMBEDDER)
        archive = Archive.open(passport / FOLDER / ARCHIVE)
        found = cls(embedder, told["symbol"], told["interval"], told["neighbours"], told["horizon"], archive)
        for name, value in {**found.to_json(), "archive": _facts(archive)}.items():
            if told.get(name) != value:
                raise PastError(f"its memory has {name} {value}, its manifest says {told.get(name)}")
        return found

    def live(self, store: Path) -> Live:
        """A past over the Edge store at `store`, which is made from the archive where it holds less."""
        memory = EdgeMemory(store, self.embedder.width, embedder=self.embedder.digest)
        if self.archive is not None and memory.count() < len(self.archive):
            ingest(memory, self.archive.moments)
        return Live(
            memory,
            self.embedder,
            interval=self.interval,
            symbol=self.symbol,
            k=self.neighbours,
            horizon=self.horizon,
        )


def _facts(archive: Archive) -> dict[str, Any]:
    return {"sha256": archive.digest, "moments": len(archive)}
