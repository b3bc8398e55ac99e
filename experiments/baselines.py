"""Baselines by what config calls them: a rule of the house with its numbers, or one of a user's own by its address.

`my_desk.rules:Weekend` names a class without arguments that begins, sees bars and acts as `agents.rules.Rule` does.
Knows no market: whoever judges shows it the bars.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Decision, Policy
from ..agents.rules import make_rule
from ..market.addresses import is_own, load
from ..market.bars import Bar, Bars
from ..market.ledger import Account
from .course import CourseError
from .shown import SeesBars

METHODS = ("begin", "see", "act")


class SeeingPolicy(SeesBars, Policy, Protocol):
    """A policy that is shown bars: what a rule is."""


def rules_of(baselines: Sequence[str]) -> dict[str, Policy]:
    """The baselines as rules, by what config calls them; CourseError where one is not a rule."""
    try:
        return {name: OwnRule(name) if is_own(name) else make_rule(name) for name in baselines}
    except ValueError as error:
        raise CourseError(str(error)) from None


class OwnRule:
    """A rule of a user's own; each of its decisions is looked at before it is followed."""

    def __init__(self, name: str) -> None:
        self.name, self._rule = name, _made(name)

    def begin(self, bars: Bars, account: Account) -> None:
        """Forget everything, and see these closed bars."""
        self._rule.begin(bars, account)

    def see(self, bar: Bar, account: Account) -> None:
        """Take the bar that has just closed, and the account as it stands at that close."""
        self._rule.see(bar, account)

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        """The rule's own decision; ValueError where it is none, or its target lies outside [-1, 1]."""
        decision = self._rule.act(observations, state, starts)
        if not isinstance(decision, Decision):
            raise ValueError(f"baseline {self.name} answered {decision!r}, not a Decision")
        action = np.asarray(decision.action)
        if action.shape != (1, 1) or not -1.0 <= float(action[0, 0]) <= 1.0:
            raise ValueError(f"baseline {self.name} wants {action.tolist()}, not one target [[x]] with x in [-1, 1]")
        return decision


def _made(name: str) -> SeeingPolicy:
    module, _, word = name.partition(":")
    found = load(name, "baseline")
    if not isinstance(found, type):
        raise ValueError(f"baseline {name!r}: {module} has no class {word}")
    missing = [method for method in METHODS if not callable(getattr(found, method, None))]
    if missing:
        raise ValueError(f"baseline {name!r} has no method {missing[0]}: a rule has {', '.join(METHODS)}")
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise ValueError(f"baseline {name!r} must be made without arguments: {error}") from None
    made: Any = found()
    rule: SeeingPolicy = made
    return rule
