"""Storms show what their bands ask for, over all seeds of the band, in both roles, and their calm twins do not.

The storms in `PROVEN` do.
"""

from dataclasses import replace

import numpy as np
import pytest

from wavetank.simulators.acceptance import FEWEST_PAIRS
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.scenarios import load_scenario, scenario_names
from wavetank.simulators.storm_pairs import Pairs, judge
from wavetank.simulators.storms import ROLES, Role, Scenario
from wavetank.simulators.world import FRESH_ROW, Knob, Part

PROVEN = (
    "crash",
    "crash_with_spoofing",
    "fat_finger",
    "flash_crash",
    "high_volatility",
    "liquidation_cascade",
    "outage",
    "pump_and_dump",
    "spoofing",
)
FEW = range(100, 108)


def test_every_storm_of_the_house_is_proven() -> None:
    assert sorted([*PROVEN, "normal"]) == scenario_names()


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("name", "interval"),
    [(name, interval) for interval in ("1m", "1h") for name in PROVEN if name in scenario_names(interval)],
)
def test_a_storm_shows_what_its_band_asks_for_and_its_calm_twin_does_not(name: str, role: Role, interval: str) -> None:
    pairs = Pairs(name, role=role, interval=interval)
    assert pairs.scenario.band is not None
    verdict = judge(pairs, pairs.scenario.band)
    assert len(verdict.storms) >= FEWEST_PAIRS
    assert verdict.failed == ()


def falls(scenario: Scenario, within: int, start: float = 0.0, interval: str = "1m") -> list[float]:
    """How far each of a few storms falls, band or not."""
    band = scenario.band
    assert band is not None
    line = replace(next(line for line in band.lines if line.measure == "fall"), within=within, start=start)
    pairs = Pairs(replace(scenario, band=None), interval=interval)
    return [pairs.at(seed).values(replace(band, lines=(line,)))[0][0] for seed in FEW]


@pytest.mark.slow
def test_a_flash_crash_leaves_the_value_where_it_was() -> None:
    pairs = Pairs(replace(load_scenario("flash_crash"), band=None))
    for seed in FEW:
        pair = pairs.at(seed)
        assert np.array_equal(pair.run.value, pair.calm.value)


@pytest.mark.slow
def test_without_leverage_no_one_is_sold_out_and_the_fall_is_the_lesser_one() -> None:
    cascade = load_scenario("liquidation_cascade")
    geared, plain = (falls(s, 40, 0.8) for s in (cascade, cascade.without(Part.LEVERAGED, Knob.SIZE)))
    assert np.mean(plain) < 0.6 * np.mean(geared)


@pytest.mark.slow
def test_a_spoofer_moves_the_mid_where_someone_reads_the_book_and_not_where_no_one_does() -> None:
    pairs = Pairs("spoofing")
    band = pairs.scenario.band
    assert band is not None
    shift, _, without = judge(pairs, band, range(100, 116)).storms.T[:3]
    assert np.sum(shift > 0) >= 13  # by luck once in a hundred
    assert abs(np.median(without)) < 0.3 * np.median(shift)


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_a_pump_needs_its_group_and_its_followers_carry_it_further(interval: str) -> None:
    pump = load_scenario("pump_and_dump", interval)
    whole, alone, leaderless = (
        falls(replace(pump, changes=tuple(c for c in pump.changes if c.cohort is not part)), 10, 0.8, interval)
        for part in (None, Part.FOLLOWERS, Part.PUMPERS)
    )
    assert np.median(leaderless) < 0.02 < 0.05 < np.median(alone) < np.median(whole)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_an_outage_keeps_every_order_that_arrives_in_it(role: Role) -> None:
    market = CrowdMarket("outage", 0, role=role)
    for seed in range(12):
        storm = market.reset(seed).storm
        assert storm is not None
        before = int(market.run(storm.onset).world.clock[FRESH_ROW])
        market.run(storm.duration)
        assert int(market.world.clock[FRESH_ROW]) > before  # who waits for the venue is kept meanwhile …
        assert sum(agent.lost for agent in market.agents) == 0  # … and there is room for all of them
