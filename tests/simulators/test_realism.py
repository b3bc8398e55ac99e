"""Bands and scorecard: what lies in a band, which set decides, and that real markets pass where nulls fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wavetank.market.store import data_folder, read_bars
from wavetank.simulators.nulls import draw_null
from wavetank.simulators.realism import (
    BANDS,
    CALIBRATION_SEEDS,
    PAIRED_SEEDS,
    REPORTED_SEEDS,
    deciding_bands,
    judged,
    load_bands,
    parse_bands,
    scorecard,
)
from wavetank.simulators.stylised import FACTS, returns_of


def plain() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((BANDS / "facts_1m.yaml").read_text())
    return loaded


@pytest.mark.parametrize("file", sorted(BANDS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_band_file_loads_and_says_its_unit(file: Path) -> None:
    bands = load_bands(file.stem)
    assert file.stem.endswith(f"_{bands.interval}")
    assert np.all(bands.low < bands.high)


def test_ends_belong_to_the_band_and_an_undefined_value_to_none() -> None:
    bands = load_bands("facts_1m")
    low = np.where(np.isfinite(bands.low), bands.low, 0.0)
    for values in (low, bands.high):
        assert judged(values, bands).passes == 17
    values = low.copy()
    values[3], values[4], values[14] = np.nan, np.nextafter(low[4], 0.0), bands.high[14] + 1e-9
    card = judged(values, bands)
    assert card.passes == 14
    assert card.told()["failed"] == ["gaussianity", "tail_exponent", "volume_volatility"]
    assert card.told()["values"]["gaussianity"] is None


def test_a_fact_open_below_passes_however_small_it_is() -> None:
    bands = load_bands("facts_1h")
    values = np.full(17, np.nan)
    values[[1, 3]] = -50.0
    assert judged(values, bands).passes == 2


def test_gaussian_noise_fails_and_the_card_says_where() -> None:
    rng = np.random.default_rng(0)
    card = scorecard(rng.normal(size=2880), rng.exponential(size=2880), load_bands("facts_1m"))
    assert card.passes <= 8
    assert {"kurtosis", "tail_exponent", "volatility_acf_1", "volume_volatility"} <= set(card.told()["failed"])


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_the_refit_decides_only_where_it_stands(interval: str) -> None:
    refit = load_bands(f"refit_{interval}")
    assert deciding_bands(interval).name == (refit.name if refit.stands else f"facts_{interval}")


def test_seeds_of_calibration_and_of_the_report_never_meet() -> None:
    ranges = [set(CALIBRATION_SEEDS), set(REPORTED_SEEDS), set(PAIRED_SEEDS)]
    assert sum(map(len, ranges)) == len(set.union(*ranges))


def test_a_month_of_bitcoin_passes_where_the_same_month_shuffled_does_not() -> None:
    file = data_folder() / "ohlcv" / "ftx_BTC-PERP_1m_2022-01.parquet"
    if not file.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    bars, bands, rng = read_bars(file), load_bands("facts_1m"), np.random.default_rng(0)
    returns, volume = returns_of(bars.close), bars.volume[1:]
    windows = [(returns[i : i + 2880], volume[i : i + 2880]) for i in range(0, len(returns) - 2879, 1440)]
    real = [scorecard(*window, bands).passes for window in windows]
    shuffled = [scorecard(*draw_null("shuffled", rng, window), bands).passes for window in windows]
    assert (len(real), min(real)) == (30, 14)  # as measured when the bands were proposed: mean 16.3, min 14
    assert np.mean(real) == pytest.approx(16.3, abs=0.1)
    assert np.mean(shuffled) == pytest.approx(9.4, abs=0.4)


@pytest.mark.parametrize(
    "key,value,told",
    [
        ("interval", "5m", "interval '5m' is not one of 1m, 1h"),
        ("stands", "yes", "stands is 'yes'"),
        ("bands", {}, "each of the 17 facts has one"),
        ("bonds", {}, "the keys must be"),
    ],
)
def test_a_wrong_band_file_is_refused_with_the_key(key: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_bands(plain() | {key: value}, "mine")


@pytest.mark.parametrize("pair", [[1], [2, 1], [1, 1], "wide", [0, float("nan")], [True, 2]])
def test_a_band_that_is_none_is_refused_with_its_fact(pair: object) -> None:
    data = plain()
    data["bands"]["kurtosis"] = pair
    with pytest.raises(ValueError, match="bands mine, kurtosis: the band"):
        parse_bands(data, "mine")


def test_bands_that_are_not_there_are_told_beside_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no bands 'facts_5m', there are facts_1h, facts_1m, refit_1h, refit_1m"):
        load_bands("facts_5m")
    broken = tmp_path / "broken.yaml"
    broken.write_text("interval: [")
    with pytest.raises(ValueError, match=r"broken\.yaml are not YAML"):
        load_bands(broken)


def test_the_facts_of_the_bands_are_those_that_are_measured() -> None:
    assert list(plain()["bands"]) == list(FACTS)
