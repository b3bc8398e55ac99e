"""Scores of alerts worked out on paper, and areas against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wavetank.experiments.alert_scores import (
    EventScore,
    ScoredTape,
    Span,
    alerts_of,
    best_threshold,
    curve,
    pr_auc,
    roc_auc,
    score_events,
)


def scored(scores: dict[int, float], *spans: Span) -> ScoredTape:
    return ScoredTape(np.array(list(scores), np.int64), np.array(list(scores.values())), spans)


TAPE = scored({10: 0.2, 20: 0.9, 25: 0.8, 50: 0.7, 60: 0.95, 65: 0.6, 90: 0.75}, Span(15, 22, 30), Span(80, 82, 100))


def test_alerts_wait_for_the_refractory_time() -> None:
    assert list(alerts_of(TAPE, 0.7, 10)) == [20, 50, 60, 90]
    assert list(alerts_of(TAPE, 0.7, 11)) == [20, 50, 90]
    assert list(alerts_of(TAPE, 0.99, 1)) == []


def test_events_are_caught_once_and_alerts_elsewhere_are_false() -> None:
    score = score_events([TAPE], 0.7, 1)
    assert (score.caught, score.missed, score.false, score.before_peak) == (2, 0, 2, 1)
    assert score.precision == 0.5
    assert score.recall == 1.0
    assert score.f1 == pytest.approx(2 / 3)
    assert score.delays_ms == (5, 10)
    assert score.median_delay_ms == 7.5


def test_a_quiet_detector_is_precise_and_catches_nothing() -> None:
    score = score_events([TAPE], 0.99, 1)
    assert (score.precision, score.recall, score.f1) == (1.0, 0.0, 0.0)


def test_the_area_is_that_of_paper() -> None:
    # falling thresholds: .95 false; .9 caught (P ½ R ½); .75 caught (P ⅔ R 1); .7 a second false …
    assert pr_auc(curve([TAPE], 1)) == pytest.approx(2 / 3)
    early = scored({1: 0.9, 9: 0.8, 20: 0.7}, Span(0, 2, 2), Span(19, 21, 21))
    assert pr_auc(curve([early], 1)) == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)


def test_of_equal_thresholds_the_middle_one_is_chosen() -> None:
    tape = scored({1: 0.1, 50: 0.4, 51: 0.6, 52: 0.9}, Span(45, 60, 60))
    assert best_threshold(curve([tape], 100)).threshold == 0.6


def test_roc_auc_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(3)
    score, truth = np.round(rng.normal(size=500), 1), rng.random(500) < 0.2
    assert roc_auc(score + truth, truth) == pytest.approx(roc_auc_score(truth, score + truth), abs=1e-12)
    with pytest.raises(ValueError, match="both are needed"):
        roc_auc(score, np.zeros(500, bool))


def test_many_thresholds_are_thinned_without_losing_the_highest() -> None:
    rng = np.random.default_rng(4)
    tape = ScoredTape(np.arange(5000, dtype=np.int64) * 1000, rng.random(5000), (Span(0, 10, 10),))
    points = curve([tape], 10)
    assert len(points) <= 400
    assert points[0].threshold == tape.score.max()


def test_where_more_false_alerts_are_to_come_a_higher_threshold_is_chosen() -> None:
    lenient, strict = EventScore(0.4, 10, 0, 2, 10, ()), EventScore(0.8, 8, 2, 0, 8, ())
    assert best_threshold([lenient, strict]) is lenient  # 20 / 22 against 16 / 18
    assert best_threshold([lenient, strict], false_weight=5.0) is strict  # 20 / 30 against 16 / 18
