"""A policy's own orders in a crowd's book, as kernels: sent and withdrawn, answered, and settled maker and taker apart.

The scalar and the batch arena call the same lines. An order counts against the limits from when it is sent until the
book has let go of it, whatever is on its way to cancel it. Knows neither desks nor rewards.
"""

from typing import NamedTuple

from ..market.jit import inlined_kernel, lean_kernel
from ..market.ledger import Account, apply_fill
from ..market.limits import allowed_lots
from ..market.orders import to_lots
from ..market.portfolio import holding
from ..market.terms import Terms
from ..simulators import matching
from ..simulators import world as crowd
from ..simulators.ladder import BEST_ASK, BEST_BID, LAST, LOTS, Book, find, next_above, next_below
from ..simulators.order_kinds import UNKNOWN_ID
from ..simulators.outsiders import post_outside
from ..simulators.world import World
from .arena_field import Floats, Ints

OWN_ID, OWN_SIDE, OWN_LOTS, IS_ANSWERED, TAKEN, TAKEN_AT, OWN_WIDTH = range(7)  # columns of the own orders
ROOM = 32  # own orders at a time; one more is not sent
OVERFULL = 1 << 40  # told instead of lots: the market takes no message more
ACTIVE, HALTED = 0, 2  # trading states, plain ints for kernels
FILLS_ROOM, REPLIES_ROOM, OUTSIDE_IDS = crowd.FILLS_ROOM, crowd.REPLIES_ROOM, crowd.OUTSIDE_IDS
BUY, SELL, LIMIT, AT_MARKET, CANCEL = matching.BUY, matching.SELL, matching.LIMIT, matching.MARKET, matching.CANCEL
NO_STEP = -(1 << 60)


class Menu(NamedTuple):
    """What there is to choose from: who orders, how many steps an order travels, levels beside "at market", sizes as
    shares of the allowed exposure."""

    owner: int
    latency: int
    levels: int
    sizes: Floats


@lean_kernel
def act(world: World, own: Ints, code: int, account: Account, price: float, menu: Menu, terms: Terms) -> int:
    """Do what an action's code says; signed lots of the order that was sent, or OVERFULL.

    First the cancels, then the order. Whoever may only reduce has the orders withdrawn that might add; whoever is
    halted has all withdrawn, and closes at market whatever the action says.
    """
    sizes = len(menu.sizes)
    is_cancelling, choice = code % 2 == 1, code // 2
    share, choice = float(menu.sizes[choice % sizes]), choice // sizes
    level, side = choice % (menu.levels + 1), choice // (menu.levels + 1)
    if is_cancelling or account.state != ACTIVE:
        is_whole = is_cancelling or account.state == HALTED or account.lots == 0
        if not withdraw(world, own, is_whole or account.lots > 0, is_whole or account.lots < 0, menu):
            return OVERFULL
    toward = 0 if side == 0 else (1 if side == 1 else -1)
    if account.state == HALTED:
        level = 0
        toward = -1 if account.lots > 0 else (1 if account.lots < 0 else 0)
    if toward == 0 or price <= 0.0:
        return 0
    lots = _allowed(world.book, own, toward, share, account, price, terms)
    return _place(world, own, lots, level, menu) if lots != 0 else 0


@lean_kernel
def withdraw(world: World, own: Ints, buys: bool, sells: bool, menu: Menu) -> bool:
    """Send a cancel of every own order of these sides; False where the market takes no message more."""
    for row in range(len(own)):
        if own[row, OWN_ID] != 0 and (buys if own[row, OWN_SIDE] > 0 else sells):
            world.clock[crowd.NEXT_OUTSIDE_ID] += 1
            order_id = int(own[row, OWN_ID])
            if not post_outside(world, menu.latency, CANCEL, order_id, menu.owner, 0, 0, 0, 0):
                return False
    return True


@lean_kernel
def settle(
    world: World, own: Ints, read: int, answered: int, account: Account, owner: int, terms: Terms
) -> tuple[Account, int]:
    """Book the fills since `read`, each at the fee of its side of the trade; the account, and lots made.

    What the book answered to an order on arrival is what it took. A step's takers come after its makers, for orders
    from outside arrive last.
    """
    _hear(world.replies, own, answered, int(world.clock[crowd.REPLIES]))
    fills, end, step, made, left_buy, left_sell = world.fills, int(world.clock[crowd.FILLS]), NO_STEP, 0, 0, 0
    for k in range(read, end):
        row = k & (FILLS_ROOM - 1)
        if fills[row, crowd.FILL_OWNER] != owner:
            continue
        if int(fills[row, crowd.FILL_STEP]) != step:
            step = int(fills[row, crowd.FILL_STEP])
            left_buy = _made_in(fills, own, k, end, owner, step, True)
            left_sell = _made_in(fills, own, k, end, owner, step, False)
        lots, price = int(fills[row, crowd.FILL_LOTS]), int(fills[row, crowd.FILL_TICKS]) * terms.tick
        making = min(abs(lots), left_buy if lots > 0 else left_sell)
        if lots > 0:
            left_buy -= making
        else:
            left_sell -= making
        made += making
        taking = abs(lots) - making
        fee = making * terms.lot * price * terms.maker_fee + taking * terms.lot * price * terms.taker_fee
        account = apply_fill(account, lots, price, fee, terms)
    _tidy(world.book, own)
    return account, made


@lean_kernel
def has_filled(fills: Ints, read: int, end: int, owner: int) -> bool:
    """Whether `owner` traded in any of the fills `read` … `end` − 1."""
    found = False
    for k in range(read, end):
        found = found or fills[k & (FILLS_ROOM - 1), crowd.FILL_OWNER] == owner
    return found


@lean_kernel
def level_ticks(book: Book, is_buy: bool, level: int) -> int:
    """The price of the `level`-th best level of one's own side, counted from 1; 0 where there is no such price.

    Where fewer levels are occupied it steps on tick by tick; an empty side begins a tick behind the other side's best.
    """
    best, other = int(book.head[BEST_BID]), int(book.head[BEST_ASK])
    back = -1
    if not is_buy:
        best, other, back = other, best, 1
    if best != 0:
        price = best
    elif other != 0:
        price = other + back
    else:
        price = int(book.head[LAST])
    for _ in range(level - 1):
        further = (next_below(book, price) if is_buy else next_above(book, price)) if best != 0 else 0
        price = further if further != 0 else price + back
    return price if 0 < price < len(book.levels) else 0


@lean_kernel
def promised(book: Book, own: Ints, is_buy: bool) -> int:
    """Lots of one side's own orders that may yet trade: resting, or on their way."""
    lots = 0
    for row in range(len(own)):
        if own[row, OWN_ID] != 0 and (own[row, OWN_SIDE] > 0) == is_buy:
            if own[row, IS_ANSWERED] == 0:
                lots += int(own[row, OWN_LOTS])
            else:
                slot = find(book, int(own[row, OWN_ID]))
                lots += int(book.orders[slot, LOTS]) if slot != 0 else 0
    return lots


@inlined_kernel
def _allowed(book: Book, own: Ints, toward: int, share: float, account: Account, price: float, terms: Terms) -> int:
    """Signed lots of an order of that side and size: within the allowed exposure and the limits, all orders filled."""
    held = account.lots + toward * promised(book, own, toward > 0)
    filled = holding(account, held, account.entry, account.idle_bars)  # for the limits to look at
    wanted = 0
    if account.state != HALTED:
        allowed = terms.leverage * account.equity if account.equity > 0.0 else 0.0
        headroom = max(to_lots(allowed / price, terms.lot) - toward * filled.lots, 0)
        wanted = min(to_lots(share * allowed / price, terms.lot), headroom)
        if wanted * terms.lot * price < terms.min_notional:
            return 0
    lots = allowed_lots(toward * wanted, filled, price, terms)
    return lots if lots * toward > 0 else 0


@inlined_kernel
def _place(world: World, own: Ints, lots: int, level: int, menu: Menu) -> int:
    row = 0
    while row < len(own) and own[row, OWN_ID] != 0:
        row += 1
    is_buy = lots > 0
    ticks = level_ticks(world.book, is_buy, level) if level > 0 else 0
    if row == len(own) or (level > 0 and ticks == 0):
        return 0
    world.clock[crowd.NEXT_OUTSIDE_ID] += 1
    order_id = OUTSIDE_IDS + int(world.clock[crowd.NEXT_OUTSIDE_ID])
    kind, side = LIMIT if level > 0 else AT_MARKET, BUY if is_buy else SELL
    if not post_outside(world, menu.latency, kind, order_id, menu.owner, side, ticks, abs(lots), 0):
        return OVERFULL
    own[row, OWN_ID] = order_id
    own[row, OWN_SIDE] = side
    own[row, OWN_LOTS] = abs(lots)
    own[row, IS_ANSWERED] = 0
    own[row, TAKEN] = 0
    own[row, TAKEN_AT] = 0
    return lots


@inlined_kernel
def _hear(replies: Ints, own: Ints, answered: int, end: int) -> None:
    """Note what the book answered to orders; an unknown id answers the cancel of one that has gone or not come yet."""
    for k in range(answered, end):
        place = k & (REPLIES_ROOM - 1)
        answer = int(replies[place, crowd.REPLY_ANSWER])
        if answer == -UNKNOWN_ID:
            continue
        for row in range(len(own)):
            if own[row, OWN_ID] == replies[place, crowd.REPLY_ID] and own[row, IS_ANSWERED] == 0:
                own[row, IS_ANSWERED] = 1
                own[row, TAKEN] = max(answer, 0)
                own[row, TAKEN_AT] = replies[place, crowd.REPLY_STEP]


@lean_kernel
def _made_in(fills: Ints, own: Ints, first: int, end: int, owner: int, step: int, is_buy: bool) -> int:
    """Lots that `owner` traded as a maker on one side in a step: all from fill `first` on less what was taken."""
    lots = 0
    for k in range(first, end):
        row = k & (FILLS_ROOM - 1)
        if int(fills[row, crowd.FILL_STEP]) != step:
            break
        if fills[row, crowd.FILL_OWNER] == owner and (fills[row, crowd.FILL_LOTS] > 0) == is_buy:
            lots += abs(int(fills[row, crowd.FILL_LOTS]))
    for row in range(len(own)):
        if own[row, TAKEN] > 0 and own[row, TAKEN_AT] == step and (own[row, OWN_SIDE] > 0) == is_buy:
            lots -= int(own[row, TAKEN])
    return max(lots, 0)


@inlined_kernel
def _tidy(book: Book, own: Ints) -> None:
    """Forget the orders that the book has let go of, and what the others took, which is booked."""
    for row in range(len(own)):
        if own[row, OWN_ID] != 0 and own[row, IS_ANSWERED] != 0:
            own[row, TAKEN] = 0
            if find(book, int(own[row, OWN_ID])) == 0:
                own[row, OWN_ID] = 0
