"""One function does all rounding: exact multiples keep their last lot, everything else goes toward zero."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.orders import Instrument, to_lots

LOTS = ["0.1", "0.01", "0.001", "0.0001", "0.00001", "0.00000001", "0.5", "0.25", "1", "5", "10", "1000", "0.3", "0.7"]


@pytest.mark.parametrize("lot", LOTS)
def test_a_hundred_thousand_exact_multiples_keep_their_last_lot(lot: str) -> None:
    counts = np.random.default_rng(1).integers(0, 10**9, 100_000 // len(LOTS)).tolist() + list(range(200))
    unit, wrong, lost_by_floor = Decimal(lot), 0, 0
    for count in counts:
        quantity = float(unit * count)
        wrong += to_lots(quantity, float(lot)) != count
        wrong += to_lots(-quantity, float(lot)) != -count
        lost_by_floor += math.floor(quantity / float(lot)) != count
    assert wrong == 0
    if lot in ("0.1", "0.01", "0.001"):
        assert lost_by_floor > 0, "the trap that to_lots exists for has gone from this test"


@pytest.mark.parametrize("lot", LOTS)
def test_between_two_multiples_the_count_goes_toward_zero(lot: str) -> None:
    rng = np.random.default_rng(2)
    unit = Fraction(lot)
    for count, part in zip(rng.integers(0, 10**6, 2_000).tolist(), rng.uniform(0.01, 0.99, 2_000), strict=True):
        quantity = float((count + Fraction(float(part))) * unit)
        assert to_lots(quantity, float(lot)) == count
        assert to_lots(-quantity, float(lot)) == -count


@given(st.floats(-1e7, 1e7), st.sampled_from(LOTS))
def test_lots_never_exceed_the_quantity_by_more_than_the_slack(quantity: float, lot: str) -> None:
    unit = Fraction(lot)
    lots = to_lots(quantity, float(lot))
    assert lots == 0 or (lots > 0) == (quantity > 0)
    over = abs(lots) - abs(Fraction(quantity)) / unit
    assert -1 < over <= Fraction(3, 10**12) * max(abs(lots), 1)


@given(st.floats(-1e6, 1e6), st.sampled_from(LOTS))
def test_rounding_is_odd_and_rounding_again_changes_nothing(quantity: float, lot: str) -> None:
    lots = to_lots(quantity, float(lot))
    assert to_lots(-quantity, float(lot)) == -lots
    assert to_lots(lots * float(lot), float(lot)) == lots


@pytest.mark.parametrize("quantity", [math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, -0.0])
def test_what_is_no_quantity_has_no_lots(quantity: float) -> None:
    assert to_lots(quantity, 0.001) == 0


@pytest.mark.parametrize("lot", [0.0, -1.0, math.nan])
def test_a_lot_that_is_none_has_no_lots(lot: float) -> None:
    assert to_lots(1.0, lot) == 0


def test_an_instrument_survives_json() -> None:
    instrument = Instrument("BTCUSDT", "binance", 0.1, 0.001, 5.0, 3.0, 0.01, 0.02)
    assert Instrument.from_json(instrument.to_json()) == instrument


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tick", 0.0, "must be above 0"),
        ("lot", -0.1, "must be above 0"),
        ("lot", math.nan, "must be above 0"),
        ("max_leverage", math.inf, "must be above 0"),
        ("min_notional", -1.0, "must be 0 or more"),
        ("maintenance", math.nan, "must be 0 or more"),
        ("liquidation_fee", -0.01, "must be 0 or more"),
    ],
)
def test_an_instrument_refuses_what_cannot_be_with_its_name_and_value(name: str, value: float, words: str) -> None:
    with pytest.raises(ValueError, match=f"^BTC: {name} {value} {words}$"):
        Instrument(**({"symbol": "BTC"} | {name: value}))  # type: ignore[arg-type]


def test_leverage_that_is_liquidated_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="leverage 200.0 with maintenance 0.005 is liquidated at once"):
        Instrument(max_leverage=200.0)
