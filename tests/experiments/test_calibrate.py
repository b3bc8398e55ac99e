"""Calibration: what a crowd is worth, who wins, and what is written of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from wavetank.experiments.calibrate import (
    NO_IMPACT,
    Calibration,
    Effort,
    Judged,
    Range,
    calibrate,
    impact_miss,
    judge,
)
from wavetank.experiments.crowd_file import write_calibration
from wavetank.simulators.impact import ImpactFit
from wavetank.simulators.population import Population, population
from wavetank.simulators.realism import CALIBRATION_SEEDS, REPORTED_SEEDS

SPACE = {"noise.rate": Range(0.005, 0.05, True), "makers.half_spread": Range(2.0, 6.0, False)}
SMALL = Effort(trials=3, seeds=1, pairs=4, final_seeds=2, final_pairs=4)


def law(exponent: float, prefactor: float, decay: float) -> ImpactFit:
    nothing, pair = np.zeros(4), (0.0, 0.0)
    return ImpactFit(9, nothing, nothing, nothing, nothing, nothing, exponent, pair, prefactor, pair, decay, pair, [])


@pytest.mark.parametrize(
    ("fit", "miss"),
    [
        (law(0.5, 1.0, 0.9), 0.0),
        (law(0.76, 1.0, 0.9), 0.2),  # 2 × (.76 − .70 + .04)
        (law(0.34, 1.0, 0.9), 0.2),
        (law(0.5, 0.162, 0.9), np.log(2.0)),  # half of .3 × 1.08
        (law(0.5, 1.0, 0.14), 0.2),  # .30 + .04 − .14
        (law(1.9, -0.1, -3.0), NO_IMPACT),
    ],
)
def test_the_impact_miss_is_measured_from_a_little_inside_the_bands(fit: ImpactFit, miss: float) -> None:
    assert impact_miss(fit) == pytest.approx(miss, abs=1e-9)


@pytest.mark.slow
def test_a_healthy_crowd_is_judged_on_facts_gates_impact_and_speed() -> None:
    judged = judge(population("1m"), [3, 4], range(5_000, 5_008))
    assert judged.gates == 0.0
    assert 0.0 < judged.missed < 9.0
    assert judged.micros > 0.0
    assert len(judged.evidence["passes"]) == 2
    assert all(10 <= passes <= 17 for passes in judged.evidence["passes"])
    assert judged.evidence["impact"]["pairs"] == 8


def test_a_crowd_that_does_not_trade_is_worth_nothing_and_breaks_nothing() -> None:
    asleep = Population()
    for name in ("noise", "fundamental", "trend", "contrarian", "readers"):
        asleep = replace(asleep, **{name: getattr(asleep, name)._replace(rate=0.0)})
    judged = judge(asleep, [3], [5_000, 5_001])
    assert judged.objectives[2] == NO_IMPACT
    assert not judged.sound
    assert judged.gates == 0.25  # nearly no bar trades: one gate of four


@pytest.mark.slow
def test_the_same_search_finds_the_same_crowd_again() -> None:
    one, again = (calibrate(population("1m"), SPACE, SMALL, seed=5) for _ in range(2))
    assert one.crowd == again.crowd
    assert one.judged.evidence == again.judged.evidence
    assert one.search == {"seed": 5, "sound_trials": one.search["sound_trials"]} | {
        "trials": 3, "seeds": 1, "pairs": 4, "final_seeds": 2, "final_pairs": 4
    }  # fmt: skip
    assert one.crowd.executor.bar_volume == one.judged.evidence["bar_volume"]


@pytest.mark.slow
def test_a_base_outside_the_space_is_judged_as_it_is_and_not_moved_into_it() -> None:
    base, elsewhere = population("1m"), {"noise.rate": Range(0.05, 0.1, True)}
    assert base.noise.rate < 0.05
    found = calibrate(base, elsewhere, replace(SMALL, trials=1), seed=5).crowd
    assert replace(found, executor=base.executor) == base


def test_a_parameter_that_no_crowd_has_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"space: the crowd has no parameter 'noise\.speed'"):
        calibrate(population("1m"), {"noise.speed": Range(0.0, 1.0, False)}, SMALL, seed=1)


def test_the_parameter_file_is_the_crowd_and_heads_its_evidence(tmp_path: Path) -> None:
    crowd = replace(Population(), noise=Population().noise._replace(rate=1e-05, size=0.123))
    judged = Judged(1.5, 0.0, 0.0, 0.8, {"passes": [15, 16], "impact": {"exponent": 0.5}})
    search = {"seed": 1, "trials": 3, "final_seeds": 2, "final_pairs": 4}
    path = write_calibration(Calibration(crowd, judged, search), tmp_path / "out")
    assert population(path) == crowd
    assert yaml.safe_load(path.read_text())["noise"]["rate"] == 1e-05
    assert "passes: 15 16" in path.read_text()
    told = json.loads((path.parent / "calibration.json").read_text())
    assert told["objectives"] == {"missed": 1.5, "gates": 0.0, "impact": 0.0, "micros": 0.8}
    assert sorted(p.name for p in path.parent.iterdir()) == ["calibration.json", "crowd.yaml"]


def test_no_crowd_is_fitted_on_a_reported_seed() -> None:
    assert not set(CALIBRATION_SEEDS) & set(REPORTED_SEEDS)
