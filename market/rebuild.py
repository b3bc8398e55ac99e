"""A lost manifest made anew: every segment file says of itself what it is, and its name says what its bytes were.

Knows the files alone; what only the manifest held, quarantine and marks, is gone with it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from .depot import LOCK, Depot, segment_of, written_of
from .durable import HALF, locked
from .manifest import MANIFEST, StoreError, Written, create_manifest
from .parquet import BarsError, decode


def rebuild(depot: Depot) -> int:
    """Name the newest version of each month in a new manifest. Raises StoreError where a file is damaged."""
    if not depot.root.is_dir():
        raise StoreError(f"there is no store at {depot.root}")
    with locked(depot.root / LOCK):
        if depot.exists():
            raise StoreError(f"{depot.root / MANIFEST} is there: move it away before it is made anew")
        written = [_written(depot, file) for file in _newest(depot)]
        create_manifest(depot.root, written)
    return len(written)


def _newest(depot: Depot) -> Iterator[str]:
    """Of several versions of a month, which a kill may leave, the last holds all that the others do."""
    months: dict[PurePosixPath, str] = {}
    for file in sorted(depot.files(), key=_version):
        if not file.endswith(HALF):
            months[PurePosixPath(file).parent] = file
    yield from months.values()


def _version(file: str) -> int:
    return int(PurePosixPath(file).name.partition("-")[0].removeprefix("v"))


def _written(depot: Depot, file: str) -> Written:
    path = depot.root / file
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest[:12] != PurePosixPath(file).stem.partition("-")[2]:
        raise StoreError(f"{path} is damaged: its sha256 is {digest[:12]}…; move it away to go on without it")
    try:
        columns, facts = decode(data)
        segment = segment_of(facts, columns, file, digest)
    except (BarsError, KeyError) as error:
        raise StoreError(f"{path} is no segment of a store: {error}") from error
    return written_of(segment, columns, facts["source"])
