"""What a runner is made of, told by what each part does, and what it tells of a bar.

The seams of the trading loop: another policy, desk or clock fits here, and the loop stays as it is.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bar
from ..market.ledger import Account
from ..market.limits import State
from ..market.orders import Fill, Order
from .clock import Clock
from .gates import Denial, Gates, Verdict
from .venue import Venue

Columns = NDArray[np.float32]


class Decision(Protocol):
    """What a policy answers: `agents.policy.Decision`, for one observation."""

    @property
    def action(self) -> Columns: ...
    @property
    def confidence(self) -> Columns: ...
    @property
    def state(self) -> Columns | None: ...


class Policy(Protocol):
    """The mind: `agents.frozen.FrozenPolicy`."""

    def act(self, observations: Columns, state: Columns | None = None) -> Decision: ...


class Desk(Protocol):
    """The desk: `envs.desk.Desk`."""

    def on_bar(self, bar: Bar) -> bool: ...
    def observe(self, account: Account) -> Columns: ...
    def orders(self, action: float, account: Account) -> list[Order]: ...
    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...


@dataclass(frozen=True)
class Parts:
    """What a runner is made of. `stream` names its orders."""

    clock: Clock
    venue: Venue
    desk: Desk
    policy: Policy
    gates: Gates
    interval_ms: int
    stream: str
    snapshot_every: int = 256  # bars that a restart may have to walk again: about 0.1 s


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one bar, for whoever watches: metrics, the API, a progress bar."""

    number: int
    bar: Bar
    account: Account
    state: State
    causes: tuple[Denial, ...]
    verdict: Verdict | None
    decided: bool
    fills: tuple[Fill, ...]
    orders: tuple[Order, ...]
    latency_ns: int
