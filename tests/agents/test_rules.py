from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.exits import EXIT_NAMES
from wavetank.agents.grids import Grid, grid
from wavetank.agents.rules import Rule, make_rule
from wavetank.agents.settings import RULES, read_setting, setting_of
from wavetank.agents.signals import N_PARAMS
from wavetank.market.ledger import Account, open_account

from ..market.handmade import hourly

RISING = hourly([(100.0 + t,) * 4 + (1.0,) for t in range(60)])
NOBODY = np.zeros((1, 3), np.float32)  # a rule does not look at observations
EMPTY = open_account(1000.0)


def holding(lots: int, entry: float) -> Account:
    return EMPTY._replace(lots=lots, entry=entry)


def test_a_rule_decides_like_any_policy_and_answers_an_exposure() -> None:
    rule = make_rule("ma_cross(fast=2, slow=5)")
    rule.begin(RISING, EMPTY)
    decision = rule.act(NOBODY)
    assert decision.action.tolist() == [[1.0]]
    assert decision.action.dtype == decision.confidence.dtype == decision.value.dtype == np.float32
    assert (decision.confidence.tolist(), decision.value.tolist(), decision.state) == ([1.0], [0.0], None)
    assert rule.act(NOBODY[0]).action.tolist() == [[1.0]]


def test_a_rule_sees_the_bars_before_its_first_decision() -> None:
    rule = make_rule("ma_cross(fast=2, slow=50)")
    rule.begin(RISING.slice(0, 49), EMPTY)
    assert rule.act(NOBODY).action.tolist() == [[0.0]]
    rule.see(RISING.bar(49), EMPTY)
    assert rule.act(NOBODY).action.tolist() == [[1.0]]


def test_to_begin_is_to_forget() -> None:
    rule = make_rule("dca(every=1, share=0.25)")
    rule.begin(RISING.slice(0, 5), EMPTY)
    for t in range(5, 8):
        rule.see(RISING.bar(t), EMPTY)
    assert rule.act(NOBODY).action.tolist() == [[1.0]]
    rule.begin(RISING.slice(0, 5), EMPTY)
    assert rule.act(NOBODY).action.tolist() == [[0.25]]


def test_a_rule_looks_at_the_account_for_its_exits() -> None:
    rule = make_rule("hold(stop_loss=0.05)")
    rule.begin(RISING, holding(3, 165.0))  # the last close is 159
    assert rule.act(NOBODY).action.tolist() == [[1.0]]
    rule.begin(RISING, holding(3, 168.0))
    assert rule.act(NOBODY).action.tolist() == [[0.0]]


def test_a_rule_that_has_seen_nothing_and_more_than_one_account_are_refused() -> None:
    rule = make_rule("hold")
    with pytest.raises(ValueError, match="hold was asked before it had seen a bar"):
        rule.act(NOBODY)
    rule.begin(RISING, EMPTY)
    with pytest.raises(ValueError, match="one account, not for 2"):
        rule.act(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_made_by_its_name_alone_and_by_its_text(name: str) -> None:
    setting = read_setting(name)
    assert setting.values == RULES[name].defaults
    assert read_setting(setting.text) == setting == setting_of(name)
    assert isinstance(make_rule(name), Rule)
    assert len(setting.row()) == N_PARAMS


def test_text_gives_numbers_and_exits() -> None:
    setting = read_setting("ma_cross(fast=5, stop_loss=0.02, roi={0: 0.1, 24: 0.01})")
    assert setting.values == {"fast": 5, "slow": 50, "shorts": 1}
    assert (setting.exits.stop_loss, setting.exits.roi) == (0.02, {0: 0.1, 24: 0.01})
    assert setting.text == "ma_cross(fast=5, slow=50, shorts=1, stop_loss=0.02, roi={0: 0.1, 24: 0.01})"
    assert read_setting(setting.text) == setting
    assert setting.warm_up == 50


@pytest.mark.parametrize(
    "text, said",
    [
        ("luck", "there is no baseline 'luck'; known are flat, hold, random"),
        ("ma_cross(quick=3)", "ma_cross has no parameter 'quick'; it has fast, slow, shorts, stop_loss"),
        ("ma_cross(fast=50, slow=50)", "ma_cross: fast 50 is not below slow 50"),
        ("ma_cross(fast=2.5)", "ma_cross: fast 2.5 is not a whole number from 1 to 1000000"),
        ("ma_cross(fast=0)", "ma_cross: fast 0 is not a whole number"),
        ("ma_cross(shorts=2)", "ma_cross: shorts 2 is not a whole number from 0 to 1"),
        ("ma_cross(fast='x')", "ma_cross: fast 'x' is not a number"),
        ("bollinger(width=0)", "bollinger: width 0.0 is not above 0"),
        ("bollinger(width=1e999)", "bollinger: width inf is not a number"),
        ("breakout(entry=5)", "breakout: exit 10 is longer than entry 5"),
        ("rsi_reversion(low=60)", "do not rise from 0 to 100"),
        ("dca(share=0)", "dca: share 0.0 does not lie in"),
        ("hold(stop_loss=2)", "hold: stop_loss 2 must lie in"),
        ("hold(roi=3)", "hold: roi 3 is not a table"),
        ("hold(3)", "is not a rule's name, nor written like"),
        ("hold(", "is not a rule's name, nor written like"),
        ("hold(stop_loss=open('x'))", "is not a rule's name, nor written like"),
        ("os.system('x')", "is not a rule's name, nor written like"),
        ("hold(**{'stop_loss': 0.1})", "is not a rule's name, nor written like"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_rule(text)


def test_a_grid_has_every_combination_that_makes_sense_and_counts_the_others() -> None:
    tried = grid("ma_cross", fast=[5, 10, 20], slow=[10, 30], stop_loss=0.1)
    pairs = [(setting.values["fast"], setting.values["slow"]) for setting in tried.settings]
    assert pairs == [(5, 10), (5, 30), (10, 30), (20, 30)]
    assert (len(tried), tried.dropped, tried.name) == (4, 2, "ma_cross")
    assert {setting.exits.stop_loss for setting in tried.settings} == {0.1}
    assert len(grid("hold", roi=[{0: 0.1}, {0: 0.2}])) == 2
    assert grid("hold", roi={0: 0.1}).settings[0].exits.roi == {0: 0.1}


@pytest.mark.parametrize(
    "values, said",
    [
        ({"fast": [0, 5]}, "fast 0 is not a whole number"),
        ({"fats": [5]}, "no parameter 'fats'"),
        ({"fast": range(60, 70)}, "none of the 10 combinations is a ma_cross"),
        ({"fast": []}, "none of the 0 combinations"),
    ],
)
def test_a_grid_drops_no_mistakes(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        grid("ma_cross", **values)


def test_a_grid_is_of_one_rule() -> None:
    with pytest.raises(ValueError, match="of one rule, hold, and not of flat as well"):
        Grid((setting_of("hold"), setting_of("flat")))


def test_the_page_of_baselines_lists_every_rule_with_its_defaults() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "baselines.md").read_text()
    for name, rule in RULES.items():
        defaults = ", ".join(f"{key}={value!r}" for key, value in rule.defaults.items())
        cell = f"`{defaults}`" if defaults else ""
        assert f"| `{name}` | {cell}{' ' if cell else ''}|" in page
    assert all(f"| `{name}=" in page for name in EXIT_NAMES)
