"""Figures of a running session in Prometheus' text form, in a registry of their own.

The only file that knows prometheus_client. Counts from this process's start, as scrapers expect; what is past stands in
the journal.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .gates import Denial
from .parts import Step

CONTENT_TYPE = CONTENT_TYPE_LATEST
LATENCY_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class SessionMetrics:
    """The meters of one session; give `watch` every step."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._bars = Counter("wavetank_bars", "Bars taken in.", registry=registry)
        self._decisions = Counter("wavetank_decisions", "Decisions of the policy.", registry=registry)
        self._orders = Counter("wavetank_orders", "Orders sent to the venue.", registry=registry)
        self._fills = Counter("wavetank_fills", "Fills.", registry=registry)
        self._denials = Counter(
            "wavetank_denials", "Verdicts that changed an order, by code.", ["code"], registry=registry
        )
        self._equity = Gauge("wavetank_equity", "Equity at the last close, in quote currency.", registry=registry)
        self._drawdown = Gauge("wavetank_drawdown_ratio", "Fall from the equity's peak.", registry=registry)
        self._position = Gauge("wavetank_position_lots", "Signed position.", registry=registry)
        self._state = Gauge("wavetank_trading_state", "0 ACTIVE, 1 REDUCING, 2 HALTED.", registry=registry)
        self._last_bar = Gauge(
            "wavetank_last_bar_timestamp_seconds", "When the last bar opened (UTC).", registry=registry
        )
        self._latency = Histogram(
            "wavetank_decision_latency_seconds",
            "From a bar in to its order at the venue.",
            buckets=LATENCY_S,
            registry=registry,
        )
        for code in Denial:
            self._denials.labels(code.value)

    def watch(self, step: Step) -> None:
        """Count a step."""
        account = step.account
        self._bars.inc()
        self._decisions.inc(int(step.decided))
        self._orders.inc(len(step.orders))
        self._fills.inc(len(step.fills))
        for code in step.verdict.codes if step.verdict else ():
            self._denials.labels(code.value).inc()
        self._equity.set(account.equity)
        self._drawdown.set(1.0 - account.equity / account.peak)
        self._position.set(account.lots)
        self._state.set(int(step.state))
        self._last_bar.set(step.bar.opened_at / 1000)
        self._latency.observe(step.latency_ns * 1e-9)

    def text(self) -> bytes:
        """The exposition, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)
