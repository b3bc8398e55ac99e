"""A mixture is a plain batch on recorded bars, or of arenas, wherever episodes come from one of both alone."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from wavetank.envs.arena import BatchArenaEnv
from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.curriculum import Curriculum
from wavetank.envs.features import feature_matrix
from wavetank.envs.mixture import MixtureEnv, Stage
from wavetank.envs.mixture_engine import STORMY
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.setup import EnvKeywords
from wavetank.market.bars import Bars
from wavetank.simulators.storms import Scenario

from ..market.handmade import drawn_bars

COUNT, LENGTH, STEPS = 4, 5, 14
SPEC = ObservationSpec.load("spine")
REWARDS = {"log_growth": 1.0, "drawdown": 0.5}
HISTORY = EnvKeywords(observation=SPEC, episode_bars=LENGTH, rewards=REWARDS)
ARENA: dict[str, Any] = {"observation": SPEC, "episode_bars": LENGTH, "rewards": REWARDS, "pool": 3}


@pytest.fixture(scope="module")
def bars() -> Bars:
    return drawn_bars(np.random.default_rng(9), 400, interval="1m")


def mixture(bars: Bars, *stages: Stage, count: int = COUNT, **keywords: Any) -> MixtureEnv:
    told: dict[str, Any] = {"steps": 1000, "history": HISTORY, "arena": ARENA} | keywords
    return MixtureEnv(bars, stages or [Stage(1.0, 0.5)], count, **told)


def actions_of(steps: int, count: int = COUNT) -> Any:
    return np.random.default_rng(2).uniform(-1, 1, (steps, count))


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_with_one_half_alone_it_is_that_half_bit_for_bit(bars: Bars, autoreset: str, share: float) -> None:
    env = mixture(bars, Stage(1.0, share), autoreset=autoreset, parts=True)
    plain: Any = (
        BatchTradingEnv(bars, COUNT, autoreset=autoreset, parts=True, **HISTORY)
        if share
        else BatchArenaEnv("normal", COUNT, autoreset=autoreset, parts=True, **ARENA)
    )
    assert env.reset(seed=7)[0].tobytes() == plain.reset(seed=7)[0].tobytes()
    for action in actions_of(STEPS):
        ours, theirs = env.step(action), plain.step(action)
        for mine, its in zip(ours[:4], theirs[:4], strict=True):
            assert np.array_equal(mine, its)
        _assert_same(ours[4], theirs[4])


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
def test_a_row_is_on_the_bars_or_in_the_crowd_and_tells_what_that_half_would(bars: Bars, autoreset: str) -> None:
    """Beside it walk two plain batches; where a row changes sides, the plain one of that side is reset in that row."""
    env = mixture(bars, autoreset=autoreset)
    halves: list[Any] = [
        BatchTradingEnv(bars, COUNT, autoreset=autoreset, **HISTORY),
        BatchArenaEnv("normal", COUNT, autoreset=autoreset, **ARENA),
    ]
    known = {row.tobytes() for row in feature_matrix(bars, SPEC.market).astype(np.float32)}
    seen, _ = env.reset(seed=5)
    stormy = env.mixed.stormy.copy()
    assert 0 < stormy.sum() < COUNT
    firsts = [half.reset(seed=5)[0] for half in halves]
    assert np.array_equal(seen, np.where(stormy[:, None], firsts[1], firsts[0]))
    for action in actions_of(LENGTH):
        seen, rewards, _, truncated, infos = env.step(action)
        told = [half.step(action) for half in halves]
        assert np.array_equal(rewards, np.where(stormy, told[1][1], told[0][1]))
        if not truncated.any():
            assert np.array_equal(seen, np.where(stormy[:, None], told[1][0], told[0][0]))
    assert truncated.all()
    last = [infos["final_obs"], *(each[4]["final_obs"] for each in told)] if autoreset == "SAME_STEP" else [
        seen, *(each[0] for each in told)
    ]  # fmt: skip
    assert np.array_equal(last[0], np.where(stormy[:, None], last[2], last[1]))
    for name in ("r", "l", "equity", "drawdown"):
        ended = [each[4]["episode"][name] for each in told]
        assert np.array_equal(infos["episode"][name], np.where(stormy, ended[1], ended[0]))
    changed = 0
    for action in actions_of(40):
        before = env.mixed.stormy.copy()
        seen = env.step(action)[0]
        changed += int((before != env.mixed.stormy).sum())
        resting = env.mixed.clock[:, 2] != 0
        for i in np.flatnonzero(~resting):
            assert (seen[i, :-8].tobytes() in known) == (not env.mixed.stormy[i])
    assert changed > 4


def test_no_array_changes_while_the_next_step_is_taken(bars: Bars) -> None:
    env = mixture(bars, copy=False)
    env.reset(seed=1)
    kept = env.step(np.zeros(COUNT))[:4]
    before = [array.copy() for array in kept]
    env.step(np.ones(COUNT))
    for array, then in zip(kept, before, strict=True):
        assert np.array_equal(array, then)


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
def test_a_state_goes_on_to_the_last_bit_in_another_env_and_so_does_a_copy(bars: Bars, autoreset: str) -> None:
    stages = Stage(0.5, 0.7), Stage(1.0, 0.3, ["normal", "flash_crash"])
    env, other = (mixture(bars, *stages, autoreset=autoreset) for _ in range(2))
    env.reset(seed=5)
    other.reset(seed=77)
    actions = actions_of(40)
    for action in actions[:13]:
        env.step(action)
    env.advance(600)
    other.set_state(env.state())
    assert other.curriculum.reached == 1
    twins = [other, copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    for action in actions[13:]:
        told = env.step(action)
        for twin in twins:
            again = twin.step(action)
            assert all(np.array_equal(ours, theirs) for ours, theirs in zip(told[:4], again[:4], strict=True))
    with pytest.raises(ValueError, match="does not fit"):
        mixture_begun(bars, COUNT + 1).set_state(env.state())


def test_a_reset_mask_begins_only_its_rows(bars: Bars) -> None:
    env = mixture(bars)
    env.reset(seed=5)
    seen = env.step(np.full(COUNT, 0.4))[0]
    again, _ = env.reset(options={"reset_mask": np.arange(COUNT) == 1})
    assert [np.array_equal(again[i], seen[i]) for i in range(COUNT)] == [True, False, True, True]
    with pytest.raises(ValueError, match="has no option start"):
        env.reset(options={"start": 3})


def test_the_curriculum_s_stage_decides_what_begins(bars: Bars) -> None:
    env = mixture(bars, Stage(0.25, 1.0), Stage(0.5, 0.0, "flash_crash"), Stage(1.0, 0.0, "normal"))
    env.reset(seed=1)
    assert not env.mixed.stormy.any()
    told = []
    for done in (249, 250, 499, 500, 2000):
        env.advance(done)
        env.reset()
        told.append((bool(env.mixed.stormy.all()), bool(env.mixed.storms.storms[0])))
    assert told == [(False, False), (True, True), (True, True), (True, False), (True, False)]


def test_episodes_that_run_are_not_broken_off_by_a_new_stage(bars: Bars) -> None:
    env = mixture(bars, Stage(0.5, 1.0), Stage(1.0, 0.0))
    env.reset(seed=1)
    env.advance(500)
    for k in range(LENGTH):
        assert not env.mixed.clock[:, STORMY].any(), k
        env.step(np.zeros(COUNT))
    assert env.mixed.clock[:, STORMY].all()


def test_draws_match_the_weights() -> None:
    """Within four standard deviations of the binomial, at a fixed seed."""
    stages = [Stage(0.5, 0.25, {"normal": 1, "flash_crash": 3}), Stage(1.0, 0.75, "normal")]
    curriculum, count = Curriculum(stages, 100, pool=16, interval="1m"), 4000
    drawn = [curriculum.draws_history(seed, episode) for seed in range(40) for episode in range(count // 40)]
    assert abs(np.mean(drawn) - 0.25) < 4 * (0.25 * 0.75 / count) ** 0.5
    named = [curriculum.draw(seed, episode).scenario.name for seed in range(40) for episode in range(count // 40)]
    assert abs(named.count("flash_crash") / count - 0.75) < 4 * (0.25 * 0.75 / count) ** 0.5
    both = np.mean([h and n == "flash_crash" for h, n in zip(drawn, named, strict=True)])
    assert abs(both - 0.1875) < 4 * (0.1875 * 0.8125 / count) ** 0.5  # one draw tells nothing of the other
    curriculum.done = 50
    drawn = [curriculum.draws_history(seed, episode) for seed in range(40) for episode in range(count // 40)]
    assert abs(np.mean(drawn) - 0.75) < 4 * (0.25 * 0.75 / count) ** 0.5
    assert curriculum.history == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"arena": ARENA | {"interval": "1h"}}, "a mixture has one interval: recorded bars have 1m, the crowd has 1h"),
        ({"arena": ARENA | {"wake_steps": 20}}, "a mixture steps bar by bar and sees no book"),
        ({"arena": ARENA | {"book": 2}}, "a mixture steps bar by bar and sees no book"),
        ({"arena": ARENA | {"depth": 2}}, "an arena has no keyword depth"),
        ({"arena": ARENA | {"rewards": {"log_growth": 1.0}}}, "a mixture has one rewards"),
        ({"arena": ARENA | {"actions": "discrete"}}, "a mixture has one actions"),
        ({"arena": ARENA | {"episode_bars": 9}}, "one episode_bars: recorded bars have 5, the crowd has 9"),
        ({"arena": ARENA | {"observation": "default"}}, "a mixture has one observation"),
        ({"autoreset": "DISABLED"}, "autoreset 'DISABLED'"),
    ],
)
def test_halves_that_do_not_go_together_are_refused(bars: Bars, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        mixture(bars, **change)


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ([], "they must rise, and the last one must hold until 1"),
        ([Stage(0.5, 1.0)], "the last one must hold until 1"),
        ([Stage(0.5, 1.0), Stage(0.5, 0.0), Stage(1.0, 0.0)], "they must rise"),
        ([(1.5, 1.0)], "a stage until 1.5"),
        ([(1.0, 1.5)], "probability 1.5"),
    ],
)
def test_stages_that_are_none_are_refused(stages: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Curriculum(
            [stage if isinstance(stage, Stage) else Stage(*stage) for stage in stages], 10, pool=1, interval="1m"
        )


def test_a_scenario_of_one_s_own_may_be_drawn() -> None:
    own = Scenario("own")
    assert Curriculum([Stage(1.0, 0.0, own)], 10, pool=1, interval="1m").draw(1, 1).scenario is own


def mixture_begun(bars: Bars, count: int) -> MixtureEnv:
    env = mixture(bars, count=count)
    env.reset(seed=1)
    return env


def _assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, dict):
            _assert_same(value, theirs[name])
        else:
            assert np.array_equal(value, theirs[name]), name
