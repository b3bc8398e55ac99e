"""A step's arrivals at the book: gathered, sorted, sifted where the venue is halted, matched, and noted.

First the ends of resting orders' lives, then the crowd's messages shuffled by what each sender drew, then those from
outside. Knows nothing of why anybody sent them.
"""

from ..market.jit import inlined_kernel, lean_kernel
from .ladder import (
    EVENT_ID,
    EVENT_KIND,
    EVENT_LOTS,
    EVENT_MAKER,
    EVENT_OWNER,
    EVENT_PRICE,
    EVENT_SIDE,
    LOGGED,
    codes,
    find,
)
from .matching import (
    CANCEL,
    MESSAGE_EXTRA,
    MESSAGE_ID,
    MESSAGE_KIND,
    MESSAGE_LABEL,
    MESSAGE_LOTS,
    MESSAGE_OWNER,
    MESSAGE_PRICE,
    MESSAGE_SIDE,
    TRADE,
    process,
)
from .posting import OUTSIDE
from .world import (
    AFTER,
    ARRIVALS,
    ARRIVED,
    BAR_HIGH,
    BAR_LOW,
    BAR_OPEN,
    CALENDAR,
    COHORT,
    DUE_ROOM,
    ENDING_AFTER,
    ENDING_ID,
    ENDING_OWNER,
    ENDINGS,
    ENDINGS_ROOM,
    FILL_LOTS,
    FILL_OWNER,
    FILL_STEP,
    FILL_TICKS,
    FILLS,
    FILLS_ROOM,
    FIRST_OUTSIDER,
    FREE_NODE,
    FREE_ROW,
    FRESH_NODE,
    HALT,
    LIVES,
    LOST,
    OVERDUE,
    REPLIES,
    REPLIES_ROOM,
    REPLY_ANSWER,
    REPLY_ID,
    REPLY_STEP,
    SORT,
    STEP,
    VENUE,
    World,
)

MESSAGE_WIDTH = 8
DROPPED = 2.0  # of the knob HALT
(NO_ANSWER,) = codes(-99, -98)  # to an order from outside that a halted venue dropped


@inlined_kernel
def deliver(world: World) -> None:
    """Let this step's messages reach the book, and note what became of them."""
    halt = float(world.knobs[VENUE, HALT])
    ended = _gather_endings(world)
    if halt > 0.0:
        _sift_arrivals(world, halt >= DROPPED)
    count = _gather_arrivals(world, ended)
    if count == 0:
        return
    logged = int(world.book.head[LOGGED])
    process(world.book, world.due, count, world.answers)
    _note_trades(world, logged)
    _note_answers(world, ended, count)


@inlined_kernel
def _gather_endings(world: World) -> int:
    """Cancels of the resting orders whose life ends now; those that were filled need none."""
    clock, endings, due = world.clock, world.endings, world.due
    bucket = int(clock[STEP]) & (CALENDAR - 1)
    node, count = int(world.calendar[ENDINGS, bucket]), 0
    world.calendar[ENDINGS, bucket] = 0
    while node != 0:
        order_id = int(endings[node, ENDING_ID])
        if find(world.book, order_id) != 0 and count < DUE_ROOM:
            due[count, MESSAGE_KIND] = CANCEL
            due[count, MESSAGE_ID] = order_id
            due[count, MESSAGE_OWNER] = endings[node, ENDING_OWNER]
            due[count, MESSAGE_SIDE] = 0
            due[count, MESSAGE_PRICE] = 0
            due[count, MESSAGE_LOTS] = 0
            due[count, MESSAGE_LABEL] = 0
            due[count, MESSAGE_EXTRA] = 0
            count += 1
        after = int(endings[node, ENDING_AFTER])
        endings[node, ENDING_AFTER] = clock[FREE_NODE]
        clock[FREE_NODE] = node
        node = after
    return count


@inlined_kernel
def _gather_arrivals(world: World, ended: int) -> int:
    """This step's arrivals by their sort keys, behind the `ended` cancels; what finds no room comes a step later."""
    clock, underway, due, origins = world.clock, world.underway, world.due, world.origins
    bucket = int(clock[STEP]) & (CALENDAR - 1)
    row, count = int(world.calendar[ARRIVALS, bucket]), ended
    world.calendar[ARRIVALS, bucket] = 0
    while row != 0 and count < DUE_ROOM:
        origins[0, count] = row
        origins[1, count] = underway[row, SORT]
        count += 1
        row = int(underway[row, AFTER])
    _put_off(world, row, bucket)
    _sort(world, ended, count)
    for i in range(ended, count):
        row = int(origins[0, i])
        for column in range(MESSAGE_WIDTH):
            due[i, column] = underway[row, column]
    return count


@lean_kernel
def _sort(world: World, first: int, end: int) -> None:
    """Sort the rows gathered in `origins` by their keys, which are all different (Shell's sort)."""
    origins = world.origins
    gap = 1
    while gap < (end - first) // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, end):
            row, key = int(origins[0, i]), int(origins[1, i])
            j = i
            while j - gap >= first and origins[1, j - gap] > key:
                origins[0, j] = origins[0, j - gap]
                origins[1, j] = origins[1, j - gap]
                j -= gap
            origins[0, j] = row
            origins[1, j] = key
        gap //= 3


@inlined_kernel
def _put_off(world: World, row: int, bucket: int) -> None:
    """Move the chain that begins at `row` to the next step."""
    if row == 0:
        return
    underway, later = world.underway, (bucket + 1) & (CALENDAR - 1)
    last = row
    world.clock[OVERDUE] += 1
    while underway[last, AFTER] != 0:
        last = int(underway[last, AFTER])
        world.clock[OVERDUE] += 1
    underway[last, AFTER] = world.calendar[ARRIVALS, later]
    world.calendar[ARRIVALS, later] = row


@lean_kernel
def _sift_arrivals(world: World, drop: bool) -> None:
    """Leave only cancels among this step's arrivals: a halted venue takes them, and drops or holds all else."""
    underway, bucket = world.underway, int(world.clock[STEP]) & (CALENDAR - 1)
    later = (bucket + 1) & (CALENDAR - 1)
    row, cancels = int(world.calendar[ARRIVALS, bucket]), 0
    while row != 0:
        after = int(underway[row, AFTER])
        if int(underway[row, MESSAGE_KIND]) == CANCEL:
            underway[row, AFTER] = cancels
            cancels = row
        elif drop:
            if int(underway[row, COHORT]) == OUTSIDE:
                _reply(world, int(underway[row, MESSAGE_ID]), NO_ANSWER)
            _free(world, row)
        else:
            underway[row, AFTER] = world.calendar[ARRIVALS, later]
            world.calendar[ARRIVALS, later] = row
        row = after
    world.calendar[ARRIVALS, bucket] = cancels


@inlined_kernel
def _free(world: World, row: int) -> None:
    world.underway[row, AFTER] = world.clock[FREE_ROW]
    world.clock[FREE_ROW] = row


@inlined_kernel
def _note_trades(world: World, logged: int) -> None:
    """Widen the running bar by the new trades, and keep those of outsiders."""
    clock, events, head = world.clock, world.book.events, world.book.head
    outside, last = int(clock[FIRST_OUTSIDER]), 0
    for row in range(logged, int(head[LOGGED])):
        if events[row, EVENT_KIND] != TRADE:
            continue
        price = int(events[row, EVENT_PRICE])
        if clock[BAR_OPEN] == 0:
            clock[BAR_OPEN] = price
            clock[BAR_HIGH] = price
            clock[BAR_LOW] = price
        clock[BAR_HIGH] = max(int(clock[BAR_HIGH]), price)
        clock[BAR_LOW] = min(int(clock[BAR_LOW]), price)
        taker, maker = int(events[row, EVENT_OWNER]), int(events[row, EVENT_MAKER])
        lots = int(events[row, EVENT_SIDE]) * int(events[row, EVENT_LOTS])
        if int(events[row, EVENT_ID]) != last:  # an order counts once, however many it trades with
            last = int(events[row, EVENT_ID])
            world.mood[ARRIVED] += float(events[row, EVENT_SIDE])
        if taker >= outside:
            _keep_fill(world, taker, price, lots)
        if maker >= outside:
            _keep_fill(world, maker, price, -lots)


@inlined_kernel
def _keep_fill(world: World, owner: int, ticks: int, lots: int) -> None:
    fills, place = world.fills, int(world.clock[FILLS]) & (FILLS_ROOM - 1)
    fills[place, FILL_OWNER] = owner
    fills[place, FILL_TICKS] = ticks
    fills[place, FILL_LOTS] = lots
    fills[place, FILL_STEP] = world.clock[STEP]
    world.clock[FILLS] += 1


@inlined_kernel
def _note_answers(world: World, ended: int, count: int) -> None:
    """Give every order that rests with a life its end, tell outsiders, and free the rows."""
    underway, answers = world.underway, world.answers
    for i in range(ended, count):
        row, answer = int(world.origins[0, i]), int(world.answers[i])
        who, life = int(underway[row, COHORT]), int(underway[row, LIVES])
        if who == OUTSIDE:
            _reply(world, int(underway[row, MESSAGE_ID]), answer)
        elif answer < 0 and int(underway[row, MESSAGE_KIND]) != CANCEL:
            world.cohorts[who, LOST] += 1
        if life > 0 and 0 <= answers[i] < underway[row, MESSAGE_LOTS]:
            _set_end(world, int(underway[row, MESSAGE_ID]), int(underway[row, MESSAGE_OWNER]), life)
        _free(world, row)


@inlined_kernel
def _set_end(world: World, order_id: int, owner: int, life: int) -> None:
    """Put the end of an order's life on the calendar; an order without room there rests until it is filled."""
    clock, endings = world.clock, world.endings
    node = int(clock[FREE_NODE])
    if node != 0:
        clock[FREE_NODE] = endings[node, ENDING_AFTER]
    else:
        node = int(clock[FRESH_NODE]) + 1
        if node >= ENDINGS_ROOM:
            clock[OVERDUE] += 1
            return
        clock[FRESH_NODE] = node
    bucket = (int(clock[STEP]) + life) & (CALENDAR - 1)
    endings[node, ENDING_ID] = order_id
    endings[node, ENDING_OWNER] = owner
    endings[node, ENDING_AFTER] = world.calendar[ENDINGS, bucket]
    world.calendar[ENDINGS, bucket] = node


@inlined_kernel
def _reply(world: World, order_id: int, answer: int) -> None:
    place = int(world.clock[REPLIES]) & (REPLIES_ROOM - 1)
    world.replies[place, REPLY_ID] = order_id
    world.replies[place, REPLY_ANSWER] = answer
    world.replies[place, REPLY_STEP] = world.clock[STEP]
    world.clock[REPLIES] += 1
