"""Intents: an order that the gates let through, under an id that a restart words again.

The id is made of the passport and of the number of the bar in the journal: never of memory, chance or a clock. So an
intent found without its acknowledgement is the same order, not a second one.
"""

from ..market.orders import Order

ID_LENGTH = 36  # the longest client order id that the usual venues take


def client_id(stream: str, bar_number: int, order_number: int = 0) -> str:
    """Id of the nth order of the journal's nth bar. `stream` is a passport's digest; its first 8 signs are used.

    >>> client_id("c0ffee00aa", 17)
    'wt-c0ffee00-000000017-0'
    """
    name = f"wt-{stream[:8]}-{bar_number:09d}-{order_number}"
    if len(name) > ID_LENGTH:
        raise ValueError(f"client order id {name} is longer than {ID_LENGTH} signs")
    return name


def intents_of(orders: list[Order], stream: str, bar_number: int) -> list[Order]:
    """The same orders under their ids."""
    return [order._replace(client_id=client_id(stream, bar_number, n)) for n, order in enumerate(orders)]
