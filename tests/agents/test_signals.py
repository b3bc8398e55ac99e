from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wavetank.agents.settings import RULES, setting_of
from wavetank.agents.signals import SEEN, decide, watch
from wavetank.market.bars import Bars
from wavetank.market.draws import uniform

from ..market.handmade import drawn_bars, hourly
from .plain_rules import plain_signal

DRAWN = drawn_bars(np.random.default_rng(11), 500)
STILL = hourly([(0.1, 0.1, 0.1, 0.1, 1.0)] * 150)  # 0.1 is no binary fraction: sums of it round
STAIRS = hourly([(100.0 + 5 * (t // 7 % 9),) * 4 + (1.0,) for t in range(400)])
SAWS = hourly([(p, p + 1, p - 1, p, 1.0) for t in range(400) for p in (100.0 + (t * 37) % 50,)])
CASES: list[tuple[str, dict[str, Any]]] = [
    ("flat", {}),
    ("hold", {}),
    ("random", {"every": 7, "seed": 3}),
    ("random", {"every": 1, "seed": 2, "shorts": 0}),
    ("ma_cross", {"fast": 10, "slow": 50}),
    ("ma_cross", {"fast": 1, "slow": 2, "shorts": 0}),
    ("ema_cross", {"fast": 5, "slow": 12}),
    ("ema_cross", {"fast": 12, "slow": 26, "shorts": 0}),
    ("rsi_reversion", {"window": 5, "low": 30.0, "high": 70.0, "exit": 50.0, "trend": 0}),
    ("rsi_reversion", {"window": 3, "low": 35.0, "high": 60.0, "exit": 40.0, "trend": 40}),
    ("rsi_reversion", {"window": 5, "low": 30.0, "high": 70.0, "exit": 70.0, "trend": 0, "shorts": 0}),
    ("bollinger", {"window": 20, "width": 1.5}),
    ("bollinger", {"window": 5, "width": 1.0, "shorts": 0}),
    ("macd", {"fast": 4, "slow": 9, "signal": 3}),
    ("macd", {"fast": 12, "slow": 26, "signal": 9, "shorts": 0}),
    ("breakout", {"entry": 20, "exit": 10}),
    ("breakout", {"entry": 5, "exit": 5, "shorts": 0}),
    ("dca", {"every": 9, "share": 0.07}),
]


def walked(bars: Bars, name: str, values: dict[str, Any], watched: int = 0) -> list[float]:
    """The targets of a rule for an account that stays empty; the first bars are only watched."""
    setting = setting_of(name, **values)
    params, state = np.array(setting.row()), np.zeros(setting.size + 1)
    state[-1] = 7.0
    for bar in list(bars)[:watched]:
        watch(setting.kind, params, state, bar)
    found = [decide(setting.kind, params, state, bar, 0, 0.0) for bar in list(bars)[watched:]]
    assert state[-1] == 7.0  # a rule keeps to its own row
    assert state[SEEN] == len(bars)
    return found


@pytest.mark.parametrize("bars", [DRAWN, STILL, STAIRS, SAWS], ids=["drawn", "still", "stairs", "saws"])
@pytest.mark.parametrize("name, values", CASES)
def test_a_rule_says_what_its_plain_twin_says(name: str, values: dict[str, Any], bars: Bars) -> None:
    assert walked(bars, name, values) == plain_signal(list(bars), name, **values)


@pytest.mark.parametrize("name, values", [case for case in CASES if case[0] not in ("flat", "hold")])
def test_the_cases_trade(name: str, values: dict[str, Any]) -> None:
    found = set(walked(DRAWN, name, values))
    assert len(found) > 1
    assert (min(found) < 0.0) == (values.get("shorts", 1) == 1 and name != "dca")


@pytest.mark.parametrize("name", sorted(set(RULES) - {"dca"}))
def test_what_was_only_watched_counts_like_what_was_decided_on(name: str) -> None:
    assert walked(DRAWN, name, {}, watched=300) == walked(DRAWN, name, {})[300:]


def test_steady_buying_begins_with_the_first_decision() -> None:
    found = walked(DRAWN, "dca", {"every": 10, "share": 0.25}, watched=33)
    assert found[:35] == [0.25] * 10 + [0.5] * 10 + [0.75] * 10 + [1.0] * 5


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_says_nothing_until_it_is_warm_and_speaks_then(name: str) -> None:
    values = {"low": 45.0, "high": 55.0} if name == "rsi_reversion" else {}
    warm_up = setting_of(name).warm_up
    found = walked(DRAWN, name, values)
    assert not any(found[: warm_up - 1])
    assert name == "flat" or any(found[warm_up - 1 :])


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_future_changes_no_signal_so_far(name: str) -> None:
    other = drawn_bars(np.random.default_rng(12), 500)
    mixed = Bars.from_rows("1h", [*list(DRAWN)[:350], *list(other)[350:]])
    assert walked(DRAWN, name, {})[:350] == walked(mixed, name, {})[:350]


def test_chance_knows_the_seed_and_the_bar_alone() -> None:
    values = {"every": 4, "seed": 9}
    found = walked(DRAWN, "random", values)
    turned = {price: getattr(DRAWN, price)[::-1].copy() for price in ("open", "high", "low", "close")}
    assert found == walked(replace(DRAWN, **turned), "random", values)
    assert found[::4] == [float(int(3 * uniform(9, 0, turn)) - 1) for turn in range(125)]
    assert found != walked(DRAWN, "random", {"every": 4, "seed": 10})
    counts = np.unique(walked(drawn_bars(np.random.default_rng(1), 3000), "random", {"every": 1}), return_counts=True)
    assert counts[0].tolist() == [-1.0, 0.0, 1.0]
    assert (np.abs(counts[1] - 1000) < 130).all()  # five deviations


def test_macd_is_the_sign_of_the_pandas_histogram() -> None:
    close = pd.Series(DRAWN.close)
    line = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    expected = np.sign(line - line.ewm(span=9, adjust=False).mean())[104:]
    assert walked(DRAWN, "macd", {})[104:] == expected.tolist()


def test_a_turtle_on_paper() -> None:
    closes = [10, 10, 10, 10, 10, 12, 13, 14, 13, 12.5, 11, 10, 10.5, 11.5, 14]  # highs and lows are the closes
    bars = hourly([(float(close),) * 4 + (1.0,) for close in closes])
    # 12 > max(10 …): long; 12.5 < min(14, 13) only: out; 11 < min(12, 13, 14, 13, 12.5): short; 11.5 > max(10, 10.5)
    # only: out; 14 > max(12.5, 11, 10, 10.5, 11.5): long
    assert walked(bars, "breakout", {"entry": 5, "exit": 2}) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, -1, -1, -1, 0, 1]
