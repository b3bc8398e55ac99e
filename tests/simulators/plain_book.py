"""The order book's rules once more, in plain Python and as slowly as you like: the oracle of the compiled book.

Written from the rules of docs/book.md, not from the kernels: a dictionary of resting orders, searched anew whenever
someone must be matched, a list of waiting stops, and a list of prints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LIMIT, MARKET, CANCEL, IOC, FOK, POST_ONLY, POST_SLIDE, REPLACE, STOP, STOP_LIMIT, ICEBERG = range(11)
REDUCE_ONLY = 16
ACCEPTED, TRADE, RESTED, EXPIRED, CANCELLED, SELF_TRADE, REJECTED = range(7)
REPLACED, REDUCED, REFILLED, ARMED, TRIGGERED = range(7, 12)
LOG_FULL, UNKNOWN_KIND, UNKNOWN_OWNER, BAD_ID, UNKNOWN_SIDE, BAD_SIZE, DUPLICATE_ID, PRICE_OFF_RANGE = range(1, 9)
BOOK_FULL, UNKNOWN_ID, NOT_YOURS, HALTED, BAD_TRIGGER, BAD_PEAK, WOULD_CROSS = range(9, 16)
REDUCES_NOTHING, NOT_RESTING = 16, 17

Row = tuple[int, ...]  # sequence, kind, at, side, ticks, lots, owner, order_id, maker, maker_id, label, maker_label


@dataclass
class Order:
    order_id: int
    owner: int
    side: int
    ticks: int  # 0: at any price
    lots: int
    label: int
    reduce_only: bool = False
    peak: int = 0  # 0: shows everything
    shown: int = 0
    trigger: int = 0
    arrived: int = 0


class PlainBook:
    def __init__(self, owners: int, levels: int, capacity: int) -> None:
        self.owners, self.levels, self.capacity = owners, levels, capacity
        self.resting: dict[int, Order] = {}
        self.waiting: list[Order] = []
        self.prints: list[int] = []
        self.events: list[Row] = []
        self.position = [0] * owners
        self.cash = [0] * owners
        self.arrivals = 0
        self.last = 0
        self.halted = False

    def process(
        self, kind: int, order_id: int, owner: int, side: int, ticks: int, lots: int, label: int, extra: int
    ) -> int:
        if kind == CANCEL:
            return self.cancel(order_id, owner)
        if kind == REPLACE:
            return self.replace(order_id, owner, ticks, lots, label)
        base = kind - REDUCE_ONLY if REDUCE_ONLY <= kind < 2 * REDUCE_ONLY else kind
        shown = 0 if base in (MARKET, STOP) else ticks
        order = Order(order_id, owner, side, shown, lots, label, kind != base)
        code = self.order_refusal(base, order, extra)
        if code:
            return self.reject(code, order_id, owner, side, shown, label)
        self.note(ACCEPTED, order, lots)
        if base in (STOP, STOP_LIMIT):
            order.trigger, order.arrived = extra, self.arrival()
            self.waiting.append(order)
            self.log(ARMED, side, extra, lots, owner, order_id, label)
            return 0
        self.cut(order)
        if base == ICEBERG:
            order.peak = extra
        if base == POST_SLIDE and self.crosses(order):
            order.ticks = self.best_price(-side) - side
        filled = 0
        if base != FOK or self.firm(order) >= order.lots:
            filled = self.take(order)
        if order.lots and base in (MARKET, IOC, FOK):
            self.note(EXPIRED, order, order.lots)
        elif order.lots:
            self.rest(order)
        self.run_stops()
        return filled

    def cancel(self, order_id: int, owner: int) -> int:
        order = self.live().get(order_id)
        code = self.own_refusal(order_id, owner)
        if code or order is None:
            return self.reject(code, order_id, owner, 0, 0, 0)
        if order.trigger:
            self.waiting.remove(order)
        else:
            del self.resting[order_id]
        self.note(CANCELLED, order, order.lots)
        return order.lots

    def replace(self, order_id: int, owner: int, ticks: int, lots: int, label: int) -> int:
        order = self.live().get(order_id)
        code = HALTED if self.halted else self.own_refusal(order_id, owner)
        if not code and order is not None:
            stays = ticks == order.ticks and lots <= order.lots
            checks = [
                (0 < lots <= 2**36, BAD_SIZE),
                (0 < ticks < self.levels, PRICE_OFF_RANGE),
                (not order.trigger, NOT_RESTING),
                (not order.peak or lots <= 100 * order.peak, BAD_PEAK),
                (stays or not order.reduce_only or self.reducible(owner, order.side), REDUCES_NOTHING),
            ]
            code = first_wrong(checks)
        if code or order is None:
            return self.reject(code, order_id, owner, 0, ticks, label)
        self.log(REPLACED, order.side, ticks, lots, owner, order_id, order.label)
        if stays:
            order.lots, order.shown = lots, min(order.shown, lots)
            return 0
        del self.resting[order_id]
        order.ticks, order.lots = ticks, lots
        self.cut(order)
        filled = self.take(order)
        if order.lots:
            self.rest(order)
        self.run_stops()
        return filled

    def take(self, taker: Order) -> int:
        filled = 0
        while taker.lots:
            best = self.best(-taker.side)
            if best is None or not self.reaches(taker, best.ticks):
                break
            if best.owner == taker.owner:
                self.note(SELF_TRADE, best, best.lots)
                del self.resting[best.order_id]
                continue
            allowed = self.reducible(best.owner, best.side) if best.reduce_only else best.lots
            if allowed < best.lots:
                self.note(REDUCED, best, best.lots - allowed)
                best.lots, best.shown = allowed, min(best.shown, allowed)
                if not allowed:
                    del self.resting[best.order_id]
                    continue
            traded = min(taker.lots, best.shown)
            self.trade(taker, best, traded)
            filled += traded
            if not best.lots:
                del self.resting[best.order_id]
            elif not best.shown:
                best.shown, best.arrived = min(best.peak, best.lots), self.arrival()
                self.note(REFILLED, best, best.shown)
        return filled

    def trade(self, taker: Order, maker: Order, lots: int) -> None:
        for order, sign in ((taker, taker.side), (maker, -taker.side)):
            self.position[order.owner] += sign * lots
            self.cash[order.owner] -= sign * lots * maker.ticks
            order.lots -= lots
        maker.shown -= lots
        self.prints.append(maker.ticks)
        self.last = maker.ticks
        taken = (taker.side, maker.ticks, lots, taker.owner, taker.order_id, taker.label)
        self.log(TRADE, *taken, maker.owner, maker.order_id, maker.label)

    def rest(self, order: Order) -> None:
        order.shown = min(order.peak, order.lots) if order.peak else order.lots
        order.trigger, order.arrived = 0, self.arrival()
        self.resting[order.order_id] = order
        self.note(RESTED, order, order.lots)

    def run_stops(self) -> None:
        due: list[Order] = []
        while True:
            hit = [stop for stop in self.waiting if any((tick - stop.trigger) * stop.side >= 0 for tick in self.prints)]
            hit.sort(key=lambda stop: (-stop.side, stop.side * stop.trigger, stop.arrived))
            self.waiting = [stop for stop in self.waiting if stop not in hit]
            self.prints = []
            due += hit
            if not due:
                return
            stop = due.pop(0)
            self.note(TRIGGERED, stop, stop.lots)
            self.cut(stop)
            self.take(stop)
            if stop.lots and stop.ticks:
                self.rest(stop)
            elif stop.lots:
                self.note(EXPIRED, stop, stop.lots)

    def cut(self, order: Order) -> None:
        """What a reduce-only order may still take when it arrives."""
        allowed = min(order.lots, self.reducible(order.owner, order.side)) if order.reduce_only else order.lots
        if allowed < order.lots:
            self.note(REDUCED, order, order.lots - allowed)
            order.lots = allowed

    def order_refusal(self, base: int, order: Order, extra: int) -> int:
        side, ticks = order.side, order.ticks
        priced, rests = base not in (MARKET, STOP), base not in (MARKET, IOC, FOK)
        checks: list[tuple[Callable[[], object], int]] = [
            (lambda: 0 <= base < 11 and not (order.reduce_only and base in (CANCEL, REPLACE)), UNKNOWN_KIND),
            (lambda: not self.halted, HALTED),
            (lambda: 0 <= order.owner < self.owners, UNKNOWN_OWNER),
            (lambda: order.order_id > 0, BAD_ID),
            (lambda: side in (1, -1), UNKNOWN_SIDE),
            (lambda: 0 < order.lots <= 2**36, BAD_SIZE),
            (lambda: order.order_id not in self.live(), DUPLICATE_ID),
            (lambda: not priced or 0 < ticks < self.levels, PRICE_OFF_RANGE),
            (lambda: base not in (STOP, STOP_LIMIT) or self.is_trigger(extra, side), BAD_TRIGGER),
            (lambda: base != ICEBERG or (0 < extra <= order.lots <= 100 * extra), BAD_PEAK),
            (lambda: not rests or len(self.resting) + len(self.waiting) < self.capacity, BOOK_FULL),
            (lambda: base != POST_ONLY or not self.crosses(order), WOULD_CROSS),
            (
                lambda: (
                    base != POST_SLIDE or not self.crosses(order) or 0 < self.best_price(-side) - side < self.levels
                ),
                PRICE_OFF_RANGE,
            ),
            (
                lambda: not order.reduce_only or base in (STOP, STOP_LIMIT) or self.reducible(order.owner, side),
                REDUCES_NOTHING,
            ),
        ]
        return next((code for fine, code in checks if not fine()), 0)

    def own_refusal(self, order_id: int, owner: int) -> int:
        order = self.live().get(order_id)
        checks = [
            (0 <= owner < self.owners, UNKNOWN_OWNER),
            (order_id > 0, BAD_ID),
            (order is not None, UNKNOWN_ID),
            (order is None or order.owner == owner, NOT_YOURS),
        ]
        return first_wrong(checks)

    def is_trigger(self, ticks: int, side: int) -> bool:
        return 0 < ticks < self.levels and (not self.last or (ticks - self.last) * side > 0)

    def live(self) -> dict[int, Order]:
        return self.resting | {stop.order_id: stop for stop in self.waiting} if self.waiting else self.resting

    def best(self, side: int) -> Order | None:
        """Best price first, then the oldest."""
        queue = [order for order in self.resting.values() if order.side == side]
        return min(queue, key=lambda order: (-side * order.ticks, order.arrived), default=None)

    def best_price(self, side: int) -> int:
        best = self.best(side)
        return best.ticks if best else 0

    def reaches(self, order: Order, ticks: int) -> bool:
        return order.ticks == 0 or (order.ticks - ticks) * order.side >= 0

    def crosses(self, order: Order) -> bool:
        best = self.best(-order.side)
        return best is not None and self.reaches(order, best.ticks)

    def firm(self, order: Order) -> int:
        """Lots of others within reach that are sure to trade."""
        others = [one for one in self.resting.values() if one.side == -order.side and one.owner != order.owner]
        return sum(one.lots for one in others if not one.reduce_only and self.reaches(order, one.ticks))

    def reducible(self, owner: int, side: int) -> int:
        return max(0, -side * self.position[owner])

    def arrival(self) -> int:
        self.arrivals += 1
        return self.arrivals

    def reject(self, code: int, order_id: int, owner: int, side: int, ticks: int, label: int) -> int:
        self.log(REJECTED, side, ticks, code, owner, order_id, label)
        return -code

    def note(self, kind: int, order: Order, lots: int) -> None:
        self.log(kind, order.side, order.ticks, lots, order.owner, order.order_id, order.label)

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


def first_wrong(checks: Sequence[tuple[object, int]]) -> int:
    return next((code for fine, code in checks if not fine), 0)
