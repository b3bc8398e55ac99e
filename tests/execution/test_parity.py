"""The training desk equals the paper desk: TradingEnv and the runner, walked with one policy, to the last bit."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.envs.trading import TradingEnv
from wavetank.execution.history import read_history
from wavetank.execution.journal import JournalError, Kind, read_rows
from wavetank.execution.replay import replay
from wavetank.market.funding import Funding
from wavetank.market.limits import Limits

from .toy import COSTS, INSTRUMENT, SPEC, WIDE, ToyPolicy, made_bars, run_session, trader

LIMITS = {
    "wide": Limits(mode="live", daily_loss=0.5, drawdown=0.95),
    "latching": Limits(mode="live", daily_loss=0.004, drawdown=0.03),
    "cutting": Limits(mode="clip", max_exposure=0.4, max_order=0.25),
    "off": Limits(mode="off"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_environment_and_runner_agree_on_every_bar_to_the_last_bit(name: str, tmp_path: Path) -> None:
    limits, bars = LIMITS[name], made_bars(500, volume=1e3)  # orders are often too large for one bar
    run_session(tmp_path / "paper.db", bars, trader(limits=limits))
    told = read_history(tmp_path / "paper.db")
    seen = [row.facts["sha256"] for row in read_rows(tmp_path / "paper.db", Kind.OBSERVATION)]
    env = TradingEnv(bars, instrument=INSTRUMENT, costs=COSTS, limits=limits, observation=SPEC, random_start=False)
    policy, state = ToyPolicy(), None
    observation, info = env.reset(seed=1)
    for row in range(len(told)):
        assert hashlib.sha256(observation.tobytes()).hexdigest() == seen[row]
        assert _of(info) == (told.close[row], told.equity[row], told.lots[row], told.fees[row], told.funding[row])
        decision = policy.act(observation, state)
        state = decision.state
        assert float(decision.action[0, 0]) == told.action[row]
        observation, _, _, truncated, info = env.step(decision.action[0])
        assert info["order_lots"] == told.allowed[row]
        if truncated:
            break
    assert row == len(told) - 2  # the runner decides on the last bar too; nothing follows it
    assert told.trades[-1] > 10
    if name == "latching":
        assert set(told.state) == {0, 1, 2}
    if name == "cutting":
        assert np.any(told.asked != told.allowed)


def test_a_series_of_funding_is_paid_alike_and_replayed(tmp_path: Path) -> None:
    bars = made_bars(400)
    stamps = bars.opened_at[::3] + 1_800_000
    series = Funding(stamps, np.random.default_rng(9).normal(0.0, 1e-3, len(stamps)))
    path = tmp_path / "paper.db"
    run_session(path, bars, replace(trader(), funding=series))
    told = read_history(path)
    env = TradingEnv(
        bars, instrument=INSTRUMENT, costs=COSTS, limits=WIDE, funding=series, observation=SPEC, random_start=False
    )
    policy, state = ToyPolicy(), None
    observation, info = env.reset(seed=1)
    for row in range(len(told) - 1):
        assert _of(info) == (told.close[row], told.equity[row], told.lots[row], told.fees[row], told.funding[row])
        decision = policy.act(observation, state)
        state = decision.state
        observation, _, _, _, info = env.step(decision.action[0])
    assert len(set(told.funding.tolist())) > 50
    replayed = replay(path, lambda folder, mode: trader())  # the rates stand in the journal
    assert replayed.bars == 400


def test_a_session_goes_on_with_the_rates_it_began_with_or_not_at_all(tmp_path: Path) -> None:
    bars, path = made_bars(200), tmp_path / "paper.db"
    series = Funding(bars.opened_at[::8], np.full(len(bars.opened_at[::8]), 2e-4))
    run_session(path, bars.slice(0, 150), replace(trader(), funding=series))
    other = Funding(series.stamps, series.rates * 2)
    for rates in (None, other):
        with pytest.raises(JournalError, match="was begun with other funding rates"):
            run_session(path, bars, replace(trader(), funding=rates))
    run_session(path, bars, replace(trader(), funding=series))
    whole = tmp_path / "whole.db"
    run_session(whole, bars, replace(trader(), funding=series))
    assert read_history(path).funding.tobytes() == read_history(whole).funding.tobytes()


def _of(info: dict[str, Any]) -> tuple[float, ...]:
    return info["close"], info["equity"], info["lots"], info["fees"], info["funding"]
