"""Recorded pumps: how files are read and judged, and, where recorded data lies, what single features part there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wavetank.experiments.pump_files import (
    SNGLS,
    LabelledTicks,
    judge_moves,
    judge_sngls,
    judge_ticks,
    largest_moves,
    minute_files,
    separations,
    tick_files,
)
from wavetank.market.bars import Bars
from wavetank.market.chunks import Pace
from wavetank.market.detector_table import PUMP, PUMP_BARS, DetectorTable
from wavetank.market.pump_features import bar_pace
from wavetank.market.store import data_folder
from wavetank.market.tick_files import read_ticks

from ..market.invented_tapes import MINUTE, START, burst, quiet, tape

PACE = Pace(window_ms=30 * MINUTE, warm_ms=10 * MINUTE)
RUSH = DetectorTable(PUMP, ("std_rush_orders",), (-9.0,), (9.0,), -75.0, 0.5, 10 * MINUTE, (50.0,), pace=PACE)


def needs_recorded_data() -> None:
    if not (data_folder() / "pumps" / SNGLS).exists():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")


def ticks_with_pumps_at(*minutes: int) -> LabelledTicks:
    """Labelled at the first of them."""
    rng = np.random.default_rng(6)
    pumps = [burst(rng, START + at * MINUTE, seconds=20, orders=60, fills=4, rise=0.2, price=100.0) for at in minutes]
    return LabelledTicks("INVENTED", tape(quiet(rng, 600), *pumps), START + minutes[0] * MINUTE)


def test_an_alert_within_the_minute_catches_and_one_elsewhere_is_false() -> None:
    verdict = judge_ticks(RUSH, ticks_with_pumps_at(70, 500))
    assert verdict.delay_ms is not None
    assert 0 < verdict.delay_ms <= 25_000
    assert verdict.false_alerts == 1
    assert verdict.false_a_day == pytest.approx(1 / (600 / 1440), rel=0.01)


def test_an_alert_a_few_minutes_late_does_not_catch() -> None:
    file = ticks_with_pumps_at(70)
    late = LabelledTicks(file.name, file.prints, file.labelled_ms - 3 * MINUTE)
    assert judge_ticks(RUSH, late).delay_ms is None


def test_a_feature_that_separates_costs_nothing_and_leaves_room_below() -> None:
    found = {s.feature: s for s in separations([ticks_with_pumps_at(70), ticks_with_pumps_at(90)], PACE)}
    assert found["std_rush_orders"].false_alerts == (0, 0)
    assert found["std_rush_orders"].lowest < found["std_rush_orders"].threshold
    assert sum(found["retrace"].false_alerts) > 0


def test_the_largest_moves_go_either_way_and_not_over_a_gap() -> None:
    close = np.array([100.0, 101.0, 90.0, 91.0, 140.0, 141.0])
    opened_at = START + MINUTE * np.array([0, 1, 2, 3, 9, 10])
    bars = Bars("1m", opened_at, close, close, close, close, np.ones(6))
    assert list(largest_moves(bars, 2)) == [2, 3]


def test_ticks_are_read_and_a_strange_file_is_refused(tmp_path: Path) -> None:
    stamps = pa.array([1_000, 1_000, 2_000], pa.timestamp("ms", "UTC"))
    columns = {"ts": stamps, "side": ["buy", "sell", "buy"], "price": [1.0, 2.0, 3.0], "amount": [4.0, 5.0, 6.0]}
    path = tmp_path / "ticks.parquet"
    pq.write_table(pa.table(columns), path)
    prints = read_ticks(path)
    assert [prints.at(i) for i in range(3)] == [
        (1_000, 1.0, 4.0, 1, 0),
        (1_000, 2.0, 5.0, -1, 0),
        (2_000, 3.0, 6.0, 1, 0),
    ]
    pq.write_table(pa.table(columns | {"side": ["buy", "swap", "buy"]}), path)
    with pytest.raises(ValueError, match="trade 1 has side 'swap'"):
        read_ticks(path)
    pq.write_table(pa.table(columns | {"price": [1.0, -2.0, 3.0]}), path)
    with pytest.raises(ValueError, match=r"ticks\.parquet: print 1: price -2\.0"):
        read_ticks(path)
    path.write_text("no parquet")
    with pytest.raises(ValueError, match="not a tick file"):
        read_ticks(path)


@pytest.mark.slow
def test_one_feature_parts_every_recorded_pump_from_its_nineteen_days() -> None:
    needs_recorded_data()
    files = tick_files()
    assert [file.name for file in files] == ["ASTBTC", "BRDBTC", "DLTBTC", "ICNBTC"]
    found = {s.feature: s for s in separations(files, Pace())}
    for feature in ("std_rush_orders", "std_volumes", "std_trades"):
        assert max(found[feature].false_alerts) <= 1
        assert max(found[feature].delays_ms) <= 60_000
        assert found[feature].lowest < found[feature].threshold - 1.0  # room for what was trained elsewhere


@pytest.mark.slow
def test_a_rule_on_bars_alarms_on_sngls_and_on_few_natural_moves() -> None:
    needs_recorded_data()
    pace = bar_pace(MINUTE)
    both = DetectorTable(
        PUMP_BARS,
        ("avg_volumes", "std_price"),
        (0.0, 0.0),
        (3.0, 3.0),
        -275.0,
        0.5,
        30 * MINUTE,
        (50.0, 50.0),
        pace=pace,
    )
    assert len(judge_sngls(both)) == 1
    for path in minute_files():
        hit, of = judge_moves(both, path)
        assert of == 20
        assert hit <= 2, path.name
