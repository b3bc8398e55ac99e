"""The loop: what it journals and when, what stops it, and how a kill reaches it."""

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.envs.desk import Desk
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.gates import Denial
from wavetank.execution.history import read_history
from wavetank.execution.journal import JournalError, Kind, Row, read_rows
from wavetank.execution.parts import Step
from wavetank.execution.replay import replay
from wavetank.execution.runner import Runner, RunnerError
from wavetank.execution.session import Settings
from wavetank.market.bars import Bar
from wavetank.market.limits import Limits, State
from wavetank.market.orders import Order

from .toy import SPEC, Says, ToyPolicy, made_bars, run_session, session, terms, trader

WARM_AT = 60  # the toy's columns need 60 bars


def rows_of(path: Path, *kinds: Kind) -> list[Row]:
    return list(read_rows(path, *kinds))


def test_one_bar_is_journalled_in_the_order_of_its_steps(tmp_path: Path) -> None:
    run_session(tmp_path / "a.db", made_bars(WARM_AT + 1), trader(Says(0.5)))
    kinds = [row.kind for row in rows_of(tmp_path / "a.db")]
    cold = ["bar", "clock", "account"]
    decided = ["bar", "clock", "account", "observation", "decision", "verdict", "intent", "ack"]
    filled = ["bar", "clock", "fill", "account", "observation", "decision", "verdict"]  # then inside the dead-band
    assert kinds == ["session", *cold * (WARM_AT - 1), *decided, *filled]


def test_everything_is_durable_before_the_venue_hears_of_it(tmp_path: Path) -> None:
    journal, runner, feed = session(tmp_path / "a.db", made_bars(120))
    venue, seen = runner.parts.venue, []
    inner = venue.submit

    def submit(order: Order) -> Any:
        last = rows_of(tmp_path / "a.db")[-1]  # through another connection: committed rows only
        seen.append((last.kind, last.facts["client_id"] == order.client_id))
        return inner(order)

    venue.submit = submit  # type: ignore[method-assign]  # a spy
    runner.run(feed)
    journal.close()
    assert len(seen) > 20
    assert set(seen) == {("intent", True)}


def test_orders_fill_at_the_next_open_under_their_own_ids(tmp_path: Path) -> None:
    bars = made_bars(WARM_AT + 1)
    run_session(tmp_path / "a.db", bars, trader(Says(0.5)))
    (fill,) = read_history(tmp_path / "a.db").fills
    assert fill.client_id == f"wt-5ea1ed00-{WARM_AT:09d}-0"
    assert fill.at == bars.closed_at[WARM_AT]
    close, opened = float(bars.close[WARM_AT - 1]), float(bars.open[WARM_AT])
    assert fill.lots == int(0.5 * 2.0 * 100_000 / close / 0.001)
    assert opened < fill.price < opened * 1.01


@pytest.mark.parametrize(
    ("action", "code"), [(math.nan, "action_not_finite"), (math.inf, "action_not_finite"), (1.5, "action_out_of_range")]
)
def test_a_senseless_action_sends_no_order_and_then_closes(tmp_path: Path, action: float, code: str) -> None:
    run_session(tmp_path / "a.db", made_bars(WARM_AT + 6), trader(Says(0.5, 0.5, action, 0.5)))
    told = read_history(tmp_path / "a.db")
    assert told.allowed[2] == 0
    assert told.allowed[3] == -told.lots[2]
    assert list(told.state) == [0, 0, 2, 2, 2, 2, 2]
    assert told.lots[-1] == 0
    (risk,) = rows_of(tmp_path / "a.db", Kind.RISK)
    assert risk.facts == {"from": "ACTIVE", "to": "HALTED", "causes": [code]}
    assert replay(tmp_path / "a.db", lambda folder, mode: trader(Says(0.5, 0.5, action, 0.5))).orders == 2


@pytest.mark.parametrize("action", [math.nan, 1.5])
def test_a_policy_that_stays_senseless_cannot_keep_its_position(tmp_path: Path, action: float) -> None:
    run_session(tmp_path / "a.db", made_bars(WARM_AT + 6), trader(Says(0.5, 0.5, action)))
    told = read_history(tmp_path / "a.db")
    assert told.lots[2] != 0
    assert told.allowed[2] == 0  # the bar that finds it sends nothing
    assert told.allowed[3] == -told.lots[2]
    assert list(told.lots[4:]) == [0] * len(told.lots[4:])
    assert replay(tmp_path / "a.db", lambda folder, mode: trader(Says(0.5, 0.5, action))).orders == 2


def test_an_observation_with_a_hole_sends_no_order_and_halts(tmp_path: Path) -> None:
    class Blind(Desk):
        def observe(self, account: Any) -> Any:
            return np.full(SPEC.width, np.nan, np.float32)

    used = trader()
    blind = Blind(SPEC, terms(), 3_600_000)
    object.__setattr__(used, "desk", blind)
    runner = run_session(tmp_path / "a.db", made_bars(WARM_AT + 2), used)
    assert runner.last is not None
    assert runner.last.state == State.HALTED
    assert rows_of(tmp_path / "a.db", Kind.DECISION, Kind.INTENT) == []


def test_a_late_bar_allows_no_new_risk(tmp_path: Path) -> None:
    class Slow(BarClock):
        def now_ms(self) -> int:
            return super().now_ms() + 4 * 3_600_000

    journal, runner, feed = session(tmp_path / "a.db", made_bars(90))
    object.__setattr__(runner.parts, "clock", slow := Slow())
    feed._clock = slow
    runner.run(feed)
    journal.close()
    told = read_history(tmp_path / "a.db")
    assert np.count_nonzero(told.asked) > 20
    assert not np.any(told.allowed)
    verdicts = [row.facts for row in rows_of(tmp_path / "a.db", Kind.VERDICT)]
    assert {tuple(facts["codes"]) for facts in verdicts if facts["asked"]} == {("stale_bar",)}


def test_behind_a_gap_nothing_is_added_until_the_columns_are_warm(tmp_path: Path) -> None:
    run_session(tmp_path / "a.db", made_bars(300, gap_at=150), trader(Says(0.5, 0.5, 1.0)))
    told = read_history(tmp_path / "a.db")
    held = 150 - WARM_AT + 1  # row of the bar behind the gap
    assert list(told.state[held - 1 : held + 61]) == [0] + [1] * 59 + [0, 0]
    assert not np.any(told.allowed[held : held + 59])
    assert np.all(np.isnan(told.action[held : held + 59]))
    assert told.lots[held] == told.lots[held - 1] != 0


def test_bars_that_cannot_be_true_are_dropped_and_told(tmp_path: Path) -> None:
    bars = list(made_bars(70))
    bars[62:62] = [bars[61], bars[61]._replace(opened_at=bars[62].opened_at, close=math.nan)]

    class Given:
        def next(self) -> Bar | None:
            return bars.pop(0) if bars else None

        def resume(self, last: Bar) -> None: ...

    journal, runner, _ = session(tmp_path / "a.db", made_bars(2))
    object.__setattr__(runner.parts, "clock", _Always(0))
    runner.run(Given())
    journal.close()
    reasons = [row.facts["reason"] for row in rows_of(tmp_path / "a.db", Kind.DROPPED)]
    assert len(reasons) == 2
    assert "not after the last one" in reasons[0]
    assert "not all above 0" in reasons[1]
    assert runner.bars == 70


class _Always:
    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


class _Broken(ToyPolicy):
    def act(self, *given: Any, **named: Any) -> Any:
        raise FloatingPointError("a gradient came back")


def test_a_fault_is_journalled_stops_the_loop_and_leaves_the_bar_to_the_next_start(tmp_path: Path) -> None:
    bars = made_bars(100)
    with pytest.raises(FloatingPointError):
        run_session(tmp_path / "a.db", bars, trader(_Broken()))
    rows = rows_of(tmp_path / "a.db")
    assert rows[-1].facts == {"error": "FloatingPointError: a gradient came back"}
    assert len(rows_of(tmp_path / "a.db", Kind.BAR)) == WARM_AT - 1
    run_session(tmp_path / "a.db", bars)
    run_session(tmp_path / "b.db", bars)
    assert _digest(tmp_path / "a.db") == _digest(tmp_path / "b.db")


def test_nothing_goes_out_when_the_journal_cannot_be_written(tmp_path: Path) -> None:
    journal, runner, feed = session(tmp_path / "a.db", made_bars(100))
    journal._connection.execute("PRAGMA query_only = 1")  # as a full or read-only disk answers
    sent = list[Order]()
    runner.parts.venue.submit = sent.append  # type: ignore[method-assign, assignment]  # a spy
    with pytest.raises(Exception, match="readonly|query_only|attempt to write"):
        runner.run(feed)
    journal.close()
    assert sent == []
    assert len(rows_of(tmp_path / "a.db")) == 1


def test_a_kill_is_journalled_closes_the_position_and_survives_the_restart(tmp_path: Path) -> None:
    bars = made_bars(200)
    at = 150
    journal, runner, feed = session(tmp_path / "a.db", bars.slice(0, at), trader(Says(0.8)))
    runner.run(feed)
    assert runner.last is not None
    assert runner.last.account.lots > 0
    row = runner.kill("me")
    assert rows_of(tmp_path / "a.db")[row - 1].facts == {"by": "me"}
    journal.close()
    again = run_session(tmp_path / "a.db", bars, trader(Says(0.8)))
    told = read_history(tmp_path / "a.db")
    after = at - WARM_AT + 1
    assert told.allowed[after] == -told.lots[after] != 0
    assert set(told.lots[after + 1 :]) == {0}
    assert set(told.state[after:]) == {2}
    assert again.parts.gates.halted_by == Denial.KILLED
    found = replay(tmp_path / "a.db", lambda folder, mode: trader(Says(0.8)))
    assert (found.kills, found.bars, found.sessions) == (1, 200, 2)


def test_a_kill_reaches_a_loop_that_waits_for_a_bar_and_one_that_runs(tmp_path: Path) -> None:
    bars, arrived, release = made_bars(120), threading.Event(), threading.Event()
    journal, runner, feed = session(tmp_path / "a.db", bars)

    class Waiting(ReplayFeed):
        def next(self) -> Bar | None:
            if len(self) == 20:
                arrived.set()
                assert release.wait(30)
            return super().next()

    clock = BarClock()
    object.__setattr__(runner.parts, "clock", clock)
    loop = threading.Thread(target=runner.run, args=(Waiting(bars, "toy", clock),))
    loop.start()
    assert arrived.wait(30)
    row = runner.kill("a person", timeout_s=30)
    assert len(rows_of(tmp_path / "a.db")) == row  # durable at once, while no bar comes
    release.set()
    loop.join()
    runner.close()
    with pytest.raises(RunnerError, match="nothing left to kill"):
        runner.kill("too late")
    journal.close()
    assert set(read_history(tmp_path / "a.db").state[-19:]) == {2}
    assert feed.next() is not None


def test_kills_from_many_threads_come_between_bars(tmp_path: Path) -> None:
    bars = made_bars(400)
    journal, runner, feed = session(tmp_path / "a.db", bars)
    started = threading.Event()
    rows: list[int] = []

    def shoot(n: int) -> None:
        assert started.wait(30)
        rows.append(runner.kill(f"thread {n}", timeout_s=30))

    threads = [threading.Thread(target=shoot, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    runner._watch = lambda step: started.set()
    runner.run(feed)
    for thread in threads:
        thread.join()
    journal.close()
    assert sorted(rows) == [row.seq for row in rows_of(tmp_path / "a.db", Kind.KILL)]
    assert replay(tmp_path / "a.db", lambda folder, mode: trader()).kills == 4


def test_a_bar_in_work_makes_the_kill_wait_and_say_so(tmp_path: Path) -> None:
    journal, runner, _ = session(tmp_path / "a.db", made_bars(2))
    with runner._turn, pytest.raises(RunnerError, match="did not end within 0.1 s"):
        runner.kill("me", timeout_s=0.1)
    journal.close()


def test_a_desk_that_asks_for_two_orders_is_refused(tmp_path: Path) -> None:
    class Greedy(Desk):
        def orders(self, action: float, account: Any) -> list[Order]:
            return [Order(1), Order(2)]

    used = trader()
    object.__setattr__(used, "desk", Greedy(SPEC, terms(), 3_600_000))
    with pytest.raises(ValueError, match="asks for 2 orders at once"):
        run_session(tmp_path / "a.db", made_bars(70), used)


def test_another_policy_or_other_settings_are_refused_on_the_same_journal(tmp_path: Path) -> None:
    bars = made_bars(70)
    run_session(tmp_path / "a.db", bars)
    count = len(rows_of(tmp_path / "a.db"))
    with pytest.raises(JournalError, match=r"was begun by policy toy \(5ea1ed00\), not by toy \(0ther\)"):
        run_session(tmp_path / "a.db", bars, trader(digest="0ther"))
    with pytest.raises(JournalError, match=r"was begun with cash 100000.0, not 5.0"):
        run_session(tmp_path / "a.db", bars, settings=Settings(cash=5.0))
    with pytest.raises(JournalError, match=r"was begun with drawdown 0.95, not 0.2"):
        run_session(tmp_path / "a.db", bars, trader(limits=Limits(mode="live", daily_loss=0.5)))
    assert len(rows_of(tmp_path / "a.db")) == count


def test_watchers_see_new_bars_alone(tmp_path: Path) -> None:
    bars, seen = made_bars(130), list[Step]()
    run_session(tmp_path / "a.db", bars.slice(0, 100))
    journal, runner, feed = session(tmp_path / "a.db", bars, watch=seen.append)
    runner.run(feed)
    journal.close()
    assert [step.number for step in seen] == list(range(101, 131))


def _digest(path: Path) -> str:
    return replay(path, lambda folder, mode: trader()).digest


def test_runner_keeps_no_state_outside_its_snapshot(tmp_path: Path) -> None:
    """Whatever a class attribute or a forgotten field kept would make the second half differ."""
    bars = made_bars(300, gap_at=100)
    whole = run_session(tmp_path / "a.db", bars, settings=Settings(snapshot_every=50))
    for stop in (40, 50, 101, 149, 150, 151, 299):
        run_session(tmp_path / "b.db", bars.slice(0, stop), settings=Settings(snapshot_every=50))
    halves: Runner = run_session(tmp_path / "b.db", bars, settings=Settings(snapshot_every=50))
    assert _digest(tmp_path / "a.db") == _digest(tmp_path / "b.db")
    assert whole.last is not None
    assert halves.last is not None
    assert whole.last.account == halves.last.account
