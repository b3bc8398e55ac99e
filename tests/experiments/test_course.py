from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from wavetank.agents.rules import make_rule
from wavetank.agents.scaling import Scaler
from wavetank.conf.schema import TrainConfig, WalkForwardConfig, typed
from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.tape import FUNDING
from wavetank.experiments.course import (
    CourseError,
    course_of,
    funding_of,
    history_bars,
    open_course,
    purge_bars,
    terrain_of,
)
from wavetank.experiments.evaluate import warm_up_bars
from wavetank.experiments.splits import holdout
from wavetank.experiments.walkforward import windows_of
from wavetank.market.bars import Bars
from wavetank.market.funding import Funding
from wavetank.market.store import Store, write_bars

from .made_bars import wandering


def config_of(program: str = "train", *overrides: str) -> Any:
    kind: Any = {"train": TrainConfig, "walkforward": WalkForwardConfig}[program]
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose(program, overrides=["experiment=fast", *overrides]), kind)


def history(tmp_path: Path, *overrides: str, program: str = "train") -> Any:
    path = write_bars(tmp_path / "bars.parquet", wandering(2000))
    return config_of(program, "env=history", f"market.path={path}", *overrides)


def with_other_end(bars: Bars, first: int) -> Bars:
    """The same bars up to `first`, and quite another market from there on."""
    columns = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name, column in columns.items():
        column[first:] *= 3.0 if name != "volume" else 50.0
    return Bars(bars.interval, bars.opened_at, **columns)


@pytest.mark.parametrize("observation", ["spine", "spine_memory"])
def test_training_sees_nothing_that_lies_after_its_slice(tmp_path: Path, observation: str) -> None:
    config = history(tmp_path, f"env.observation={observation}")
    bars = history_bars(config.market)
    purge = purge_bars(config, terrain_of(config).spec)
    fold = holdout(len(bars), validation=0.15, test=0.15, purge=purge)
    ours, theirs = (course_of(each, fold, config) for each in (bars, with_other_end(bars, fold.train[1])))

    assert ours.rows().tobytes() == theirs.rows().tobytes()
    assert Scaler.fit(ours.rows()).digest == Scaler.fit(theirs.rows()).digest
    digests = [course.memory and course.memory.embedder.digest for course in (ours, theirs)]
    assert digests[0] == digests[1]
    assert (digests[0] is None) == (observation == "spine")
    assert ours.facts()["validation"] != theirs.facts()["validation"]


def test_a_column_of_the_judged_slice_looks_back_on_no_training_bar(tmp_path: Path) -> None:
    course = open_course(history(tmp_path))
    need = warm_up_bars(course.terrain.spec)

    assert course.validation is not None
    assert course.test is not None
    assert course.validation.opened_at[0] > course.train.opened_at[-1]
    assert course.test.opened_at[0] > course.validation.opened_at[-1]
    assert len(course.validation) == 300 + need
    track = course.judge(make_rule("flat"), "validation", name="flat")
    assert len(track) == 301  # every bar of the slice is traded, from the close before it


def test_a_memory_s_horizon_widens_the_purge(tmp_path: Path) -> None:
    spec = terrain_of(history(tmp_path)).spec
    need = warm_up_bars(spec)
    memory = history(tmp_path, "env.observation=spine_memory", "memory.horizon=200")

    assert purge_bars(history(tmp_path), spec) == need
    assert purge_bars(memory, terrain_of(memory).spec) == 200


def test_windows_of_a_walk_keep_train_and_test_apart_by_the_purge(tmp_path: Path) -> None:
    config = history(tmp_path, "walk.embargo=3", "env.observation=spine", program="walkforward")
    bars = history_bars(config.market)
    purge = purge_bars(config, terrain_of(config).spec)
    folds = windows_of(config, bars)

    assert len(folds) == 3
    for fold in folds:
        assert fold.validation[0] - fold.train[1] == purge + 3
        assert fold.test[0] - fold.validation[1] == purge + 3
    assert folds[-1].test[1] == len(bars)


def test_judging_is_under_live_limits_and_training_under_its_own(tmp_path: Path) -> None:
    course = open_course(history(tmp_path, "limits=clip", "limits.drawdown=0.1"))

    assert (course.training_limits.mode, course.terrain.limits.mode) == ("clip", "live")
    assert course.terrain.limits.drawdown == course.training_limits.drawdown == 0.1


def test_the_scaler_is_fitted_on_the_rows_that_the_environment_shows(tmp_path: Path) -> None:
    course = open_course(history(tmp_path))
    env = course.training_env()
    shown, _ = env.reset(seed=5)

    rows = {row.tobytes() for row in course.rows()}
    assert all(observation[:-8].tobytes() in rows for observation in np.asarray(shown))


def test_a_process_draws_another_market_for_every_role_and_seed() -> None:
    first, again, other = (open_course(config_of("train", f"seed={seed}")) for seed in (1, 1, 2))
    facts = first.facts()
    digests = {facts[name]["sha256"] for name in ("train", "validation", "test")}

    assert len(digests) == 3
    assert again.facts() == facts
    assert other.facts()["train"] != facts["train"]


def test_history_without_a_file_and_a_memory_without_history_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="market.path=FILE.parquet"):
        open_course(config_of("train", "env=history"))
    with pytest.raises(CourseError, match="looks into a past"):
        open_course(config_of("train", "env.observation=spine_memory"))
    with pytest.raises(ValueError, match="no observation 'bones'"):
        open_course(history(tmp_path, "env.observation=bones"))
    with pytest.raises(ValueError, match="too few"):
        open_course(history(tmp_path, "market.end=1970-01-06"))


def test_an_instrument_or_costs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lot -1.0 must be above 0"):
        open_course(history(tmp_path, "market.instrument.lot=-1"))
    with pytest.raises(ValueError, match="taker_fee_bps -3.0"):
        open_course(history(tmp_path, "costs.taker_fee_bps=-3"))


def test_a_series_of_funding_is_charged_in_training_and_in_judgement(tmp_path: Path) -> None:
    rates = tmp_path / "funding.csv"
    stamps = np.datetime_as_string(wandering(2000).opened_at[::2].astype("datetime64[ms]")).tolist()
    rates.write_text("ts,rate\n" + "".join(f"{stamp},0.001\n" for stamp in stamps))
    plain = open_course(history(tmp_path))
    paid = open_course(history(tmp_path, f"market.funding={rates}"))
    assert plain.funding is None
    assert paid.facts()["funding"]["stamps"] == len(stamps)
    tracks = [course.judge(make_rule("hold"), "validation", name="hold") for course in (plain, paid)]
    assert tracks[1].funding[-1] > 5 * tracks[0].funding[-1] > 0
    env = paid.training_env()
    assert isinstance(env, BatchTradingEnv)
    assert set(env.episodes.tape.prices[:, FUNDING].tolist()) == {0.0, 0.001}


def test_bars_and_funding_may_come_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVETANK_STORE", str(tmp_path / "store"))
    bars = wandering(2000)
    Store().append("mine", "BARS", replace(bars, symbol="BARS"), source="test")
    rates = np.full(len(bars), 1e-4)
    Store().append_funding("mine", "BARS", Funding(bars.opened_at, rates), source="test")
    market = config_of("train", "env=history", "market.path=mine/BARS/1h", "market.funding=mine/BARS").market
    assert history_bars(market).close.tobytes() == bars.close.tobytes()
    told = funding_of(market, bars)
    assert told is not None
    assert told.rates.tolist() == rates.tolist()
    with pytest.raises(CourseError, match="market.funding=mine/BARS: funding rates run from 1970-01-01 00:00 to"):
        funding_of(market, wandering(2020))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "market.path=mine/BARS",
            "mine/BARS is neither a .parquet or .csv file nor VENUE/SYMBOL/INTERVAL in the store",
        ),
        ("market.path=mine//1h", "mine//1h is neither"),
    ],
)
def test_an_address_that_is_none_costs_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        history_bars(config_of("train", "env=history", override).market)


def test_an_interval_must_be_that_of_the_series() -> None:
    market = config_of("train", "env=history", "market.path=mine/BARS/1h", "market.interval=4h").market
    with pytest.raises(CourseError, match="market.path names 1h bars, market.interval is 4h"):
        history_bars(market)
