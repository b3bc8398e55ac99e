"""A policy that remembers, on paper: its state is threaded, journalled, kept over a restart, and ends at a gap."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.policy import Decision
from wavetank.envs.passport import Terrain, load_passport
from wavetank.envs.trading import TradingEnv
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.gates import Denial
from wavetank.execution.history import read_history
from wavetank.execution.journal import Journal, Kind, read_rows
from wavetank.execution.replay import replay
from wavetank.execution.session import Settings, Trader, begin, load_trader
from wavetank.execution.trail import Mismatch
from wavetank.experiments.evaluate import judge
from wavetank.market.bars import Bars
from wavetank.market.limits import Limits

from ..envs.passports import made
from ..market.handmade import drawn_bars
from .toy import made_bars, run_session, trader

KINDS = ("recurrent", "both")
WARM = {"recurrent": 60, "both": 68}  # the bar of the first decision: of windows, eight later


@pytest.fixture(scope="module")
def passport_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, folders = tmp_path_factory.mktemp("recurrent"), dict[str, Path]()

    def of(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = made(kind, folder / kind, of)
        return folders[kind]

    return of


class Watched:
    """A policy whose every call is kept: whether a state was given, and the state that came of it."""

    def __init__(self, policy: FrozenPolicy) -> None:
        self._policy = policy
        self.calls: list[tuple[bool, Decision]] = []

    def act(self, observations: Any, state: Any = None, starts: Any = None) -> Decision:
        decision = self._policy.act(observations, state, starts)
        self.calls.append((state is None or bool(starts is not None and starts[0]), decision))
        return decision


def drawn(count: int, **gaps: int) -> Bars:
    return drawn_bars(np.random.default_rng(11), count, gaps={int(k[1:]): v for k, v in gaps.items()})


def paper(path: Path, bars: Bars, used: Trader, settings: Settings | None = None) -> None:
    clock, journal = BarClock(), Journal(path)
    try:
        begin(journal, used, settings or Settings(), clock, source="drawn").run(ReplayFeed(bars, "drawn", clock))
    finally:
        journal.close()


def told_states(path: Path) -> list[str]:
    return [row.facts["state"] for row in read_rows(path, Kind.DECISION)]


def digest(decision: Decision) -> str:
    assert decision.state is not None
    return hashlib.sha256(decision.state.tobytes()).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_environment_and_paper_agree_on_every_bar_to_the_last_bit(
    passport_of: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    bars, path = drawn(400), tmp_path / "paper.db"
    paper(path, bars, load_trader(passport_of(kind), "live"))
    booked, passport = read_history(path), load_passport(passport_of(kind))
    track = judge(passport.policy, bars, passport.terrain)
    assert len(track) == len(booked) == 400 - WARM[kind] + 1
    assert track.equity.tolist() == booked.equity.tolist()
    assert track.fees.tolist() == booked.fees.tolist()
    assert booked.trades[-1] > 20
    env, state, seen = _env(bars, passport.terrain), None, list[str]()
    observation, _ = env.reset(seed=1)
    for action in booked.action[:-1]:
        decision = passport.policy.act(observation, state)
        state = decision.state
        seen.append(digest(decision))
        assert float(decision.action[0, 0]) == action
        observation = env.step(np.array([_exposure(action, passport.terrain)]))[0]
    assert told_states(path)[:-1] == seen
    assert len(set(seen)) == len(seen)


def _env(bars: Bars, terrain: Terrain) -> TradingEnv:
    return TradingEnv(
        bars, instrument=terrain.instrument, limits=terrain.limits, observation=terrain.spec, random_start=False
    )


def _exposure(action: float, terrain: Terrain) -> float:
    return float(action) if terrain.action == "box" else float(action) - 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_memory_reaches_across_a_gap_that_ends_a_segment(
    passport_of: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    """Three missing bars are crossed, four are not; behind these the policy starts on its first observation."""
    bars, warm = drawn(400, b150=3, b250=4), WARM[kind]
    used = load_trader(passport_of(kind), "live")
    watched = Watched(load_passport(passport_of(kind)).policy)
    paper(tmp_path / "a.db", bars, replace(used, policy=watched))
    decided = 250 - warm + 1  # decisions before the long gap
    assert [i for i, (starts, _) in enumerate(watched.calls) if starts] == [0, decided]
    assert len(watched.calls) == decided + (400 - 250 - warm + 1)
    assert told_states(tmp_path / "a.db") == [digest(decision) for _, decision in watched.calls]
    judged = Watched(watched._policy)
    judge(judged, bars, load_passport(passport_of(kind)).terrain.with_limits(Limits(mode="off")))
    begun = [i for i, (starts, _) in enumerate(judged.calls) if starts]
    assert begun == [0, decided - 1]  # an environment knows which bar is its last, and asks nothing there


@pytest.mark.parametrize("stop", [100, 256, 257, 280, 330])
def test_a_session_that_stops_goes_on_with_what_the_policy_remembered(
    passport_of: Callable[[str], Path], stop: int, tmp_path: Path
) -> None:
    bars, settings = drawn(360, b250=9), Settings(snapshot_every=64)
    paper(tmp_path / "whole.db", bars, load_trader(passport_of("recurrent"), "live"), settings)
    paper(tmp_path / "broken.db", bars.slice(0, stop), load_trader(passport_of("recurrent"), "live"), settings)
    paper(tmp_path / "broken.db", bars, load_trader(passport_of("recurrent"), "live"), settings)
    assert told_states(tmp_path / "broken.db") == told_states(tmp_path / "whole.db")
    found = [replay(tmp_path / name, load_trader) for name in ("whole.db", "broken.db")]
    assert found[0].to_json() == found[1].to_json()
    assert (found[0].bars, found[1].sessions) == (360, 2)


def test_a_replay_whose_policy_remembers_something_else_is_refused_at_the_decision(
    passport_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The same action out of another memory is another decision: the next one would differ."""

    class Forgetful:
        def __init__(self, policy: FrozenPolicy) -> None:
            self._policy = policy

        def act(self, observations: Any, state: Any = None) -> Decision:
            decision = self._policy.act(observations, state)
            assert decision.state is not None
            return decision._replace(state=np.nextafter(decision.state, np.float32(9)))

    paper(tmp_path / "a.db", drawn(100), load_trader(passport_of("recurrent"), "live"))

    def load(folder: Path, limits: str) -> Trader:
        return replace(load_trader(folder, limits), policy=Forgetful(load_passport(folder).policy))

    with pytest.raises(Mismatch, match=r"row \d+ differs: the journal says decision .*state"):
        replay(tmp_path / "a.db", load)


def test_a_policy_that_keeps_nothing_has_no_state_in_its_journal(
    passport_of: Callable[[str], Path], tmp_path: Path
) -> None:
    paper(tmp_path / "a.db", drawn(100), load_trader(passport_of("windowed"), "live"))
    decisions = [row.facts for row in read_rows(tmp_path / "a.db", Kind.DECISION)]
    assert {tuple(sorted(facts)) for facts in decisions} == {("action", "confidence")}


class Losing:
    """Wants half until it loses its mind at the fourth bar; it answers a broken memory with an exception."""

    def __init__(self) -> None:
        self._bars = 0

    def act(self, observations: Any, state: Any = None) -> Decision:
        if state is not None and not np.isfinite(state).all():
            raise ValueError("state 0, column 0 is nan")
        self._bars += 1
        one = np.ones(1, np.float32)
        kept = np.full((1, 2), np.nan if self._bars == 4 else 0.0, np.float32)
        return Decision(np.array([[0.5]], np.float32), one, one, kept)


def test_a_memory_that_is_no_number_sends_no_order_and_then_closes(tmp_path: Path) -> None:
    runner = run_session(tmp_path / "a.db", made_bars(66), trader(Losing()))
    told = read_history(tmp_path / "a.db")
    assert told.lots[3] > 0
    assert told.allowed[3] == 0
    assert told.allowed[4] == -told.lots[3]
    assert list(told.state) == [0, 0, 0, 2, 2, 2, 2]
    assert told.lots[-1] == 0
    assert runner.parts.gates.halted_by == Denial.STATE_NOT_FINITE
    assert replay(tmp_path / "a.db", lambda folder, mode: trader(Losing())).orders == 2
