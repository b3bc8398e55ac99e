"""The order book's rules once more, in plain Python and as slowly as you like: the oracle of the compiled book.

Written from the rules, not from the kernels: one list of resting orders, sorted anew whenever someone must be matched.
"""

from dataclasses import dataclass

LIMIT, MARKET, CANCEL = 0, 1, 2
ACCEPTED, TRADE, RESTED, EXPIRED, CANCELLED, SELF_TRADE, REJECTED = range(7)
(
    LOG_FULL,
    UNKNOWN_KIND,
    UNKNOWN_OWNER,
    BAD_ID,
    UNKNOWN_SIDE,
    BAD_SIZE,
    DUPLICATE_ID,
    PRICE_OFF_RANGE,
    BOOK_FULL,
    UNKNOWN_ID,
    NOT_YOURS,
) = range(1, 12)

Row = tuple[int, ...]  # sequence, kind, at, side, ticks, lots, owner, order_id, maker, maker_id, label, maker_label


@dataclass
class Resting:
    arrived: int
    order_id: int
    owner: int
    side: int
    ticks: int
    lots: int
    label: int


class PlainBook:
    def __init__(self, owners: int, levels: int, capacity: int) -> None:
        self.owners, self.levels, self.capacity = owners, levels, capacity
        self.resting: dict[int, Resting] = {}
        self.events: list[Row] = []
        self.position = [0] * owners
        self.cash = [0] * owners
        self.arrivals = 0

    def process(self, kind: int, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int) -> int:
        if kind == CANCEL:
            return self.cancel(order_id, owner)
        if kind not in (LIMIT, MARKET):
            return self.reject(UNKNOWN_KIND, order_id, owner, side, ticks, label)
        return self.enter(kind, order_id, owner, side, ticks, lots, label)

    def enter(self, kind: int, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int) -> int:
        shown = ticks if kind == LIMIT else 0
        code = self.refusal(kind, order_id, owner, side, ticks, lots)
        if code:
            return self.reject(code, order_id, owner, side, shown, label)
        self.log(ACCEPTED, side, shown, lots, owner, order_id, label)
        left = lots
        while left:
            best = self.best(-side)
            if best is None or (kind == LIMIT and (best.ticks > ticks if side > 0 else best.ticks < ticks)):
                break
            if best.owner == owner:
                self.log(SELF_TRADE, best.side, best.ticks, best.lots, best.owner, best.order_id, best.label)
                del self.resting[best.order_id]
                continue
            traded = min(left, best.lots)
            left -= traded
            best.lots -= traded
            self.settle(owner, best.owner, side, best.ticks, traded)
            maker = (best.owner, best.order_id)
            self.log(TRADE, side, best.ticks, traded, owner, order_id, label, *maker, best.label)
            if not best.lots:
                del self.resting[best.order_id]
        if left and kind == MARKET:
            self.log(EXPIRED, side, 0, left, owner, order_id, label)
        elif left:
            self.arrivals += 1
            self.resting[order_id] = Resting(self.arrivals, order_id, owner, side, ticks, left, label)
            self.log(RESTED, side, ticks, left, owner, order_id, label)
        return lots - left

    def cancel(self, order_id: int, owner: int) -> int:
        code = 0
        if not 0 <= owner < self.owners:
            code = UNKNOWN_OWNER
        elif order_id <= 0:
            code = BAD_ID
        elif order_id not in self.resting:
            code = UNKNOWN_ID
        elif self.resting[order_id].owner != owner:
            code = NOT_YOURS
        if code:
            return self.reject(code, order_id, owner, 0, 0, 0)
        order = self.resting.pop(order_id)
        self.log(CANCELLED, order.side, order.ticks, order.lots, owner, order_id, order.label)
        return order.lots

    def refusal(self, kind: int, order_id: int, owner: int, side: int, ticks: int, lots: int) -> int:
        checks = [
            (0 <= owner < self.owners, UNKNOWN_OWNER),
            (order_id > 0, BAD_ID),
            (side in (1, -1), UNKNOWN_SIDE),
            (0 < lots <= 2**31, BAD_SIZE),
            (order_id not in self.resting, DUPLICATE_ID),
            (kind == MARKET or 0 < ticks < self.levels, PRICE_OFF_RANGE),
            (kind == MARKET or len(self.resting) < self.capacity, BOOK_FULL),
        ]
        return next((code for fine, code in checks if not fine), 0)

    def reject(self, code: int, order_id: int, owner: int, side: int, ticks: int, label: int) -> int:
        self.log(REJECTED, side, ticks, code, owner, order_id, label)
        return -code

    def best(self, side: int) -> Resting | None:
        """Best price first, then the oldest."""
        queue = [order for order in self.resting.values() if order.side == side]
        return min(queue, key=lambda order: (-side * order.ticks, order.arrived), default=None)

    def settle(self, taker: int, maker: int, side: int, ticks: int, lots: int) -> None:
        self.position[taker] += side * lots
        self.position[maker] -= side * lots
        self.cash[taker] -= side * lots * ticks
        self.cash[maker] += side * lots * ticks

    def log(
        self,
        kind: int,
        side: int,
        ticks: int,
        lots: int,
        owner: int,
        order_id: int,
        label: int,
        maker: int = 0,
        maker_id: int = 0,
        maker_label: int = 0,
    ) -> None:
        sequence = len(self.events) + 1
        row = (sequence, kind, 0, side, ticks, lots, owner, order_id, maker, maker_id, label, maker_label)
        self.events.append(row)
