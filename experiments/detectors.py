"""Training of detectors: labelled tapes in, a versioned table out, and its scores beside single-threshold rules.

Boosted trees whose score may only rise with what speaks for a manipulation, or a logistic model; the threshold is
chosen on runs that the scored model did not see. scikit-learn lives here and nowhere else: what is left is arrays.
Knows no market and no file of recorded data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from ..market.chunks import Pace
from ..market.detector_model import LEAF, scores
from ..market.detector_table import PUMP, PUMP_BARS, SPOOF, DetectorTable
from ..market.pump_features import PUMP_FEATURES, Rows, bar_rows, tape_rows
from ..market.spoof_features import SPOOF_FEATURES, event_rows
from .alert_scores import EventScore, ScoredTape, Span, best_threshold, curve, pr_auc, score_events
from .labelled_tapes import LabelledOrders, LabelledTape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Neither hour nor minute: the crowd's clock begins at random, and a real pump may wait for a full hour or not. No price
# without a spread beside it: pumps are trained at +20…+150 %, and real ones begin with a few per cent.
TRANSFERRING = ("std_rush_orders", "avg_rush_orders", "std_trades", "std_volumes", "std_price", "buy_share")
ON_BARS = ("std_volumes", "avg_volumes", "std_price")
DEFAULT_FEATURES = {PUMP: TRANSFERRING, PUMP_BARS: ON_BARS, SPOOF: tuple(SPOOF_FEATURES)}
DESCRIBED = {PUMP: PUMP_FEATURES, PUMP_BARS: PUMP_FEATURES, SPOOF: SPOOF_FEATURES}
SINGLE_RULES = {  # baselines, each with its best threshold in training
    PUMP: ("std_rush_orders", "std_volumes", "std_price"),
    PUMP_BARS: ON_BARS,
    SPOOF: ("cancelled", "size"),
}
PUBLISHED_RULE, PUBLISHED_THRESHOLD = "growth_rush_orders", 30.32  # La Morgia's one feature, facts/simulators.md 10
# Chunks of silence after an alert. A pump is told of soon or not at all, and what comes before one must not silence it;
# a spoofer goes on for long.
QUIET_CHUNKS = {PUMP: 12, PUMP_BARS: 12, SPOOF: 72}
FOLDS = 3
TREES = dict(max_iter=200, max_leaf_nodes=16, learning_rate=0.1, l2_regularization=1.0, min_samples_leaf=20)
QUANTILES = (0.0, 1.0)  # a column is clipped to what was seen in training: beyond it nothing is known


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows of one run as a trainer sees them. `truth` 1: manipulation, 0: none, −1: neither learnt nor judged."""

    run: str
    known_at: Ints
    values: Floats
    truth: Ints
    owners: Ints
    spans: tuple[Span, ...]
    spoofers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """The plainest detector: one feature at a threshold or above it."""

    feature: str
    threshold: float

    def __str__(self) -> str:
        return f"{self.feature} ≥ {self.threshold:.4g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One detector's scores on one set of tapes."""

    name: str
    at: EventScore
    pr_auc: float


def pump_lessons(tapes: Sequence[LabelledTape], pace: Pace) -> list[Lesson]:
    """Rows of each tape; a row is a pump's from its start to its peak, and left out from there to its end."""
    return [_pump_lesson(tape, pace) for tape in tapes]


def bar_lessons(tapes: Sequence[LabelledTape], pace: Pace) -> list[Lesson]:
    """Rows of each tape's bars, one a bar, with the truth of `pump_lessons`."""
    return [_bar_lesson(tape, pace) for tape in tapes]


def spoof_lessons(tapes: Sequence[LabelledOrders], pace: Pace) -> list[Lesson]:
    """Rows of each run, one a cancel; all of a spoofer's are true."""
    return [_spoof_lesson(tape, pace) for tape in tapes]


def train(
    kind: str,
    lessons: Sequence[Lesson],
    pace: Pace,
    *,
    features: Sequence[str] | None = None,
    model: str = "trees",
    refractory_ms: int | None = None,
    false_weight: float = 1.0,
    seed: int = 0,
    told: Mapping[str, Any] | None = None,
) -> DetectorTable:
    """Fit a detector of `kind` on whole runs; `told` is provenance. Raises ValueError without both truths.

    The threshold maximises event F1 on scores that each fold of runs gets from a model of the others, a false alert
    counted as `false_weight` of them.
    """
    features = tuple(features or DEFAULT_FEATURES[kind])
    quiet = QUIET_CHUNKS[kind] * pace.chunk_ms if refractory_ms is None else refractory_ms
    _refuse_one_sided(lessons)
    fit = _fitting(kind, features, pace, quiet, model, seed)
    apart = list[ScoredTape]()
    for fold in _folds(lessons, seed):
        others = [lesson for lesson in lessons if lesson.run not in fold]
        judged = [lesson for lesson in lessons if lesson.run in fold]
        apart += scored(fit(others), judged)
    chosen = best_threshold(curve(apart, quiet), false_weight)
    training = {"model": model, "seed": seed, "folds": FOLDS, "runs": len({lesson.run for lesson in lessons})}
    training |= {"f1_out_of_fold": chosen.f1, "false_weight": false_weight, **(told or {})}
    return replace(fit(lessons), threshold=min(1.0, max(1e-9, chosen.threshold)), training=training)


def scored(table: DetectorTable, lessons: Sequence[Lesson]) -> list[ScoredTape]:
    """What a table says of each run; a spoofing detector of each run's owners one by one."""
    return [tape for lesson in lessons for tape in _scored(lesson, scores(table.model(), lesson.values))]


def scored_by(rule: Rule, kind: str, lessons: Sequence[Lesson]) -> list[ScoredTape]:
    """What one feature says of each run, in place of a table."""
    column = list(DESCRIBED[kind]).index(rule.feature)
    return [tape for lesson in lessons for tape in _scored(lesson, lesson.values[:, column])]


def rules_for(table: DetectorTable, learnt: Sequence[Lesson]) -> list[Rule]:
    """Single-threshold rules beside a table: each feature at its best threshold in training, and the published one."""
    rules = [Rule(name, _best(name, table, learnt)) for name in SINGLE_RULES[table.kind]]
    return [*rules, Rule(PUBLISHED_RULE, PUBLISHED_THRESHOLD)] if table.kind == PUMP else rules


def verdict(name: str, tapes: Sequence[ScoredTape], threshold: float, refractory_ms: int) -> Verdict:
    """Scores of what a detector or a rule said, at one threshold and over all."""
    return Verdict(name, score_events(tapes, threshold, refractory_ms), pr_auc(curve(tapes, refractory_ms)))


def judge(table: DetectorTable, lessons: Sequence[Lesson]) -> Verdict:
    """The table's scores at its own threshold, and over all thresholds."""
    return verdict(name_of(table), scored(table, lessons), table.threshold, table.refractory_ms)


def judge_rules(table: DetectorTable, learnt: Sequence[Lesson], judged: Sequence[Lesson]) -> list[Verdict]:
    """The single-threshold rules beside a table, on the same runs."""
    return [
        verdict(str(rule), scored_by(rule, table.kind, judged), rule.threshold, table.refractory_ms)
        for rule in rules_for(table, learnt)
    ]


def name_of(table: DetectorTable) -> str:
    """What a table is called beside its baselines."""
    return f"{table.kind}, {table.training.get('model', 'a rule')}"


def rows_of(lessons: Sequence[Lesson]) -> tuple[Floats, Ints]:
    """All rows that count, and their truth."""
    values = np.concatenate([lesson.values[lesson.truth >= 0] for lesson in lessons])
    return values, np.concatenate([lesson.truth[lesson.truth >= 0] for lesson in lessons])


def _pump_lesson(tape: LabelledTape, pace: Pace) -> Lesson:
    return _with_truth(tape, tape_rows(tape.prints, pace, tape.until_ms))


def _bar_lesson(tape: LabelledTape, pace: Pace) -> Lesson:
    if tape.bars is None:
        raise ValueError(f"run {tape.run!r} has no bars to learn from")
    return _with_truth(tape, bar_rows(tape.bars, pace))


def _with_truth(tape: LabelledTape, rows: Rows) -> Lesson:
    truth = np.zeros(len(rows.known_at), np.int64)
    for span in tape.pumps:
        truth[(rows.known_at > span.start_ms) & (rows.known_at <= span.end_ms)] = -1
        truth[(rows.known_at > span.start_ms) & (rows.known_at <= span.peak_ms)] = 1
    return Lesson(tape.run, rows.known_at, rows.values, truth, np.full(len(truth), -1, np.int64), tape.pumps)


def _spoof_lesson(tape: LabelledOrders, pace: Pace) -> Lesson:
    rows, owners = event_rows(tape.events, pace)
    truth = np.isin(owners, list(tape.spoofers)).astype(np.int64)
    return Lesson(tape.run, rows.known_at, rows.values, truth, owners, (), tape.spoofers)


def _scored(lesson: Lesson, said: Floats) -> list[ScoredTape]:
    if (lesson.owners < 0).all():
        return [ScoredTape(lesson.known_at, said, lesson.spans)]
    tapes = []
    for owner in np.unique(lesson.owners):
        mine = lesson.owners == owner
        at = lesson.known_at[mine]
        spans = (Span(int(at[0]), int(at[-1]), int(at[-1])),) if int(owner) in lesson.spoofers else ()
        tapes.append(ScoredTape(at, said[mine], spans))
    return tapes


def _best(feature: str, table: DetectorTable, learnt: Sequence[Lesson]) -> float:
    said = scored_by(Rule(feature, 0.0), table.kind, learnt)
    return best_threshold(curve(said, table.refractory_ms), float(table.training.get("false_weight", 1.0))).threshold


def _refuse_one_sided(lessons: Sequence[Lesson]) -> None:
    true = sum(int((lesson.truth == 1).sum()) for lesson in lessons)
    false = sum(int((lesson.truth == 0).sum()) for lesson in lessons)
    if not true or not false:
        raise ValueError(f"{true} rows of manipulation and {false} without: a detector needs both to learn")
    if len({lesson.run for lesson in lessons}) < FOLDS:
        raise ValueError(f"{len(lessons)} runs, a threshold needs at least {FOLDS}")


def _folds(lessons: Sequence[Lesson], seed: int) -> list[set[str]]:
    """Runs in `FOLDS` sets, those with manipulations spread evenly over them."""
    shuffled = np.random.default_rng(seed).permutation(sorted({lesson.run for lesson in lessons}))
    true = {lesson.run for lesson in lessons if (lesson.truth == 1).any()}
    order = sorted((str(run) for run in shuffled), key=lambda run: run not in true)
    return [set(order[fold::FOLDS]) for fold in range(FOLDS)]


def _fitting(
    kind: str, features: tuple[str, ...], pace: Pace, quiet: int, model: str, seed: int
) -> Callable[[Sequence[Lesson]], DetectorTable]:
    """A function from lessons to a table without a threshold of its own."""
    if model not in ("trees", "logistic"):
        raise ValueError(f"model {model!r} is neither trees nor logistic")
    described = DESCRIBED[kind]
    columns = [list(described).index(name) for name in features]
    directions = [described[name][1] for name in features]

    def fit(lessons: Sequence[Lesson]) -> DetectorTable:
        values, truth = rows_of(lessons)
        seen = values[:, columns]
        low, high = np.quantile(seen, QUANTILES, axis=0)
        weight = np.where(truth == 1, 0.5 / max(1, (truth == 1).sum()), 0.5 / max(1, (truth == 0).sum())) * len(truth)
        learnt = _trees(seen, truth, weight, directions, seed) if model == "trees" else _logistic(seen, truth, weight)
        return DetectorTable(
            kind, features, tuple(map(float, low)), tuple(map(float, high)), threshold=0.5, refractory_ms=quiet,
            pace=pace, **learnt,
        )  # fmt: skip

    return fit


def _trees(seen: Floats, truth: Ints, weight: Floats, directions: list[int], seed: int) -> dict[str, Any]:
    learner = HistGradientBoostingClassifier(
        **TREES, monotonic_cst=directions, early_stopping=False, random_state=seed
    ).fit(seen, truth, weight)
    trees: dict[str, list[float]] = {name: [] for name in ("roots", "asked", "split", "left", "right", "value")}
    for (predictor,) in learner._predictors:  # the only place where the library keeps them
        _append(trees, predictor.nodes)
    return {"bias": float(learner._baseline_prediction.item()), "trees": trees}


def _append(trees: dict[str, list[float]], nodes: NDArray[np.void]) -> None:
    base, leaf = len(trees["asked"]), nodes["is_leaf"].astype(bool)
    trees["roots"].append(base)
    trees["asked"] += [int(k) for k in np.where(leaf, LEAF, nodes["feature_idx"])]
    trees["split"] += [float(x) for x in np.where(leaf, 0.0, nodes["num_threshold"])]
    for side in ("left", "right"):
        trees[side] += [int(k) for k in np.where(leaf, 0, nodes[side].astype(np.int64) + base)]
    trees["value"] += [float(x) for x in np.where(leaf, nodes["value"], 0.0)]


def _logistic(seen: Floats, truth: Ints, weight: Floats) -> dict[str, Any]:
    centre, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-9)
    learner = LogisticRegression(max_iter=1000).fit((seen - centre) / spread, truth, weight)
    weights = learner.coef_[0] / spread
    return {"bias": float(learner.intercept_[0] - (weights * centre).sum()), "weights": tuple(map(float, weights))}
