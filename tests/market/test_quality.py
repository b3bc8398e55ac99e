"""Rows that cannot be true are parted from the rest, each with its reason, and none is lost.

The oracle reads the rules row by row in plain Python.
"""

import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.market.bars import Bar, Bars
from wavetank.market.quality import Rules, sift
from wavetank.market.raw import RawBars

from .handmade import HOUR, MIDNIGHT, drawn_bars, same_bits

GOOD = Bar(MIDNIGHT, 10.0, 12.0, 9.0, 11.0, 5.0, 2.0, 7)
COLUMNS = ("opened_at", "open", "high", "low", "close", "volume", "taker_buy_volume", "trades")


def raw_of(*rows: tuple[Any, ...]) -> RawBars:
    """Rows of eight as a source told them."""
    columns: dict[str, Any] = dict(zip(COLUMNS, map(np.array, zip(*rows, strict=True)), strict=True))
    return RawBars("1h", **columns)


def test_good_rows_pass_untouched() -> None:
    bars = drawn_bars(np.random.default_rng(1), 30)
    told = sift(RawBars.of(bars))
    assert told.bars is not None
    assert all(same_bits(getattr(told.bars, name), getattr(bars, name)) for name in COLUMNS[:6])
    assert (len(told.rejected), told.reasons, told.repeats, told.dropped) == (0, (), 0, ())
    assert told.kept.tolist() == list(range(30))
    assert told.bars.symbol == bars.symbol


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"opened_at": MIDNIGHT + 1}, "opened_at 1704067200001 ms is off the 1h grid"),
    ({"opened_at": -HOUR}, "opened_at -3600000 ms lies outside 0 … 4102444800000"),
    ({"opened_at": MIDNIGHT * 1000}, "opened_at 1704067200000000 ms lies outside 0 … 4102444800000"),
    ({"open": math.nan}, "open nan is no price in (0, 1e+06)"),
    ({"high": math.inf}, "high inf is no price in (0, 1e+06)"),
    ({"low": 0.0}, "low 0.0 is no price in (0, 1e+06)"),
    ({"close": -1.0}, "close -1.0 is no price in (0, 1e+06)"),
    ({"high": 1e6}, "high 1000000.0 is no price in (0, 1e+06)"),
    ({"low": 10.5}, "low 10.5 lies above open 10.0 or close 11.0"),
    ({"high": 10.5}, "high 10.5 lies below open 10.0 or close 11.0"),
    ({"volume": -0.5}, "volume -0.5 is no amount in 0 … inf"),
    ({"volume": math.nan}, "volume nan is no amount in 0 … inf"),
    ({"volume": math.inf}, "volume inf is no amount in 0 … inf"),
    ({"taker_buy_volume": -1.0}, "taker_buy_volume -1.0 is no amount of 0 or more"),
    ({"taker_buy_volume": math.inf}, "taker_buy_volume inf is no amount of 0 or more"),
    ({"taker_buy_volume": 5.1}, "taker_buy_volume 5.1 is more than the volume 5.0"),
    ({"trades": 2.5}, "trades 2.5 is no count"),
    ({"trades": -1}, "trades -1.0 is no count"),
    ({"trades": math.inf}, "trades inf is no count"),
]


@pytest.mark.parametrize(("change", "reason"), BROKEN)
def test_a_row_that_cannot_be_true_is_rejected_with_its_value(change: dict[str, Any], reason: str) -> None:
    neighbour = GOOD._replace(opened_at=MIDNIGHT + HOUR)
    told = sift(raw_of(GOOD._replace(**change), neighbour))
    assert told.reasons == (reason,)
    assert told.rows.tolist() == [0]
    assert told.bars is not None
    assert list(told.bars) == [neighbour]
    name, value = next(iter(change.items()))
    assert np.array_equal(getattr(told.rejected, name), [value], equal_nan=True)


def test_prices_and_volumes_are_bounded_as_the_instrument_says() -> None:
    rules = Rules(price_low=9.0, price_high=12.5, volume_high=5.0)
    assert sift(raw_of(GOOD), rules).reasons == ("low 9.0 is no price in (9, 12.5)",)
    assert sift(raw_of(GOOD._replace(low=9.5)), rules).reasons == ()
    assert sift(raw_of(GOOD._replace(low=9.5, volume=5.5)), rules).reasons == ("volume 5.5 is no amount in 0 … 5",)


def test_order_is_restored_and_identical_repeats_collapse() -> None:
    later = GOOD._replace(opened_at=MIDNIGHT + HOUR)
    told = sift(raw_of(later, GOOD, later, GOOD, later))
    assert told.bars is not None
    assert list(told.bars) == [GOOD, later]
    assert (told.repeats, told.reasons, told.kept.tolist()) == (3, (), [1, 0])


def test_rows_of_one_instant_that_disagree_are_all_rejected() -> None:
    other, later = GOOD._replace(close=10.5), GOOD._replace(opened_at=MIDNIGHT + HOUR)
    told = sift(raw_of(GOOD, later, other, GOOD))
    assert told.bars is not None
    assert list(told.bars) == [later]
    assert told.rows.tolist() == [0, 2, 3]
    assert set(told.reasons) == {f"3 rows open at {MIDNIGHT} ms and disagree: close 11.0 and 10.5"}
    assert told.repeats == 0


def test_an_impossible_row_does_not_speak_against_a_possible_one() -> None:
    told = sift(raw_of(GOOD._replace(low=0.0), GOOD))
    assert told.bars is not None
    assert list(told.bars) == [GOOD]
    assert told.rows.tolist() == [0]


def test_an_optional_column_with_a_hole_is_left_out_by_name() -> None:
    told = sift(raw_of(GOOD, (MIDNIGHT + HOUR, *GOOD[1:7], math.nan)))
    assert told.dropped == ("trades",)
    assert told.bars is not None
    assert told.bars.trades is None
    assert told.bars.taker_buy_volume is not None


def test_nothing_good_leaves_no_bars() -> None:
    assert sift(raw_of(GOOD._replace(low=0.0))).bars is None
    nothing = sift(RawBars.of(drawn_bars(np.random.default_rng(1), 1)).take(np.zeros(0, np.int64)))
    assert (nothing.bars, len(nothing.rejected), nothing.repeats) == (None, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"price_low": -1.0}, "prices between -1.0 and 1000000.0 are no range"),
        ({"price_low": 5.0, "price_high": 5.0}, "prices between 5.0 and 5.0 are no range"),
        ({"jump": 0.0}, "rule jump is 0.0"),
        ({"ks": math.nan}, "rule ks is nan"),
        ({"zero_volume": 1.5}, "rule zero_volume is 1.5"),
        ({"stale_bars": 1}, "rule stale_bars is 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Rules(**wrong)


# Few values a column, so that faults, repeats and quarrels meet in one draw.
numbers = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, 1e6, math.nan, math.inf])
prices = st.sampled_from([1.0, 2.0, 3.0] * 4 + [0.0, 1e6, math.nan])
rows = st.tuples(
    st.sampled_from([0, HOUR, 2 * HOUR, 3 * HOUR, 3 * HOUR, HOUR // 2, -HOUR]),
    *[prices] * 4,
    st.sampled_from([2.0, 3.0, 0.0, -1.0, math.nan]),
    numbers,
    st.sampled_from([0.0, 1.0, 2.5, -1.0, math.nan]),
)
likely = st.tuples(  # mostly good
    st.integers(0, 4).map(lambda k: k * HOUR),
    st.just(2.0),
    st.sampled_from([3.0, 4.0]),
    st.just(1.0),
    st.just(2.0),
    st.just(5.0),
    st.sampled_from([1.0, math.nan]),
    st.just(3.0),
)


def impossible(row: tuple[float, ...]) -> bool:
    """The rules, read aloud."""
    at, open_, high, low, close, volume, taker, trades = row
    if at < 0 or at % HOUR:
        return True
    if not all(0.0 < price < 1e6 for price in (open_, high, low, close)):
        return True
    if low > min(open_, close) or high < max(open_, close):
        return True
    if not 0.0 <= volume < math.inf:
        return True
    if not math.isnan(taker) and not 0.0 <= taker <= volume:
        return True
    return not math.isnan(trades) and not (trades >= 0.0 and trades == math.floor(trades))


def slow_sift(table: list[tuple[float, ...]]) -> tuple[list[int], list[int], int]:
    """Rows kept in order of time, rows rejected, and how many repeats fell away."""
    rejected = {i for i, row in enumerate(table) if impossible(row)}
    at_once: dict[float, list[int]] = defaultdict(list)
    for i, row in enumerate(table):
        if i not in rejected:
            at_once[row[0]].append(i)
    kept, repeats = [], 0
    for at in sorted(at_once):
        group = at_once[at]
        if len({str(table[i]) for i in group}) > 1:
            rejected |= set(group)
        else:
            kept.append(group[0])
            repeats += len(group) - 1
    return kept, sorted(rejected), repeats


@settings(max_examples=300)
@given(st.lists(st.one_of(rows, likely), min_size=1, max_size=14))
def test_every_row_is_accounted_for_as_the_slow_twin_says(table: list[tuple[float, ...]]) -> None:
    raw = raw_of(*table)
    told = sift(raw)
    kept, rejected, repeats = slow_sift([(int(row[0]), *map(float, row[1:])) for row in table])
    assert told.kept.tolist() == kept
    assert told.rows.tolist() == rejected
    assert told.repeats == repeats
    assert len(told.rejected) == len(told.reasons) == len(rejected)
    assert (0 if told.bars is None else len(told.bars)) + len(told.rejected) + told.repeats == len(raw)
    assert np.array_equal(told.rejected.close, raw.close[rejected], equal_nan=True)
    if told.bars is not None:
        assert same_bits(told.bars.close, raw.close[kept])
        holes = [name for name in COLUMNS[6:] if np.isnan(getattr(raw, name)[kept]).any()]
        assert list(told.dropped) == holes


@given(st.lists(likely, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_arrive_changes_nothing(table: list[tuple[float, ...]], shuffle: Any) -> None:
    one = sift(raw_of(*table))
    mixed = list(table)
    shuffle.shuffle(mixed)
    two = sift(raw_of(*mixed))
    assert one.repeats == two.repeats
    assert sorted(one.rejected.opened_at.tolist()) == sorted(two.rejected.opened_at.tolist())
    assert _same(one.bars, two.bars)


def _same(one: Bars | None, two: Bars | None) -> bool:
    if one is None or two is None:
        return one is two
    return all(same_bits(getattr(one, name), getattr(two, name)) for name in COLUMNS)


def test_sifting_what_was_sifted_changes_nothing() -> None:
    bars = drawn_bars(np.random.default_rng(5), 40)
    once = sift(RawBars.of(replace(bars, trades=np.arange(40))))
    assert once.bars is not None
    twice = sift(RawBars.of(once.bars))
    assert _same(once.bars, twice.bars)
    assert len(twice.rejected) == twice.repeats == 0
