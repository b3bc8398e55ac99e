import json

import numpy as np
import pytest

from wavetank.agents.scaling import NORMAL_IQR, Scaler


def test_centre_is_the_median_and_spread_the_scaled_interquartile_range() -> None:
    rows = np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]], np.float32)  # quartiles 2 and 4, one crash
    scaler = Scaler.fit(rows, account_columns=0)
    assert scaler.centre.tolist() == [3.0]
    assert scaler.spread[0] == pytest.approx(2.0 / NORMAL_IQR)


def test_a_mostly_constant_flag_falls_back_to_mean_and_deviation() -> None:
    flag = np.zeros((100, 1), np.float32)
    flag[:10] = 1.0
    scaler = Scaler.fit(flag, account_columns=0)
    assert scaler.centre[0] == pytest.approx(0.1)
    assert scaler.spread[0] == pytest.approx(0.3)  # sqrt(.1 x .9)


def test_a_constant_column_is_centred_and_not_blown_up() -> None:
    scaler = Scaler.fit(np.full((50, 1), 7.0, np.float32), account_columns=0)
    assert scaler.apply(np.array([[7.0], [8.0]], np.float32)).tolist() == [[0.0], [1.0]]


def test_account_columns_pass_unchanged_and_others_are_clipped() -> None:
    scaler = Scaler.fit(np.array([[-1.0], [0.0], [1.0]], np.float32), account_columns=2, clip=3.0)
    assert scaler.width == 3
    scaled = scaler.apply(np.array([[1e6, 123.456, -1e6], [-1e6, 0.1, 0.2]], np.float32))
    assert scaled.tolist() == np.array([[3.0, 123.456, -1e6], [-3.0, 0.1, 0.2]], np.float32).tolist()


def test_json_round_trip_keeps_every_bit() -> None:
    rng = np.random.default_rng(1)
    scaler = Scaler.fit(rng.standard_t(3, (500, 5)).astype(np.float32))
    text = json.dumps(scaler.to_json(), allow_nan=False)
    again = Scaler.from_json(text)
    assert again.digest == scaler.digest
    assert np.array_equal(again.clip, scaler.clip)
    assert Scaler.from_json(json.loads(text)).digest == scaler.digest


def test_digest_sees_the_last_bit() -> None:
    scaler = Scaler.identity(3)
    nudged = Scaler(np.nextafter(scaler.centre, 1.0), scaler.spread, scaler.clip)
    assert nudged.digest != scaler.digest


def test_warm_up_rows_are_refused_with_their_place() -> None:
    rows = np.zeros((5, 3), np.float32)
    rows[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2, column 1 is nan"):
        Scaler.fit(rows)


def test_a_spread_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="column 1 has centre 0.0, spread 0.0"):
        Scaler(np.zeros(2), np.array([1.0, 0.0]), np.ones(2))


def test_a_fitted_scaler_cannot_be_changed() -> None:
    scaler = Scaler.identity(2)
    with pytest.raises(ValueError, match="read-only"):
        scaler.centre[0] = 1.0
