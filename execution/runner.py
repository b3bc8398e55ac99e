"""The runner: one bar from the feed to an order at the venue, in eight calls, each journalled before it takes effect.

    feed.next -> venue.on_bar -> account -> desk.observe -> policy.act -> desk.orders -> gates.judge -> venue.submit

A restart and an audit walk the same lines: see `trail`. Knows its parts by what they do, not by what they are.
"""

import base64
import hashlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..market.bars import Bar
from ..market.ledger import Account
from ..market.limits import State
from ..market.orders import Fill, Order
from .clock import monotonic_ns
from .feed import Feed, refusal
from .gates import Denial, Verdict
from .intents import intents_of
from .journal import Kind
from .parts import Columns, Parts, Step
from .trail import Mismatch, Trail


class RunnerError(RuntimeError):
    """The runner cannot do what it was asked."""


class _Kill:
    def __init__(self, by: str) -> None:
        self.by = by
        self.row = 0
        self.journalled = threading.Event()


class Runner:
    """The trading loop over a trail. `recover`, then `run`; `kill` may be called from any thread."""

    def __init__(self, parts: Parts, trail: Trail, watch: Callable[[Step], None] | None = None) -> None:
        self.parts = parts
        self.trail = trail
        self.last: Step | None = None
        self._watch = watch
        self._last_bar: Bar | None = None
        self._number = 0  # bars in the journal
        self._has_decided = False
        self._state = State.ACTIVE
        self._policy_state: Columns | None = None  # what a recurrent policy remembers; None: it starts
        self._turn = threading.Lock()  # held for a whole bar: a kill comes between bars, never inside one
        self._kills: deque[_Kill] = deque()
        self._is_closed = False

    def recover(self, snapshot: dict[str, Any] | None = None) -> int:
        """Walk again what the journal tells, from `snapshot` or the beginning; return the bars it holds.

        Raises Mismatch at the first row that comes out differently.
        """
        with self._turn:
            if snapshot is not None:
                self._restore(snapshot)
            while (row := self.trail.ahead) is not None:
                if row.kind == Kind.KILL:
                    self.trail.take(Kind.KILL)
                    self.parts.gates.halt(Denial.KILLED)
                elif row.kind == Kind.BAR:
                    self._step(Bar(**row.facts))
                else:
                    raise Mismatch(f"row {row.seq}: the journal says {row.kind}, where a bar was due", row.seq)
        return self._number

    def run(self, feed: Feed) -> int:
        """Trade until the feed ends; return the bars that the journal then holds."""
        if self._last_bar is not None:
            feed.resume(self._last_bar)
        try:
            while (bar := feed.next()) is not None:
                with self._turn:
                    self._take_kills()
                    if reason := refusal(bar, self._last_bar, self.parts.interval_ms):
                        self.trail.record(Kind.DROPPED, {"bar": bar._asdict(), "reason": reason})
                        self.trail.commit()
                    else:
                        self._step(bar)
            with self._turn:
                self._take_kills()
                self.trail.commit()
        except Exception as error:
            self._record_fault(error)
            raise
        return self._number

    def kill(self, by: str, timeout_s: float = 5.0) -> int:
        """Halt for good: journalled first, then in force. Return the journal's row. Callable from any thread.

        Raises RunnerError where the loop has ended, or a bar in work does not end in time.
        """
        request = _Kill(by)
        self._kills.append(request)
        for _ in range(max(1, int(timeout_s / 0.02))):
            if request.journalled.is_set():  # by the loop, which looks between two bars
                return request.row
            if self._turn.acquire(timeout=0.02):  # or here, while the loop waits for a bar
                try:
                    if self._is_closed:
                        raise RunnerError("the runner has ended: there is nothing left to kill")
                    self._take_kills()
                finally:
                    self._turn.release()
        if request.journalled.is_set():
            return request.row
        raise RunnerError(f"the bar in work did not end within {timeout_s} s: the kill is not journalled yet")

    def close(self) -> None:
        """Take no more kills."""
        with self._turn:
            self._is_closed = True

    @property
    def bars(self) -> int:
        """Bars in the journal."""
        return self._number

    def _step(self, bar: Bar) -> None:
        began_ns = monotonic_ns()
        is_new = self.trail.ahead is None
        parts, trail = self.parts, self.trail
        self._number += 1
        trail.record(Kind.BAR, bar._asdict())
        now_ms = self._read_clock()
        fills = self._live_through(bar)
        account = parts.venue.account
        trail.record(Kind.ACCOUNT, account._asdict())
        is_warm = parts.desk.on_bar(bar) and parts.venue.is_warm
        if not is_warm:
            self._policy_state = None  # no memory reaches across a gap: in training an episode ends there
        parts.gates.on_bar(bar, now_ms, is_warm)
        parts.gates.check_account(account)
        verdict, orders = None, list[Order]()
        if is_warm or self._has_decided:
            verdict, orders = self._decide(bar, account, is_warm)
            self._has_decided = True
        self._note_state(account)
        for order in orders:
            trail.record(Kind.INTENT, order._asdict())
        trail.commit()  # everything above is durable before anything below takes effect
        for order in orders:
            trail.record(Kind.ACK, parts.venue.submit(order)._asdict())
        self._last_bar = bar
        if self._number % parts.snapshot_every == 0:
            trail.record(Kind.SNAPSHOT, self._snapshot())
        self.last = Step(
            self._number, bar, account, self._state, parts.gates.causes(account), verdict, is_warm,
            tuple(fills), tuple(orders), monotonic_ns() - began_ns,
        )  # fmt: skip
        if self._watch is not None and is_new:
            self._watch(self.last)

    def _live_through(self, bar: Bar) -> list[Fill]:
        venue = self.parts.venue
        if not self._has_decided:
            venue.warm(bar)
            return []
        fills = venue.on_bar(bar)
        for fill in fills:
            self.trail.record(Kind.FILL, fill._asdict())
        return fills

    def _decide(self, bar: Bar, account: Account, is_warm: bool) -> tuple[Verdict, list[Order]]:
        """Observation, action, order, verdict; a bar without an observation asks for nothing.

        A decision that is refused sends no order on its own bar. A session that was halted before it closes its
        position all the same: that needs no decision, and a policy that says NaN for ever must not keep the risk.
        """
        gates, asked, denied, wanted = self.parts.gates, 0, None, None
        seen = gates.view(account)
        if is_warm:
            observation = self.parts.desk.observe(seen)
            self.trail.record(Kind.OBSERVATION, {"sha256": hashlib.sha256(observation.tobytes()).hexdigest()})
            denied = gates.check_observation(observation)
            if denied is None:
                exposure, denied = self._act(observation)
                if denied is None:
                    wanted = _only(self.parts.desk.orders(exposure, seen))
                    asked = wanted.lots if wanted else 0
        verdict = gates.judge(asked, account, bar.close, None if seen.state == State.HALTED else denied)
        self.trail.record(Kind.VERDICT, verdict.to_json())
        if verdict.lots == 0:
            return verdict, []
        order = wanted if wanted and verdict.lots == asked else Order(verdict.lots)
        if verdict.state != State.ACTIVE:
            order = order._replace(reduce_only=True)
        return verdict, intents_of([order], self.parts.stream, self._number)

    def _act(self, observation: Columns) -> tuple[float, Denial | None]:
        """The target exposure that the policy asks for; what it remembers is journalled by its hash."""
        decision = self.parts.policy.act(observation, self._policy_state)
        action = float(np.asarray(decision.action).reshape(-1)[0])
        confidence = float(np.asarray(decision.confidence).reshape(-1)[0])
        told: dict[str, object] = {"action": _number(action), "confidence": _number(confidence)}
        if decision.state is not None:
            told["state"] = hashlib.sha256(decision.state.tobytes()).hexdigest()
        self.trail.record(Kind.DECISION, told)
        exposure, denied = self.parts.gates.check_action(action)
        lost = self.parts.gates.check_state(decision.state)
        self._policy_state = None if lost else decision.state
        return exposure, denied or lost

    def _note_state(self, account: Account) -> None:
        state = State(self.parts.gates.view(account).state)
        if state != self._state:
            causes = list(self.parts.gates.causes(account))
            self.trail.record(Kind.RISK, {"from": self._state.name, "to": state.name, "causes": causes})
            self._state = state

    def _read_clock(self) -> int:
        told = self.trail.take(Kind.CLOCK)
        if told is not None:
            return int(told["now_ms"])
        now_ms = self.parts.clock.now_ms()
        self.trail.record(Kind.CLOCK, {"now_ms": now_ms})
        return now_ms

    def _take_kills(self) -> None:
        while self._kills:
            request = self._kills.popleft()
            self.trail.record(Kind.KILL, {"by": request.by})
            self.trail.commit()
            request.row = self.trail.journal.rows_written if self.trail.journal else 0
            self.parts.gates.halt(Denial.KILLED)
            request.journalled.set()

    def _record_fault(self, error: Exception) -> None:
        """Say in the journal why the loop stopped; the bar in work is left to the next start."""
        journal = self.trail.journal
        if journal is not None and self.trail.ahead is None:
            journal.rollback()
            journal.append(Kind.FAULT, {"error": f"{type(error).__name__}: {error}"})
            journal.commit()

    def _snapshot(self) -> dict[str, Any]:
        parts, memory = self.parts, self._policy_state
        assert self._last_bar is not None
        return {
            "bars": self._number,
            "last_bar": self._last_bar._asdict(),
            "has_decided": self._has_decided,
            "state": int(self._state),
            "venue": parts.venue.state(),
            "gates": parts.gates.state(),
            "desk": base64.b64encode(parts.desk.state()).decode(),
            "policy": None if memory is None else {"shape": list(memory.shape), "values": memory.ravel().tolist()},
        }

    def _restore(self, told: dict[str, Any]) -> None:
        self._number, self._has_decided = told["bars"], told["has_decided"]
        self._last_bar, self._state = Bar(**told["last_bar"]), State(told["state"])
        self.parts.venue.restore(told["venue"])
        self.parts.gates.restore(told["gates"])
        self.parts.desk.restore(base64.b64decode(told["desk"]))
        if told["policy"] is not None:
            self._policy_state = np.array(told["policy"]["values"], np.float32).reshape(told["policy"]["shape"])


def _only(orders: list[Order]) -> Order | None:
    if len(orders) > 1:
        raise ValueError(f"the desk asks for {len(orders)} orders at once; this runner sends one a bar")
    return orders[0] if orders else None


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity: they are journalled by name."""
    return value if np.isfinite(value) else str(value)
