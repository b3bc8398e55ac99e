"""The picture of a storm: a PNG of every storm, that tells one from another."""

from pathlib import Path

from matplotlib.image import imread

from wavetank.experiments.storm_pictures import COLOURS, DPI, SIZE, TRADERS, draw_storm
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


def test_every_cohort_has_a_colour_of_its_own() -> None:
    assert len(TRADERS) == len(set(COLOURS)) == COHORTS
