"""The course of the shipped detectors: taught in the crowd, judged there on what no training saw, then on the record.

Groups of parameters and seeds of the judged markets are their own. Three detectors: of pumps by prints, of pumps by
bars, and of spoofers by order events. Knows no file but the recorded ones, and prints nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..market.chunks import Pace
from ..market.detector_table import PUMP, PUMP_BARS, SPOOF, DetectorTable
from ..market.pump_features import bar_pace
from .alert_scores import ScoredTape, roc_auc, score_events
from .detectors import (
    Lesson,
    Rule,
    Verdict,
    bar_lessons,
    name_of,
    pump_lessons,
    rules_for,
    scored,
    scored_by,
    spoof_lessons,
    train,
    verdict,
)
from .labelled_tapes import LabelledTape
from .plays import CELLS
from .pump_plays import BEYOND, CALM, HARD
from .spoof_plays import EVASIVE, HONEST, PLAIN
from .staged_tapes import Told, look_alikes, order_tapes, pump_tapes

LEARNT, HELD = (0, 1, 2), (3, 4)  # groups of parameters: of `plays.CELLS`
MINUTE_MS = 60_000
RULES = "rules"  # single-threshold rules of the same lessons, in a table's provenance
PACES = {PUMP: Pace(), PUMP_BARS: bar_pace(MINUTE_MS), SPOOF: Pace()}
NEGATIVES_A_PUMP = 20  # of the hard set and of the easy one
NORMAL_BARS = 10_000  # that false alerts of calm markets are told per
# stages of seeds: no two share a market
LEARN_PUMPS, LEARN_LOOKS, LEARN_CALM, LEARN_SPOOFERS, LEARN_HONEST = range(5)
PUMPS, LOOKS, CALMS, QUEUES, PLAINS, EVASIVES, HONESTS = range(5, 12)


@dataclass(frozen=True, slots=True)
class Effort:
    """How many markets are raised: pumps a cell and look-alikes a family and group to learn from, pumps a cell to judge
    by, and of spoofers and of honest markets a family and group to learn from and to judge by.
    """

    pumps: int = 12
    looks: int = 20
    judged_pumps: int = 10
    spoofers: int = 16
    judged_spoofers: int = 20

    def scaled(self, share: float) -> "Effort":
        """The same course with so much of everything, and at least one."""
        values = (self.pumps, self.looks, self.judged_pumps, self.spoofers, self.judged_spoofers)
        return Effort(*(max(1, round(value * share)) for value in values))

    @property
    def hard(self) -> int:
        """Look-alikes a family and group of the hard set."""
        return -(-NEGATIVES_A_PUMP * self.judged_pumps * CELLS // len(HARD))

    @property
    def calm(self) -> int:
        """Calm markets a group of the easy set."""
        return NEGATIVES_A_PUMP * self.judged_pumps * CELLS

    def turns(self, *, learns: bool) -> int:
        """How many markets the course tells of."""
        judged = len(HELD) * (CELLS * self.judged_pumps + self.hard * len((*HARD, *BEYOND)) + self.calm)
        judged += len(HELD) * (2 + len(HONEST)) * self.judged_spoofers
        learnt = len(LEARNT) * (CELLS * self.pumps + (len(HARD) + len(BEYOND) + 2) * self.looks)
        learnt += len(LEARNT) * (2 + len(HONEST)) * self.spoofers
        return judged + (learnt if learns else 0)


@dataclass(frozen=True, slots=True)
class Judged:
    """What detector and rules are worth on one set of markets. `areas` are ROC-AUCs, by what they are counted over."""

    kind: str
    on: str
    markets: int
    verdicts: tuple[Verdict, ...]
    false_alerts: dict[str, tuple[int, int]]  # of the detector by family: alerts, markets
    areas: dict[str, float]
    normal_bars: int = 0  # of calm markets in the set


def teach(seed: int, effort: Effort, told: Told = lambda _: None) -> dict[str, DetectorTable]:
    """Train all three detectors on the groups to learn from."""
    by_prints, by_bars = list[Lesson](), list[Lesson]()
    for tape in _pump_course(seed, effort, told):
        by_prints += pump_lessons([tape], PACES[PUMP])
        by_bars += bar_lessons([tape], PACES[PUMP_BARS])
    by_orders = list[Lesson]()
    for stage, families in ((LEARN_SPOOFERS, (PLAIN, EVASIVE)), (LEARN_HONEST, tuple(HONEST))):
        for events in order_tapes(seed, stage, families, LEARNT, effort.spoofers, told):
            by_orders += spoof_lessons([events], PACES[SPOOF])
    lessons = {PUMP: by_prints, PUMP_BARS: by_bars, SPOOF: by_orders}
    return {kind: _learn(kind, lessons[kind], seed) for kind in lessons}


def judge_all(
    tables: Mapping[str, DetectorTable], seed: int, effort: Effort, told: Told = lambda _: None
) -> list[Judged]:
    """Judge detectors and rules on the groups held out: the hard set of pumps, the easy one, and spoofers."""
    pumps = list(pump_tapes(seed, PUMPS, HELD, effort.judged_pumps, told))
    found = list[Judged]()
    sets = {"hard": (LOOKS, HARD, effort.hard), "easy": (CALMS, (CALM,), effort.calm)}
    for name, (stage, families, count) in sets.items():
        others = look_alikes(seed, stage, families, HELD, count, told)
        found += _judge_pumps(tables, f"pumps, {name}", _and(pumps, others))
    beyond = look_alikes(seed, QUEUES, BEYOND, HELD, effort.hard, told)
    found += _judge_pumps(tables, "pumps and reopenings", _and(pumps, beyond))
    spoofed = {
        family: list(order_tapes(seed, stage, (family,), HELD, effort.judged_spoofers, told))
        for family, stage in ((PLAIN, PLAINS), (EVASIVE, EVASIVES))
    }
    honest = list(order_tapes(seed, HONESTS, tuple(HONEST), HELD, effort.judged_spoofers, told))
    for family, tapes in spoofed.items():
        lessons = [
            (tape.family, lesson) for tape in (*tapes, *honest) for lesson in spoof_lessons([tape], PACES[SPOOF])
        ]
        found.append(_judged(tables[SPOOF], f"{family}s", lessons))
    return found


def _pump_course(seed: int, effort: Effort, told: Told) -> Iterator[LabelledTape]:
    yield from pump_tapes(seed, LEARN_PUMPS, LEARNT, effort.pumps, told)
    yield from look_alikes(seed, LEARN_LOOKS, (*HARD, *BEYOND), LEARNT, effort.looks, told)
    yield from look_alikes(seed, LEARN_CALM, (CALM,), LEARNT, 2 * effort.looks, told)


def _learn(kind: str, lessons: Sequence[Lesson], seed: int) -> DetectorTable:
    weight = 1.0 if kind == SPOOF else _false_weight(lessons)
    table = train(kind, lessons, PACES[kind], false_weight=weight, seed=seed, told={"groups": list(LEARNT)})
    rules = {rule.feature: rule.threshold for rule in rules_for(table, lessons)}
    return replace(table, training={**table.training, RULES: rules})


def _false_weight(lessons: Sequence[Lesson]) -> float:
    """What one false alert of the lessons stands for, where negatives will be as many a pump as they are judged by."""
    pumps = sum(bool(lesson.spans) for lesson in lessons)
    return max(1.0, NEGATIVES_A_PUMP * pumps / max(1, len(lessons) - pumps))


def _judge_pumps(tables: Mapping[str, DetectorTable], on: str, tapes: Iterable[LabelledTape]) -> list[Judged]:
    makers: dict[str, Callable[[Sequence[LabelledTape], Pace], list[Lesson]]] = {
        PUMP: pump_lessons,
        PUMP_BARS: bar_lessons,
    }
    lessons: dict[str, list[tuple[str, Lesson]]] = {kind: [] for kind in makers}
    bars = 0
    for tape in tapes:
        bars += len(tape.bars) if tape.bars is not None and tape.family == CALM else 0
        for kind, make in makers.items():
            lessons[kind] += [(tape.family, lesson) for lesson in make([tape], PACES[kind])]
    return [_judged(tables[kind], on, lessons[kind], bars) for kind in makers]


def _judged(table: DetectorTable, on: str, lessons: Sequence[tuple[str, Lesson]], normal_bars: int = 0) -> Judged:
    bare = [lesson for _, lesson in lessons]
    said = scored(table, bare)
    verdicts = [verdict(name_of(table), said, table.threshold, table.refractory_ms)]
    for rule in (Rule(name, threshold) for name, threshold in table.training.get(RULES, {}).items()):
        told = scored_by(rule, table.kind, bare)
        verdicts.append(verdict(str(rule), told, rule.threshold, table.refractory_ms))
    false = dict[str, tuple[int, int]]()
    for family, lesson in lessons:
        alerts, markets = false.get(family, (0, 0))
        more = score_events(scored(table, [lesson]), table.threshold, table.refractory_ms).false
        false[family] = (alerts + more, markets + 1)
    areas = _areas(said, bare, table) if table.kind == SPOOF else {}
    return Judged(table.kind, on, len(lessons), tuple(verdicts), false, areas, normal_bars)


def _areas(said: Sequence[ScoredTape], lessons: Sequence[Lesson], table: DetectorTable) -> dict[str, float]:
    """ROC-AUC over traders, each by its highest score, and over cancels."""
    highest = np.array([tape.score.max() for tape in said])
    spoofs = np.array([bool(tape.spans) for tape in said])
    rows = [tape.score for lesson in lessons for tape in _whole(lesson, table)]
    truth = np.concatenate([lesson.truth for lesson in lessons]) == 1
    return {"traders": roc_auc(highest, spoofs), "cancels": roc_auc(np.concatenate(rows), truth)}


def _whole(lesson: Lesson, table: DetectorTable) -> list[ScoredTape]:
    """The scores of a run in the order of its rows, its owners together."""
    return scored(table, [replace(lesson, owners=np.full(len(lesson.owners), -1, np.int64))])


def _and(first: Sequence[LabelledTape], then: Iterator[LabelledTape]) -> Iterator[LabelledTape]:
    yield from first
    yield from then
