import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.archive import MANIFEST, Archive
from wavetank.memory.moments import Moments, PastError, symbol_code

ROOT = Path(__file__).parents[2]
WIDTH = 4


def some(first: int, n: int, *, symbol: str = "X") -> Moments:
    """n moments that became known at first, first + 1, …"""
    rng = np.random.default_rng(first)
    code = symbol_code(symbol)
    known = np.arange(first, first + n, dtype=np.int64)
    a, b, c = rng.normal(size=(3, n)).astype(np.float32)
    vectors = rng.normal(size=(n, WIDTH)).astype(np.float32)
    return Moments((code << 32) + known, np.full(n, code), known - 1, known, a, b, c, vectors, {code: symbol})


def new(path: Path) -> Archive:
    return Archive.create(path, width=WIDTH, interval="1h", horizon=1, embedder="abc")


def columns(moments: Moments) -> dict[str, object]:
    return {name: value.tolist() for name, value in vars(moments).items() if isinstance(value, np.ndarray)}


def test_what_was_appended_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    first, second = some(0, 5), some(5, 3, symbol="Y")
    new(tmp_path / "a").append(first).append(second)
    archive = Archive.open(tmp_path / "a")
    assert (len(archive), archive.width, archive.interval) == (8, WIDTH, "1h")
    assert (archive.horizon, archive.embedder) == (1, "abc")
    held, both = columns(archive.moments), (columns(first), columns(second))
    assert held == {name: [*both[0][name], *both[1][name]] for name in held}  # type: ignore[misc]
    assert archive.moments.names == {symbol_code("X"): "X", symbol_code("Y"): "Y"}


def test_one_segment_stays_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    base = archive.moments.vectors
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        archive.moments.vectors[0, 0] = 1.0


def test_the_digest_names_the_content(tmp_path: Path) -> None:
    a, b, c = (new(tmp_path / name) for name in "abc")
    assert a.append(some(0, 5)).digest == b.append(some(0, 5)).digest != c.append(some(0, 4)).digest


@pytest.mark.parametrize(
    ("moments", "sentence"),
    [
        (some(3, 2), "a moment known at 3 does not come after the last of archive .*, 4"),
        (replace(some(5, 2), known_at=np.array([9, 8])), "moment 1 for archive .* is out of .known_at, id. order"),
        (replace(some(5, 2), vectors=np.zeros((2, 3), np.float32)), "is 4 wide, the moments 3"),
        (replace(some(5, 2), forward_return=np.array([0, np.nan], np.float32)), "forward_return .* holds NaN"),
        (replace(some(5, 2), names={symbol_code("X"): "Z"}), "symbol 'Z' shares its code with another one"),
    ],
)
def test_moments_that_do_not_belong_are_refused_and_nothing_is_written(
    tmp_path: Path, moments: Moments, sentence: str
) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    before = sorted(path.name for path in archive.path.iterdir())
    with pytest.raises(PastError, match=sentence):
        archive.append(moments)
    assert sorted(path.name for path in archive.path.iterdir()) == before
    assert Archive.open(archive.path).digest == archive.digest


def test_a_crash_between_segment_and_manifest_loses_nothing_and_adds_nothing(tmp_path: Path) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    (archive.path / "segment-000001.bin").write_bytes(b"half")
    (archive.path / (MANIFEST + ".part")).write_bytes(b"{")
    assert len(Archive.open(archive.path)) == 5
    assert len(Archive.open(archive.path).append(some(5, 2))) == 7


def test_a_disk_that_fails_in_mid_write_leaves_the_archive_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    for good_calls in range(4):  # segment, its folder, manifest, its folder
        calls = iter(range(4))

        def fsync(_: int, calls: Iterator[int] = calls, last: int = good_calls) -> None:
            if next(calls) == last:
                raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("wavetank.memory.archive.os.fsync", fsync)
            with pytest.raises(OSError, match="the disk is full"):
                archive.append(some(5, 2))
        assert len(Archive.open(archive.path)) == (7 if good_calls == 3 else 5)


def test_a_manifest_is_replaced_and_never_written_in_place(tmp_path: Path) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    os.link(archive.path / MANIFEST, tmp_path / "held")  # what a reader that opened it before still sees
    before = (tmp_path / "held").read_bytes()
    archive.append(some(5, 2))
    assert (tmp_path / "held").read_bytes() == before


def test_a_flipped_bit_a_cut_or_missing_file_and_a_broken_manifest_are_refused(tmp_path: Path) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    segment, manifest = archive.path / "segment-000000.bin", archive.path / MANIFEST
    data, terms = segment.read_bytes(), manifest.read_text()
    segment.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(PastError, match="the sha256 of segment-000000.bin differs"):
        Archive.open(archive.path)
    segment.write_bytes(data[:-1])
    with pytest.raises(PastError, match="is torn: segment-000000.bin has 299 bytes"):
        Archive.open(archive.path)
    segment.unlink()
    with pytest.raises(PastError, match="is torn: segment-000000.bin is missing"):
        Archive.open(archive.path)
    manifest.write_text(terms[:-5])
    with pytest.raises(PastError, match="manifest.json is not JSON"):
        Archive.open(archive.path)
    manifest.write_text(json.dumps({"format": 1}))
    with pytest.raises(PastError, match="manifest.json lacks embedder, horizon, interval, segments"):
        Archive.open(archive.path)
    with pytest.raises(PastError, match="there is no archive at"):
        Archive.open(tmp_path / "b")


def test_an_archive_is_not_started_twice_nor_on_an_unknown_interval(tmp_path: Path) -> None:
    new(tmp_path / "a")
    with pytest.raises(PastError, match="there is an archive at .* already"):
        new(tmp_path / "a")
    with pytest.raises(PastError, match="interval '7m' is not one of"):
        Archive.create(tmp_path / "b", width=4, interval="7m", horizon=1, embedder="")


def test_an_archive_that_grew_meanwhile_must_be_opened_again(tmp_path: Path) -> None:
    archive = new(tmp_path / "a").append(some(0, 5))
    archive.append(some(5, 2))
    with pytest.raises(PastError, match="has grown since it was opened"):
        archive.append(some(7, 1))


def append_for_ever(path: str) -> None:
    archive = new(Path(path))
    for first in range(0, 100_000, 3):
        archive = archive.append(some(first, 3))
        sys.stdout.write(f"{len(archive)}\n")
        sys.stdout.flush()


def test_a_killed_writer_loses_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    code = f"from tests.memory.test_archive import append_for_ever; append_for_ever({str(tmp_path / 'a')!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(20)][-1]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split())])
    process.stdout.close()
    process.wait()
    archive = Archive.open(tmp_path / "a")
    assert len(archive) in (acknowledged, acknowledged + 3)
    assert archive.moments.known_at.tolist() == list(range(len(archive)))
    assert len(archive.append(some(len(archive), 3))) == len(archive) + 3
