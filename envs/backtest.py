"""Back-test: every setting of a rule over the same bars in one compiled call, ranked.

Each setting earns what TradingEnv would have earned, driven by the rule with those numbers, to the last bit. The more
settings are tried, the luckier the best one looks: a result says how many there were and how far apart they came out.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..agents.grids import Grid
from ..agents.settings import Setting
from ..market import jit
from ..market.bars import DAY_MS, Bars
from ..market.conditions import CONDITION_WARM_UP
from ..market.contract import terms_of
from ..market.costs import Costs
from ..market.funding import Funding
from ..market.limits import Limits
from ..market.orders import Instrument
from ..market.terms import terms_rows
from .observation import ObservationSpec
from .rule_walk import COLUMNS, FIRST, STOP, Ground, walk_settings
from .tape import Tape

YEAR_MS = 365 * DAY_MS  # markets that never close
LEAST_SPREAD = 1e-12  # below it a spread is rounding
LOSSLESS = 1e6  # gains to losses where nothing was lost
FIGURES = (
    "total_return",
    "sharpe",
    "sortino",
    "max_drawdown",
    "trades",
    "turnover_per_day",
    "time_in_market",
    "round_trips",
    "win_rate",
    "profit_factor",
    "fees",
    "funding",
    "borrow",
    "final_equity",
)
LOWER_IS_BETTER = ("max_drawdown", "turnover_per_day", "trades", "fees", "funding", "borrow")
SHOWN = ("total_return", "sharpe", "sortino", "max_drawdown", "trades", "turnover_per_day", "win_rate", "fees")
BARE = ObservationSpec("bare", 1, ("return_1",))  # a tape wants a column; a rule looks at bars alone

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranked:
    """What came of a grid: `figures` (n,) float64 by name, in the grid's order, each as a track's metrics have it.

    `order` (n,) int64 has the best first, `by` the figure of that name. `curves` (m, T) float64 is the equity of the
    m best at the closes `closed_at` (T,) int64, ms UTC; after ruin it stays what it was. `bar_sharpes` (n,) are the
    Sharpe ratios a bar: their variance and `trials` are what a deflated Sharpe ratio wants to know.
    """

    grid: Grid
    by: str
    order: Ints
    figures: dict[str, Floats]
    bar_sharpes: Floats
    curves: Floats
    closed_at: Ints

    @property
    def trials(self) -> int:
        """How many settings were tried."""
        return len(self.grid)

    @property
    def best(self) -> Setting:
        """The setting that came first."""
        return self.grid.settings[int(self.order[0])]

    def __str__(self) -> str:
        return self.table()

    def table(self, count: int = 10) -> str:
        """The best `count` settings and their figures as lines of text, and how many were tried."""
        head = ["", "setting", *SHOWN]
        rows = [
            [str(place + 1), self.grid.settings[k].text, *(_short(float(self.figures[name][k])) for name in SHOWN)]
            for place, k in enumerate(self.order[:count])
        ]
        widths = [max(len(row[j]) for row in [head, *rows]) for j in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(w) if j == 1 else cell.rjust(w) for j, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in [head, *rows]
        ]
        told = f"{self.trials:,} settings of {self.grid.name} were tried, {self.grid.dropped:,} dropped; by {self.by}"
        return "\n".join([*lines, told])


def backtest(
    grid: Grid,
    bars: Bars,
    *,
    instrument: Instrument | None = None,
    costs: Costs | None = None,
    limits: Limits | None = None,
    funding: Funding | None = None,
    cash: float = 100_000.0,
    dead_band: float = 0.02,
    warm_up: int | None = None,
    by: str = "sharpe",
    curves: int = 0,
    threads: int | None = None,
) -> Ranked:
    """Walk every setting of `grid` over `bars` and rank them by the figure `by`; the best `curves` keep their equity.

    Defaults are TradingEnv's: default costs, limits off. After a long gap each goes on with the money it has left.
    `warm_up` bars of each stretch pass, the last one decided on; unless given, as many as the slowest setting needs,
    so that all are judged on the same bars. `threads` None uses as many as kernels do.

    >>> ranked = backtest(grid("ma_cross", fast=range(5, 55), slow=range(60, 160, 5)), bars)    # doctest: +SKIP
    >>> print(ranked.table(5))                                                                 # doctest: +SKIP
    """
    _check(cash, by, curves, threads)
    need = max(CONDITION_WARM_UP, *(setting.warm_up for setting in grid.settings)) if warm_up is None else warm_up
    costs = costs or Costs()
    tape = Tape.of(bars, BARE, funding_bps_per_8h=costs.funding_bps_per_8h, funding=funding)
    terms = terms_of(instrument or Instrument(), costs, limits or Limits(), dead_band)
    prices, days = np.ascontiguousarray(tape.prices), np.array([bars.interval_ms / DAY_MS])
    ground = Ground(prices, _stretches(bars, need), terms_rows(terms, 1), np.array([float(cash)]), days)
    with _using(threads):
        tallies, _ = _walk(grid.settings, ground)
        figures, sharpes = _figures(tallies, float(cash), YEAR_MS / bars.interval_ms)
        order = np.argsort(figures[by] if by in LOWER_IS_BETTER else -figures[by], kind="stable")
        _, kept = _walk([grid.settings[k] for k in order[:curves]], ground, bars=_bars_walked(ground))
    return Ranked(grid, by, order, figures, sharpes, kept, _closes(bars, ground))


def _check(cash: float, by: str, curves: int, threads: int | None) -> None:
    if not (math.isfinite(cash) and cash > 0):
        raise ValueError(f"an account cannot open with {cash} in cash")
    if by not in FIGURES:
        raise ValueError(f"there is no figure {by!r} to rank by; there are {', '.join(FIGURES)}")
    for name, given, least in (("curves", curves, 0), ("threads", 1 if threads is None else threads, 1)):
        if given < least:
            raise ValueError(f"{name} {given} must be {least} or more")


def _walk(settings: Sequence[Setting], ground: Ground, bars: int = 0) -> tuple[Floats, Floats]:
    """Tallies (n, COLUMNS) and, where `bars` is given, curves (n, 1 + bars)."""
    tallies = np.zeros((len(settings), len(COLUMNS)))
    curves = np.empty((len(settings) if bars else 0, 1 + bars))
    if settings:
        params = np.array([setting.row() for setting in settings])
        size = max(setting.size for setting in settings)
        walk_settings(settings[0].kind, params, size, ground, tallies, curves)
    return tallies, curves


def _figures(tallies: Floats, cash: float, per_year: float) -> tuple[dict[str, Floats], Floats]:
    """The figures of a track, from sums instead of bars; and the Sharpe ratios a bar."""
    of = {name: tallies[:, j] for j, name in enumerate(COLUMNS)}
    bars = of["bars"]
    mean = of["returns"] / bars
    spread = np.sqrt(np.maximum(of["squares"] - bars * mean * mean, 0.0) / np.maximum(bars - 1.0, 1.0))
    sharpes = _ratio(mean, spread)
    figures = {
        "total_return": of["equity"] / cash - 1.0,
        "sharpe": sharpes * math.sqrt(per_year),
        "sortino": _ratio(mean, np.sqrt(of["downside"] / bars)) * math.sqrt(per_year),
        "max_drawdown": of["drawdown"].copy(),
        "trades": of["trades"].copy(),
        "turnover_per_day": of["traded"] / (bars / per_year * 365.0),
        "time_in_market": of["exposed"] / bars,
        "round_trips": of["ended"].copy(),
        "win_rate": _ratio(of["won"], of["ended"]),
        "profit_factor": _gain_to_loss(of["gains"], of["losses"]),
        "fees": of["fees"].copy(),
        "funding": of["funding"].copy(),
        "borrow": of["borrow"].copy(),
        "final_equity": of["equity"].copy(),
    }
    return figures, sharpes


def _stretches(bars: Bars, need: int) -> Ints:
    """(S, 4) int64 as in Ground; ValueError where no stretch outlasts the warm-up."""
    if need < CONDITION_WARM_UP:
        raise ValueError(
            f"warm_up {need} is too short: volatility and volume are estimated from {CONDITION_WARM_UP} bars"
        )
    edges = bars.segments()
    found = [
        (begin, begin + need - 1, stop, int(k + 1 < len(edges)))
        for k, (begin, stop) in enumerate(edges)
        if stop - begin > need
    ]
    if not found:
        longest = max(stop - begin for begin, stop in edges)
        raise ValueError(f"the rule needs {need} bars to warm up and one to trade; the longest stretch has {longest}")
    return np.array(found, np.int64)


def _bars_walked(ground: Ground) -> int:
    return int(np.sum(ground.stretches[:, STOP] - ground.stretches[:, FIRST] - 1))


def _closes(bars: Bars, ground: Ground) -> Ints:
    """Closes of the rows of a curve: the first decision's, then every bar lived through."""
    rows = [np.arange(first + 1, stop) for _, first, stop, _ in ground.stretches]
    closes: Ints = bars.closed_at[np.concatenate([[ground.stretches[0, FIRST]], *rows])]
    return closes


@contextmanager
def _using(threads: int | None) -> Iterator[None]:
    before = jit.threads()
    if threads is not None:
        jit.set_threads(threads)
    try:
        yield
    finally:
        jit.set_threads(before)


def _ratio(above: Floats, below: Floats) -> Floats:
    """above ÷ below, 0 where `below` is rounding."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > LEAST_SPREAD)


def _gain_to_loss(gains: Floats, losses: Floats) -> Floats:
    """gains ÷ losses, no larger than LOSSLESS, which it is where nothing was lost; 0 where nothing was gained."""
    most = np.divide(gains, losses, out=np.full_like(gains, LOSSLESS), where=losses > 0.0)
    return np.where(gains > 0.0, np.minimum(most, LOSSLESS), 0.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
