"""SIGKILL at any moment: what was acknowledged is there, bit for bit, and the rest comes from the archive again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.archive import Archive
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.moments import Moments, symbol_code
from wavetank.memory.move import content_of, pages_of
from wavetank.memory.store import ingest, page_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WIDTH, BATCH, BATCHES = 16, 40, 2000
SEEDS = range(6)


def lived(first: int, n: int) -> Moments:
    """n moments that became known at first, first + 1, …; the same ones for the same rows, whoever asks."""
    known = np.arange(first, first + n, dtype=np.int64)
    vectors = np.sin(known[:, None] * np.arange(1, WIDTH + 1) * 0.37).astype(np.float32)
    outcomes = np.cos(known * 1.7).astype(np.float32)
    code = symbol_code("X")
    ids = (code << 32) + known
    return Moments(ids, np.full(n, code), known - 1, known, outcomes, -outcomes, outcomes, vectors, {code: "X"})


def write_a_store(path: str) -> None:
    acknowledge("opened")
    with EdgeMemory(path, WIDTH, embedder="e1") as memory:
        for first in range(0, BATCH * BATCHES, BATCH):
            memory.upsert(*page_of(lived(first, BATCH), range(BATCH)))
            acknowledge(str(first + BATCH))


def write_an_archive(path: str) -> None:
    acknowledge("opened")
    archive = Archive.create(path, width=WIDTH, interval="1h", horizon=1, embedder="e1")
    for first in range(0, BATCH * BATCHES, BATCH):
        archive = archive.append(lived(first, BATCH))
        acknowledge(str(first + BATCH))


def acknowledge(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def killed(writer: str, path: Path, seed: int) -> int:
    """Let `writer` write, kill it at a random moment, and return how many moments it had acknowledged."""
    code = f"from tests.memory.test_crash import {writer}; {writer}({str(path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rng = np.random.default_rng(seed)
    heard = [process.stdout.readline() for _ in range(1 + (seed % 3) * int(rng.integers(1, 100)))]
    time.sleep(float(rng.uniform(0.0, 0.02 if len(heard) > 1 else 0.5)))  # a third dies while the store is being made
    os.kill(process.pid, signal.SIGKILL)
    heard += process.stdout.read().split("\n")[:-1]
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL, "the writer had ended before it was killed"
    return int(heard[-1]) if len(heard) > 1 else 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_ingest_loses_no_acknowledged_point(tmp_path: Path, seed: int) -> None:
    acknowledged = killed("write_a_store", tmp_path / "store", seed)
    with EdgeMemory(tmp_path / "store", WIDTH, embedder="e1") as memory:
        assert memory.count() >= acknowledged
        truth = lived(0, memory.count() + BATCH)
        for page in memory.pages():  # whatever is there is whole
            rows = np.array(page.ids) - int(truth.id[0])
            np.testing.assert_array_equal(page.vectors, truth.vectors[rows])
            for row, payload in zip(rows, page.payloads, strict=True):
                assert (payload["known"], payload["closed_at"], payload["symbol"]) == (row, row - 1, "X")
                assert np.float32(payload["forward_return"]) == truth.forward_return[row]
        held = {identity for page in memory.pages() for identity in page.ids}
        assert set(truth.id[:acknowledged].tolist()) <= held
        ingest(memory, truth)
        assert content_of(memory.pages()) == content_of(pages_of(truth))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_append_leaves_the_archive_before_it_or_after_it(tmp_path: Path, seed: int) -> None:
    acknowledged = killed("write_an_archive", tmp_path / "archive", seed)
    if acknowledged == 0 and not (tmp_path / "archive" / "manifest.json").exists():
        return  # it had not begun
    archive = Archive.open(tmp_path / "archive")
    assert len(archive) in (acknowledged, acknowledged + BATCH)
    assert content_of(pages_of(archive.moments)) == content_of(pages_of(lived(0, len(archive))))
    assert len(archive.append(lived(len(archive), BATCH))) == len(archive) + BATCH
