"""Reward parts of a user's own: `my_package.rewards:calm` names a function of the account before and after a bar.

A kernel (`@kernel def calm(before, after) -> float`) is compiled into a loop over all episodes; a plain Python
function works too, slowly. Parts see accounts alone: neither prices to come nor other episodes.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..market.addresses import load
from ..market.jit import calling_kernel, is_kernel
from ..market.ledger import Account, read_account

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnPart:
    """A part by its full name `module:function`, and its weight."""

    name: str
    weight: float
    function: Callable[[Account, Account], float]

    def over(self, money: Floats, counts: Ints) -> Floats:
        """(n,) float64: the part's value for n episodes, from their accounts before and after.

        `money` (2, n, 9) float64 and `counts` (2, n, 5) int64. Raises ValueError where a value is not finite.
        """
        values = np.empty(money.shape[1])
        loop: Any = _compiled if is_kernel(self.function) else _plain
        loop(self.function, money[0], counts[0], money[1], counts[1], values)
        if not np.isfinite(values).all():
            raise ValueError(f"reward part {self.name} is {values[~np.isfinite(values)][0]}; a reward must be a number")
        return values

    def of(self, before: Account, after: Account) -> float:
        """The part's value for one account."""
        value = float(self.function(before, after))
        if not math.isfinite(value):
            raise ValueError(f"reward part {self.name} is {value}; a reward must be a number")
        return value


def own_part(name: str, weight: float) -> OwnPart:
    """Import the part that `name` addresses; ValueError where there is none."""
    module, _, function = name.partition(":")
    found = load(name, "reward part")
    if not callable(found):
        raise ValueError(f"reward part {name}: module {module} has no function {function}")
    if not is_kernel(found):
        log.warning("reward part %s is plain Python: some 3 µs an episode a step; @kernel is 1,000 times as fast", name)
    return OwnPart(name, weight, found)


@calling_kernel
def _compiled(part: Any, money: Floats, counts: Ints, money_after: Floats, counts_after: Ints, values: Floats) -> None:
    for i in range(len(values)):
        values[i] = part(read_account(money, counts, i), read_account(money_after, counts_after, i))


def _plain(part: Any, money: Floats, counts: Ints, money_after: Floats, counts_after: Ints, values: Floats) -> None:
    for i in range(len(values)):
        values[i] = float(part(read_account(money, counts, i), read_account(money_after, counts_after, i)))
