"""The shipped detectors in markets that nobody trained them on, and, where recorded data lies, on the record."""

import pytest

from wavetank.experiments.alert_scores import score_events
from wavetank.experiments.detector_bar import HIT_SHARE, Recorded, recorded
from wavetank.experiments.detector_course import HELD, PACES
from wavetank.experiments.detectors import Lesson, bar_lessons, pump_lessons, scored, spoof_lessons
from wavetank.experiments.labelled_tapes import LabelledTape
from wavetank.experiments.pump_files import SNGLS
from wavetank.experiments.pump_plays import CALM
from wavetank.experiments.spoof_plays import PLAIN
from wavetank.experiments.staged_tapes import look_alikes, order_tapes, pump_tapes
from wavetank.market.detector_table import PUMP, PUMP_BARS, SHIPPED, SPOOF, shipped_table
from wavetank.market.store import data_folder
from wavetank.market.surveillance import watch_bars, watch_tape

SEED = 20_000  # of no training
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pumps() -> list[LabelledTape]:
    return list(pump_tapes(SEED, 0, HELD, 1))


@pytest.fixture(scope="module")
def record() -> Recorded:
    if not (data_folder() / "pumps" / SNGLS).exists():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    found = recorded({kind: shipped_table(kind) for kind in SHIPPED})
    assert found is not None
    return found


def test_most_pumps_are_caught_before_their_peak(pumps: list[LabelledTape]) -> None:
    early = 0
    for tape in pumps:
        (span,) = tape.pumps
        alerts = [alert.known_at for alert in watch_tape(shipped_table(PUMP), tape.prints, tape.until_ms)]
        early += any(span.start_ms <= at <= span.peak_ms for at in alerts)
    assert len(pumps) == 10
    assert early >= 8


def test_pumps_are_seen_in_bars_too(pumps: list[LabelledTape]) -> None:
    caught = 0
    for tape in pumps:
        (span,) = tape.pumps
        assert tape.bars is not None
        alerts = [alert.known_at for alert in watch_bars(shipped_table(PUMP_BARS), tape.bars)]
        caught += any(span.start_ms <= at <= span.end_ms for at in alerts)
    assert caught >= 7


def test_calm_markets_and_news_give_hardly_an_alarm() -> None:
    tapes = list(look_alikes(SEED, 1, (CALM, "news"), HELD, 10))
    table, bars = shipped_table(PUMP), shipped_table(PUMP_BARS)
    lessons: dict[str, list[Lesson]] = {
        PUMP: pump_lessons(tapes, PACES[PUMP]),
        PUMP_BARS: bar_lessons(tapes, PACES[PUMP_BARS]),
    }
    for each in (table, bars):
        assert score_events(scored(each, lessons[each.kind]), each.threshold, each.refractory_ms).false <= 2


def test_most_spoofers_are_found_and_few_others_accused() -> None:
    tapes = list(order_tapes(SEED, 2, (PLAIN, "calm", "withdrawal"), HELD, 4))
    table = shipped_table(SPOOF)
    at = score_events(scored(table, spoof_lessons(tapes, PACES[SPOOF])), table.threshold, table.refractory_ms)
    assert at.caught + at.missed == 8
    assert at.caught >= 5
    assert at.false <= 3  # of some 2,600 honest traders


def test_every_recorded_pump_is_told_within_a_minute_with_at_most_one_false_alert_a_day(record: Recorded) -> None:
    assert [file.name for file in record.ticks] == ["ASTBTC", "BRDBTC", "DLTBTC", "ICNBTC"]
    for file in record.ticks:
        assert file.delay_ms is not None, file.name
        assert file.false_a_day <= 1.0, file.name


def test_bars_tell_sngls_and_spare_the_largest_natural_moves(record: Recorded) -> None:
    assert record.sngls
    assert len(record.moves) == 5
    for name, (hit, looked_at) in record.moves.items():
        assert hit <= HIT_SHARE * looked_at, name
