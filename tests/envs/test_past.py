import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests.memory.walks import HOUR_MS, walk

from wavetank.envs.past import Fed, Live, Nothing, Past, Tabled
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import PastError
from wavetank.memory.store import MarketMemory, Neighbour, Payload

ROOT = Path(__file__).parents[2]
BARS = walk(420, gap_at=300)
EMBEDDER = Embedder.fit(BARS, 200, window=32, width=12)
HORIZON, K = 6, 10


def live(memory: MarketMemory) -> Live:
    return Live(memory, EMBEDDER, interval="1h", symbol="X", k=K, horizon=HORIZON)


def opened(path: Path) -> EdgeMemory:
    return EdgeMemory(path, EMBEDDER.width, embedder=EMBEDDER.digest)


@pytest.fixture(scope="module")
def tabled() -> Tabled:
    return Tabled.of(BARS, EMBEDDER, k=K, horizon=HORIZON)


def test_live_and_tabled_columns_are_equal_to_the_last_bit(tmp_path: Path, tabled: Tabled) -> None:
    with opened(tmp_path / "s") as memory:
        past, available = live(memory), 0.0
        for bar, closed_at in zip(BARS, BARS.closed_at.tolist(), strict=True):
            past.on_bar(bar)
            row = past.columns(closed_at)
            np.testing.assert_array_equal(row, tabled.columns(closed_at))
            assert row.dtype == np.float32
            available += float(row[MEMORY_COLUMNS.index("available")])
        assert available > 150
        assert memory.count() == (300 - 31 - HORIZON) + (120 - 31 - HORIZON)


class Ledger:
    """A store that only writes down what it is given, and when it is known."""

    width = EMBEDDER.width

    def __init__(self) -> None:
        self.known: list[int] = []

    def upsert(self, ids: Sequence[int], vectors: ArrayLike, payloads: Sequence[Payload]) -> None:
        self.known += [payload["known"] for payload in payloads]

    def query(
        self,
        vector: ArrayLike,
        as_of: int,
        k: int,
        *,
        symbol: str | None = None,
        embargo: int = 0,
        exact: bool = True,
        ef: int | None = None,
    ) -> list[Neighbour]:
        raise AssertionError((exact, ef))

    def count(self) -> int:
        return len(self.known)

    def optimize(self) -> bool:
        return False

    def close(self) -> None: ...


def test_a_moment_is_stored_with_the_bar_that_makes_its_outcome_known_and_not_before() -> None:
    ledger = Ledger()
    past = live(ledger)
    for t in range(200):
        before = ledger.count()
        past.on_bar(BARS.bar(t))
        assert ledger.known[before:] == ([int(BARS.closed_at[t])] if t >= 31 + HORIZON else [])


def test_how_the_store_is_asked_is_one_of_the_terms(tmp_path: Path) -> None:
    ledger = Ledger()
    asked = Live(ledger, EMBEDDER, interval="1h", symbol="X", k=K, horizon=HORIZON, exact=False, ef=99)
    for bar in BARS.slice(0, 40):
        asked.on_bar(bar)
    with pytest.raises(AssertionError, match=r"\(False, 99\)"):
        asked.columns(int(BARS.closed_at[39]))
    with pytest.raises(PastError, match="saved with exact False, not True"):
        live(ledger).restore(asked.state())
    with pytest.raises(PastError, match="ef 99 is a matter of the approximate search"):
        Live(ledger, EMBEDDER, interval="1h", ef=99)


def test_after_a_restart_the_same_bars_may_come_again(tmp_path: Path, tabled: Tabled) -> None:
    with opened(tmp_path / "s") as memory:
        past = live(memory)
        for bar in BARS.slice(0, 200):
            past.on_bar(bar)
        state = past.state()
        for bar in BARS.slice(200, 215):  # the store runs ahead of the state that was saved
            past.on_bar(bar)
    with opened(tmp_path / "s") as memory:
        before = memory.count()
        again = live(memory)
        again.restore(state)
        np.testing.assert_array_equal(again.columns(int(BARS.closed_at[199])), tabled.columns(BARS.closed_at[199]))
        for bar, closed_at in zip(BARS.slice(200, 330), BARS.closed_at[200:330].tolist(), strict=True):
            again.on_bar(bar)
            np.testing.assert_array_equal(again.columns(closed_at), tabled.columns(closed_at))
            assert memory.count() >= before


def run_for_ever(path: str, state_file: str) -> None:
    """Feed bars; save the state after each; never close."""
    past = live(opened(Path(path)))
    for i, bar in enumerate(BARS.slice(0, 290)):
        past.on_bar(bar)
        part = Path(state_file + ".part")
        part.write_bytes(past.state())
        part.replace(state_file)
        sys.stdout.write(f"{i}\n")
        sys.stdout.flush()
    signal.pause()


def test_after_a_kill_the_past_goes_on_as_if_nothing_had_happened(tmp_path: Path, tabled: Tabled) -> None:
    path, state_file = tmp_path / "s", tmp_path / "state"
    code = f"from tests.envs.test_past import run_for_ever; run_for_ever({str(path)!r}, {str(state_file)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(150):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    state = state_file.read_bytes()
    next_bar = int(np.searchsorted(BARS.opened_at, json.loads(state)["bars"][-1][0])) + 1
    assert next_bar >= 150
    with opened(path) as memory:
        past = live(memory)
        past.restore(state)
        for i in range(next_bar, min(next_bar + 40, len(BARS))):
            past.on_bar(BARS.bar(i))
            closed_at = int(BARS.closed_at[i])
            np.testing.assert_array_equal(past.columns(closed_at), tabled.columns(closed_at))


def run_into_the_gap(path: str, state_file: str, last: int) -> None:
    """Save the state behind every bar but the last, whose moment the store has taken: then wait to be killed."""
    past = live(opened(Path(path)))
    for i in range(last + 1):
        past.on_bar(BARS.bar(i))
        if i < last:
            part = Path(state_file + ".part")
            part.write_bytes(past.state())
            part.replace(state_file)
    sys.stdout.write("stored\n")
    sys.stdout.flush()
    signal.pause()


@pytest.mark.parametrize("last", [37, 120, 345])  # the first moment ever, one of many, one behind a gap
def test_a_kill_between_the_stored_moment_and_the_saved_state_changes_nothing(
    tmp_path: Path, tabled: Tabled, last: int
) -> None:
    path, state_file = tmp_path / "s", tmp_path / "state"
    call = f"run_into_the_gap({str(path)!r}, {str(state_file)!r}, {last})"
    code = f"from tests.envs.test_past import run_into_the_gap; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    with opened(path) as memory:
        held = memory.count()
        past = live(memory)
        past.restore(state_file.read_bytes())
        for i in range(last, min(last + 40, len(BARS))):
            past.on_bar(BARS.bar(i))
            if i == last:
                assert memory.count() == held  # the moment that came again replaced itself
            closed_at = int(BARS.closed_at[i])
            assert past.columns(closed_at).tobytes() == tabled.columns(closed_at).tobytes()


def test_a_bar_whose_outcome_could_not_be_stored_may_come_again(
    tmp_path: Path, tabled: Tabled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PastError("the disk is full")

    with opened(tmp_path / "s") as memory:
        past = live(memory)
        for i, closed_at in enumerate(BARS.closed_at[:200].tolist()):
            if i % 9 == 5 and i > 40:
                with monkeypatch.context() as patch:
                    patch.setattr(memory, "upsert", refuse)
                    with pytest.raises(PastError, match="the disk is full"):
                        past.on_bar(BARS.bar(i))
            past.on_bar(BARS.bar(i))
            np.testing.assert_array_equal(past.columns(closed_at), tabled.columns(closed_at))


def test_a_store_that_lost_its_moments_is_refused_at_restart(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as memory:
        past = live(memory)
        for bar in BARS.slice(0, 100):
            past.on_bar(bar)
        state = past.state()
    with opened(tmp_path / "empty") as memory, pytest.raises(PastError, match="the store has lost the moment"):
        live(memory).restore(state)


def test_a_state_of_other_terms_or_of_no_terms_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as memory:
        state = live(memory).state()
        other = Live(memory, EMBEDDER, interval="1h", symbol="X", k=K, horizon=HORIZON + 1)
        with pytest.raises(PastError, match="saved with horizon 6, not 7"):
            other.restore(state)
        with pytest.raises(PastError, match="the saved state of the live past cannot be read"):
            live(memory).restore(b"{")


def test_live_answers_for_the_last_close_only_and_takes_no_old_bar(tmp_path: Path) -> None:
    with opened(tmp_path / "s") as memory:
        past = live(memory)
        with pytest.raises(PastError, match="stands at the close of None"):
            past.columns(int(BARS.closed_at[0]))
        past.on_bar(BARS.bar(0))
        with pytest.raises(PastError, match="it was asked about"):
            past.columns(int(BARS.closed_at[1]))
        with pytest.raises(ValueError, match="repeats the one before it"):
            past.on_bar(BARS.bar(0))
        past.on_bar(BARS.bar(1))  # the refused bar left no trace
        assert past.columns(int(BARS.closed_at[1])).tolist() == [0.0] * 10


def test_live_wants_a_store_of_its_embedders_width(tmp_path: Path) -> None:
    with EdgeMemory(tmp_path / "s", 5) as memory, pytest.raises(PastError, match="5 wide, the embedder 12"):
        live(memory)


def test_a_table_knows_its_own_instants_only(tabled: Tabled) -> None:
    with pytest.raises(ValueError, match=f"no row for the close at {int(BARS.closed_at[0]) + 1}"):
        tabled.columns(int(BARS.closed_at[0]) + 1)
    with pytest.raises(ValueError, match="no row for the close at"):
        tabled.columns(int(BARS.closed_at[-1]) + HOUR_MS)
    part = BARS.slice(100, 320)
    np.testing.assert_array_equal(tabled.matrix_for(part)[7], tabled.columns(int(part.closed_at[7])))
    assert tabled.matrix_for(part).shape == (220, 10)
    with pytest.raises(ValueError, match="no row for the close at"):
        tabled.matrix_for(walk(500))


@pytest.mark.parametrize(
    ("instants", "matrix", "sentence"),
    [
        ([1, 2], np.zeros((2, 9)), r"is \(2, 9\), it must be \(2, 10\)"),
        ([1, 2], np.full((2, 10), np.nan), "holds NaN"),
        ([2, 2], np.zeros((2, 10)), "must rise"),
    ],
)
def test_a_matrix_that_cannot_be_a_past_is_refused(
    instants: list[int], matrix: "np.typing.NDArray[np.float64]", sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Tabled(instants, matrix)


def test_rows_of_a_table_belong_to_the_caller(tabled: Tabled) -> None:
    closed_at = int(BARS.closed_at[250])
    row = tabled.columns(closed_at)
    row += 1.0
    assert not np.array_equal(tabled.columns(closed_at), row)


def test_nothing_has_no_columns_and_only_live_must_be_fed(tmp_path: Path, tabled: Tabled) -> None:
    assert Nothing().columns(5).shape == (0,)
    with opened(tmp_path / "s") as memory:
        pasts: list[Past] = [Nothing(), tabled, live(memory)]
        assert [isinstance(past, Fed) for past in pasts] == [False, False, True]
