"""Storms beside their calm twins: one seed, one profile, one past, and controls in which a cohort never acts."""

from dataclasses import replace

import numpy as np
import pytest

from wavetank.simulators.acceptance import Line, Without, parse_band
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.storm_pairs import Pairs, judge
from wavetank.simulators.storm_scenes import Record
from wavetank.simulators.world import Knob, Label, Part


def same_until(one: Record, other: Record, bar: int) -> bool:
    columns = ("high", "low", "close", "volume", "spread", "near")
    return all(np.array_equal(getattr(one, name)[:bar], getattr(other, name)[:bar]) for name in columns)


@pytest.mark.parametrize("scenario", ["flash_crash", "pump_and_dump"])
def test_a_pair_shares_its_past_and_its_profile_and_parts_with_the_storm(scenario: str) -> None:
    pair = Pairs(scenario).at(3)
    onset = pair.storms[0].onset
    assert same_until(pair.run, pair.calm, onset)
    assert not same_until(pair.run, pair.calm, onset + 10)
    assert len(pair.run.close) == len(pair.calm.close) == pair.scenario.span(pair.storms)[2] + 1
    assert not len(pair.calm.orders)  # the storm's own orders are the storm's alone


def test_a_calm_twin_without_a_profile_is_the_normal_market() -> None:
    calm, normal = CrowdMarket("crash", 5, calm=True), CrowdMarket("normal", 5)
    assert calm.storm is None
    assert calm.storms == ()
    assert calm.run(30).tape_digest() == normal.run(30).tape_digest()


def test_a_profile_holds_from_before_the_first_bar_and_in_the_twin_too() -> None:
    thin, normal = (CrowdMarket(name, 5, calm=True).run(60) for name in ("pump_and_dump", "normal"))
    volumes = [market.bars().volume for market in (thin, normal)]
    assert 0.01 < np.median(volumes[0]) / np.median(volumes[1]) < 0.2
    depths = [sum(side[:, 1].sum() for side in CrowdMarket(name, 5).depth(100)) for name in ("pump_and_dump", "normal")]
    assert depths[0] < 0.1 * depths[1]  # at the start of bar 0 already


def test_the_same_seed_is_the_same_pair_in_fresh_and_in_used_markets() -> None:
    used = Pairs("outage")
    used.at(1)
    again, fresh = used.at(2), Pairs("outage").at(2)
    assert again.storms == fresh.storms
    assert same_until(again.run, fresh.run, len(fresh.run.close))
    assert same_until(again.calm, fresh.calm, len(fresh.calm.close))


def test_a_control_draws_the_same_storm_and_its_cohort_trades_nothing() -> None:
    pairs = Pairs("spoofing")
    pair = pairs.at(4)
    silent = Without(Part.READERS, Knob.RATE)
    stormy, quiet = pair.controls[silent]
    for record, others in ((stormy, pair.run), (quiet, pair.calm)):
        owners = record.owners[Part.READERS]
        assert not np.isin(record.trades["taker"], owners).any()
        assert not np.isin(record.trades["maker"], owners).any()
        assert np.isin(others.trades["taker"], owners).any()
    first = [rows["step"][rows["label"] == Label.SPOOF][0] for rows in (stormy.orders, pair.run.orders)]
    assert first[0] == first[1]


def test_an_honest_twin_of_the_spoofer_sends_what_it_means_and_shows_nothing() -> None:
    honest = Pairs("spoofing").at(4).controls[Without(Part.SPOOFER, Knob.SIZE)][0].orders
    assert not (honest["label"] == Label.SPOOF).any()
    assert (honest["label"] == Label.SPOOF_REAL).any()


def test_a_line_compares_the_storm_with_its_control_and_the_twin_takes_the_storms_place() -> None:
    pairs = Pairs("spoofing")
    pair = pairs.at(6)
    silent = Without(Part.READERS, Knob.RATE)
    lines = [
        Line("fall", least=0.0),
        Line("fall", least=0.0, without=silent),
        Line("fall", least=0.0, without=silent, compare="share"),
        Line("fall", least=0.0, without=silent, compare="excess"),
        Line("volatility_ratio", least=0.0),
    ]
    assert pairs.scenario.band is not None
    band = replace(pairs.scenario.band, lines=tuple(lines))
    storm, twin = pair.values(band)
    assert storm[2] == pytest.approx(storm[1] / storm[0])
    assert storm[3] == pytest.approx(storm[0] - storm[1])
    assert twin[4] == 1.0
    assert storm[4] != 1.0


def test_a_composed_pair_measures_each_part_over_its_own_bars() -> None:
    pair = Pairs("crash_with_spoofing").at(2)
    crash, spoofing = pair.storms
    told = {"seeds": [0, 19], "share": 0.8}
    names = ("crash", "spoofing")
    lines = [{"measure": "fall", "storm": name, "within": 5, "least": 0.0} for name in names]
    values, _ = pair.values(parse_band({**told, "lines": lines}, "test"))
    for storm, value in zip((crash, spoofing), values, strict=True):
        low = pair.run.low[storm.onset : storm.onset + 5].min()
        high = pair.run.high[storm.onset : storm.onset + 5].max()
        before = pair.run.close[storm.onset - 1]
        assert value == pytest.approx(1 - low / before if storm.direction < 0 else high / before - 1)


def test_a_market_takes_the_storms_it_is_given_and_refuses_them_where_it_is_to_stay_calm() -> None:
    drawn = CrowdMarket("crash_with_spoofing", 9).storms
    given = CrowdMarket("crash_with_spoofing", 1, storm=drawn)
    assert given.storms == drawn
    assert given.storm == drawn[0]
    assert CrowdMarket("crash_with_spoofing", 1, storm=drawn[1]).storms == (drawn[1],)
    with pytest.raises(ValueError, match="a storm of crash was given to a market that is to stay calm"):
        CrowdMarket("crash", 1, storm=drawn[0], calm=True)
    with pytest.raises(ValueError, match="a storm of scenario 'crash' was given to scenario 'spoofing'"):
        CrowdMarket("spoofing", 1, storm=drawn[0])


def test_a_pair_needs_a_storm_and_a_bar_before_it() -> None:
    with pytest.raises(ValueError, match="normal is calm: there is no storm to put beside its twin"):
        Pairs("normal").at(1)
    with pytest.raises(ValueError, match="a storm at bar 0 has no bar before it"):
        Pairs("outage", onset=0).at(1)


def test_the_verdict_has_a_row_for_every_seed_and_tells_of_each() -> None:
    pairs = Pairs("outage")
    told: list[str] = []
    assert pairs.scenario.band is not None
    verdict = judge(pairs, pairs.scenario.band, range(3), told.append)
    assert told == ["0", "1", "2"]
    assert verdict.storms.shape == verdict.twins.shape == (3, len(pairs.scenario.band.lines))


def test_durations_hold_in_bars_at_both_time_units() -> None:
    for interval, step in (("1m", 1_000), ("1h", 60_000)):
        market = CrowdMarket("flash_crash", 7, interval=interval)
        storm = market.storm
        assert storm is not None
        market.run(storm.onset + storm.duration + 2)
        labels = market.labels()
        steps = labels["step"][labels["label"] == Label.EXECUTION]  # in calm, too, a leveraged trader may be closed out
        assert storm.onset * 60 < steps.min() <= steps.max() <= (storm.onset + storm.duration) * 60  # a step's way
        assert market.crowd.unit.step_ms == step
