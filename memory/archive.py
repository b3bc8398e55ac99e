"""The archive: the memory-mapped truth of the past, from which every index can be rebuilt.

A folder of numbered segments, each one file of columns, and a manifest with their sha256. Sorted by
(known_at, id), append-only: a new segment is written whole, then the manifest is renamed over the old one, so
a crash leaves the archive as it was. Knows nothing of neighbours or of any index.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ..market.bars import INTERVALS
from .moments import Moments, PastError

FORMAT = 1
MANIFEST = "manifest.json"
_COLUMNS: tuple[tuple[str, str], ...] = (  # eight-byte columns first, so that every one is aligned
    ("id", "<i8"),
    ("symbol", "<i8"),
    ("closed_at", "<i8"),
    ("known_at", "<i8"),
    ("forward_return", "<f4"),
    ("forward_drawdown", "<f4"),
    ("forward_volatility", "<f4"),
    ("vectors", "<f4"),
)


class _Segment(TypedDict):
    file: str
    rows: int
    sha256: str


class _Manifest(TypedDict):
    format: int
    width: int
    interval: str
    horizon: int
    embedder: str
    symbols: dict[str, int]
    segments: list[_Segment]


@dataclass(frozen=True, eq=False)
class Archive:
    """An opened archive: its terms, and its moments as memory-mapped columns in (known_at, id) order."""

    path: Path
    width: int
    interval: str
    horizon: int
    embedder: str
    symbols: dict[str, int]
    segments: tuple[_Segment, ...]
    digest: str
    moments: Moments = field(repr=False)

    def __len__(self) -> int:
        return len(self.moments)

    @classmethod
    def create(cls, path: str | Path, *, width: int, interval: str, horizon: int, embedder: str) -> "Archive":
        """Start an empty archive where none is; `embedder` is the digest of what makes its vectors."""
        folder = Path(path)
        if (folder / MANIFEST).exists():
            raise PastError(f"there is an archive at {folder} already")
        if interval not in INTERVALS:
            raise PastError(f"interval {interval!r} is not one of {', '.join(INTERVALS)}")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = _Manifest(
            format=FORMAT,
            width=width,
            interval=interval,
            horizon=horizon,
            embedder=embedder,
            symbols={},
            segments=[],
        )
        with _only_writer(folder):
            _write(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
        return cls.open(folder)

    @classmethod
    def open(cls, path: str | Path) -> "Archive":
        """Map an archive after checking the sha256 of every byte; anything torn or changed is refused."""
        folder = Path(path)
        manifest, digest = _read_manifest(folder)
        parts = [_map_segment(folder, segment, manifest["width"]) for segment in manifest["segments"]]
        moments = _joined(parts, manifest)
        _check_order(folder, moments)
        return cls(
            folder,
            manifest["width"],
            manifest["interval"],
            manifest["horizon"],
            manifest["embedder"],
            manifest["symbols"],
            tuple(manifest["segments"]),
            digest,
            moments,
        )

    def append(self, moments: Moments) -> "Archive":
        """Add moments that became known after all that stand here, and return the archive as it is then."""
        if not len(moments):
            return self
        self._check_new(moments)
        with _only_writer(self.path):
            manifest, digest = _read_manifest(self.path)
            if digest != self.digest:
                raise PastError(f"archive {self.path} has grown since it was opened: open it again")
            name = f"segment-{len(manifest['segments']):06d}.bin"
            data = b"".join(_column(moments, name, dtype).tobytes() for name, dtype in _COLUMNS)
            _write(self.path / name, data)
            sha256 = hashlib.sha256(data).hexdigest()
            manifest["segments"].append(_Segment(file=name, rows=len(moments), sha256=sha256))
            manifest["symbols"].update({symbol: code for code, symbol in moments.names.items()})
            _write(self.path / MANIFEST, json.dumps(manifest, indent=1).encode())
        return Archive.open(self.path)

    def _check_new(self, moments: Moments) -> None:
        if moments.vectors.shape[1] != self.width:
            raise PastError(f"archive {self.path} is {self.width} wide, the moments {moments.vectors.shape[1]}")
        for name, _ in _COLUMNS:
            if not np.isfinite(getattr(moments, name)).all():
                raise PastError(f"{name} of the moments for archive {self.path} holds NaN or infinity")
        for code, symbol in moments.names.items():
            if any(code == held and symbol != other for other, held in self.symbols.items()):
                raise PastError(f"symbol {symbol!r} shares its code with another one of archive {self.path}")
        _check_order(self.path, moments)
        if len(self) and _key(moments, 0) <= _key(self.moments, -1):
            known, last = int(moments.known_at[0]), int(self.moments.known_at[-1])
            raise PastError(f"a moment known at {known} does not come after the last of archive {self.path}, {last}")


def _key(moments: Moments, row: int) -> tuple[int, int]:
    return int(moments.known_at[row]), int(moments.id[row])


def _check_order(folder: Path, moments: Moments) -> None:
    later = np.diff(moments.known_at)
    wrong = np.flatnonzero((later < 0) | ((later == 0) & (np.diff(moments.id) <= 0)))
    if len(wrong):
        raise PastError(f"moment {int(wrong[0]) + 1} for archive {folder} is out of (known_at, id) order")


def _column(moments: Moments, name: str, dtype: str) -> NDArray[np.generic]:
    return np.ascontiguousarray(getattr(moments, name), dtype)


def _row_bytes(width: int) -> int:
    return sum(np.dtype(dtype).itemsize * (width if name == "vectors" else 1) for name, dtype in _COLUMNS)


def _map_segment(folder: Path, segment: _Segment, width: int) -> dict[str, NDArray[np.generic]]:
    path, rows = folder / segment["file"], segment["rows"]
    if not path.is_file():
        raise PastError(f"archive {folder} is torn: {path.name} is missing")
    if path.stat().st_size != rows * _row_bytes(width):
        raise PastError(f"archive {folder} is torn: {path.name} has {path.stat().st_size} bytes")
    data = np.memmap(path, np.uint8, "r")
    if hashlib.sha256(data.data).hexdigest() != segment["sha256"]:
        raise PastError(f"archive {folder} is not what was written: the sha256 of {path.name} differs")
    columns: dict[str, NDArray[np.generic]] = {}
    start = 0
    for name, dtype in _COLUMNS:
        shape = (rows, width) if name == "vectors" else (rows,)
        stop = start + int(np.prod(shape)) * np.dtype(dtype).itemsize
        columns[name] = data[start:stop].view(dtype).reshape(shape)
        start = stop
    return columns


def _joined(parts: list[dict[str, NDArray[np.generic]]], manifest: _Manifest) -> Moments:
    """One segment stays mapped; several are joined in memory."""
    names = {code: symbol for symbol, code in manifest["symbols"].items()}

    def whole(name: str, dtype: str) -> NDArray[np.generic]:
        if len(parts) == 1:
            return parts[0][name]
        empty = np.empty((0, manifest["width"]) if name == "vectors" else 0, dtype)
        return np.concatenate([empty, *(part[name] for part in parts)])

    i, s, c, known = (np.asarray(whole(name, dtype), np.int64) for name, dtype in _COLUMNS[:4])
    r, d, v, vectors = (np.asarray(whole(name, dtype), np.float32) for name, dtype in _COLUMNS[4:])
    return Moments(i, s, c, known, r, d, v, vectors, names)


def _read_manifest(folder: Path) -> tuple[_Manifest, str]:
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError:
        raise PastError(f"there is no archive at {folder}") from None
    try:
        manifest: _Manifest = json.loads(data)
        missing = set(_Manifest.__annotations__) - set(manifest)
    except (ValueError, TypeError):
        raise PastError(f"archive {folder} is torn: {MANIFEST} is not JSON") from None
    if missing:
        raise PastError(f"archive {folder} is torn: {MANIFEST} lacks {', '.join(sorted(missing))}")
    if manifest["format"] != FORMAT:
        raise PastError(f"archive {folder} is of format {manifest['format']}, this house reads {FORMAT}")
    return manifest, hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Put whole bytes under a name, on the disk before the name is."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PastError(f"archive {folder} is being written by another process") from None
        yield
