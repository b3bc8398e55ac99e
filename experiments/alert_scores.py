"""Scores of detectors, event by event: a manipulation is caught once or missed, an alert elsewhere is false.

Precision, recall and F1 count events and alerts, not chunks; PR-AUC is the area under that curve over all thresholds;
delay runs from an event's start to its first alert. Knows neither features nor models.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HARDLY = 0.01  # of the alerts are right
THRESHOLDS = 400  # tried at most, at quantiles of the scores that are high enough to matter


class Span(NamedTuple):
    """One labelled manipulation: an alert in [start, end] catches it, and `peak_ms` is where it should be known by."""

    start_ms: int
    peak_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ScoredTape:
    """What a detector said of one tape: scores in the order of time, and the manipulations that there were."""

    known_at: Ints
    score: Floats
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class EventScore:
    """How a detector did at one threshold. `delays_ms` of the events caught, in the order of the tapes."""

    threshold: float
    caught: int
    missed: int
    false: int
    before_peak: int
    delays_ms: tuple[int, ...]

    @property
    def precision(self) -> float:
        """Of the alerts that stand for an event each; 1 where there were none."""
        return self.caught / (self.caught + self.false) if self.caught + self.false else 1.0

    @property
    def recall(self) -> float:
        """Of the events."""
        return self.caught / (self.caught + self.missed) if self.caught + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where nothing was caught."""
        return 2 * self.caught / (2 * self.caught + self.false + self.missed) if self.caught else 0.0

    @property
    def median_delay_ms(self) -> float:
        """Of the events caught; NaN without any."""
        return float(np.median(self.delays_ms)) if self.delays_ms else float("nan")


def score_events(tapes: Sequence[ScoredTape], threshold: float, refractory_ms: int) -> EventScore:
    """Alerts by the rule of the evaluator, matched to events; a second alert inside an event counts for nothing."""
    caught, false, early, events, delays = 0, 0, 0, 0, list[int]()
    for tape in tapes:
        alerts = alerts_of(tape, threshold, refractory_ms)
        events += len(tape.spans)
        outside = np.ones(len(alerts), bool)
        for span in tape.spans:
            inside = (alerts >= span.start_ms) & (alerts <= span.end_ms)
            outside &= ~inside
            if inside.any():
                first = int(alerts[inside][0])
                caught += 1
                early += first <= span.peak_ms
                delays.append(first - span.start_ms)
        false += int(outside.sum())
    return EventScore(threshold, caught, events - caught, false, early, tuple(delays))


def alerts_of(tape: ScoredTape, threshold: float, refractory_ms: int) -> Ints:
    """Instants of the alerts of one tape: scores at the threshold or above, then silence for the refractory time."""
    return np.array(list(_alerts(tape.known_at[tape.score >= threshold], refractory_ms)), np.int64)


def curve(tapes: Sequence[ScoredTape], refractory_ms: int) -> list[EventScore]:
    """Scores at falling thresholds: every distinct one, or `THRESHOLDS` of them where there are more.

    Ends, F1 once halved, where every event is caught or hardly an alert is right: the area can but be told too small.
    """
    said = np.unique(np.concatenate([tape.score for tape in tapes])) if tapes else np.zeros(0)
    if len(said) > THRESHOLDS:  # the upper end decides: half of the places are the highest scores, then ever fewer
        ranks = np.geomspace(THRESHOLDS // 2, len(said) - 1, THRESHOLDS // 2).round().astype(np.int64)
        said = said[len(said) - 1 - np.unique(np.concatenate([np.arange(THRESHOLDS // 2), ranks]))[::-1]]
    points, best = list[EventScore](), 0.0
    for threshold in said[::-1]:
        points.append(score_events(tapes, float(threshold), refractory_ms))
        best = max(best, points[-1].f1)
        if points[-1].f1 < 0.5 * best and (points[-1].recall == 1.0 or points[-1].precision < HARDLY):
            break
    return points


def pr_auc(points: Sequence[EventScore]) -> float:
    """Area under the event-level precision-recall curve: at each recall the best precision that reaches it."""
    area, reached = 0.0, 0.0
    for point in sorted(points, key=lambda point: point.recall):
        if point.recall > reached:
            best = max(other.precision for other in points if other.recall >= point.recall)
            area += (point.recall - reached) * best
            reached = point.recall
    return area


def best_threshold(points: Sequence[EventScore], false_weight: float = 1.0) -> EventScore:
    """The point of highest F1; of equals the middle one, which is farthest from doing worse.

    `false_weight` counts a false alert as so many, where there will be more to be mistaken about than there is here.
    """
    worth = [_weighed_f1(point, false_weight) for point in points]
    top = max(worth)
    equal = [point for point, value in zip(points, worth, strict=True) if value == top]
    best = sorted(equal, key=lambda point: point.threshold)
    return best[len(best) // 2]


def roc_auc(score: Floats, is_true: NDArray[np.bool_]) -> float:
    """The chance that a true one scores above a false one, ties counting half (Mann–Whitney)."""
    true, false = np.sort(score[is_true]), np.sort(score[~is_true])
    if not len(true) or not len(false):
        raise ValueError(f"{len(true)} true and {len(false)} false scores: both are needed")
    below, up_to = np.searchsorted(false, true, "left"), np.searchsorted(false, true, "right")
    return float((below + up_to).sum() / (2.0 * len(true) * len(false)))


def _weighed_f1(point: EventScore, false_weight: float) -> float:
    caught = 2.0 * point.caught
    return caught / (caught + false_weight * point.false + point.missed) if caught else 0.0


def _alerts(hot: Ints, refractory_ms: int) -> Iterator[int]:
    instants, at = hot.tolist(), 0  # bisect on a list is many times quicker than numpy's search for one number
    while at < len(instants):
        yield instants[at]
        at = max(at + 1, bisect_left(instants, instants[at] + refractory_ms, at))
