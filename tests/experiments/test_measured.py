import json

import pytest

from wavetank.experiments.measured import measure
from wavetank.experiments.tail_risk import LEVELS, METHODS, var_test
from wavetank.experiments.versus import versus

from .hand_tracks import kept_track, walk_of

TRACKS = {"policy": kept_track(4, 700)[0], "flat": kept_track(4, 700)[0], "hold": walk_of(2, 700)}


def test_every_track_is_measured_and_each_against_buy_and_hold() -> None:
    found = measure(TRACKS, var_window=200)

    assert found.figures == {name: track.metrics() for name, track in TRACKS.items()}
    assert set(found.against) == {"policy", "flat"}
    assert found.against["policy"] == versus(TRACKS["policy"], TRACKS["hold"])
    for method in METHODS:
        for level in LEVELS:
            expected = var_test(TRACKS["hold"].returns, level, window=200, method=method)
            assert found.var_tests["hold"][f"{method}_{level * 100:.0f}"] == expected
            assert expected.bars == 500


def test_without_buy_and_hold_there_is_nothing_to_be_against() -> None:
    assert measure({"policy": TRACKS["policy"]}, var_window=200).against == {}


def test_what_was_measured_goes_into_json_as_it_is() -> None:
    found = measure(TRACKS, var_window=300)
    told = json.loads(json.dumps(found.told(), allow_nan=False))

    assert told["figures"] == found.figures
    assert told["against_hold"] == found.against
    assert told["var_window"] == 300
    test = told["var_tests"]["policy"]["historical_99"]
    assert (test["bars"], test["expected"]) == (400, pytest.approx(4.0))
