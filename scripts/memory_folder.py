"""A memory as the doors to the past know it: a folder with its embedder, its archive and the live index over it.

The index is named after the embedder; it may also stand elsewhere, at a server's URL or as `edge:FOLDER`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..memory.archive import Archive
from ..memory.edge import EdgeDraft, EdgeMemory
from ..memory.embedding import Fitted, load_embedder
from ..memory.moments import PastError
from ..memory.move import Draft
from ..memory.store import Listed, store_name

EMBEDDER, ARCHIVE, EDGE = "embedder.npz", "archive", "edge"
CALIBRATION, RULES = "calibration.json", "rules.npz"  # what advice is measured by; absent where history was too short
HERE = "edge:"  # before a folder's name
SERVERS = ("http://", "https://")
API_KEY = "QDRANT_API_KEY"  # secrets never stand on a command line


class Memory(NamedTuple):
    """An opened memory."""

    folder: Path
    embedder: Fitted
    archive: Archive

    @property
    def place(self) -> str:
        """Where its own index stands."""
        return HERE + str(index_folder(self.folder, self.embedder.digest))


def open_memory(path: str) -> Memory:
    """Open what `wavetank memory build` made; PastError if anything in it is torn, changed or of another embedder."""
    folder = Path(path)
    embedder, archive = load_embedder(folder / EMBEDDER), Archive.open(folder / ARCHIVE)
    if archive.embedder != embedder.digest:
        raise PastError(f"the archive in {folder} is of another embedder than the one beside it")
    if not len(archive):
        raise PastError(f"the archive in {folder} is empty")
    return Memory(folder, embedder, archive)


def index_folder(folder: Path, embedder: str) -> Path:
    """The folder of a memory's own index."""
    return folder / store_name(EDGE, embedder)


@contextmanager
def opened_store(memory: Memory, place: str) -> Iterator[Listed]:
    """The store of this memory's embedder that stands at `place`; none is made."""
    store = _store(memory, place)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_draft(memory: Memory, place: str) -> Iterator[Draft]:
    """A store in the making for `place`, where none may stand yet; what is not published is kept to go on with."""
    draft = _draft(memory, place)
    try:
        yield draft
    finally:
        draft.close()


def _store(memory: Memory, place: str) -> Listed:
    embedder = memory.embedder
    if place.startswith(HERE):
        return EdgeMemory(place.removeprefix(HERE), embedder.width, embedder=embedder.digest, create=False)
    _check_server(place)
    from ..memory.server import ServerMemory  # the client is an extra

    key = os.environ.get(API_KEY)
    return ServerMemory(place, embedder.width, embedder=embedder.digest, api_key=key, create=False)


def _draft(memory: Memory, place: str) -> Draft:
    embedder = memory.embedder
    if place.startswith(HERE):
        return EdgeDraft(place.removeprefix(HERE), embedder.width, embedder=embedder.digest)
    _check_server(place)
    from ..memory.server import ServerDraft  # the client is an extra

    return ServerDraft(place, embedder.width, embedder=embedder.digest, api_key=os.environ.get(API_KEY))


def _check_server(place: str) -> None:
    if not place.startswith(SERVERS):
        raise PastError(f"{place!r} is neither a server's http:// or https:// address nor {HERE}FOLDER")


def instant(text: str) -> int:
    """Milliseconds UTC of an ISO time, or of milliseconds."""
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PastError(f"{text!r} is neither an ISO time nor milliseconds") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)


def iso(ms: int) -> str:
    """An instant as people read it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
