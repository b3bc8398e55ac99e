"""The evaluator: print by print it alarms at the instants, with the scores, of a whole tape; one event, one alert."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wavetank.market.chunks import Pace
from wavetank.market.detector_table import PUMP, PUMP_BARS, SPOOF, DetectorTable, TableError
from wavetank.market.pump_features import bar_pace
from wavetank.market.spoof_features import SPOOF_FEATURES
from wavetank.market.surveillance import Alert, BarWatch, PumpWatch, SpoofWatch, watch_bars, watch_events, watch_tape

from .handmade import drawn_bars
from .invented_tapes import MINUTE, START, Quotes, burst, maker_at_work, quiet, spoofer_at_work, tape

PACE = Pace(window_ms=30 * MINUTE, warm_ms=10 * MINUTE)


def rule(kind: str, feature: str, least: float, pace: Pace, refractory_ms: int = 10 * MINUTE) -> DetectorTable:
    """Alarms where one feature is at least `least`: a logistic model so steep that it is a step."""
    table = DetectorTable(kind, (feature,), (-99.0,), (99.0,), -50.0 * least, 0.5, refractory_ms, (50.0,), pace=pace)
    return table


RUSH = rule(PUMP, "std_rush_orders", 1.5, PACE)


def test_print_by_print_is_the_whole_tape_bit_for_bit() -> None:
    rng = np.random.default_rng(11)
    bursts = [
        burst(rng, START + at * MINUTE, seconds=30, orders=25, fills=3, rise=0.02, price=100.0) for at in (40, 55, 100)
    ]
    prints = tape(quiet(rng, 120), *bursts)
    eager = rule(PUMP, "std_rush_orders", 0.4, PACE, MINUTE)
    watch = PumpWatch(eager)
    found = [watch.take(*prints.at(i)) for i in range(len(prints))]
    alerts = [alert for alert in found if alert is not None]
    assert len(alerts) > 5
    assert alerts == watch_tape(eager, prints)


def test_the_clock_alone_ends_a_chunk_and_changes_nothing_else() -> None:
    rng = np.random.default_rng(12)
    prints = tape(
        quiet(rng, 90), burst(rng, START + 40 * MINUTE, seconds=30, orders=25, fills=3, rise=0.02, price=100.0)
    )
    eager = rule(PUMP, "std_rush_orders", 0.4, PACE, MINUTE)
    watch, found, now = PumpWatch(eager), list[Alert | None](), START
    for i in range(len(prints)):
        row = prints.at(i)
        while now < row.at_ms:
            found.append(watch.advance(now))
            now += 700
        found.append(watch.take(*row))
    assert [alert for alert in found if alert is not None] == watch_tape(eager, prints)


def test_one_pump_is_one_alert_soon_after_its_first_buys() -> None:
    rng = np.random.default_rng(6)
    onset = START + 70 * MINUTE + 3_000
    prints = tape(quiet(rng, 120), burst(rng, onset, seconds=20, orders=60, fills=4, rise=0.3, price=101.0))
    (alert,) = watch_tape(RUSH, prints)
    assert onset < alert.known_at <= onset + 25_000
    assert alert.kind == PUMP
    assert 0.5 <= alert.score <= 1.0


def test_after_the_refractory_time_it_alarms_again() -> None:
    rng = np.random.default_rng(7)
    pumps = [
        burst(rng, START + at * MINUTE, seconds=10, orders=60, fills=4, rise=0.1, price=101.0) for at in (40, 45, 60)
    ]
    alerts = watch_tape(RUSH, tape(quiet(rng, 90), *pumps))
    assert [round((alert.known_at - START) / MINUTE) for alert in alerts] == [40, 60]


def test_an_open_chunk_is_judged_once_the_recording_is_known_to_go_on() -> None:
    rng = np.random.default_rng(6)
    onset = START + 70 * MINUTE
    prints = tape(quiet(rng, 70), burst(rng, onset, seconds=4, orders=60, fills=4, rise=0.3, price=101.0))
    assert watch_tape(RUSH, prints) == []
    (alert,) = watch_tape(RUSH, prints, until_ms=onset + 5_000)
    assert alert.known_at == onset + 5_000


def test_bar_by_bar_is_the_whole_file_bit_for_bit_across_gaps() -> None:
    bars = drawn_bars(np.random.default_rng(5), 900, interval="1m", gaps={300: 2, 500: 40})
    table = rule(PUMP_BARS, "std_price", 1.2, bar_pace(MINUTE, 100, 50), 3 * MINUTE)
    watch = BarWatch(table)
    found = [watch.take(bar) for bar in bars]
    alerts = [alert for alert in found if alert is not None]
    assert len(alerts) > 10
    assert alerts == watch_bars(table, bars)


def test_event_by_event_is_the_whole_log_bit_for_bit() -> None:
    rng, book = np.random.default_rng(3), Quotes()
    for owner in (1, 2, 3):
        maker_at_work(book, rng, owner, 900)
    spoofer_at_work(book, rng, 77, 400_000, side=1, layers=4)
    table = rule(SPOOF, "size", 1.5, PACE, 5 * MINUTE)
    events = book.events()
    watch = SpoofWatch(table)
    found = [watch.take(events.at(i)) for i in range(len(events))]
    alerts = [alert for alert in found if alert is not None]
    assert [alert.owner for alert in alerts] == [77]
    assert alerts == watch_events(table, events)
    assert "size" in SPOOF_FEATURES


@pytest.mark.parametrize(("at_ms", "price"), [(START - 1, 100.0), (START + 5, math.nan), (START + 5, -1.0)])
def test_a_print_that_is_older_or_no_number_is_refused(at_ms: int, price: float) -> None:
    watch = PumpWatch(RUSH)
    watch.take(START, 100.0, 1.0, 1)
    with pytest.raises(ValueError, match="a print at"):
        watch.take(at_ms, price, 1.0, 1)


def test_a_detector_of_another_kind_is_refused() -> None:
    with pytest.raises(TableError, match="a pump detector, where one for pump bars is wanted"):
        BarWatch(RUSH)
    with pytest.raises(TableError, match="where one for spoof is wanted"):
        SpoofWatch(RUSH)
    minutes = rule(PUMP_BARS, "std_price", 1.0, bar_pace(MINUTE))
    with pytest.raises(TableError, match="bars of 1h"):
        watch_bars(minutes, drawn_bars(np.random.default_rng(1), 50))
    with pytest.raises(TableError, match="is negative"):
        replace(RUSH, refractory_ms=-1)
