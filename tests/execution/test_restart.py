"""kill -9 anywhere, then again on the same journal: nothing is lost, nothing happens twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wavetank.execution.history import read_history
from wavetank.execution.journal import Kind, read_rows, verify
from wavetank.execution.replay import Replayed, replay
from wavetank.execution.session import Settings

from .toy import INSTRUMENT, made_bars, run_session, trader

BARS = 240
BEFORE_ORDER = 4 + 59 * 8  # calls, counted on both sides: the session's row, and 59 bars of three rows and a commit
PROGRAM = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """What a session without interruption comes to."""
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    _finish(path)
    return _replayed(path)


def _finish(path: Path) -> None:
    run_session(path, made_bars(BARS, gap_at=BARS // 2), settings=Settings(snapshot_every=50))


def _replayed(path: Path) -> Replayed:
    return replay(path, lambda folder, mode: trader())


def _killed(*places: tuple[Path, int]) -> list[int]:
    """Exit codes of sessions that were told where to die."""
    words = [f"{path}:{place}" for path, place in places]
    done = subprocess.run([sys.executable, PROGRAM, str(BARS), *words], capture_output=True, text=True, check=True)
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended")]


def _check(path: Path, whole: Replayed) -> None:
    """Equal to the uninterrupted session; every order once; money conserved."""
    verify(path)
    found = _replayed(path)
    assert found.to_json() == whole.to_json()
    intents = Counter(row.facts["client_id"] for row in read_rows(path, Kind.INTENT))
    acks = Counter(row.facts["client_id"] for row in read_rows(path, Kind.ACK))
    assert set(intents.values()) == {1}
    assert acks == intents
    told = read_history(path)
    assert {fill.client_id for fill in told.fills} <= set(intents)
    assert len({(fill.client_id, fill.at) for fill in told.fills}) == len(told.fills)
    lot, amounts = INSTRUMENT.lot, [fill.lots * INSTRUMENT.lot * fill.price for fill in told.fills]
    assert sum(fill.lots for fill in told.fills) == told.lots[-1]
    flows = [*amounts, *(fill.fee for fill in told.fills), float(told.funding[-1])]
    equity = 100_000.0 - sum(flows) + float(told.lots[-1]) * lot * float(told.close[-1])
    assert abs(equity - told.equity[-1]) <= 1e-9 * (sum(map(abs, flows)) + 100_000.0)


def test_killed_at_chosen_and_random_places_of_one_session(whole: Replayed, tmp_path: Path) -> None:
    """One journal, sixteen processes killed one after the other: before, at and behind an order, and anywhere."""
    path, rng = tmp_path / "a.db", np.random.default_rng(5)
    places = [1, 4, BEFORE_ORDER + 20, 1, 5, 6, 7, 8, *rng.integers(1, 300, 8).tolist()]
    assert _killed(*((path, place) for place in places)) == [-signal.SIGKILL] * len(places)
    verify(path)
    assert _killed((path, 0)) == [0]
    _check(path, whole)
    assert len(places) - 3 <= _replayed(path).sessions <= len(places)  # some died before they had said so


@pytest.mark.slow
def test_killed_at_every_place_around_an_order(whole: Replayed, tmp_path: Path) -> None:
    """The first order's bar (20 calls) and the next, place by place, each in a journal of its own."""
    paths = [(tmp_path / f"{place}.db", place) for place in range(BEFORE_ORDER, BEFORE_ORDER + 40)]
    assert _killed(*paths) == [-signal.SIGKILL] * len(paths)
    for path, _ in paths:
        _finish(path)
        _check(path, whole)


@pytest.mark.slow
def test_killed_from_outside_at_random_moments(whole: Replayed, tmp_path: Path) -> None:
    path, rng, kills = tmp_path / "a.db", np.random.default_rng(8), 0
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, PROGRAM, str(BARS), path], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            child.wait(rng.uniform(0.0, 0.01))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            kills += 1
        child.communicate(timeout=60)
    _finish(path)
    _check(path, whole)
    assert kills >= 2
