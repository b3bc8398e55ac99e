import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wavetank.market.live_orders import ID, LOTS, find_order, new_orders, regrown, remove_order


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=200), st.integers(0, 2**40))
def test_the_table_holds_what_a_dict_holds(steps: list[tuple[bool, int]], base: int) -> None:
    table, twin = new_orders(40), dict[int, int]()
    for lots, (comes, number) in enumerate(steps, 1):
        order_id = base + 64 * number  # many share a home
        at = find_order(table, order_id)
        assert (table[at, ID] == order_id) == (order_id in twin)
        if comes:
            table[at, ID], table[at, LOTS] = order_id, lots
            twin[order_id] = lots
        elif order_id in twin:
            remove_order(table, at)
            del twin[order_id]
    assert {int(row[ID]): int(row[LOTS]) for row in table if row[ID]} == twin
    larger = regrown(table, 500)
    assert {order: int(larger[find_order(larger, order), LOTS]) for order in twin} == twin


def test_a_table_has_at_least_twice_the_room_asked_for() -> None:
    assert len(new_orders(1000)) >= 2000
    assert np.count_nonzero(new_orders(3)) == 0
