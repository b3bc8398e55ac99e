"""The depot: segment files under a root and the manifest that names them, laid down whole, read with their sha256.

A file is written once. A month that grows gets a new file, which counts from the moment that the manifest names it:
a kill leaves the old month or the new one, never half. Knows columns of rows with a time, not what they mean.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .bars import INTERVALS, Ints
from .durable import HALF, locked, sync_folder, sync_folders, write_whole
from .instants import iso
from .manifest import MANIFEST, Manifest, Segment, SeriesKey, StoreError, Written, create_manifest
from .parquet import TIME, BarsError, Columns, decode, encode
from .segments import ConflictError, by_month, joined, merged, missing_between

LOCK = "store.lock"
_FILE = re.compile(rf"([^/]+/){{3}}\d{{4}}/\d\d/v\d+-[0-9a-f]{{12}}\.parquet({re.escape(HALF)})?")


class Added(NamedTuple):
    """What an append did: rows at new times, rows that were known, segments written, rows that changed known ones.

    `changed` counts rows that filled in an optional column, or took another's place under `replace`.
    """

    new: int
    same: int
    segments: int
    changed: int = 0


class Depot:
    """The files of a store. Nothing stays open between calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._is_swept = False

    def exists(self) -> bool:
        """Whether anything has ever been put here."""
        return (self.root / MANIFEST).is_file()

    def reading(self) -> Manifest:
        """The manifest, to ask; StoreError where there is no store."""
        if not self.exists():
            raise StoreError(f"there is no store at {self.root} (no {MANIFEST} in it)")
        return Manifest(self.root / MANIFEST)

    @contextmanager
    def writing(self) -> Iterator[Manifest]:
        """The manifest with the store's lock held; the first time, what a killed process left behind is swept away."""
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / LOCK):
            if not self.exists():
                self._refuse_orphans()
                create_manifest(self.root)
            with self.reading() as manifest:
                if not self._is_swept:
                    self._sweep(manifest, "*/*/*/*/*")
                    self._is_swept = True
                yield manifest

    def lay(self, key: SeriesKey, columns: Columns, source: str, replace: bool) -> Added:
        """Add rows in order of time. Once it returns they are on disk; killed before, the depot is as it was."""
        if not source:
            raise StoreError(f"rows of {told(key)} need a source")
        if not len(columns[TIME]):
            return Added(0, 0, 0)
        months = list(by_month(columns))
        with self.writing() as manifest:
            known = {s.month: s for s in manifest.months(key, months[0][0], months[-1][0])}
            added, written = Added(0, 0, 0), list[Written]()
            try:
                for month, rows in months:
                    step, item = self._grown(key, month, known.get(month), rows, source, replace)
                    added = Added(*(a + b for a, b in zip(added, step, strict=True)))
                    written += [item] if item else []
                self._sync(written)
                manifest.put(written)
            finally:  # an error's new files or, once the manifest names those, the old ones
                for month, _ in months:
                    self._sweep(manifest, _folder(key, month))
        return added

    def columns(self, key: SeriesKey, start: int | None, end: int | None) -> Columns | None:
        """Rows with a time in [start, end), out of the segments that hold some; None where there is none.

        A writer may put a newer file in a segment's place meanwhile: then the manifest is asked again.
        """
        with self.reading() as manifest:
            segments = manifest.segments(key, start, end)
            while True:
                try:
                    parts = [self.load(segment) for segment in segments]
                    break
                except StoreError:
                    now = manifest.segments(key, start, end)
                    if now == segments:
                        raise
                    segments = now
        return _cut(joined(parts), start, end) if parts else None

    def load(self, segment: Segment) -> Columns:
        """One segment's rows, once its bytes are those that the manifest knows."""
        path = self.root / segment.file
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(f"{path} of {told(segment.key)} {segment.month} is missing") from None
        digest = hashlib.sha256(data).hexdigest()
        if digest != segment.sha256:
            raise StoreError(
                f"{path} is damaged: its sha256 is {digest[:12]}…, the manifest knows {segment.sha256[:12]}…"
            )
        try:
            columns, _ = decode(data)
        except BarsError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        return columns

    def files(self, folders: str = "*/*/*/*/*") -> list[str]:
        """Files that are named as segments are, whole or half; nothing else under the root is ours."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.glob(f"{folders}/v*"))
        return sorted(file for file in found if _FILE.fullmatch(file))

    def verify(self) -> list[str]:
        """Compare every segment with the manifest, and look for files that it does not name: one sentence each."""
        with self.reading() as manifest:
            found = [words for segment in manifest.all_segments() for words in self._differences(manifest, segment)]
        with locked(self.root / LOCK), self.reading() as manifest:
            strays = [file for file in self.files() if not manifest.names(file)]
        return found + [f"{self.root / file} is named by no row of the manifest" for file in strays]

    def _grown(
        self, key: SeriesKey, month: str, old: Segment | None, rows: Columns, source: str, replace: bool
    ) -> tuple[Added, Written | None]:
        known: Columns = {TIME: np.empty(0, np.int64)} if old is None else self.load(old)
        try:
            merge = merged(known, rows, replace=replace)
        except ConflictError as error:
            at, column, before, after = error.conflict
            raise StoreError(
                f"{told(key)}: {column} at {iso(at)} is known as {before!r} and comes as {after!r}; "
                "only replace=True (--replace) overwrites"
            ) from None
        if not merge.new + merge.changed:
            return Added(0, merge.same, 0), None
        segment = self._write(key, month, 1 if old is None else old.version + 1, merge.columns, source)
        return Added(merge.new, merge.same, 1, merge.changed), written_of(segment, merge.columns, source)

    def _write(self, key: SeriesKey, month: str, version: int, columns: Columns, source: str) -> Segment:
        facts = {**key._asdict(), "month": month, "version": str(version), "source": source}
        data = encode(columns, facts)
        digest = hashlib.sha256(data).hexdigest()
        file = f"{_folder(key, month)}/v{version}-{digest[:12]}.parquet"
        write_whole(self.root / file, data)
        return segment_of(facts, columns, file, digest)

    def _sync(self, written: list[Written]) -> None:
        """A month that has been written before lies in folders whose names are on disk already."""
        old = [self.root / w.segment.file for w in written if w.segment.version > 1]
        for folder in sorted({path.parent for path in old}):
            sync_folder(folder)
        sync_folders((self.root / w.segment.file for w in written if w.segment.version == 1), self.root)

    def _differences(self, manifest: Manifest, segment: Segment) -> list[str]:
        while True:
            try:
                columns, facts = self.load(segment), segment
                break
            except StoreError as error:
                now = manifest.months(segment.key, segment.month, segment.month)
                if now == [segment]:
                    return [str(error)]
                segment = now[0]  # a writer was quicker
        held = segment_of(facts._asdict(), columns, segment.file, segment.sha256)
        return [
            f"{self.root / segment.file} has {name} {getattr(held, name)}, the manifest says {getattr(segment, name)}"
            for name in ("rows", "first_ms", "last_ms", "taker_rows", "trades_rows")
            if getattr(held, name) != getattr(segment, name)
        ]

    def _sweep(self, manifest: Manifest, folders: str) -> None:
        """Remove segment files that the manifest does not name. Only under the lock: nobody is writing them."""
        strays = [file for file in self.files(folders) if not manifest.names(file)]
        for file in strays:
            (self.root / file).unlink(missing_ok=True)

    def _refuse_orphans(self) -> None:
        files = self.files()
        if files:
            raise StoreError(
                f"{self.root} holds {len(files)} segment files and no {MANIFEST}: "
                "bring it back, or make it anew (`wavetank data rebuild`)"
            )


def segment_of(facts: dict[str, str], columns: Columns, file: str, sha256: str) -> Segment:
    """What a manifest row says of a file with these facts and columns."""
    times: Ints = columns[TIME]
    return Segment(
        facts["venue"],
        facts["symbol"],
        facts["interval"],
        facts["month"],
        int(facts["version"]),
        file,
        sha256,
        len(times),
        int(times[0]),
        int(times[-1]),
        _known(columns, "taker_buy_volume"),
        _known(columns, "trades"),
    )


def written_of(segment: Segment, columns: Columns, source: str) -> Written:
    """What `Manifest.put` takes of a file with these columns; funding rates have no gaps, for they keep no interval."""
    step = INTERVALS.get(segment.interval)
    return Written(segment, missing_between(columns[TIME], step) if step else [], source)


def told(key: SeriesKey) -> str:
    """A series as a sentence names it."""
    return " ".join(key)


def _folder(key: SeriesKey, month: str) -> str:
    return "/".join([*key, *month.split("-")])


def _known(columns: Columns, name: str) -> int:
    return int(np.count_nonzero(~np.isnan(columns[name]))) if name in columns else 0


def _cut(columns: Columns, start: int | None, end: int | None) -> Columns | None:
    times = columns[TIME]
    first = 0 if start is None else int(np.searchsorted(times, start, "left"))
    last = len(times) if end is None else int(np.searchsorted(times, end, "left"))
    return {name: values[first:last] for name, values in columns.items()} if first < last else None
