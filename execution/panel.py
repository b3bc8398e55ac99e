"""The panel: a running session as people and scrapers see it from outside. Holds no state of its own."""

from typing import Any

from ..market.ledger import Account, worth
from ..market.limits import State
from ..market.terms import Terms
from .metrics import CONTENT_TYPE, SessionMetrics
from .parts import Step
from .runner import Runner, RunnerError


class Panel:
    """`api.Face` over a runner. It shows whole bars, whose rows are durable."""

    def __init__(self, runner: Runner, metrics: SessionMetrics, terms: Terms, symbol: str) -> None:
        self._runner = runner
        self._metrics = metrics
        self._terms = terms
        self._symbol = symbol

    def health(self) -> dict[str, Any]:
        """Whether it lives, and how far it is."""
        step = self._runner.last
        return {
            "status": "ok" if step else "waiting for the first bar",
            "bars": self._runner.bars,
            "last_bar_opened_at": step.bar.opened_at if step else None,
        }

    def positions(self) -> dict[str, Any]:
        """What is held, in lots and in quote currency."""
        step = self._step()
        account, price, lot = step.account, step.bar.close, self._terms.lot
        held = account.lots * lot
        position = {
            "symbol": self._symbol,
            "lots": account.lots,
            "quantity": held,
            "entry": account.entry,
            "price": price,
            "notional": held * price,
            "unrealised": held * (price - account.entry) if account.lots else 0.0,
        }
        return {
            "cash": account.cash,
            "equity": worth(account, price, self._terms),
            "positions": [position] if account.lots else [],
        }

    def risk(self) -> dict[str, Any]:
        """Trading state, why, and how much of each limit is used (1.0: reached)."""
        step = self._step()
        return {
            "state": self._state(step).name,
            "causes": [code.value for code in self._runner.parts.gates.causes(step.account)],
            "used": _used(step.account, step.bar.close, self._terms),
            "last_verdict": step.verdict.to_json() if step.verdict else None,
        }

    def metrics(self) -> tuple[bytes, str]:
        """Prometheus' text and its content type."""
        return self._metrics.text(), CONTENT_TYPE

    def kill(self, by: str) -> int:
        """Halt; the row of the journal that says so."""
        return self._runner.kill(by)

    def _state(self, step: Step) -> State:
        return State(self._runner.parts.gates.view(step.account).state)  # a kill shows before the next bar

    def _step(self) -> Step:
        if self._runner.last is None:
            raise RunnerError("the session has not seen a bar yet")
        return self._runner.last


def _used(account: Account, price: float, terms: Terms) -> dict[str, float]:
    equity = account.equity
    exposure = abs(account.lots) * terms.lot * price / (terms.leverage * equity) if equity > 0 else 0.0
    return {
        "exposure": exposure / terms.max_exposure,
        "daily_loss": max(0.0, 1.0 - equity / account.day_equity) / terms.daily_loss,
        "drawdown": max(0.0, 1.0 - equity / account.peak) / terms.drawdown,
    }
