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
from ..market.detector_table import PUMP, SPOOF, DetectorTable
from ..market.pump_features import PUMP_FEATURES, tape_rows
from ..market.spoof_features import SPOOF_FEATURES, event_rows
from .alert_scores import EventScore, ScoredTape, Span, best_threshold, curve, pr_auc, score_events
from .labelled_tapes import LabelledOrders, LabelledTape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Neither hour nor minute: the crowd's clock begins at random, and a real pump may wait for a full hour or not. No price
# without a spread beside it: pumps are trained at +20…+150 %, and real ones begin with a few per cent.
TRANSFERRING = (
    "std_rush_orders",
    "avg_rush_orders",
    "std_trades",
    "std_orders",
    "std_volumes",
    "avg_volumes",
    "avg_buy_volumes",
    "std_price",
)
SINGLE_RULES = ("std_rush_orders", "std_volumes", "std_price")  # baselines, each with its best threshold in training
PUBLISHED_RULE, PUBLISHED_THRESHOLD = "growth_rush_orders", 30.32  # La Morgia's one feature, facts/simulators.md 10
REFRACTORY_MS = 30 * 60_000
FOLDS = 3
TREES = dict(max_iter=60, max_leaf_nodes=8, learning_rate=0.1, l2_regularization=1.0, min_samples_leaf=20)
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
class Verdict:
    """One detector's scores on one set of tapes."""

    name: str
    at: EventScore
    pr_auc: float


def pump_lessons(tapes: Sequence[LabelledTape], pace: Pace) -> list[Lesson]:
    """Rows of each tape; a row is a pump's from its start to its peak, and left out from there to its end."""
    return [_pump_lesson(tape, pace) for tape in tapes]


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
    seed: int = 0,
    told: Mapping[str, Any] | None = None,
) -> DetectorTable:
    """Fit a detector of `kind` on whole runs; `told` is provenance. Raises ValueError without both truths.

    The threshold maximises event F1 on scores that each fold of runs gets from a model of the others.
    """
    features = tuple(features or (TRANSFERRING if kind == PUMP else SPOOF_FEATURES))
    quiet = (REFRACTORY_MS // 25_000) * pace.chunk_ms if refractory_ms is None else refractory_ms
    _refuse_one_sided(lessons)
    fit = _fitting(kind, features, pace, quiet, model, seed)
    apart = list[ScoredTape]()
    for fold in _folds(lessons, seed):
        others = [lesson for lesson in lessons if lesson.run not in fold]
        judged = [lesson for lesson in lessons if lesson.run in fold]
        apart += scored(fit(others), judged)
    chosen = best_threshold(curve(apart, quiet))
    training = {"model": model, "seed": seed, "folds": FOLDS, "runs": len({lesson.run for lesson in lessons})}
    training |= {"f1_out_of_fold": chosen.f1, **(told or {})}
    return replace(fit(lessons), threshold=min(1.0, max(1e-9, chosen.threshold)), training=training)


def scored(table: DetectorTable, lessons: Sequence[Lesson]) -> list[ScoredTape]:
    """What a table says of each run; a spoofing detector of each run's owners one by one."""
    return [tape for lesson in lessons for tape in _scored(lesson, scores(table.model(), lesson.values))]


def judge(table: DetectorTable, lessons: Sequence[Lesson]) -> Verdict:
    """The table's scores at its own threshold, and over all thresholds."""
    tapes = scored(table, lessons)
    at = score_events(tapes, table.threshold, table.refractory_ms)
    return Verdict(
        f"{table.kind}, {table.training.get('model', 'a rule')}", at, pr_auc(curve(tapes, table.refractory_ms))
    )


def judge_rules(table: DetectorTable, learnt: Sequence[Lesson], judged: Sequence[Lesson]) -> list[Verdict]:
    """Single-threshold rules beside a pump table: each feature at its best threshold in training, and the published."""
    found = []
    for name in (*SINGLE_RULES, PUBLISHED_RULE):
        before, after = (_by_feature(lessons, name) for lessons in (learnt, judged))
        published = name == PUBLISHED_RULE
        threshold = PUBLISHED_THRESHOLD if published else best_threshold(curve(before, table.refractory_ms)).threshold
        at = score_events(after, threshold, table.refractory_ms)
        found.append(Verdict(f"{name} ≥ {threshold:.4g}", at, pr_auc(curve(after, table.refractory_ms))))
    return found


def rows_of(lessons: Sequence[Lesson]) -> tuple[Floats, Ints]:
    """All rows that count, and their truth."""
    values = np.concatenate([lesson.values[lesson.truth >= 0] for lesson in lessons])
    return values, np.concatenate([lesson.truth[lesson.truth >= 0] for lesson in lessons])


def _pump_lesson(tape: LabelledTape, pace: Pace) -> Lesson:
    rows = tape_rows(tape.prints, pace, tape.until_ms)
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


def _by_feature(lessons: Sequence[Lesson], name: str) -> list[ScoredTape]:
    column = list(PUMP_FEATURES).index(name)
    return [tape for lesson in lessons for tape in _scored(lesson, lesson.values[:, column])]


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
    described = {PUMP: PUMP_FEATURES, SPOOF: SPOOF_FEATURES}[kind]
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
