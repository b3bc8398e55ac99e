"""The verdict over seeds: the bar is cleared exactly, missed by one, and everything seen is told as JSON."""

import json

import numpy as np
import pytest

from wavetank.experiments import realism_verdict
from wavetank.experiments.realism_verdict import Verdict, failures, judge_crowd, told_verdict, turns_of_verdict
from wavetank.simulators.realism import CALIBRATION_SEEDS, REPORTED_SEEDS

from .made_reports import fit, report

THREE_OUT, FIVE_OUT, SIX_OUT = (1, 2, 3), (1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)


def test_a_crowd_at_every_limit_passes() -> None:
    reports = [report(seed, out=FIVE_OUT if seed == 0 else THREE_OUT if seed < 18 else (1, 2)) for seed in range(20)]
    assert np.mean([r.cards["facts"].passes for r in reports]) == 14.0
    assert min(r.cards["facts"].passes for r in reports) == 12
    assert failures(reports, fit(), "facts") == []


@pytest.mark.parametrize(
    "spoilt,told",
    [
        ({"out": SIX_OUT}, "lowest score 11 is below 12"),
        ({"broken": "G3"}, "G3 fails on 1 of 20 seeds"),
    ],
)
def test_one_bad_seed_is_enough(spoilt: dict[str, object], told: str) -> None:
    reports = [report(0, **spoilt), *(report(seed) for seed in range(1, 20))]  # type: ignore[arg-type]
    assert failures(reports, fit(), "facts") == [told]


def test_a_low_mean_few_seeds_volume_out_of_its_band_and_impact_are_each_told() -> None:
    low = [report(seed, out=(1, 2, 3, 4)) for seed in range(20)]
    assert failures(low, fit(), "facts") == ["mean score 13.00 is below 14"]
    assert failures([report(seed) for seed in range(19)], fit(), "facts") == ["19 seeds are fewer than 20"]
    silent = [report(seed, out=(15,) if seed < 10 else ()) for seed in range(20)]
    assert failures(silent, fit(), "facts") == ["corr(volume, |r|) is out of its band on 10 of 20 seeds"]
    assert failures([report(seed) for seed in range(20)], fit(failed=["δ 1"]), "facts") == ["impact: δ 1"]


def test_the_other_set_decides_where_it_is_named() -> None:
    reports = [report(seed) for seed in range(20)]
    scores = [r.cards["refit"].passes for r in reports]
    assert (failures(reports, fit(), "refit") == []) == (min(scores) >= 14)


def test_everything_is_told_as_json_without_a_nan() -> None:
    reports = [report(seed, out=(9,)) for seed in range(20)]
    told = told_verdict(Verdict("1m", "facts", reports, fit(), ["too good"]))
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again["scores"]["facts"] == {"mean": 16.0, "p10": 16.0, "min": 16}
    assert (again["passes"], again["failed"]) == (False, ["too good"])
    decay = again["facts"][8]
    assert (decay["fact"], decay["quantiles"], decay["facts"]) == ("volatility_decay", None, 0.0)
    hurst = next(row for row in again["book"] if row["figure"] == "sign_hurst")
    assert (hurst["quantiles"], hurst["in_band"]) == (None, 0.0)
    assert again["nulls"]["of_the_crowd"]["shuffled"] == {"facts": 9.0, "refit": 10.0}
    assert again["nulls"]["of_real_windows"]["real_held_out"]["facts"] > 15.5
    assert [seed["seed"] for seed in again["seeds"]] == list(range(20))


def test_a_small_crowd_is_judged_on_reported_seeds_alone() -> None:
    told: list[str] = []
    verdict = judge_crowd("1m", 2, 3, told.append, bars=1_100)
    assert [r.seed for r in verdict.reports] == list(REPORTED_SEEDS[:2])
    assert not {r.seed for r in verdict.reports} & set(CALIBRATION_SEEDS)
    assert len(told) == turns_of_verdict(2, 3)
    assert verdict.failed[0] == f"2 seeds are fewer than {realism_verdict.LEAST_SEEDS}"
    assert "impact: 3 pairs are fewer than 200" in verdict.failed
    assert not verdict.passes


@pytest.mark.parametrize("seeds,pairs", [(0, 5), (10_001, 5), (1, 1)])
def test_seeds_that_cannot_be_reported_are_refused(seeds: int, pairs: int) -> None:
    with pytest.raises(ValueError, match=f"{seeds} seeds and {pairs} pairs"):
        judge_crowd("1m", seeds, pairs)
