"""Venues: where orders go and fills come from. On paper it is the same bar-level exchange that back-tests trade on.

A venue owns the account (the ledger moves its money); it neither judges orders nor journals them.
"""

from typing import Any, NamedTuple, Protocol

from ..market.bars import Bar
from ..market.conditions import CONDITION_WARM_UP
from ..market.costs import Funding
from ..market.exchange import BarExchange, Resting
from ..market.ledger import Account, open_account
from ..market.orders import Fill, Order
from ..market.terms import Terms

VenueState = dict[str, Any]


class Ack(NamedTuple):
    """A venue's answer to an intent."""

    client_id: str
    accepted: bool
    reason: str = ""


class Venue(Protocol):
    """One account at one venue. `submit` of an id that the venue already holds is answered, and not taken twice."""

    @property
    def account(self) -> Account: ...

    @property
    def is_warm(self) -> bool:
        """Whether costs can be estimated: the venue has seen enough bars of this segment."""
        ...

    def warm(self, bar: Bar) -> None:
        """See a bar before the session's first decision: estimates take it in, the account stays as it opened."""
        ...

    def on_bar(self, bar: Bar) -> list[Fill]:
        """Fills that became known when this bar closed."""
        ...

    def submit(self, order: Order) -> Ack: ...

    def state(self) -> VenueState: ...

    def restore(self, state: VenueState) -> None: ...


class PaperVenue:
    """`market.exchange.BarExchange` behind the face of a venue, with a state that can be journalled."""

    def __init__(
        self,
        terms: Terms,
        interval_ms: int,
        cash: float = 100_000.0,
        funding_bps_per_8h: float = 1.0,
        funding: Funding | None = None,
    ) -> None:
        self._exchange = BarExchange(terms, interval_ms, cash, funding_bps_per_8h, funding)
        self._cash = cash

    @property
    def account(self) -> Account:
        return self._exchange.account

    @property
    def is_warm(self) -> bool:
        return self._exchange.seen >= CONDITION_WARM_UP

    def warm(self, bar: Bar) -> None:
        self._exchange.warm(bar)
        self._exchange.account = open_account(self._cash)  # as an environment's account opens: at the first decision

    def on_bar(self, bar: Bar) -> list[Fill]:
        """Live through a closed bar. Behind a long gap waiting orders have expired and estimates start anew."""
        return self._exchange.on_bar(bar)

    def submit(self, order: Order) -> Ack:
        """Take an order for the next bar; a second time under the same id it is only acknowledged."""
        if order.client_id in self._waiting_ids():
            return Ack(order.client_id, True)
        try:
            self._exchange.submit(order)
        except ValueError as error:
            return Ack(order.client_id, False, str(error))
        return Ack(order.client_id, True)

    def state(self) -> VenueState:
        """All that the venue is, in JSON's types; floats survive JSON to the last bit."""
        exchange = self._exchange
        market = exchange.market_order
        return {
            "account": list(exchange.account),
            "market_order": list(market) if market else None,
            "resting": [[list(rests.order), rests.extreme] for rests in exchange.resting],
            "last_opened_at": exchange.last_opened_at,
            "conditions": exchange.conditions.tolist(),
            "sigma": exchange.sigma,
            "volume": exchange.volume,
            "seen": exchange.seen,
        }

    def restore(self, state: VenueState) -> None:
        """Become what `state` told."""
        exchange = self._exchange
        exchange.account = Account._make(state["account"])
        market = state["market_order"]
        exchange.market_order = Order._make(market) if market else None
        exchange.resting = [Resting(Order._make(order), float(extreme)) for order, extreme in state["resting"]]
        exchange.last_opened_at = int(state["last_opened_at"])
        exchange.conditions[:] = state["conditions"]
        exchange.sigma, exchange.volume = float(state["sigma"]), float(state["volume"])
        exchange.seen = int(state["seen"])

    def _waiting_ids(self) -> set[str]:
        exchange = self._exchange
        orders = [rests.order for rests in exchange.resting]
        orders += [exchange.market_order] if exchange.market_order else []
        return {order.client_id for order in orders}
