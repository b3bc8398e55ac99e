"""The four classes that storms are made of, in a market of all the others: one tape however it is advanced."""

import os
import subprocess
import sys

import numpy as np
import pytest

from wavetank.simulators import world
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import DEFAULTS, Followers, Leveraged, Population, Pumpers, Spoofer
from wavetank.simulators.traders import CLASSES, CohortAgent, LeveragedTraders
from wavetank.simulators.world import Label, Part

STORM = """
from wavetank.simulators import world
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import Followers, Leveraged, Population
from wavetank.simulators.world import Knob, Part

def stormy(seed):
    crowd = Population(followers=Followers(threshold=1e-4, horizon=30.0), leveraged=Leveraged(leverage_low=40.0))
    market = CrowdMarket("normal", rng=seed, crowd=crowd, all_orders=True)
    rows = [
        (0, 240, Part.LEVERAGED, Knob.RATE, 200.0), (0, 240, Part.LEVERAGED, Knob.SIZE, 20.0),
        (0, 240, Part.LEVERAGED, Knob.BIAS, 0.4), (30, 90, Part.PUMPERS, Knob.PARTICIPATION, 0.2),
        (90, 150, Part.PUMPERS, Knob.RUSH, 0.2), (90, 200, Part.FOLLOWERS, Knob.RUSH, 0.2),
        (150, 300, Part.PUMPERS, Knob.DUMP, 0.2), (0, 120, Part.SPOOFER, Knob.SHOW, 1.0),
        (120, 400, Part.SPOOFER, Knob.SHOW, 2.0), (0, 300, Part.READERS, Knob.RATE, 20.0),
        (180, 300, Part.EXECUTOR, Knob.PARTICIPATION, -0.3), (180, 240, Part.VALUE, Knob.DRIFT, -0.1),
        (180, 400, Part.MAKERS, Knob.SIZE, 0.2),
    ]
    market.world.schedule[: len(rows)] = rows
    market.world.clock[world.SCHEDULED] = len(rows)
    return market
"""
scope: dict[str, object] = {}
exec(STORM, scope)  # the same lines run in another process
stormy = scope["stormy"]


def stepped(market: CrowdMarket, steps: int) -> CrowdMarket:
    for _ in range(steps):
        market.step()
    return market


@pytest.fixture(scope="module")
def market() -> CrowdMarket:
    return stormy(5).run(8)  # type: ignore[operator,no-any-return]


def test_every_class_has_its_say(market: CrowdMarket) -> None:
    assert set(np.unique(market.labels()["label"])) == {int(label) for label in Label} - {Label.NONE}
    leveraged = next(agent for agent in market.agents if isinstance(agent, LeveragedTraders))
    assert leveraged.liquidations > 0
    forced = market.trades()
    assert (forced["side"][forced["label"] == Label.LIQUIDATION] < 0).mean() > 0.8


def test_stepped_through_mesa_or_run_compiled_the_tape_is_the_same(market: CrowdMarket) -> None:
    walked = stepped(stormy(5), 8 * 60)  # type: ignore[operator]
    assert walked.tape_digest() == market.tape_digest()
    assert walked.world.book.accounts.tobytes() == market.world.book.accounts.tobytes()
    assert walked.world.traders.tobytes() == market.world.traders.tobytes()


@pytest.mark.slow
def test_interpreted_the_tape_is_the_same(market: CrowdMarket) -> None:
    code = STORM + "print(stormy(5).run(8).tape_digest())"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    there = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == market.tape_digest()


def test_money_and_lots_sum_to_nothing_at_every_bar() -> None:
    market = stormy(6)  # type: ignore[operator]
    for _ in range(8):
        assert market.run(1).world.book.accounts.sum(axis=0).tolist() == [0, 0]


def test_collateral_and_the_fund_are_lent_by_the_bank() -> None:
    market = CrowdMarket("normal", rng=2, crowd=Population(leveraged=Leveraged(traders=7, rate=0.0)))
    accounts, outsider = market.world.book.accounts, int(market.world.clock[world.FIRST_OUTSIDER])
    fund, bank = accounts[outsider - 2 : outsider, 1].tolist()
    assert fund == round(2.0 / market.lot) * 30_000
    assert bank == -fund - 7 * round(0.05 / market.lot) * 30_000


def test_the_classes_act_in_the_order_of_their_parts() -> None:
    assert list(CLASSES) == sorted(CLASSES)
    assert list(CLASSES) == [part for part in Part if part not in (Part.VALUE, Part.VENUE)]


def test_in_calm_the_storms_classes_do_nothing() -> None:
    market = CrowdMarket("normal", rng=3).run(30)
    asleep = [agent for agent in market.agents if isinstance(agent, CohortAgent) and agent.part >= Part.PUMPERS]
    assert [agent.lots for agent in asleep] == [0, 0, 0]
    assert len(market.labels()) == 0
    assert not market.world.clock[[world.SOCIALISED, world.DELEVERAGED]].any()


@pytest.mark.parametrize(
    ("crowd", "said"),
    [
        (Population(leveraged=Leveraged(leverage_low=60.0)), "leverages 60.0 … 50.0 must be 1 or more, in order"),
        (Population(leveraged=Leveraged(maintenance=0.02)), "a maintenance of 0.02 closes out"),
        (Population(leveraged=Leveraged(horizon=9e9)), "leveraged: horizon 9000000000.0 must lie within 1 … 8191"),
        (Population(followers=Followers(horizon=0.0)), "followers: horizon 0.0 must lie within"),
        (Population(spoofer=Spoofer(traders=9)), "a market has room for 4 spoofers, not for 9"),
        (Population(spoofer=Spoofer(layers=8)), "a spoofer's layers are 8, there can be 1 … 7"),
        (Population(spoofer=Spoofer(first_level=0)), "a spoofer's first_level is 0, levels are counted from 1"),
    ],
)
def test_a_class_that_cannot_work_is_refused(crowd: Population, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CrowdMarket("normal", rng=1, crowd=crowd)


def test_a_market_without_any_of_them_runs() -> None:
    crowd = Population(
        leveraged=Leveraged(traders=0),
        pumpers=Pumpers(traders=0),
        followers=Followers(traders=0),
        spoofer=DEFAULTS.spoofer._replace(traders=0),
    )
    assert CrowdMarket("normal", rng=1, crowd=crowd).run(2).bars_done == 2
