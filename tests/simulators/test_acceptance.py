"""Bands as data: how a line is read, when it holds, and when a band of many pairs stands."""

import math
from typing import Any

import numpy as np
import pytest

from wavetank.simulators.acceptance import MEASURES, Band, Line, Verdict, Without, parse_band
from wavetank.simulators.storm_scenes import MEASURED
from wavetank.simulators.world import Knob, Part


def band_of(*lines: dict[str, Any], **more: Any) -> Band:
    return parse_band({"seeds": [100, 119], "share": 0.8, "lines": list(lines), **more}, "scenario test, band")


def test_a_band_is_read_as_it_is_written() -> None:
    band = band_of(
        {"measure": "fall", "within": 15, "least": 0.05, "most": 0.3, "start": 0.8},
        {"measure": "profit", "cohort": "spoofer", "without": "spoofer.size", "compare": "excess", "least": 0},
        {"measure": "shift", "steps": 8, "over": "pairs", "surely": True, "without": "readers", "most": 0.1},
    )
    assert list(band.seeds) == list(range(100, 120))
    fall, profit, shift = band.lines
    assert fall == Line("fall", 0.05, 0.3, within=15, start=0.8)
    assert (profit.cohort, profit.compare, profit.most) == (Part.SPOOFER, "excess", math.inf)
    assert (shift.over_pairs, shift.surely, shift.steps, shift.least) == (True, True, 8, -math.inf)
    assert band.controls() == (Without(Part.SPOOFER, Knob.SIZE), Without(Part.READERS, Knob.RATE))
    assert fall.told == "fall 15 ≥ 0.05 and ≤ 0.3"
    assert profit.told == "profit of spoofer without spoofer.size (excess) ≥ 0"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"measure": "depth", "least": 1}, "there is no measure 'depth', there are fall, "),
        ({"measure": "fall"}, "fall has no least and no most"),
        ({"measure": "fall", "least": 0.3, "most": 0.1}, "leave nothing between them"),
        ({"measure": "fall", "least": "deep"}, "fall has no least and no most"),
        ({"measure": "fall", "least": 0.1, "bars": 3}, "unknown key 'bars'"),
        ({"measure": "recovered", "least": 0.1}, "recovered has no key 'after'"),
        ({"measure": "fall", "within": 0, "least": 0.1}, "within is 0, it must be a whole number of bars"),
        ({"measure": "shift", "steps": 1.5, "least": 0.1}, "steps is 1.5, it must be a whole number of market steps"),
        ({"measure": "profit", "cohort": "whales", "least": 0}, "there is no cohort 'whales'"),
        ({"measure": "profit", "cohort": "pumpers", "start": 0.5, "least": 0}, "unknown key 'start'"),
        ({"measure": "fall", "without": "readers.mood", "least": 0}, "there is no knob 'mood'"),
        (
            {"measure": "fall", "compare": "share", "most": 0.5},
            "compare is 'share', it must be share or excess, beside",
        ),
        ({"measure": "fall", "surely": True, "least": 0}, "it stands beside over: pairs"),
        ({"measure": "fall", "over": "bars", "least": 0}, "over must be pairs"),
        ({"measure": "fall", "start": -1, "least": 0}, "start is -1"),
        (["fall"], "there is no measure"),
    ],
)
def test_a_wrong_line_is_answered_in_one_sentence(told: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        band_of(told)
    assert str(error.value).startswith("scenario test, band, line 0: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seeds", None, "a band without a seed range proves nothing"),
        ("seeds", [5, 23], "seeds 5 … 23 are not 20 pairs or more"),
        ("seeds", [5], "it must be a range"),
        ("share", 0.4, "share is 0.4"),
        ("share", None, "share is None"),
        ("lines", [], "a list of lines"),
        ("colour", 1, "unknown key 'colour'"),
    ],
)
def test_a_wrong_band_is_answered_in_one_sentence(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        band_of({"measure": "fall", "least": 0.1}, **{key: value})


def test_every_measure_that_a_band_may_name_is_measured() -> None:
    assert list(MEASURES) == list(MEASURED)


def test_a_band_stands_where_enough_storms_are_in_it_and_few_twins() -> None:
    band = Band(0, 19, 0.8, (Line("fall", least=0.05), Line("two_sided", least=0.99)))
    good, shallow, broken = [0.1, 1.0], [0.01, 1.0], [0.1, 0.5]
    calm = np.array([shallow] * 20)

    def failed(storms: list[list[float]], twins: np.ndarray[Any, Any] = calm) -> tuple[str, ...]:
        return Verdict(band, np.array(storms), twins).failed

    assert failed([good] * 16 + [shallow] * 2 + [broken] * 2) == ()
    assert failed([good] * 15 + [shallow] * 5) == ("15 of 20 storms in band, 80% wanted",)
    assert failed([good] * 20, np.array([good] * 5 + [shallow] * 15)) == ("5 of 20 calm twins in band as well",)
    assert failed([[math.nan, 1.0]] * 20) == ("0 of 20 storms in band, 80% wanted",)
    told = Verdict(band, np.array([good] * 15 + [shallow] * 5), calm).holding()
    assert told == {"fall ≥ 0.05": 0.75, "two_sided ≥ 0.99": 1.0}


def test_a_line_over_pairs_is_about_their_mean_and_asked_so_about_its_interval() -> None:
    values = np.array([0.9, 1.1] * 10)  # mean 1, standard error 0.1026 / √20 = 0.0229
    assert Line("shift", least=1.0 - 1e-9, over_pairs=True).holds_over(values)
    assert not Line("shift", least=0.95, over_pairs=True, surely=True).holds_over(values)
    assert Line("shift", least=0.94, over_pairs=True, surely=True).holds_over(values)
    assert not Line("shift", least=0.0, over_pairs=True).holds_over(np.full(20, np.nan))
    band = Band(0, 19, 0.8, (Line("shift", least=2.0, over_pairs=True), Line("fall", least=0.05)))
    storms = np.column_stack([values, np.full(20, 0.1)])
    verdict = Verdict(band, storms, np.zeros((20, 2)))
    assert verdict.in_band.all()  # a mean is no single pair's fault
    assert verdict.failed == ("shift ≥ 2, mean: mean 1",)
