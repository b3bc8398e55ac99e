"""The flash crash has causes: it is deep, short, labelled, comes back, and needs its seller and the makers' absence."""

from dataclasses import replace

import numpy as np
import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.matching import Reject
from wavetank.simulators.scenarios import load_scenario
from wavetank.simulators.storms import Role
from wavetank.simulators.world import Label, Part

SEEDS = range(200, 212)  # the scenario was calibrated on seeds below 100
WINDOW, RECOVERY = 15, 60  # bars


def depth_and_recovery(market: CrowdMarket, onset: int) -> tuple[float, float]:
    """Fall from the last close before onset to the lowest trade of 15 bars; the share regained within 60 bars."""
    bars = market.bars()
    before, low_at = bars.close[onset - 1], onset + int(np.argmin(bars.low[onset : onset + WINDOW]))
    low = bars.low[low_at]
    regained = bars.close[low_at : low_at + RECOVERY].max() - low
    return float(1 - low / before), float(regained / max(before - low, 1e-9))


def in_band(market: CrowdMarket, onset: int) -> bool:
    depth, recovery = depth_and_recovery(market, onset)
    return depth >= 0.05 and recovery >= 0.6


@pytest.mark.parametrize("role", ["train", "judge"])
def test_flash_crashes_are_deep_and_come_back_and_their_calm_twins_are_neither(role: Role) -> None:
    crash, calm = (CrowdMarket("flash_crash", role=role, calm=calm) for calm in (False, True))
    crashed: list[bool] = []
    quiet: list[bool] = []
    for seed in SEEDS:
        storm = crash.reset(seed).storm
        assert storm is not None
        for market, found in ((crash, crashed), (calm.reset(seed), quiet)):
            market.run(storm.onset + WINDOW + RECOVERY)
            found.append(in_band(market, storm.onset))
        assert crash.datacollector.model_vars["value"] == calm.datacollector.model_vars["value"]
        before = storm.onset - 1
        assert np.array_equal(crash.bars().close[:before], calm.bars().close[:before])
    assert np.mean(crashed) >= 0.8
    assert not any(quiet)


def test_the_storms_orders_are_labelled_sells_at_its_share_of_volume() -> None:
    market = CrowdMarket("flash_crash", rng=204)
    storm = market.storm
    assert storm is not None
    market.run(storm.onset + storm.duration + 5)
    trades, labels = market.trades(), market.labels()
    seller = trades[trades["label"] == Label.EXECUTION]
    first, last = storm.onset * 60, (storm.onset + storm.duration) * 60
    assert set(seller["side"]) == {-1}
    assert len(set(seller["taker"])) == 1
    assert first < seller["step"].min() <= seller["step"].max() <= last  # a step on its way
    assert set(seller["taker_id"]) <= set(labels["order_id"])
    assert set(labels["label"]) <= {Label.EXECUTION, Label.LIQUIDATION}  # whoever is on margin is sold out
    during = trades[(trades["step"] > first) & (trades["step"] <= last)]
    assert abs(seller["lots"].sum() / during["lots"].sum() - storm.severity) < 0.03
    assert market._cohorts[Part.EXECUTOR].lots == -seller["lots"].sum()


@pytest.mark.parametrize("part", [Part.EXECUTOR, Part.MAKERS])
@pytest.mark.parametrize(
    ("interval", "most"), [("1m", 0.1), ("1h", 0.34)]
)  # half a day falls 5 % by itself now and then
def test_without_the_seller_or_with_the_makers_staying_most_crashes_do_not_happen(
    part: Part, interval: str, most: float
) -> None:
    deep = []
    whole = load_scenario("flash_crash", interval)
    changes = tuple(change for change in whole.changes if change.cohort != part)
    market = CrowdMarket(replace(whole, band=None, changes=changes), interval=interval)
    for seed in SEEDS:
        storm = market.reset(seed).storm
        assert storm is not None
        market.run(storm.onset + WINDOW)
        deep.append(depth_and_recovery(market, storm.onset)[0] >= 0.05)
    assert np.mean(deep) <= most


def test_a_worse_storm_falls_deeper_in_the_mean() -> None:
    falls = []
    for role in ("train", "judge"):
        market = CrowdMarket("flash_crash", role=role, onset=60)
        depths = []
        for seed in SEEDS:
            market.reset(seed).run(60 + WINDOW)
            depths.append(depth_and_recovery(market, 60)[0])
        falls.append(np.mean(depths))
    assert falls[1] > falls[0]


def test_accounts_stay_exact_and_nobody_is_refused_in_the_storm() -> None:
    market = CrowdMarket("flash_crash", rng=205, role="judge", onset=3)
    for _ in range(30):
        market.run_bar()
        assert market.world.book.accounts.sum(axis=0).tolist() == [0, 0]
        bids, asks = market.depth(1)
        assert not (len(bids) and len(asks) and bids[0, 0] >= asks[0, 0])
    refused = {code for code, count in market.rejects().items() if count}
    assert refused <= {Reject.UNKNOWN_ID, Reject.REDUCES_NOTHING}  # what was filled while its cancel travelled
    assert sum(agent.lost for agent in market.agents) == 0
