"""The machinery of training, on invented tapes: what it learns travels as arrays, and no run stands on both sides."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from wavetank.experiments import detectors
from wavetank.experiments.alert_scores import Span, roc_auc
from wavetank.experiments.detectors import (
    TRANSFERRING,
    Lesson,
    judge,
    judge_rules,
    pump_lessons,
    rows_of,
    scored,
    spoof_lessons,
    train,
)
from wavetank.experiments.labelled_tapes import LabelledOrders, LabelledTape, order_events_of, prints_of, split
from wavetank.market.chunks import Pace
from wavetank.market.detector_model import scores
from wavetank.market.detector_table import PUMP, SPOOF, DetectorTable, read_table, write_table
from wavetank.market.order_events import CANCELLED, FILLED, RESTED, TAKEN
from wavetank.market.pump_features import PUMP_FEATURES
from wavetank.market.spoof_features import SPOOF_FEATURES
from wavetank.market.surveillance import watch_tape
from wavetank.simulators.order_kinds import Event

from ..market.invented_tapes import MINUTE, START, Quotes, burst, maker_at_work, quiet, spoofer_at_work, tape

PACE = Pace(window_ms=30 * MINUTE, warm_ms=10 * MINUTE)


def pumped(seed: int) -> LabelledTape:
    """A quiet hour and a half with one pump, whose size follows from the seed."""
    rng = np.random.default_rng(seed)
    at = START + 45 * MINUTE + int(rng.integers(0, 60_000))
    parts = burst(rng, at, seconds=60, orders=40 + 10 * (seed % 5), fills=3, rise=0.2 + 0.1 * (seed % 3), price=100.0)
    prints = tape(quiet(rng, 90), parts)
    return LabelledTape(
        f"pump {seed}", "pump", str(seed % 5), prints, (Span(at, at + MINUTE, at + 5 * MINUTE),), START + 90 * MINUTE
    )


def newsy(seed: int) -> LabelledTape:
    """The hard negative: the same crowding and rise, but of plain orders and sellers among them."""
    rng = np.random.default_rng(1000 + seed)
    at = START + 45 * MINUTE
    rush = burst(rng, at, seconds=60, orders=60, fills=1, rise=0.2, price=100.0)
    rush = [row._replace(side=1 if k % 3 else -1) for k, row in enumerate(rush)]
    return LabelledTape(f"news {seed}", "news", str(seed % 5), tape(quiet(rng, 90), rush), (), START + 90 * MINUTE)


@pytest.fixture(scope="module")
def tapes() -> list[LabelledTape]:
    return [make(seed) for seed in range(10) for make in (pumped, newsy)]


@pytest.fixture(scope="module")
def sides(tapes: list[LabelledTape]) -> tuple[list[Lesson], list[Lesson]]:
    learnt, judged = split(tapes, np.random.default_rng(0))
    return pump_lessons(learnt, PACE), pump_lessons(judged, PACE)


@pytest.fixture(scope="module")
def trained(sides: tuple[list[Lesson], list[Lesson]]) -> DetectorTable:
    return train(PUMP, sides[0], PACE)


def test_a_split_holds_whole_groups_and_runs_out(tapes: list[LabelledTape]) -> None:
    learnt, judged = split(tapes, np.random.default_rng(0))
    assert len(learnt) + len(judged) == len(tapes)
    for family in ("pump", "news"):
        groups = [{tape.group for tape in side if tape.family == family} for side in (learnt, judged)]
        assert len(groups[1]) == 2
        assert not groups[0] & groups[1]


def test_a_run_on_both_sides_is_refused(tapes: list[LabelledTape]) -> None:
    with pytest.raises(ValueError, match="run 'one' would stand on both sides"):
        split([replace(tape, run="one") for tape in tapes], np.random.default_rng(0))
    with pytest.raises(ValueError, match="has 1 group of parameters"):
        split([replace(tape, group="a") for tape in tapes], np.random.default_rng(0))


def test_rows_of_a_pump_are_true_until_its_peak_and_left_out_until_its_end() -> None:
    (lesson,) = pump_lessons([pumped(3)], PACE)
    (span,) = lesson.spans
    for at, truth in zip(lesson.known_at, lesson.truth, strict=True):
        expected = 0 if at <= span.start_ms or at > span.end_ms else 1 if at <= span.peak_ms else -1
        assert truth == expected
    assert (lesson.truth == 1).sum() > 5
    assert len(rows_of([lesson])[1]) == (lesson.truth >= 0).sum()


@pytest.mark.parametrize("model", ["trees", "logistic"])
def test_a_detector_parts_pumps_from_news_that_it_never_saw(
    sides: tuple[list[Lesson], list[Lesson]], model: str
) -> None:
    learnt, judged = sides
    table = train(PUMP, learnt, PACE, model=model)
    verdict = judge(table, judged)
    assert verdict.at.recall == 1.0
    assert verdict.at.f1 > 0.85
    assert verdict.pr_auc == pytest.approx(1.0)
    assert verdict.at.median_delay_ms <= 25_000
    assert table.training["runs"] == len(learnt)


def test_single_thresholds_are_worse_where_news_look_alike(
    sides: tuple[list[Lesson], list[Lesson]], trained: DetectorTable
) -> None:
    rules = judge_rules(trained, *sides)
    by_name = {rule.name.split(" ")[0]: rule for rule in rules}
    assert set(by_name) == {"std_rush_orders", "std_volumes", "std_price", "growth_rush_orders"}
    assert by_name["std_price"].at.f1 < 1.0
    assert by_name["growth_rush_orders"].at.threshold == 30.32


@pytest.mark.parametrize("model", ["trees", "logistic"])
def test_the_table_says_what_scikit_learn_says(
    sides: tuple[list[Lesson], list[Lesson]], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt, judged = sides
    kept = list[HistGradientBoostingClassifier | LogisticRegression]()

    def keeping(kind: type) -> Callable[..., object]:
        def make(**options: object) -> object:
            kept.append(kind(**options))
            return kept[-1]

        return make

    monkeypatch.setattr(detectors, "HistGradientBoostingClassifier", keeping(HistGradientBoostingClassifier))
    monkeypatch.setattr(detectors, "LogisticRegression", keeping(LogisticRegression))
    table = train(PUMP, learnt, PACE, model=model)
    columns = [list(PUMP_FEATURES).index(name) for name in TRANSFERRING]
    seen, values = rows_of(learnt)[0][:, columns], rows_of(judged)[0]
    given = np.clip(values[:, columns], table.low, table.high)
    if model == "logistic":
        given = (given - seen.mean(axis=0)) / np.maximum(seen.std(axis=0), 1e-9)
    np.testing.assert_allclose(scores(table.model(), values), kept[-1].predict_proba(given)[:, 1], atol=1e-9)


def test_more_of_what_speaks_for_a_pump_never_lowers_the_score(
    sides: tuple[list[Lesson], list[Lesson]], trained: DetectorTable
) -> None:
    values = rows_of(sides[1])[0]
    before = scores(trained.model(), values)
    for name in TRANSFERRING:
        more = values.copy()
        more[:, list(PUMP_FEATURES).index(name)] += 0.7
        assert (scores(trained.model(), more) >= before).all(), name


def test_the_written_table_alarms_as_the_judge_counted(
    sides: tuple[list[Lesson], list[Lesson]], trained: DetectorTable, tapes: list[LabelledTape], tmp_path: Path
) -> None:
    table = trained
    path = tmp_path / "pump.json"
    write_table(path, table)
    run = next(tape for tape in tapes if tape.run == sides[1][0].run)
    alerts = watch_tape(read_table(path), run.prints, run.until_ms)
    (told,) = scored(table, [sides[1][0]])
    assert [alert.score for alert in alerts] == [
        float(told.score[np.flatnonzero(told.known_at == alert.known_at)[0]]) for alert in alerts
    ]
    assert bool(alerts) == bool(run.pumps)


def test_the_same_seed_trains_the_same_table(
    sides: tuple[list[Lesson], list[Lesson]], trained: DetectorTable, tmp_path: Path
) -> None:
    digests = [write_table(tmp_path / "pump.json", table) for table in (trained, train(PUMP, sides[0], PACE))]
    assert digests[0] == digests[1]


def test_a_detector_without_both_truths_is_refused() -> None:
    with pytest.raises(ValueError, match="0 rows of manipulation"):
        train(PUMP, pump_lessons([newsy(1), newsy(2), newsy(3)], PACE), PACE)


def spoofed(seed: int) -> LabelledOrders:
    rng, book = np.random.default_rng(seed), Quotes()
    for owner in (1, 2):
        maker_at_work(book, rng, owner, 400)
    for first in (100_000, 250_000):
        side = 1 if rng.random() < 0.5 else -1
        spoofer_at_work(book, rng, 3, first, side=side, layers=2 + seed % 4)
    return LabelledOrders(f"spoof {seed}", "spoof", str(seed % 4), book.events(), frozenset({3}))


def test_a_spoofing_detector_finds_layers_it_never_saw_and_spares_makers() -> None:
    learnt, judged = split([spoofed(seed) for seed in range(8)], np.random.default_rng(1))
    table = train(SPOOF, spoof_lessons(learnt, PACE), PACE)
    assert table.features == tuple(SPOOF_FEATURES)
    lessons = spoof_lessons(judged, PACE)
    assert judge(table, lessons).at.f1 == 1.0
    values, truth = rows_of(lessons)
    assert roc_auc(scores(table.model(), values), truth == 1) > 0.99


def test_a_crowd_s_tables_become_prints_and_events() -> None:
    names = ("at_ms", "sequence", "kind", "owner", "order_id", "side", "ticks", "lots", "maker", "maker_id", "taker_id")
    rows = [
        (1000, 1, Event.ACCEPTED, 7, 1, 1, 99, 5, 0, 0, 0),
        (1000, 2, Event.RESTED, 7, 1, 1, 99, 5, 0, 0, 0),
        (2000, 3, Event.ACCEPTED, 8, 2, -1, 0, 3, 0, 0, 0),
        (2000, 4, Event.TRADE, 8, 2, -1, 99, 3, 7, 1, 2),
        (3000, 5, Event.CANCELLED, 7, 1, 1, 99, 2, 0, 0, 0),
    ]
    events = np.array([tuple(map(int, row)) for row in rows], [(name, np.int64) for name in names])
    quotes = np.array(
        [(1000, 99, 5, 101, 4), (2000, 99, 2, 101, 4)],
        [(name, np.int64) for name in ("at_ms", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")],
    )
    told = order_events_of(events, quotes)
    assert list(told.kind) == [RESTED, TAKEN, FILLED, CANCELLED]
    assert list(told.owner) == [7, 8, 7, 7]
    assert list(told.order_id) == [1, 2, 1, 1]
    assert list(told.side) == [1, -1, 1, 1]
    assert list(told.bid_lots) == [0, 5, 5, 2]  # the quotes of the step before, never of its own
    prints = prints_of(events[3:4], tick=0.5, lot=0.1)
    (fill,) = (prints.at(i) for i in range(len(prints)))
    assert (fill.at_ms, fill.price, fill.side, fill.order_id) == (2000, 49.5, -1, 2)
    assert fill.volume == pytest.approx(0.3)
