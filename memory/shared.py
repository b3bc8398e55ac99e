"""Neighbours that take long to find, found once: a folder that several processes fill together and any may go on with.

Queries go in chunks. A process claims a chunk by a lock that the kernel drops when it dies, writes what it found, and
only then marks the chunk as done, so a killed one loses its chunk in hand and nothing else. Knows nothing of how
neighbours are found.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .moments import Ints, PastError, Singles

FORMAT = 1
CHUNK = 8192  # queries: seconds of work at a million points
DATA, MARKS, WHOLE = "neighbours.bin", "done.bin", "whole.json"

Found = tuple[Ints, Singles]
Progress = Callable[[int, int], None]


def key_of(*parts: NDArray[np.generic] | str | int) -> str:
    """A name for all that neighbours depend on: equal names mean equal answers."""
    digest = hashlib.sha256(f"{FORMAT}".encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"|{part.dtype.str}{part.shape}:".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(f"|{part}".encode())
    return digest.hexdigest()[:32]


def shared_neighbours(
    folder: Path, queries: int, k: int, answer: Callable[[Ints], Found], progress: Progress | None = None
) -> Found:
    """Indices (queries, k) int64 and similarities (queries, k) float32 of what `answer` finds for all rows.

    Rows that stand in `folder` already are not asked again; those that another process has in hand are waited for.
    """
    work = _Work(folder, queries, k)
    if not (folder / WHOLE).exists():
        with work.opened():
            while work.left():
                if not work.take_turns(answer, progress):
                    work.wait()
        work.seal()
    return work.read()


class _Work:
    def __init__(self, folder: Path, queries: int, k: int) -> None:
        self.folder, self.queries, self.k = folder, queries, k
        self.cell = np.dtype([("row", "<i4", (k,)), ("similarity", "<f4", (k,))])
        self.chunks = -(-queries // CHUNK)
        self.data = self.marks = -1

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The two files, made where they are not, for as long as the block lasts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = os.open(self.folder / DATA, os.O_RDWR | os.O_CREAT, 0o644)
        self.marks = os.open(self.folder / MARKS, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(self.data, self.queries * self.cell.itemsize)  # grows with zeros, and keeps what stands there
            os.ftruncate(self.marks, self.chunks)
            yield
        finally:
            os.close(self.marks)
            os.close(self.data)

    def left(self) -> list[int]:
        marks = os.pread(self.marks, self.chunks, 0)
        return [chunk for chunk in range(self.chunks) if not marks[chunk]]

    def take_turns(self, answer: Callable[[Ints], Found], progress: Progress | None) -> bool:
        """Work through the chunks that nobody has in hand; whether there was any."""
        worked = False
        for chunk in self.left():
            if not self._claim(chunk):
                continue
            try:
                if not self._is_done(chunk):
                    self._fill(chunk, answer)
                    worked = True
            finally:
                fcntl.lockf(self.marks, fcntl.LOCK_UN, 1, chunk)
            if progress is not None:
                progress(self.queries - sum(len(self._rows(one)) for one in self.left()), self.queries)
        return worked

    def wait(self) -> None:
        """Until whoever has the first chunk that is left lets go of it, finished or not."""
        for chunk in self.left()[:1]:
            fcntl.lockf(self.marks, fcntl.LOCK_EX, 1, chunk)
            fcntl.lockf(self.marks, fcntl.LOCK_UN, 1, chunk)

    def seal(self) -> None:
        """Say that it is whole, and what the whole is."""
        part = self.folder / f"{WHOLE}.{os.getpid()}.part"
        part.write_text(json.dumps({"queries": self.queries, "k": self.k, "sha256": _sha256(self.folder / DATA)}))
        part.replace(self.folder / WHOLE)

    def read(self) -> Found:
        told = json.loads((self.folder / WHOLE).read_text())
        path = self.folder / DATA
        if [told["queries"], told["k"], told["sha256"]] != [self.queries, self.k, _sha256(path)]:
            raise PastError(f"the neighbours in {self.folder} are not those that were written: remove the folder")
        cells = np.fromfile(path, self.cell)
        return cells["row"].astype(np.int64), np.ascontiguousarray(cells["similarity"], np.float32)

    def _claim(self, chunk: int) -> bool:
        try:
            fcntl.lockf(self.marks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, chunk)
        except (BlockingIOError, PermissionError):  # how a lock of another process shows differs between systems
            return False
        return True

    def _is_done(self, chunk: int) -> bool:
        return os.pread(self.marks, 1, chunk) != b"\0"

    def _fill(self, chunk: int, answer: Callable[[Ints], Found]) -> None:
        rows = self._rows(chunk)
        cells = np.empty(len(rows), self.cell)
        cells["row"], cells["similarity"] = answer(rows)
        os.pwrite(self.data, cells.tobytes(), int(rows[0]) * self.cell.itemsize)
        os.fsync(self.data)  # on the disk before the mark is
        os.pwrite(self.marks, b"\1", chunk)

    def _rows(self, chunk: int) -> Ints:
        return np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, self.queries), dtype=np.int64)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
