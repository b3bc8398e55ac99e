"""Bars shown to policies that look at bars instead of observations, rules above all, while they walk an environment."""

from typing import Protocol, runtime_checkable

from ..envs.arena import ArenaEnv
from ..envs.trading import TradingEnv
from ..market.bars import Bar, Bars
from ..market.ledger import Account


@runtime_checkable
class SeesBars(Protocol):
    """A policy that looks at bars and account; it answers target exposures, whatever the policy beside it answers."""

    def begin(self, bars: Bars, account: Account) -> None:
        """Forget everything, and see the closed bars so far: the first decision is due at the last one's close."""
        ...

    def see(self, bar: Bar, account: Account) -> None:
        """Take the bar that has just closed, and the account at its close, before `act` is asked again."""
        ...


def bars_so_far(env: object) -> Bars:
    """Every closed bar, since the last long gap, of the market that `env` walks."""
    if isinstance(env, TradingEnv):
        begin = max(start for start, _ in env.bars.segments() if start <= env.index)
        return env.bars.slice(begin, env.index + 1)
    if isinstance(env, ArenaEnv):
        return env.market.bars()
    raise ValueError(f"{type(env).__name__} has no bars to show to a rule")


def last_bar(env: object) -> Bar:
    """The bar that has just closed."""
    if isinstance(env, TradingEnv):
        return env.bars.bar(env.index)
    if isinstance(env, ArenaEnv):
        return env.market.last_bar()
    raise ValueError(f"{type(env).__name__} has no bar to show to a rule")
