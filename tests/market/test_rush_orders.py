import numpy as np
import pytest

from wavetank.market.rush_orders import MERGING, NEW_ORDER, NEW_RUSH, NOTHING_NEW, merge_fill


def merged(fills: list[tuple[int, int, int]]) -> list[int]:
    open_orders = np.zeros(MERGING, np.int64)
    return [int(merge_fill(open_orders, *fill)) for fill in fills]


def test_two_buys_of_one_millisecond_are_one_rush_order() -> None:
    assert merged([(5, 1, 0), (5, 1, 0), (5, 1, 0)]) == [NEW_ORDER, NEW_RUSH, NOTHING_NEW]


def test_buys_of_two_milliseconds_are_two_orders() -> None:
    assert merged([(5, 1, 0), (6, 1, 0)]) == [NEW_ORDER, NEW_ORDER]


def test_sells_are_put_together_and_never_rush() -> None:
    assert merged([(5, -1, 0), (5, -1, 0)]) == [NEW_ORDER, NOTHING_NEW]


def test_a_sell_between_two_buys_of_one_millisecond_parts_nothing() -> None:
    assert merged([(5, 1, 0), (5, -1, 0), (5, 1, 0)]) == [NEW_ORDER, NEW_ORDER, NEW_RUSH]


def test_ids_part_the_orders_of_one_instant() -> None:
    assert merged([(5, 1, 7), (5, 1, 8), (5, 1, 8)]) == [NEW_ORDER, NEW_ORDER, NEW_RUSH]


@pytest.mark.parametrize("at_ms", [0, 1_704_067_200_000])
def test_the_first_print_of_all_is_a_new_order(at_ms: int) -> None:
    assert merged([(at_ms, 1, 0)]) == [NEW_ORDER]
