"""The store under kill -9 and under two writers, in processes of their own: what was acknowledged is there, whole."""

import fcntl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wavetank.market.bars import Bars
from wavetank.market.store import Store, write_bars

from .handmade import MIDNIGHT, drawn_bars
from .stored import assert_same

WEEK = 7 * 24
BARS = drawn_bars(np.random.default_rng(1), 12 * WEEK)  # three months, in batches of one week
SERIES = ("binance", "DRAWN", "1h")

# Appends weeks, each a growth of one month or two, and says so once the store has acknowledged it.
CHILD = """
import sys
from wavetank.market.store import Store, read_bars
root, file, weeks = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
bars, store = read_bars(file), Store(root)
for week in weeks:
    added = store.append("binance", "DRAWN", bars.slice(week * 168, (week + 1) * 168), source="child")
    print(week, added.new, flush=True)
"""

# Forks for the first, second, … touch of the file system or of SQLite in one append, and dies right before it.
DYING = """
import os, signal, sys
from pathlib import Path
from wavetank.market.store import Store, read_bars
root, bars = Path(sys.argv[1]), read_bars(sys.argv[2])
TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "sqlite3.connect", "sqlite3.connect/handle")

def die_before(touch):
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event in TOUCHES:
            count += 1
            if count == touch:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for touch in range(1, 200):
    child = os.fork()
    if child == 0:
        die_before(touch)
        Store(root / str(touch)).append("binance", "DRAWN", bars.slice(0, 500), source="first")
        Store(root / str(touch)).append("binance", "DRAWN", bars.slice(400, 900), source="second")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(touch, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
"""

HOLDER = """
import signal, sys
from pathlib import Path
from wavetank.market.durable import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "bars.parquet", BARS)


def _start(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True)


def _weeks(store: Store) -> set[int]:
    """Weeks in the store; half a week is a half-written append."""
    read = store.read(*SERIES)
    rows = np.searchsorted(BARS.opened_at, read.opened_at)
    assert_same(read, Bars.from_rows("1h", [BARS.bar(int(i)) for i in rows], "DRAWN"))
    weeks, counts = np.unique(rows // WEEK, return_counts=True)
    assert set(counts) == {WEEK}
    return {int(week) for week in weeks}


@pytest.mark.slow
def test_an_append_killed_before_any_of_its_steps_is_there_whole_or_not_at_all(tmp_path: Path, file: Path) -> None:
    root = tmp_path / "stores"
    root.mkdir()
    with _start(DYING, root, file) as child:
        assert child.stdout is not None
        ends = [tuple(map(int, line.split())) for line in child.stdout]
    assert child.returncode == 0
    *killed, lived = ends
    assert lived[1] == 0
    assert len(killed) > 25
    assert {signal for _, signal in killed} == {9}
    seen = set()
    for touch, _ in ends:
        store = Store(root / str(touch))
        count = len(store.read(*SERIES)) if store.series() else 0
        seen.add(count)  # a new month; then a month that grows and a new one
        if count:
            assert_same(store.read(*SERIES), BARS.slice(0, count))
        store.append("binance", "DRAWN", BARS.slice(0, 900), source="after")
        assert store.verify() == [], touch  # no file is left over, none is damaged
        assert_same(store.read(*SERIES), BARS.slice(0, 900))
    assert seen == {0, 500, 900}


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kill_9_at_any_moment(tmp_path: Path, file: Path) -> None:
    rng = np.random.default_rng(4)
    store, acknowledged, kills = Store(tmp_path / "store"), set[int](), 0
    while len(acknowledged) < 12:
        order = rng.permutation(sorted(set(range(12)) - acknowledged))
        with _start(CHILD, store.root, file, *order) as child:
            assert child.stdout is not None
            for _ in range(int(rng.integers(1, 3))):
                line = child.stdout.readline()
                if line:
                    acknowledged.add(int(line.split()[0]))
            for _ in range(int(rng.integers(0, 200_000))):
                pass  # somewhere inside the next append
            child.kill()
            acknowledged |= {int(line.split()[0]) for line in child.stdout}
        kills += child.returncode == -9
        held = _weeks(store)
        assert acknowledged <= held
        assert len(held) <= len(acknowledged) + 1
        assert all("is named by no row" in words for words in store.verify())  # garbage may lie about, unread
        assert _weeks(store) == held
        acknowledged = held
    assert kills > 3
    store.append("binance", "DRAWN", BARS, source="after")
    assert store.verify() == []
    assert_same(store.read(*SERIES), BARS)


def test_two_processes_that_append_to_the_same_months_lose_nothing(tmp_path: Path, file: Path) -> None:
    store = Store(tmp_path / "store")
    forward, backward = [0, 2, 4, 6, 8, 10, 1, 3], [11, 9, 7, 5, 3, 1, 10, 0]
    with _start(CHILD, store.root, file, *forward) as one, _start(CHILD, store.root, file, *backward) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        lines = [line.split() for line in (*one.stdout, *other.stdout)]
    assert (one.returncode, other.returncode) == (0, 0)
    assert len(lines) == len(forward) + len(backward)
    assert sum(int(new) for _, new in lines) == len(BARS)  # each week counted as new by one of the two
    assert_same(store.read(*SERIES), BARS)
    assert store.verify() == []
    assert len(list(store.root.rglob("*.parquet*"))) == 3
    assert int(BARS.opened_at[0]) == MIDNIGHT


def test_a_dead_holder_of_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.append("binance", "DRAWN", BARS.slice(0, 1), source="test")
    with _start(HOLDER, store.root / "store.lock") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (store.root / "store.lock").open("a") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    assert store.append("binance", "DRAWN", BARS.slice(0, WEEK), source="test").new == WEEK - 1
