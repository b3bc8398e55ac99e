"""What is strange about a series is found, told with its worst value, and no row is lost for it.

Fixtures are typed by hand; recorded markets show what is known of them.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.bars import Bars
from wavetank.market.drift import ks, populations
from wavetank.market.quality import HOUSE_RULES, Rules
from wavetank.market.raw import RawBars
from wavetank.market.series_quality import CHECKS, Finding, check_bars, check_columns
from wavetank.market.store import data_folder, read_bars

from .handmade import HOUR, MIDNIGHT, Row, drawn_bars, hourly


def flat(*closes: float, volume: float = 5.0) -> Bars:
    """Bars without a range, each with a volume of its own."""
    return hourly([(c, c, c, c, volume + i / 100) for i, c in enumerate(closes)])


def found(bars: Bars | RawBars, rules: Rules = HOUSE_RULES, reference: Bars | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_bars(bars, rules, reference)}


def test_a_quiet_series_has_no_findings() -> None:
    assert check_bars(drawn_bars(np.random.default_rng(1), 400)) == []


def test_a_jump_is_more_than_half_of_the_close_before_either_way() -> None:
    rules = Rules(dislocation=9.0)
    assert found(flat(10, 15, 7.5, 10), rules) == {}  # + 50 %, − 50 %: not more than that
    told = found(flat(10, 15.1, 7.5, 7.5, 7.5, 7.5), rules)
    assert list(told) == ["jump"]
    words = "close 15.1 at 2024-01-01 01:00 follows 10; 1 more row"
    assert told["jump"] == Finding("jump", "error", (1, 2), MIDNIGHT + HOUR, words, 15.1 / 10 - 1.0)


def test_a_jump_over_a_gap_says_so() -> None:
    bars = flat(10, 10, 30, 30)
    apart = replace(bars, opened_at=bars.opened_at + np.array([0, 0, 2, 2]) * HOUR)
    told = found(apart)
    assert told["jump"].message == "close 30 at 2024-01-01 04:00 follows 10 after 2 missing bars"
    assert told["gap"] == Finding(
        "gap",
        "warning",
        (2,),
        MIDNIGHT + 4 * HOUR,
        "2 bars missing in 1 gap; the longest, 2, before 2024-01-01 04:00",
        2.0,
    )


def test_a_wide_bar_is_told_with_its_low_and_high() -> None:
    row: Row = (10, 16, 10, 10, 5)
    told = found(hourly([(10, 15, 10, 10, 5), row]))
    assert list(told) == ["span"]
    assert told["span"].rows == (1,)
    assert told["span"].message == "bar at 2024-01-01 01:00 spans 10 … 16"


def test_a_close_far_from_its_neighbours_is_dislocated_though_it_is_no_jump() -> None:
    told = found(flat(10, 10, 10, 7, 10, 10))
    assert list(told) == ["dislocation"]
    assert told["dislocation"].rows == (3,)
    assert told["dislocation"].value == pytest.approx(0.3)
    assert told["dislocation"].message == "close 7 at 2024-01-01 03:00 is 30% off its neighbours' median"
    assert found(flat(10, 10, 10, 7, 7, 7)) == {}  # a move that stays is none


def test_bars_that_repeat_themselves_are_stale() -> None:
    frozen: Row = (10, 11, 9, 10, 5)
    other: Row = (10, 11, 9, 10, 6)
    assert found(hourly([frozen] * 5 + [other])) == {}
    told = found(hourly([other] + [frozen] * 6 + [other]))
    assert list(told) == ["stale"]
    assert told["stale"].rows == (1, 2, 3, 4, 5, 6)
    assert told["stale"].message == "6 equal bars from 2024-01-01 01:00 on"
    assert told["stale"].value == 6.0


def test_equal_bars_without_volume_are_stale_too() -> None:
    first, empty = (10.0, 10.0, 10.0, 10.0, 5.0), (10.0, 10.0, 10.0, 10.0, 0.0)
    told = found(hourly([first, *[empty] * 5]), Rules(zero_volume=1.0))
    assert told["stale"].rows == (0, 1, 2, 3, 4, 5)


def test_too_many_bars_without_volume_are_told_as_a_share() -> None:
    bars = flat(*[10 + i / 10 for i in range(20)])
    volume = bars.volume.copy()
    volume[[3, 7]] = 0.0
    told = found(replace(bars, volume=volume))
    assert list(told) == ["zero volume"]
    assert told["zero volume"].rows == (3, 7)
    assert told["zero volume"].message == "2 of 20 bars have no volume, 10.0%"
    assert found(replace(bars, volume=volume), Rules(zero_volume=0.1)) == {}


def test_a_volume_in_another_unit_is_a_spike() -> None:
    bars = drawn_bars(np.random.default_rng(2), 300)
    volume = np.full(300, 5.0)
    volume[200] = 5_000.0
    told = found(replace(bars, volume=volume))
    assert list(told) == ["volume spike"]
    assert (told["volume spike"].rows, told["volume spike"].value) == ((200,), 1000.0)


def test_raw_rows_are_judged_by_every_rule_and_the_series_without_them() -> None:
    raw = RawBars.of(flat(10, 10.1, 10.2, 10.3, 10.4))
    raw.close[1], raw.volume[1] = 99.0, -1.0  # breaks two rules
    raw.opened_at[4] = raw.opened_at[3]  # and disagrees with it
    told = found(raw)
    assert list(told) == ["high", "volume", "unique", "gap"]
    assert told["high"].rows == told["volume"].rows == (1,)
    assert told["unique"].rows == (3, 4)
    assert {told[check].severity for check in ("high", "volume", "unique")} == {"error"}
    assert told["high"].message == "high 10.1 lies below open 10.1 or close 99.0"
    assert told["gap"].rows == (2,)  # row 2 of the input, bar 1 of what is left


def test_rows_of_findings_are_those_of_the_input() -> None:
    raw = RawBars.of(flat(10, 10.1, 30.3, 30.4, 30.5)).take(np.array([4, 3, 2, 1, 0, 0]))
    told = found(raw)
    assert list(told) == ["repeat", "order", "jump"]
    assert told["jump"].rows == (2,)
    assert told["order"].rows == (1, 2, 3, 4)
    assert told["repeat"].message == "1 row told twice, collapsed"


def test_a_hole_in_an_optional_column_is_told() -> None:
    raw = replace(RawBars.of(flat(10, 10.1)), trades=np.array([1.0, math.nan]))
    assert found(raw)["absent"].message == "trades left out: a good row has no value there"


def test_a_rule_may_be_made_fatal_or_lenient() -> None:
    jumping = flat(10, 20, 20, 20)
    assert found(jumping)["jump"].severity == "error"
    assert found(jumping, Rules(fatal=frozenset()))["jump"].severity == "warning"
    gapped = replace(jumping, opened_at=jumping.opened_at + np.array([0, 0, 0, HOUR]))
    assert found(gapped, Rules(fatal=frozenset({"gap"})))["gap"].severity == "error"


def test_drift_is_asked_only_against_a_reference_and_found_in_what_moved() -> None:
    calm = drawn_bars(np.random.default_rng(3), 1500)
    same = drawn_bars(np.random.default_rng(4), 1500)
    wild = drawn_bars(np.random.default_rng(5), 1500, sigma=0.06)
    rules = Rules(zero_volume=0.2)
    assert found(same, rules, calm) == {}
    told = found(wild, rules, calm)
    assert {"drift psi", "drift ks"} <= set(told)
    for check in ("drift psi", "drift ks"):
        assert "log return" in told[check].message
        assert "log range" in told[check].message
        assert "log volume" not in told[check].message
        assert told[check].rows == ()
    assert not {"drift psi", "drift ks"} & set(found(wild))


def test_a_distance_counts_only_where_it_is_large_and_no_chance() -> None:
    rng = np.random.default_rng(8)
    few, many = drawn_bars(rng, 12), drawn_bars(rng, 3000)
    other = drawn_bars(rng, 12, sigma=0.03)
    distance, chance = ks(populations(few)["log return"], populations(other)["log return"])
    assert (distance > 0.1, chance > 0.01) == (True, True)  # far, but of eleven returns
    assert "drift ks" not in found(other, reference=few)
    wider = drawn_bars(rng, 3000, sigma=0.024)
    distance, chance = ks(populations(many)["log return"], populations(wider)["log return"])
    assert (distance < 0.1, chance < 0.01) == (True, True)  # no chance, but near
    assert all(
        "log return" not in f.message for f in check_bars(wider, Rules(ks=distance), many) if f.check == "drift ks"
    )
    assert "log return" in found(wider, Rules(ks=0.9 * distance), many)["drift ks"].message


def test_a_reference_on_another_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="the reference has 1h bars, the series 1m"):
        check_bars(drawn_bars(np.random.default_rng(1), 9, interval="1m"), reference=flat(1, 2))


def test_columns_are_finite_and_within_their_bounds() -> None:
    matrix = np.array([[0.5, 1.0, 7.0], [-1.0, np.nan, 8.0], [1.5, 2.0, 9.0], [-1.5, np.inf, 9.0]], np.float32)
    rsi, macd = check_columns(matrix, ["rsi", "macd", "free"], {"rsi": (-1.0, 1.0)})
    assert rsi == Finding(
        "bounds", "error", (2, 3), None, "row 2 of column rsi is 1.5, not within [-1, 1]; 1 more row", 1.5
    )
    assert macd.rows == (1, 3)
    assert "row 1 of column macd is nan" in macd.message
    assert check_columns(matrix[:1], ["rsi", "macd", "free"], {"rsi": (-1.0, 1.0)}) == []


def test_bounds_and_names_that_fit_no_column_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\) does not have the 1 columns named"):
        check_columns(np.zeros((3, 2)), ["a"], {})
    with pytest.raises(ValueError, match="bounds are given for rsi, which is no column"):
        check_columns(np.zeros((3, 1)), ["a"], {"rsi": (0.0, 1.0)})


rough = st.sampled_from([1e-300, 0.5, 1.0, 2.0, 9e5, math.nan, 0.0])


@given(
    st.lists(
        st.tuples(st.integers(0, 12), rough, rough, rough, rough, st.sampled_from([0.0, 1e-300, 5.0, 1e300])),
        min_size=1,
        max_size=20,
    )
)
def test_any_rows_are_judged_without_a_crash_and_told_in_order(rows: list[tuple[Any, ...]]) -> None:
    at, opens, highs, lows, closes, volume = (np.array(column) for column in zip(*rows, strict=True))
    raw = RawBars("1h", at * HOUR, opens, highs, lows, closes, volume)
    told = check_bars(raw)
    order = list(CHECKS)
    places = [order.index(finding.check) for finding in told]
    assert places == sorted(set(places))
    for finding in told:
        assert list(finding.rows) == sorted(finding.rows) or finding.check in ("jump", "span", "dislocation")
        assert all(0 <= row < len(raw) for row in finding.rows)
        assert not finding.rows or finding.instant in raw.opened_at[list(finding.rows)]


# What recorded markets are known to hold.


def recorded(name: str) -> Bars:
    path = data_folder() / "ohlcv" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    return read_bars(path)


def test_the_primary_series_passes() -> None:
    assert check_bars(recorded("binanceusdm_BTCUSDT_1h")) == []


def test_a_collapse_and_another_coin_under_the_same_name_are_seen() -> None:
    told = found(recorded("binance_LUNAUSDT_1h"))
    assert told["jump"].severity == "error"
    assert len(told["jump"].rows) == 12
    assert told["jump"].message.endswith("at 2022-05-31 06:00 follows 5e-05 after 437 missing bars; 11 more rows")
    assert told["gap"].value == 437.0
    assert {"span", "dislocation", "volume spike"} <= set(told)


@pytest.mark.parametrize(
    ("coin", "checks"), [("XLM", {"jump", "span", "dislocation"}), ("BCH", {"span", "dislocation"}), ("ATOM", {"span"})]
)
def test_the_dislocations_of_may_2021_are_seen(coin: str, checks: set[str]) -> None:
    told = found(recorded(f"binanceusdm-panel_{coin}USDT_1h"))
    assert set(told) == checks
    noon = 1_621_425_600_000  # 2021-05-19 12:00 UTC
    assert all(noon <= (finding.instant or 0) <= noon + HOUR for finding in told.values())
