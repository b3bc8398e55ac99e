"""What the desks of a batch of arenas see: each closed bar, and the observation at each wake, compiled.

Market and memory columns are of closed bars. Account and book columns are of now in the last row of a window, and in
the rows before as they were observed at those closes. Knows neither crowd nor ledger.
"""

from ..market.bars import Bar
from ..market.jit import inlined_kernel, lean_kernel
from ..market.ledger import read_account
from ..market.terms import read_terms
from .arena_field import (
    BASE_MS,
    BEGIN,
    BLOCK,
    CLOSED,
    END,
    FIRST,
    HIGHER_MS,
    MEMORY,
    STOP,
    WIDTH,
    WINDOW,
    Columns,
    Field,
    Flags,
    Ground,
)
from .desk import N_ACCOUNT, account_columns
from .house import Group, show_bar
from .kinds import PLACE
from .timeframes import GATHERING


@lean_kernel
def show_all(mask: Flags, ground: Ground, field: Field, observations: Columns) -> None:
    """Observe every desk where `mask` is set: move its window of accounts on, and write the observation."""
    for i in range(len(mask)):
        if mask[i]:
            _show(i, ground, field, observations)


@lean_kernel
def begin_row(i: int, ground: Ground, field: Field) -> None:
    """Before an episode its account had nothing: a window shows the fresh account, and the book as it is now, for the
    bars before the first."""
    account, block = read_account(field.money, field.counts, i), int(ground.options[BLOCK])
    columns = account_columns(account, float(field.closes[i]), read_terms(ground.base, 0))
    for w in range(int(ground.options[WINDOW])):
        for k in range(N_ACCOUNT):
            field.accounts[i, w * N_ACCOUNT + k] = columns[k]
        for k in range(block):
            field.blocks[i, w * block + k] = field.block[i, k]
    for k in range(field.sums.shape[1]):
        field.sums[i, k] = 0.0
    for k in range(field.moments.shape[1]):
        field.moments[i, k] = 0.0


@inlined_kernel
def show_closed_bar(i: int, bar: Bar, ground: Ground, field: Field) -> None:
    """Show the bar to the desk: its rows move up by one, and the house's columns write theirs into the last."""
    width, last = int(ground.options[WIDTH]), (int(ground.options[WINDOW]) - 1) * int(ground.options[WIDTH])
    rows, groups, floats = field.rows, ground.groups, int(ground.options[MEMORY])
    for k in range(last):
        rows[i, k] = rows[i, k + width]
    field.stamps[i] = bar.opened_at
    for g in range(len(groups)):
        first, stop = int(groups[g, FIRST]), int(groups[g, STOP])
        begin, end = i * floats + int(groups[g, BEGIN]), i * floats + int(groups[g, END])
        memory = field.memory[begin:end]
        group = Group(
            int(groups[g, BASE_MS]),
            int(groups[g, HIGHER_MS]),
            ground.plan[first:stop],
            ground.numbers[first:stop],
            memory,
        )
        show_bar(group, bar)
        for j in range(stop - first):
            rows[i, last + int(ground.plan[first + j, PLACE])] = memory[GATHERING + j]


@inlined_kernel
def _show(i: int, ground: Ground, field: Field, observations: Columns) -> None:
    width, window, block = int(ground.options[WIDTH]), int(ground.options[WINDOW]), int(ground.options[BLOCK])
    account = read_account(field.money, field.counts, i)
    columns = account_columns(account, float(field.closes[i]), read_terms(ground.base, 0))
    accounts, blocks, last = field.accounts, field.blocks, window - 1
    if field.clock[i, CLOSED] != 0:
        for k in range(last * N_ACCOUNT):
            accounts[i, k] = accounts[i, k + N_ACCOUNT]
        for k in range(last * block):
            blocks[i, k] = blocks[i, k + block]
        for k in range(N_ACCOUNT):
            accounts[i, last * N_ACCOUNT + k] = columns[k]
        for k in range(block):
            blocks[i, last * block + k] = field.block[i, k]
    at = 0
    for w in range(window):
        for k in range(width):
            observations[i, at + k] = field.rows[i, w * width + k]
        at += width
        for k in range(N_ACCOUNT):
            observations[i, at + k] = accounts[i, w * N_ACCOUNT + k]
        at += N_ACCOUNT
        for k in range(block):
            observations[i, at + k] = blocks[i, w * block + k]
        at += block
    for k in range(N_ACCOUNT):
        observations[i, at - block - N_ACCOUNT + k] = columns[k]
    for k in range(block):
        observations[i, at - block + k] = field.block[i, k]
