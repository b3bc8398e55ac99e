"""The refit: its windows share no bar, its rule is the written one, and what is recorded is what the data give."""

from pathlib import Path

import numpy as np
import pytest

from wavetank.experiments import bands as refitting
from wavetank.experiments.bands import Refit, failures, fitted_ends, refit, windows_of, write
from wavetank.market.bars import Bars
from wavetank.market.store import data_folder
from wavetank.simulators.realism import BANDS, load_bands
from wavetank.simulators.stylised import FACTS, Pace

MINUTE_MS = 60_000
GOOD = {"real_held_out": 15.5, "shuffled": 10.0, "iid_t3": 10.0, "iid_t4": 10.0, "gaussian": 10.0, "garch_normal": 12.5}


def made(opened_at: list[int]) -> Bars:
    """Bars whose volume is their own index and whose price doubles with each."""
    close = np.exp2(np.arange(len(opened_at), dtype=np.float64))
    times = MINUTE_MS * np.array(opened_at, np.int64)
    return Bars("1m", times, close, close, close, close, np.arange(len(opened_at), dtype=np.float64))


def test_blocks_of_two_windows_fit_and_are_held_out_in_turn() -> None:
    fit, held_out = windows_of(made(list(range(41))), Pace(window=8, aggregate=2, half_life=2))
    assert [(int(volume[0]), int(volume[-1])) for _, volume in fit] == [
        (1, 8), (3, 10), (5, 12), (7, 14), (9, 16),
        (33, 40),
    ]  # fmt: skip
    assert [int(volume[0]) for _, volume in held_out] == [17, 19, 21, 23, 25]
    assert not set(np.concatenate([v for _, v in fit])) & set(np.concatenate([v for _, v in held_out]))


def test_a_return_across_missing_bars_is_left_out_with_its_volume() -> None:
    (window, *_), _ = windows_of(made([0, 1, 2, 5, 6, 7]), Pace(window=4, aggregate=1, half_life=1))
    assert list(window[1]) == [1, 2, 4, 5]
    assert window[0] == pytest.approx(np.full(4, np.log(2.0)))


def test_a_band_is_p05_to_p95_and_a_tenth_of_that_span_on_each_side() -> None:
    facts = np.tile(np.arange(101.0)[:, None], (1, 17))
    facts[50, 5] = np.nan  # one window of one fact is undefined: the others speak
    low, high = fitted_ends(facts)
    assert (low[0], high[0]) == (5.0 - 9.0, 95.0 + 9.0)
    assert low[5] == pytest.approx(-4.0, abs=0.2)
    assert [FACTS[i] for i in np.flatnonzero(~np.isfinite(low))] == ["return_acf_2_10", "gaussianity"]
    assert np.all(high == pytest.approx(104.0, abs=0.2))


def test_a_refit_at_every_limit_stands_and_just_beyond_any_does_not() -> None:
    assert failures(GOOD) == []
    for model in GOOD:
        beyond = GOOD | {model: GOOD[model] + (-0.01 if model == "real_held_out" else 0.01)}
        (failure,) = failures(beyond)
        assert failure.startswith(model)


def test_a_written_refit_is_read_again_as_it_was(tmp_path: Path) -> None:
    bands = load_bands("facts_1h")
    result = Refit(bands, "somewhere", 3, 2, {"real_held_out": {"refit": 16.0, "facts": 15.0}}, [])
    again = load_bands(write(result, tmp_path))
    assert np.array_equal(again.low, bands.low)
    assert np.array_equal(again.high, bands.high)
    assert (again.interval, again.stands) == ("1h", True)
    assert again.fitted["scores"] == result.scores
    assert again.fitted["null_windows"] == 2 * refitting.NULLS_PER_WINDOW


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_the_recorded_refit_is_what_the_data_give(interval: str, tmp_path: Path) -> None:
    if not data_folder().is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    told: list[str] = []
    written = write(refit(interval, told=told.append), tmp_path)
    assert written.read_text() == (BANDS / written.name).read_text()
    assert len(told) == refitting.turns_of_refit()
