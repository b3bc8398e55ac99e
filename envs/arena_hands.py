"""The hands of a single arena: how an action reaches the market, and how what was traded reaches the ledger.

Targets go the way that a bar's desk goes, one order at market; order-level actions go through the kernels that the
batch walks, on this market's arrays. Knows neither observation nor reward.
"""

from typing import Any, Protocol

import numpy as np

from ..market.ledger import Account, apply_fill
from ..market.limits import allowed_lots
from ..market.terms import Terms
from ..simulators import world as crowd
from ..simulators.crowd import CrowdMarket
from .actions import exposure_of
from .arena_actions import OrderMenu
from .arena_field import Ints
from .arena_orders import FILLS_ROOM, OVERFULL, OWN_WIDTH, REPLIES_ROOM, ROOM, Menu, act, settle, withdraw
from .desk import order_lots


class Hand(Protocol):
    """`own` (n, 6) int64 are the own orders that the market may yet hold."""

    own: Ints

    def begin(self) -> None: ...
    def act(self, action: Any, account: Account, price: float) -> int: ...
    def book(self, account: Account) -> tuple[Account, dict[str, int]]: ...
    def end(self) -> None: ...


class TargetHand:
    """Moves to a target exposure by one market order; every fill takes."""

    def __init__(self, market: CrowdMarket, owner: int, actions: str, terms: Terms) -> None:
        self._market, self._owner, self._actions, self._terms = market, owner, actions, terms
        self.own: Ints = np.zeros((0, OWN_WIDTH), np.int64)

    def begin(self) -> None:
        """Nothing is kept between episodes."""

    def act(self, action: Any, account: Account, price: float) -> int:
        """Send the order that moves towards `action`; its signed lots."""
        exposure = exposure_of(float(np.asarray(action).reshape(())), self._actions)
        lots = int(allowed_lots(order_lots(exposure, account, price, self._terms), account, price, self._terms))
        if lots:
            self._market.submit_market(self._owner, lots)
        return lots

    def book(self, account: Account) -> tuple[Account, dict[str, int]]:
        """The account behind what was traded since the last call, and the lots of it by name."""
        terms, held = self._terms, account.lots
        for ticks, lots, _ in self._market.fills(self._owner).tolist():
            price = ticks * terms.tick
            account = apply_fill(account, lots, price, abs(lots) * terms.lot * price * terms.taker_fee, terms)
        return account, {"filled_lots": account.lots - held}

    def end(self) -> None:
        """A market order rests nowhere."""


class OrderHand:
    """Sends orders to levels of the book and withdraws them; a fill makes or takes."""

    def __init__(self, market: CrowdMarket, owner: int, menu: OrderMenu, terms: Terms) -> None:
        self._market, self._choices, self._terms = market, menu, terms
        self._menu = Menu(owner, market.latency_steps, menu.levels, np.array(menu.sizes, np.float64))
        self.own: Ints = np.zeros((ROOM, OWN_WIDTH), np.int64)
        self._read = self._answered = 0

    def begin(self) -> None:
        """No own order is in this market yet."""
        self.own[:] = 0
        clock = self._market.world.clock
        self._read, self._answered = int(clock[crowd.FILLS]), int(clock[crowd.REPLIES])

    def act(self, action: Any, account: Account, price: float) -> int:
        """Do what the four numbers of `action` say; signed lots of the order that was sent."""
        code = int(self._choices.codes(action, 1)[0])
        lots = int(act(self._market.world, self.own, code, account, price, self._menu, self._terms))
        if lots == OVERFULL:
            raise ValueError("too many orders are on their way already, the market takes no more")
        return lots

    def book(self, account: Account) -> tuple[Account, dict[str, int]]:
        """As TargetHand's; `maker_lots` of the lots traded, bought and sold, were made."""
        world, held = self._market.world, account.lots
        fills, replies = int(world.clock[crowd.FILLS]), int(world.clock[crowd.REPLIES])
        if fills - self._read > FILLS_ROOM or replies - self._answered > REPLIES_ROOM:
            raise ValueError(f"{fills - self._read} fills and {replies - self._answered} replies passed unread")
        given = (world, self.own, self._read, self._answered, account, self._menu.owner, self._terms)
        account, made = settle(*given)
        self._read, self._answered = fills, replies
        return Account(*account), {"filled_lots": account.lots - held, "maker_lots": int(made)}

    def end(self) -> None:
        """Withdraw what rests: the episode is over."""
        if not withdraw(self._market.world, self.own, True, True, self._menu):
            raise ValueError("too many orders are on their way already, the market takes no cancel more")
