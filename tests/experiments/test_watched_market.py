"""A market that is watched: what it shows is what an unwatched one of the same seed has, and storms join in."""

import numpy as np
import pytest

from wavetank.experiments.watched_market import FIRST_LOOK, Look, WatchedMarket, storm_names
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.scenarios import load_scenario, scenario_names
from wavetank.simulators.world import SCHEDULE_ROOM


def test_a_watched_market_shows_what_an_unwatched_one_traded() -> None:
    watched = WatchedMarket(seed=7)
    for _ in range(5):
        watched.step()
    alone = CrowdMarket("normal", 7).run(FIRST_LOOK + 5)
    look = watched.look()
    bars = alone.bars()
    assert look.bars == FIRST_LOOK + 5
    assert np.array_equal(look.price, bars.close)
    assert np.array_equal(look.volume, bars.volume)
    assert np.array_equal(look.closed_at, bars.opened_at + 60_000)
    assert look.mid == alone.mid_ticks * alone.tick
    assert watched.steps == 60 * (FIRST_LOOK + 5)
    bids, asks = alone.depth(1)
    assert (look.bids[0, 0], look.asks[0, 0]) == (bids[0, 0] * alone.tick, asks[0, 0] * alone.tick)


def test_all_cohorts_together_hold_nothing_at_every_close() -> None:
    look = WatchedMarket(seed=3).look()
    assert {"noise", "fundamental", "makers", "spoofer"} <= set(look.holdings)
    everybody = sum(look.holdings.values(), start=np.zeros(look.bars))
    assert np.max(np.abs(look.holdings["noise"])) > 1.0
    assert np.max(np.abs(everybody)) < 1e-6


def test_a_market_step_is_a_sixtieth_of_a_bar_and_ends_at_the_same_bar() -> None:
    by_step, by_bar = WatchedMarket(seed=5, pace="market step"), WatchedMarket(seed=5)
    for _ in range(59):
        by_step.step()
    assert (by_step.look().bars, by_step.look().steps_in_bar) == (FIRST_LOOK, 59)
    by_step.step()
    by_bar.step()
    assert np.array_equal(by_step.look().price, by_bar.look().price)
    assert {name: lots[-1] for name, lots in by_step.look().holdings.items()} == {
        name: lots[-1] for name, lots in by_bar.look().holdings.items()
    }


def test_a_storm_joins_the_running_market_and_leaves_its_past_as_it_was() -> None:
    calm, stormy = WatchedMarket(seed=7), WatchedMarket(seed=7)
    before = stormy.look()
    stormy.begin("crash")
    _same_past(before, stormy.look())
    assert stormy.look().told.startswith(f"Crash begins with bar {FIRST_LOOK}: severity ")
    assert "joins the running market" in stormy.look().told
    for market in (calm, stormy):
        for _ in range(60):
            market.step()
    fall = 1.0 - stormy.look().price[FIRST_LOOK:].min() / before.price[-1]
    assert fall > 0.02
    assert 1.0 - calm.look().price[FIRST_LOOK:].min() / before.price[-1] < fall / 2


def test_a_storm_begun_within_a_bar_waits_for_the_next_one() -> None:
    market = WatchedMarket(seed=7, pace="market step")
    for _ in range(10):
        market.step()
    before = market.look()
    market.begin("outage")
    after = market.look()
    _same_past(before, after)
    assert after.steps_in_bar == 10
    assert after.weather[0].first == FIRST_LOOK + 1


def test_a_second_storm_joins_the_first() -> None:
    market = WatchedMarket(seed=7)
    market.begin("flash_crash")
    market.step()
    before = market.look()
    market.begin("high_volatility")
    market.begin("flash_crash")
    after = market.look()
    _same_past(before, after)
    assert [weather.storm.scenario for weather in after.weather] == ["flash_crash", "high_volatility", "flash_crash"]
    assert [weather.first for weather in after.weather] == [FIRST_LOOK, FIRST_LOOK + 1, FIRST_LOOK + 1]
    assert after.weather[0].storm.severity != after.weather[2].storm.severity  # drawn anew


@pytest.mark.parametrize("name", storm_names())
def test_every_storm_of_the_house_can_be_begun(name: str) -> None:
    market = WatchedMarket(seed=2)
    before = market.look()
    market.begin(name)
    look = market.look()
    assert {weather.first for weather in look.weather} == {FIRST_LOOK}
    other_asset = bool(load_scenario(name).settings())
    assert ("trades another asset" in look.told) == other_asset
    assert np.array_equal(before.price, look.price) != other_asset
    market.step()
    assert market.look().bars == FIRST_LOOK + 1


def test_storms_are_the_scenarios_that_are_not_calm() -> None:
    assert set(scenario_names()) - set(storm_names()) == {"normal"}


def test_where_a_bar_is_an_hour_an_absent_storm_leaves_a_calm_market_that_says_so() -> None:
    look = WatchedMarket("crash_with_spoofing", seed=2, interval="1h").look()
    assert look.told.startswith("Scenario crash_with_spoofing is absent where a bar is 1h")
    assert look.weather == ()
    assert set(storm_names()) - set(storm_names("1h")) == {"crash_with_spoofing"}


def test_a_calm_scenario_cannot_be_begun_and_the_market_stays() -> None:
    market = WatchedMarket(seed=2)
    before = market.look()
    with pytest.raises(ValueError, match="normal is calm: there is no storm in it to begin"):
        market.begin("normal")
    _same_past(before, market.look())


def test_storms_without_end_are_refused_when_the_schedule_is_full_and_the_market_stays() -> None:
    market = WatchedMarket(seed=2)
    rows = load_scenario("flash_crash").rows()
    for _ in range(SCHEDULE_ROOM // rows):
        market.begin("flash_crash")
    with pytest.raises(ValueError, match="finds no room beside the storms before it: press Reset"):
        market.begin("flash_crash")
    assert len(market.look().weather) == SCHEDULE_ROOM // rows
    market.step()
    assert market.look().bars == FIRST_LOOK + 1


def test_an_onset_that_is_asked_for_is_the_storms_and_is_met_with_open_eyes() -> None:
    look = WatchedMarket("flash_crash", seed=4, onset=20).look()
    assert (look.bars, look.weather[0].first) == (20, 20)


def test_an_unknown_pace_is_named() -> None:
    with pytest.raises(ValueError, match="pace 'hour' is not one of bar, market step"):
        WatchedMarket(pace="hour")  # type: ignore[arg-type]  # what a caller without types might say


def _same_past(before: Look, after: Look) -> None:
    for name in ("closed_at", "price", "value", "spread_ticks", "volume", "quoted_share", "bids", "asks"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert before.mid == after.mid
    assert all(np.array_equal(lots, after.holdings[name]) for name, lots in before.holdings.items())
