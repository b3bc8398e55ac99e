"""Courses in a crowd, and on recorded bars and in crowds by turns: what they are fitted, trained and judged on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import ConfigCompositionException

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.rules import make_rule
from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.arena_pool import pool_seed
from wavetank.envs.mixture import MixtureEnv
from wavetank.envs.passport import fitted_rows, load_passport
from wavetank.experiments import arena_course
from wavetank.experiments.arena_course import arena_keywords
from wavetank.experiments.burn_in import blend, burn_in, shares_of, stages_of, weights_of
from wavetank.experiments.course import ArenaCourse, CourseError, MixtureCourse, open_course
from wavetank.experiments.evaluate import Track, follow
from wavetank.experiments.figures import METRICS, mean_figures
from wavetank.experiments.resume import unfinished_run
from wavetank.experiments.runs import RunError, begin_run, open_record, read_config
from wavetank.experiments.seeds import derive_seed
from wavetank.experiments.stress import ArenaStorms
from wavetank.experiments.train import UNLIMITED, train
from wavetank.experiments.validation import Validation
from wavetank.market.store import write_bars
from wavetank.memory.columns import MEMORY_COLUMNS

from ..envs.networks import Restless
from .conftest import NOW, config_of
from .learnt import all_of, figures_by_step
from .made_bars import wandering
from .test_resume import gone_on, interrupted

SMALL = ("experiment=fast", "env.num_envs=4", "env.episode_bars=16", "env.burn_in_bars=200", "tracking=none")
BRIEF = ("agent.rollout=16", "agent.minibatch=32", "agent.hidden=[8]", "steps=128", "checkpoint_every=64")
STAGES = "env.curriculum=[{until: 0.3, history: 1}, {until: 0.7, history: 0.5, scenario: normal}]"


def arena(*words: str) -> tuple[str, ...]:
    return (*SMALL, "env=arena", *words)


def mixture(tmp_path: Path, *words: str) -> tuple[str, ...]:
    path = tmp_path / "bars.parquet"
    if not path.exists():
        write_bars(path, wandering(1500, interval="1m"))
    return (*SMALL, "env=mixture", f"market.path={path}", *words)


def course_in(words: tuple[str, ...]) -> Any:  # of a kind that the config names
    return open_course(config_of("train", *words))


@pytest.mark.parametrize("scenario", ["[normal,crash]", "{normal: 3, crash: 1}", "crash"])
def test_an_arena_is_trained_in_one_scenario_in_several_or_by_weights(scenario: str) -> None:
    course = course_in(arena(f"env.scenario={scenario}"))
    weights = weights_of(course.config.env.scenario)
    assert isinstance(course, ArenaCourse)
    env = course.training_env()
    assert isinstance(env, BatchArenaEnv)
    names = {one.name for one in env.arenas.lottery.scenarios}
    assert names == set(weights)
    drawn = [env.arenas.lottery.draw(seed, 0).scenario.name for seed in range(400)]
    wanted = weights["crash"]
    assert abs(drawn.count("crash") / 400 - wanted) <= 4 * (wanted * (1 - wanted) / 400) ** 0.5


def test_a_scenario_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="drizzle"):
        train(config_of("train", *arena("env.scenario=[normal,drizzle]"), f"out={tmp_path / 'run'}"), now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_scenarios_come_back_from_a_run_s_folder_as_they_went_in(tmp_path: Path) -> None:
    for number, words in enumerate(
        [arena("env.scenario={normal: 3, crash: 1}"), arena("env.scenario=[normal,crash]"), mixture(tmp_path, STAGES)]
    ):
        config = config_of("train", *words, f"out={tmp_path / f'run{number}'}")
        run = begin_run(config.out, config)
        open_record(run, config, {})
        assert read_config(run.path) == config
        assert run.record()["config"]["env"]["scenario"] == config.env.scenario
    assert run.record()["config"]["env"]["curriculum"][0] == {"until": 0.3, "history": 1.0, "scenario": None}


def test_the_scaler_of_one_crowd_is_fitted_on_its_burn_in_and_of_several_on_all_by_weight() -> None:
    one = course_in(arena("env.scenario=normal"))
    assert one.rows().tobytes() == fitted_rows(one.train, one.terrain.spec, None).tobytes()
    several = course_in(arena("env.scenario={normal: 3, crash: 1}"))
    assert several.train.close.tobytes() == one.train.close.tobytes()
    rows = several.rows()
    ours = {row.tobytes() for row in one.rows()}
    share = np.mean([row.tobytes() in ours for row in rows])
    assert share == pytest.approx(0.75, abs=0.01)


def test_burn_in_markets_are_each_of_a_seed_of_its_own() -> None:
    env = config_of("train", *arena()).env
    burnt, other = burn_in(1, ["normal", "spoofing"], env), burn_in(2, ["normal"], env)
    closes = [bars.close.tobytes() for bars in (*burnt.bars.values(), other.first)]
    assert len(set(closes)) == 3
    assert burn_in(1, ["normal"], env).first.close.tobytes() == closes[0]


def test_blended_rows_keep_the_shares() -> None:
    parts = {name: np.full((count, 2), value, np.float32) for name, count, value in (("a", 900, 1), ("b", 100, 2))}
    rows = blend(parts, {"a": 0.25, "b": 0.75})
    assert len(rows) == 1000
    assert (rows[:, 0] == 2).mean() == 0.75
    alone = {"a": np.arange(7, dtype=np.float32)[:, None]}
    assert blend(alone, {"a": 0.3}).tobytes() == alone["a"].tobytes()


def test_training_validation_test_and_stress_begin_in_warm_markets_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roles = ("train", "judge", "validation", "test")
    seeds = {pool_seed(role, slot) for role in roles for slot in range(256)}
    assert len(seeds) == 4 * 256
    with pytest.raises(ValueError, match="no pool of 'promote'"):
        pool_seed("promote", 0)

    made = list[ArenaEnv]()

    class Kept(ArenaEnv):
        def close(self) -> None:
            made.append(self)

    monkeypatch.setattr(arena_course, "ArenaEnv", Kept)
    course = course_in(arena("env.scenario=flash_crash"))
    course.training_env().reset(seed=1)
    tracks = [course.judge(make_rule("flat"), role, name="flat") for role in ("validation", "test", "validation")]
    assert np.array_equal(tracks[0].close, tracks[2].close)
    assert not np.array_equal(tracks[0].close, tracks[1].close)
    pools = [next(iter(env._pools.values())) for env in made]
    assert [pool._beginner for pool in pools] == ["validation", "test", "validation"]
    assert {storm.role for env in made for storm in env.market.storms} == {"train"}


@pytest.mark.slow
def test_a_look_is_the_mean_of_the_figures_of_as_many_single_markets_of_validation_s_seeds(tmp_path: Path) -> None:
    config = config_of("train", *arena("env.validation_markets=3", "env.scenario=[normal,flash_crash]"))
    course = course_in(arena("env.validation_markets=3", "env.scenario=[normal,flash_crash]"))
    network = Restless((course.terrain.spec.width,))
    validation = Validation(course)
    figures = validation.look(network)

    policy = FrozenPolicy.from_graph(export_graph(network, tmp_path / "policy.onnx"))
    keywords = arena_keywords(config.env, course.terrain, course.terrain.limits, None) | {"pool_role": "validation"}
    env, first = ArenaEnv(config.env.scenario, **keywords), derive_seed(config.seed, "validation")
    singles = [
        follow(policy, env, name="policy", interval_ms=env.interval_ms, seed=first + market).metrics()
        for market in range(3)
    ]
    assert figures == {name: sum(each[name] for each in singles) / 3 for name in METRICS}
    assert len({each["total_return"] for each in singles}) == 3
    assert course.judge(policy, "validation", name="policy").metrics() == singles[0]
    assert validation.look(network) == figures


def test_only_an_arena_is_validated_in_markets_and_in_one_at_least(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="env.validation_markets: 0 must be 1 or more"):
        config_of("train", *arena("env.validation_markets=0"))
    for other in (mixture(tmp_path), _history(tmp_path)):
        with pytest.raises(ConfigCompositionException, match="validation_markets"):
            config_of("train", *other, "env.validation_markets=4")


@pytest.mark.slow
def test_a_run_in_a_crowd_keeps_the_weights_of_the_best_mean_and_goes_on_to_the_same(tmp_path: Path) -> None:
    words = (*arena("env.validation_markets=4", "env.episode_bars=12"), *BRIEF, "steps=256", "validate_every=64")
    words = (*words, "agent.learning_rate=0.05")
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    sharpe = figures_by_step(whole.folder, "validation/sharpe")
    assert list(sharpe) == [64, 128, 192, 256]
    assert whole.looks == 4, "a look over four markets is one"
    assert whole.selected_step == max(sharpe, key=lambda step: sharpe[step])
    assert whole.metrics["sharpe"] == max(sharpe.values())

    course = course_in(words)
    policy = load_passport(whole.passport).policy
    tracks = course.tracks(policy, "validation", name="policy")
    assert whole.metrics == mean_figures([track.metrics() for track in tracks])
    assert len(tracks) == 4
    assert Track.load(whole.folder / "tracks" / "validation_policy.npz").metrics() == tracks[0].metrics()
    hold = course.tracks(make_rule("hold"), "validation", name="hold", limits=UNLIMITED)
    assert whole.baselines["hold"] == mean_figures([track.metrics() for track in hold])

    gone_on(interrupted(tmp_path / "broken", 130, *words))
    assert all_of(tmp_path / "broken") == all_of(whole.folder)
    outcome = [json.loads((tmp_path / name / "validation.json").read_text()) for name in ("whole", "broken")]
    assert outcome[0] == outcome[1]


def test_shares_follow_from_the_stages(tmp_path: Path) -> None:
    env = config_of("train", *mixture(tmp_path, STAGES, "env.history=0.25", "env.scenario=[normal,crash]")).env
    assert shares_of(stages_of(env)) == pytest.approx(
        {"history": 0.3 + 0.4 * 0.5 + 0.3 * 0.25, "normal": 0.4 * 0.5 + 0.3 * 0.375, "crash": 0.3 * 0.375}
    )
    assert env.curriculum[0].scenario is None
    assert stages_of(env)[0].scenario == ["normal", "crash"]


def test_a_mixture_is_fitted_on_bars_and_crowds_in_their_shares_and_judged_on_bars(tmp_path: Path) -> None:
    course = course_in(mixture(tmp_path, "env.history=0.8", "env.scenario={normal: 1, flash_crash: 3}"))
    plain = course_in(_history(tmp_path))
    validation = course.validation
    assert isinstance(course, MixtureCourse)
    bars = {row.tobytes() for row in plain.rows()}
    assert np.mean([row.tobytes() in bars for row in course.rows()]) == pytest.approx(0.8, abs=0.01)
    assert validation.close.tobytes() == plain.validation.close.tobytes()
    tracks = [each.judge(make_rule("hold"), "validation", name="hold") for each in (course, plain)]
    assert np.array_equal(tracks[0].equity, tracks[1].equity)
    assert set(course.facts()["burn_in"]) == {"normal", "flash_crash"}
    env = course.training_env()
    assert isinstance(env, MixtureEnv)
    env.reset(seed=1)
    assert env.single_observation_space.shape == (course.terrain.spec.width,)


def test_a_mixture_without_bars_or_of_two_intervals_costs_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="env=mixture draws from recorded bars too: market.path=FILE.parquet"):
        course_in((*SMALL, "env=mixture"))
    with pytest.raises(CourseError, match="the recorded bars are 1m, env.interval is 1h"):
        course_in(mixture(tmp_path, "env.interval=1h"))


def test_a_run_with_a_curriculum_cannot_be_stretched(tmp_path: Path) -> None:
    config = config_of("train", *mixture(tmp_path, STAGES), *BRIEF, f"out={tmp_path / 'run'}")
    open_record(begin_run(config.out, config), config, {})
    with pytest.raises(RunError, match=r"cannot go on to 256: env\.curriculum is in shares of 128"):
        unfinished_run(config.out, 256)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arena", "mixture"])
def test_a_policy_with_a_memory_is_trained_in_crowds_and_meets_storms_with_it(tmp_path: Path, kind: str) -> None:
    words = arena() if kind == "arena" else mixture(tmp_path)
    words = (*words, "env.observation=spine_memory", "memory.horizon=6", *BRIEF, f"out={tmp_path / 'run'}")
    course = course_in(words)
    rows = course.rows()
    memory = slice(-len(MEMORY_COLUMNS), None)
    assert np.isfinite(rows).all()
    assert 0 < np.mean(rows[:, memory][:, -1]) <= 1, "the past is available in some rows"
    env = course.training_env()
    env.reset(seed=1)
    available = [env.step(np.zeros(4))[0][:, -9].min() for _ in range(15)]  # the last memory column, before the account
    assert available[-1] == 1.0, "a window of 64 bars is whole a few bars after the desk is warm"
    result = train(config_of("train", *words), now=NOW)
    passport = load_passport(result.passport)
    assert passport.memory is not None
    storms = ArenaStorms(passport.terrain, memory=passport.memory, bars=20)
    outing = storms(passport.policy, "normal", 5, "policy")
    assert len(outing.track) == 21


def test_the_burn_in_of_a_second_crowd_remembers_the_first_and_itself() -> None:
    """Every row is what an arena shows: recalled as of its close, with the first market's archive."""
    course = course_in(
        arena("env.observation=spine_memory", "memory.horizon=6", "env.scenario=[normal,crash]", "env.burn_in_bars=260")
    )
    rows = course.burnt.rows(course.terrain.spec, course.remembered)["crash"]
    later = course.burnt.bars["crash"].slice(0, 230)
    shorter = type(course.burnt)({"crash": later}, course.burnt.instrument).rows(
        course.terrain.spec, course.remembered
    )["crash"]
    assert rows[: len(shorter)].tobytes() == shorter.tobytes()
    assert rows[:, -1].max() == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arena", "mixture"])
def test_an_interrupted_run_in_a_crowd_ends_as_the_uninterrupted_one_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    words = arena("env.scenario=[normal,flash_crash]") if kind == "arena" else mixture(tmp_path, STAGES)
    words = (*words, *BRIEF, "steps=384", "checkpoint_every=128", "env.episode_bars=11")
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    gone_on(interrupted(tmp_path / "broken", 192, *words))
    assert all_of(tmp_path / "broken") == all_of(whole.folder)
    if kind == "mixture":  # and the stages did something
        even = train(config_of("train", *words, "env.curriculum=[]", f"out={tmp_path / 'even'}"), now=NOW)
        assert all_of(even.folder)["lines"] != all_of(whole.folder)["lines"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("kind", ["arena", "mixture"])
def test_rllib_trains_in_a_crowd_and_goes_on_to_the_last_bit_too(tmp_path: Path, ray_cluster: None, kind: str) -> None:
    words = arena("env.scenario={normal: 2, flash_crash: 1}") if kind == "arena" else mixture(tmp_path, STAGES)
    words = (*words, *BRIEF, "agent=rllib_ppo", "steps=240", "checkpoint_every=32", "env.episode_bars=11")
    whole = train(config_of("train", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    assert load_passport(whole.passport).manifest["training"]["agent"] == "rllib"
    gone_on(interrupted(tmp_path / "broken", 150, *words))
    assert all_of(tmp_path / "broken") == all_of(whole.folder)


def _history(tmp_path: Path) -> tuple[str, ...]:
    words = ("experiment=fast", "env=history", f"market.path={tmp_path / 'bars.parquet'}", "tracking=none")
    return (*words, "env.num_envs=4", "env.episode_bars=16")
