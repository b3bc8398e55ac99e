"""The picture of a storm: a PNG of every storm, that tells one from another."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from numpy.typing import NDArray

from wavetank.experiments.cousins import Course, Figures
from wavetank.experiments.storm_pictures import (
    BESIDE_DPI,
    BESIDE_SIZE,
    COLOURS,
    DPI,
    SIDES,
    SIZE,
    TRADERS,
    draw_beside,
    draw_storm,
    told,
)
from wavetank.simulators.storm_pairs import Pairs
from wavetank.simulators.world import COHORTS

RED = (0.949, 0.886, 0.886)  # the storm's shade on white, within a few hundredths


def test_a_storm_is_drawn_with_its_window_shaded_and_another_differs(tmp_path: Path) -> None:
    pairs = Pairs("outage")
    pictures = [imread(draw_storm(pairs.at(seed), f"seed {seed}", tmp_path / f"{seed}.png")) for seed in (1, 2)]
    assert pictures[0].shape == (round(SIZE[1] * DPI), round(SIZE[0] * DPI), 4)
    assert (pictures[0] != pictures[1]).any()
    for picture in pictures:
        shaded = (abs(picture[:, :, :3] - RED) < 0.05).all(axis=2) & (picture[:, :, 0] - picture[:, :, 1] > 0.03)
        assert 0.002 < shaded.mean() < 0.3


def test_two_courses_are_drawn_side_by_side_each_in_its_colour_on_one_scale(tmp_path: Path) -> None:
    figures = Figures(-0.2, 0.5, 10.0, 3.0)
    bars = np.arange(-60, 60)
    ones = np.ones(120)
    sides = [
        Course("one", "x", bars, -9.0 * ones, -11.0 * ones, -10.0 * ones, ones, figures, (0, 20)),
        Course("other", "x", bars, 11.0 * ones, 9.0 * ones, 10.0 * ones, ones, figures),
    ]
    picture = imread(draw_beside(sides, "1m", "both", tmp_path / "both.png"))
    height, width = round(BESIDE_SIZE[1] * BESIDE_DPI), round(BESIDE_SIZE[0] * BESIDE_DPI)
    assert picture.shape == (height, width, 4)
    left, right = (_rows_of(picture[: int(0.7 * height)], colour) for colour in SIDES)
    assert left[1].mean() < width / 2 < right[1].mean()
    assert left[0].mean() > right[0].mean() + height / 8  # the falling one lies lower: the scale is one


def _rows_of(picture: NDArray[Any], colour: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the dots of a colour, below the words."""
    words = len(picture) // 3
    rows, columns = np.nonzero(np.all(np.abs(picture[words:, :, :3] - to_rgb(colour)) < 0.02, axis=2))
    return rows, columns


def test_figures_are_told_with_their_signs_and_units() -> None:
    assert told(Figures(-0.184, 0.714, 15_849.2, 3.04)) == (
        "furthest −18 %, 71 % of it back",
        "volume up to 15,849 ×, bars 3.0 × as wide",
    )


def test_every_cohort_has_a_colour_of_its_own() -> None:
    assert len(TRADERS) == len(set(COLOURS)) == COHORTS
