"""A policy beside itself without its memory: in a market that a memory can know, and in one that nothing can."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.agents.policy import Decision
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import load_passport
from wavetank.envs.past import Tabled
from wavetank.envs.remembrance import Remembrance
from wavetank.experiments.ablation import (
    OFF,
    SHUFFLED,
    Ablation,
    Forgetful,
    check_memory,
    compared,
    difference_of,
    section_of,
    shuffled_course,
    shuffled_pasts,
    verdict_of,
    walks_without,
)
from wavetank.experiments.course import CourseError, open_course
from wavetank.experiments.evaluate import Track, judge, run_policy
from wavetank.experiments.examine import examine, walks_of
from wavetank.experiments.statistics import Interval
from wavetank.experiments.train import RunResult, train
from wavetank.market.bars import Bars
from wavetank.market.limits import Limits
from wavetank.market.store import write_bars
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import Embedding, PastError
from wavetank.simulators.patterns import LENGTH, patterns
from wavetank.simulators.processes import RandomWalk, random_walk

from .conftest import NOW, config_of
from .made_bars import wandering

SPEC = ObservationSpec.load("spine_memory")
MEAN, AGREEMENT = SPEC.columns.index("outcome_mean"), SPEC.columns.index("agreement")
UNLIMITED = Limits(mode="off")
Singles = NDArray[np.float32]


class Believes:
    """Goes all the way in the direction of what followed similar moments, if these agree."""

    def act(self, observations: Singles, state: Any = None, starts: Any = None) -> Decision:
        seen = np.atleast_2d(observations)
        wish = np.where(seen[:, AGREEMENT] > 0.5, np.sign(seen[:, MEAN]), 0.0)
        return Decision(
            wish[:, None].astype(np.float32), np.ones(len(seen), np.float32), np.zeros(len(seen), np.float32)
        )


class Ground:
    """Bars of which the first two thirds are the embedder's, and the rest is walked through."""

    def __init__(self, bars: Bars) -> None:
        self.bars, self.start = bars, len(bars) * 2 // 3
        self.memory = Remembrance(Embedder.fit(bars.slice(0, self.start)), bars.symbol, "1h", 16, LENGTH)
        self.past = Tabled.of(bars, self.memory.embedder, k=16, horizon=LENGTH)

    def judged(self, policy: Any, *, name: str, past: Tabled | None = None) -> Track:
        return run_policy(
            policy, self.bars, spec=SPEC, past=past or self.past, start=self.start, limits=UNLIMITED, name=name
        )

    def ablation(self, mode: str, seeds: int = 4) -> tuple[Ablation, Track]:
        pasts = shuffled_pasts(self.bars, self.memory, 3, seeds) if mode == SHUFFLED else iter(())
        ours = self.judged(Believes(), name="policy")
        without = walks_without(Believes(), SPEC, mode, pasts, self.judged, lambda _: None)
        return compared(mode, ours, without, run_seed=3), ours


@pytest.fixture(scope="module")
def words() -> Ground:
    return Ground(patterns(9000, rng=np.random.default_rng(5)))


@pytest.mark.slow
def test_where_the_past_knows_the_future_memory_gains_and_shuffled_outcomes_lose_the_gain(words: Ground) -> None:
    shuffled, ours = words.ablation(SHUFFLED)
    off, _ = words.ablation(OFF)

    assert ours.equity[-1] > 2.0 * ours.equity[0]
    assert shuffled.ahead.low > 0.0
    assert shuffled.before_fees.low > 0.0
    assert verdict_of(shuffled) == verdict_of(off) == "its memory helps it"
    assert max(figures["total_return"] for figures in shuffled.figures) < 0.1
    assert off.figures[0]["trades"] == 0.0  # nothing is known, so nothing is believed
    assert off.ahead.estimate * off.periods == pytest.approx(np.log(ours.equity[-1] / ours.equity[0]))


@pytest.mark.slow
def test_where_nothing_can_be_known_no_memory_is_said_to_help() -> None:
    ground = Ground(random_walk(6000, rng=np.random.default_rng(2), parameters=RandomWalk(return_sd=0.005)))
    shuffled, ours = ground.ablation(SHUFFLED)

    assert ours.trades[-1] > 100
    assert shuffled.before_fees.low < 0.0 < shuffled.before_fees.high
    assert verdict_of(shuffled) != "its memory helps it"


def test_shuffled_pasts_keep_the_neighbours_and_change_what_followed_them() -> None:
    bars = wandering(700)
    memory = Remembrance(Embedder.fit(bars.slice(0, 400)), bars.symbol, "1h", 16, 8)
    known = Tabled.of(bars, memory.embedder, k=16, horizon=8).matrix_for(bars)
    first, second, again = (
        past.matrix_for(bars) for seeds in (2, 1) for past in shuffled_pasts(bars, memory, 5, seeds)
    )

    of_neighbours = [SPEC.memory.index(name) for name in ("novelty", "log_effective_k", "available")]
    for one in (first, second):
        assert np.array_equal(one[:, of_neighbours], known[:, of_neighbours])
        assert not np.array_equal(one[:, 0], known[:, 0])
    assert not np.array_equal(first[:, 0], second[:, 0])
    assert np.array_equal(first, again)


def test_a_shuffled_past_knows_nothing_of_what_comes_later() -> None:
    bars = wandering(900)
    memory = Remembrance(Embedder.fit(bars.slice(0, 400)), bars.symbol, "1h", 16, 8)
    other = Bars.from_rows("1h", [*bars.slice(0, 700), *wandering(900, seed=1).slice(700, 900)], bars.symbol)
    ours, theirs = (next(shuffled_pasts(each, memory, 5, 1)).matrix_for(each) for each in (bars, other))

    assert ours[:700].tobytes() == theirs[:700].tobytes()
    assert ours[700:].tobytes() != theirs[700:].tobytes()


class Sums:
    """Holds a share that follows from all that it sees."""

    def __init__(self) -> None:
        self.shown: list[Singles] = []

    def act(self, observations: Singles, state: Any = None, starts: Any = None) -> Decision:
        seen = np.atleast_2d(observations)
        self.shown.append(seen)
        wish = np.tanh(seen.reshape(len(seen), -1).sum(axis=1, keepdims=True))
        return Decision(wish.astype(np.float32), np.ones(len(seen), np.float32), np.zeros(len(seen), np.float32))


def test_memory_off_is_the_walk_through_a_past_in_which_nothing_is_known() -> None:
    bars = wandering(700)
    embedder: Embedding = Embedder.fit(bars.slice(0, 400))
    past, nothing = Tabled.of(bars, embedder, horizon=8), Tabled(bars.closed_at, np.zeros((len(bars), 10)))
    forgetful, ignorant, knowing = (
        run_policy(policy, bars, spec=SPEC, past=known, start=500, limits=UNLIMITED)
        for policy, known in ((Forgetful(Sums(), SPEC), past), (Sums(), nothing), (Sums(), past))
    )

    assert forgetful.equity.tobytes() == ignorant.equity.tobytes()
    assert forgetful.equity.tobytes() != knowing.equity.tobytes()


def test_of_a_window_of_bars_every_row_is_forgotten_and_what_was_shown_is_left_as_it_was() -> None:
    windowed, inner = replace(SPEC, window=3), Sums()
    shown = np.ones((2, *windowed.shape), np.float32)
    Forgetful(inner, windowed).act(shown)
    (seen,) = inner.shown

    memory = slice(len(SPEC.market), len(SPEC.market) + 10)
    assert not seen[:, :, memory].any()
    assert seen.sum() == 2 * 3 * (SPEC.width - 10)
    assert shown.all()


def test_a_policy_without_memory_columns_is_refused_by_the_mode() -> None:
    with pytest.raises(CourseError, match="memory=off takes away .*: observation spine has no memory columns"):
        check_memory(ObservationSpec.load("spine"), OFF)
    check_memory(ObservationSpec.load("spine"), "on")
    check_memory(SPEC, OFF)


def found(ahead: tuple[float, float], before_fees: tuple[float, float], mode: str = SHUFFLED) -> Ablation:
    after, before = (Interval((low + high) / 2.0, low, high, 0.95) for low, high in (ahead, before_fees))
    figures = wandering_figures()
    return Ablation(mode, "day", 100, after, before, (after.estimate, 0.001), (figures, {**figures, "trades": 30.0}))


def wandering_figures() -> dict[str, float]:
    return run_policy(Sums(), wandering(90), spec="spine", limits=UNLIMITED).metrics()


@pytest.mark.parametrize(
    ("ahead", "before_fees", "verdict"),
    [
        ((0.001, 0.002), (0.001, 0.002), "its memory helps it"),
        ((0.001, 0.002), (-0.001, 0.002), "with its memory it pays less for trading, no more"),
        ((-0.002, -0.001), (-0.002, -0.001), "its memory harms it"),
        ((-0.002, -0.001), (-0.002, 0.001), "with its memory it pays more for trading, no more"),
        ((-0.002, 0.001), (0.001, 0.003), "luck explains the difference"),
        ((0.0, 0.0), (0.0, 0.0), "it does the same without its memory"),
    ],
)
def test_a_verdict_says_whether_luck_explains_it_and_then_whether_fees_do(
    ahead: tuple[float, float], before_fees: tuple[float, float], verdict: str
) -> None:
    assert verdict_of(found(ahead, before_fees)) == verdict


def test_a_section_shows_the_policy_beside_the_mean_and_the_extremes_of_what_it_did_without() -> None:
    ablation = found((0.001, 0.002), (-0.001, 0.003))
    section = section_of(ablation, {**wandering_figures(), "trades": 7.0})
    rows = dict(section.rows)

    assert list(section.names) == ["on", "shuffled", "least", "most"]
    trades = sorted([ablation.figures[0]["trades"], 30.0])
    assert rows["fills"] == [f"{value:,.0f}" for value in (7.0, sum(trades) / 2.0, *trades)]
    assert rows["on is ahead, a day"] == ["", "12.500 bp", "10.000 bp", "15.000 bp"]
    assert difference_of(ablation) == (
        "log growth on − shuffled, a day: 15.000 bp [10.000, 20.000], before fees 10.000 bp [−10.000, 30.000]; "
        "95% over 100 days and 2 shuffles"
    )
    assert Ablation.from_json(json.loads(json.dumps(ablation.to_json()))) == ablation


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["memory=maybe"], "memory: 'maybe' is not one of on, off, shuffled"),
        (["memory=shuffled", "memory_seeds=0"], "memory_seeds: 0 must be 1 or more"),
        (["memory=off", "memory_seeds=4"], "memory_seeds: 4 says nothing where memory is off, not shuffled"),
        (["memory_seeds=4"], "memory_seeds: 4 says nothing where memory is on, not shuffled"),
    ],
)
def test_a_wrong_wish_is_told_in_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        config_of("evaluate", "policy=run", *words)


TINY = ("experiment=fast", "env=history", "env.observation=spine_memory", "steps=512", "tracking=none")


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A tiny run with memory columns on a file of 2,000 bars."""
    folder = tmp_path_factory.mktemp("remembering")
    bars = write_bars(folder / "OURS.parquet", replace(wandering(2000), symbol="OURS"))
    return train(config_of("train", *TINY, f"market.path={bars}", f"out={folder / 'run'}"), now=NOW)


@pytest.mark.slow
def test_a_run_is_examined_with_its_memory_and_without_and_the_figures_stay_those_of_the_former(
    tmp_path: Path, remembering: RunResult
) -> None:
    told = list[str]()
    words = [f"policy={remembering.folder}", "baselines=[flat]"]
    plain = examine(config_of("evaluate", *words, f"out={tmp_path / 'plain'}"))
    results = []
    for mode in (["memory=off"], ["memory=shuffled", "memory_seeds=3"], ["slice=validation"]):
        config = config_of("evaluate", *words, f"out={tmp_path / 'out'}", *mode)
        examined = examine(config, progress=told.append)
        results.append(json.loads((tmp_path / "out" / "evaluation.json").read_text()))
        assert len(told) == walks_of(config)
        told.clear()
        if mode != ["slice=validation"]:
            assert examined.figures == plain.figures
            page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
            assert all(f"<h3>Memory {known}</h3>" in page for known in results[-1]["ablation"])

    off, both, other = results
    assert list(off["ablation"]) == ["off"]
    assert list(both["ablation"]) == ["off", "shuffled"]  # the same policy over the same bars: it still holds
    assert both["ablation"]["off"] == off["ablation"]["off"]
    assert len(both["ablation"]["shuffled"]["by_seed"]) == 3
    assert "ablation" not in other
    assert "ablation" not in json.loads((tmp_path / "plain" / "evaluation.json").read_text())
    assert off["memory_mode"] == "exact"
    assert off["ablation"]["off"]["periods"] == plain.figures["policy"]["bars"]  # few days: bars are compared
    page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert 'id="memory"' not in page


@pytest.mark.slow
def test_on_other_bars_a_policy_remembers_its_archive_and_what_it_lives_through_there(
    tmp_path: Path, remembering: RunResult
) -> None:
    made = wandering(900, seed=7)  # after the archive's time: before it, nothing in it would be known yet
    other = replace(made, symbol="OTHER", opened_at=made.opened_at + 3000 * made.interval_ms)
    file = write_bars(tmp_path / "OTHER.parquet", other)
    words = [f"policy={remembering.folder}", f"market.path={file}", "baselines=[]", f"out={tmp_path / 'out'}"]
    examined = examine(config_of("evaluate", *words, "memory=shuffled", "memory_seeds=2"))
    passport = load_passport(remembering.passport)
    assert passport.memory is not None
    own = judge(passport.policy, other, passport.terrain, past=passport.memory.tabled(other), name="policy")
    assert examined.figures["policy"] == own.metrics()
    alone = Tabled.of(other, passport.memory.embedder, k=passport.memory.neighbours, horizon=passport.memory.horizon)
    assert not np.array_equal(alone.matrix_for(other), passport.memory.tabled(other).matrix_for(other))
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert len(result["ablation"]["shuffled"]["by_seed"]) == 2
    assert result["memory_mode"] == "exact"


@pytest.mark.slow
def test_a_run_that_was_trained_with_shuffled_outcomes_is_judged_as_trained_and_says_so(tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "OURS.parquet", replace(wandering(2000), symbol="OURS"))
    words = (*TINY, f"market.path={bars}", f"out={tmp_path / 'run'}", "memory.outcomes=shuffled")
    run = train(config_of("train", *words), now=NOW)
    with pytest.raises(PastError, match="neither promoted, nor exported, nor traded"):
        examine(config_of("evaluate", f"policy={run.folder}", f"market.path={bars}", "baselines=[]"))
    examined = examine(config_of("evaluate", f"policy={run.folder}", "slice=validation", "baselines=[]"))

    assert examined.told["memory_mode"] == "shuffled"
    assert examined.figures["policy"] == run.metrics
    assert "trained with shuffled outcomes" in (run.folder / "evaluation.html").read_text(encoding="utf-8")

    command = [sys.executable, "-P", "-m", "wavetank.scripts.cli", "evaluate", f"policy={run.folder}", "memory=off"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    titles = ("policy under its limits, baselines under none", "the policy with its memory and without")
    for title in titles:
        assert f"{title}; trained with shuffled outcomes" in " ".join(told.stdout.split())
    off = json.loads((run.folder / "evaluation.json").read_text())["ablation"]["off"]
    assert f"memory    {verdict_of(Ablation.from_json(off))}" in told.stdout.splitlines()


@pytest.mark.slow
def test_a_crowd_has_no_outcomes_to_shuffle(tmp_path: Path) -> None:
    words = ("env=arena", "env.observation=spine_memory", "env.num_envs=2", "env.burn_in_bars=300", f"out={tmp_path}")
    course = open_course(config_of("train", *words))
    with pytest.raises(CourseError, match="env=arena has none; say memory=off"):
        shuffled_course(course, 2)
