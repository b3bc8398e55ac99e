"""Work that several processes share: nothing is done twice, nothing is lost when one of them dies."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.moments import Ints, PastError, Singles
from wavetank.memory.shared import CHUNK, DATA, MARKS, WHOLE, key_of, shared_neighbours

ROOT = Path(__file__).parents[2]
K = 3
QUERIES = 5 * CHUNK + 77


def right(rows: Ints) -> tuple[Ints, Singles]:
    """What is found for a row depends on the row alone."""
    columns = np.arange(K)
    return rows[:, None] * 2 + columns, (rows[:, None] % 1000 / 7.0 + columns).astype(np.float32)


def check(found: tuple[Ints, Singles]) -> None:
    indices, similarities = right(np.arange(QUERIES))
    np.testing.assert_array_equal(found[0], indices)
    np.testing.assert_array_equal(found[1], similarities)


def test_what_was_found_is_not_searched_for_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(rows: Ints) -> tuple[Ints, Singles]:
        asked.extend(rows.tolist())
        return right(rows)

    told: list[tuple[int, int]] = []
    check(shared_neighbours(tmp_path / "n", QUERIES, K, answer, lambda done, of: told.append((done, of))))
    assert asked == list(range(QUERIES))
    assert told[-1] == (QUERIES, QUERIES)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    check(shared_neighbours(tmp_path / "n", QUERIES, K, answer))
    assert len(asked) == QUERIES


def test_a_search_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    def failing(rows: Ints) -> tuple[Ints, Singles]:
        if rows[0] >= 3 * CHUNK:
            raise KeyboardInterrupt
        return right(rows)

    with pytest.raises(KeyboardInterrupt):
        shared_neighbours(tmp_path / "n", QUERIES, K, failing)
    assert not (tmp_path / "n" / WHOLE).exists()
    asked: list[int] = []

    def answer(rows: Ints) -> tuple[Ints, Singles]:
        asked.append(int(rows[0]) // CHUNK)
        return right(rows)

    check(shared_neighbours(tmp_path / "n", QUERIES, K, answer))
    assert asked == [3, 4, 5]


def slowly(folder: str, log: str, seconds: float) -> None:
    """Fill the folder, writing who began which chunk to the log."""

    def answer(rows: Ints) -> tuple[Ints, Singles]:
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()} {int(rows[0]) // CHUNK}\n")
        time.sleep(seconds)
        return right(rows)

    shared_neighbours(Path(folder), QUERIES, K, answer)


def started(folder: Path, log: Path, seconds: float) -> "subprocess.Popen[bytes]":
    code = f"from tests.memory.test_shared import slowly; slowly({str(folder)!r}, {str(log)!r}, {seconds})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def begun(log: Path, count: int, workers: "list[subprocess.Popen[bytes]]") -> list[tuple[int, int]]:
    """The first `count` lines of the log, once they are there."""
    while True:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return [(int(pid), int(chunk)) for pid, chunk in (line.split() for line in lines)]
        assert any(worker.poll() is None for worker in workers), "all have ended"
        time.sleep(0.02)


@pytest.mark.slow
def test_processes_share_the_chunks_and_take_over_from_one_that_is_killed(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "n"
    victim = started(folder, log, 600.0)  # holds its first chunk for ever
    assert begun(log, 1, [victim]) == [(victim.pid, 0)]
    others = [started(folder, log, 0.2) for _ in range(2)]
    begun(log, 6, others)
    victim.kill()
    assert [process.wait(60) for process in others] == [0, 0]
    victim.wait(60)
    done = sorted(chunk for pid, chunk in begun(log, 7, [victim]) if pid != victim.pid)
    assert done == list(range(6))  # each once, the victim's too
    check(shared_neighbours(folder, QUERIES, K, lambda rows: pytest.fail("it is whole")))


@pytest.mark.parametrize("file", [DATA, WHOLE])
def test_what_was_changed_since_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "n"
    shared_neighbours(folder, QUERIES, K, right)
    held = bytearray((folder / file).read_bytes())
    held[-5] ^= 1
    (folder / file).write_bytes(held)
    with pytest.raises(PastError, match="remove the folder"):
        shared_neighbours(folder, QUERIES, K, right)


def test_a_chunk_without_its_mark_is_found_anew(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    shared_neighbours(folder, QUERIES, K, right)
    (folder / WHOLE).unlink()
    with (folder / MARKS).open("r+b") as marks:
        marks.seek(2)
        marks.write(b"\0")
    with (folder / DATA).open("r+b") as data:  # half written when the power went
        data.seek(2 * CHUNK * K * 8)
        data.write(b"\xff" * 100)
    check(shared_neighbours(folder, QUERIES, K, right))


def test_the_key_tells_whatever_is_asked_apart() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    keys = {key_of(16, vectors), key_of(16, vectors.T.copy()), key_of(8, vectors), key_of(16, vectors.astype(float))}
    assert len(keys) == 4
    assert key_of(16, vectors) == key_of(16, vectors.copy())
