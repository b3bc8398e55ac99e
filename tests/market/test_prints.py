import numpy as np
import pytest

from wavetank.market.prints import NO_ORDER, Print, Prints, check_print


def made(**changes: list[float]) -> Prints:
    columns = {"at_ms": [1, 1, 3], "price": [9.0, 9.5, 9.0], "volume": [1.0, 2.0, 3.0], "side": [1, -1, 1]} | changes
    return Prints(*(np.array(columns[name]) for name in ("at_ms", "price", "volume", "side")))


def test_a_row_comes_back_as_plain_numbers() -> None:
    assert made().at(1) == Print(1, 9.5, 2.0, -1, NO_ORDER)
    assert len(made().slice(1, 3)) == 2


def test_columns_are_the_caller_s_no_longer() -> None:
    price = np.array([1.0, 2.0])
    prints = Prints(np.array([1, 2]), price, np.ones(2), np.array([1, 1]))
    price[0] = 5.0
    assert prints.price[0] == 1.0
    assert not prints.price.flags.writeable


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at_ms": [1, 3, 2]}, "print 2: at_ms 2 is older"),
        ({"price": [1.0, 0.0, 1.0]}, "print 1: price 0.0 must be a price above 0"),
        ({"price": [1.0, 1.0, float("nan")]}, "print 2: price nan"),
        ({"volume": [1.0, -1.0, 1.0]}, "print 1: volume -1.0 must be above 0"),
        ({"side": [1, 0, 1]}, "print 1: side 0 is neither"),
        ({"volume": [1.0]}, "column volume has shape"),
    ],
)
def test_prints_that_cannot_be_true_are_refused(changes: dict[str, list[float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(**changes)


@pytest.mark.parametrize(
    ("price", "volume", "side"), [(0.0, 1.0, 1), (float("nan"), 1.0, 1), (1.0, 0.0, 1), (1.0, 1.0, 2)]
)
def test_one_print_is_checked_like_many(price: float, volume: float, side: int) -> None:
    with pytest.raises(ValueError, match="a print at 5"):
        check_print(5, price, volume, side)
