"""Every knob that a part is said to heed changes the tape, and any other does not: no storm turns a dead knob."""

from dataclasses import replace

import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import Chartist, Followers, Makers, Population
from wavetank.simulators.scenarios import load_scenario
from wavetank.simulators.storms import HEEDED, Change, Ranges
from wavetank.simulators.world import FIRST_ADDITIVE, Knob, Part

BUSY = (  # a storm in which everybody has something to do
    Change(Part.EXECUTOR, Knob.PARTICIPATION, 0.0, 1.0, 0.1),
    Change(Part.LEVERAGED, Knob.RATE, 0.0, 1.0, 100.0),
    Change(Part.PUMPERS, Knob.PARTICIPATION, 0.0, 0.3, 0.1),
    Change(Part.PUMPERS, Knob.RUSH, 0.3, 0.6, 0.1),
    Change(Part.PUMPERS, Knob.DUMP, 0.6, 1.0, 0.1),
    Change(Part.FOLLOWERS, Knob.RUSH, 0.0, 1.0, 0.2),
    Change(Part.READERS, Knob.RATE, 0.0, 1.0, 20.0),
    Change(Part.SPOOFER, Knob.SHOW, 0.0, 1.0, 1.0),
    Change(Part.VALUE, Knob.DRIFT, 0.0, 1.0, 0.05),
)
BARS, ONSET = 16, 2
TURNED = {Knob.ALARM: 9.0, Knob.BIAS: 0.9, Knob.SHOT: 3.0, Knob.DRIFT: -0.1, Knob.SHOW: 1.0}  # others: a half or so
CROWD = Population(trend=Chartist(limit_share=0.5), makers=Makers(flow_lean=1.0), followers=Followers(threshold=1e-4))


@pytest.fixture(scope="module")
def market() -> CrowdMarket:
    ranges = Ranges((ONSET, ONSET), (1.0, 1.0), (BARS - ONSET, BARS - ONSET), (1,))
    scenario = replace(load_scenario("normal"), ranges={"train": ranges, "judge": ranges}, changes=BUSY)
    return CrowdMarket(scenario, 11, crowd=CROWD, all_orders=True)


def digest(market: CrowdMarket, *extra: Change) -> str:
    scenario = market.scenario
    market.scenario = replace(scenario, changes=BUSY + extra)
    try:
        return market.reset(11).run(BARS).tape_digest()
    finally:
        market.scenario = scenario


@pytest.mark.parametrize("part", list(Part), ids=lambda part: part.name.lower())
def test_a_part_heeds_these_knobs_and_no_others(market: CrowdMarket, part: Part) -> None:
    usual = digest(market)
    heeded = set()
    for knob in Knob:
        value = TURNED.get(knob, 0.3 if knob < FIRST_ADDITIVE else 0.5)
        if digest(market, Change(part, knob, 0.0, 1.0, value)) != usual:
            heeded.add(knob)
    assert {knob.name for knob in heeded} == {knob.name for knob in HEEDED[part]}
