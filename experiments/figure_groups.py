"""How figures are read: in which group, under which words, in which unit. Turns numbers into text, computes none."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .measured import BENCHMARK, Measured
from .ratios import LOSSLESS
from .tables import number, percent
from .tail_risk import Kupiec


class Figure(NamedTuple):
    """A figure's key, its words and the kind of its unit, one of `KINDS`."""

    key: str
    label: str
    kind: str


class Group(NamedTuple):
    """Figures that are read together, and the sentence that explains them."""

    title: str
    note: str
    figures: tuple[Figure, ...]


class Section(NamedTuple):
    """A group as text: one row a figure, one cell a track, in the order of `names`."""

    title: str
    note: str
    names: Sequence[str]
    rows: list[tuple[str, list[str]]]


LARGEST_READ = 1e4  # a day's luck, annualised, makes digits by the line that say nothing
NEEDS_TRIPS = "Round trips"  # the group whose figures say nothing where no round trip has ended …
WITHOUT_TRIPS = ("round_trips", "open_profit")  # … but for these


def _in_reach(write: Callable[[float], str]) -> Callable[[float], str]:
    return lambda value: "off the scale" if abs(value) >= LARGEST_READ else write(value)


KINDS: dict[str, Callable[[float], str]] = {
    "share": _in_reach(lambda value: percent(round(value, 4) + 0.0)),  # no −0.00%
    "fine": lambda value: f"{round(value, 5) + 0.0:.3%}".replace("-", "−"),
    "ratio": _in_reach(lambda value: number(round(value, 2) + 0.0)),
    "factor": lambda value: "no loss" if value >= LOSSLESS else number(value),
    "money": lambda value: f"{value:,.2f}".replace("-", "−"),
    "count": lambda value: f"{value:,.0f}",
    "mean": lambda value: f"{value:,.1f}",
    "yes": lambda value: "yes" if value else "no",
}
GROUPS = (
    Group(
        "Growth",
        "A year has 365 days; volatility is the deviation of the returns a bar, times √(bars a year).",
        (
            Figure("total_return", "total return", "share"),
            Figure("annual_return", "annual return", "share"),
            Figure("annual_volatility", "annual volatility", "share"),
            Figure("profit", "profit", "money"),
            Figure("final_equity", "final equity", "money"),
            Figure("best_bar", "best bar", "fine"),
            Figure("worst_bar", "worst bar", "fine"),
            Figure("bars", "bars", "count"),
        ),
    ),
    Group(
        "Ratios",
        "The riskless rate is 0. Omega: gains ÷ losses, bar by bar. Variability-weighted return: the annual one, less "
        "the more equity strayed from steady growth.",
        (
            Figure("sharpe", "Sharpe, a year", "ratio"),
            Figure("sortino", "Sortino, a year", "ratio"),
            Figure("calmar", "Calmar", "ratio"),
            Figure("omega", "omega", "factor"),
            Figure("vwr", "variability-weighted", "share"),
            Figure("growth_leverage", "leverage that grows fastest", "ratio"),
            Figure("skew", "skew", "ratio"),
            Figure("excess_kurtosis", "excess kurtosis", "ratio"),
        ),
    ),
    Group(
        "Drawdown",
        "Below the highest equity so far. The longest may be another fall than the deepest.",
        (
            Figure("max_drawdown", "deepest", "share"),
            Figure("max_drawdown_money", "deepest, in money", "money"),
            Figure("longest_drawdown_bars", "longest, bars", "count"),
            Figure("longest_drawdown_days", "longest, days", "mean"),
            Figure("recovery_bars", "from its bottom, bars", "count"),
            Figure("recovered", "made good", "yes"),
            Figure("ulcer_index", "ulcer index", "share"),
        ),
    ),
    Group(
        "Tails, one bar",
        "Shares of equity over one bar; positive is a loss. Where Cornish–Fisher (CF) does not apply, its figures are "
        "no quantiles.",
        (
            Figure("var_95", "VaR 95 %, historical", "fine"),
            Figure("var_99", "VaR 99 %, historical", "fine"),
            Figure("cvar_95", "CVaR 95 %, historical", "fine"),
            Figure("cvar_99", "CVaR 99 %, historical", "fine"),
            Figure("cf_var_95", "VaR 95 %, CF", "fine"),
            Figure("cf_var_99", "VaR 99 %, CF", "fine"),
            Figure("cf_cvar_95", "CVaR 95 %, CF", "fine"),
            Figure("cf_cvar_99", "CVaR 99 %, CF", "fine"),
            Figure("cf_holds", "Cornish–Fisher applies", "yes"),
            Figure("tail_ratio", "tail ratio", "ratio"),
        ),
    ),
    Group(
        NEEDS_TRIPS,
        "From flat, or from a turn, to flat or the next turn; money after fees, funding and borrow. One still open "
        "counts in the last line alone.",
        (
            Figure("round_trips", "closed round trips", "count"),
            Figure("win_rate", "win rate", "share"),
            Figure("profit_factor", "profit factor", "factor"),
            Figure("expectancy", "expectancy", "money"),
            Figure("expectancy_share", "expectancy, of equity", "fine"),
            Figure("average_win", "average win", "money"),
            Figure("average_loss", "average loss", "money"),
            Figure("payoff", "average win ÷ loss", "factor"),
            Figure("sqn", "system quality number", "ratio"),
            Figure("kelly", "Kelly share", "share"),
            Figure("longest_winning_run", "longest winning run", "count"),
            Figure("longest_losing_run", "longest losing run", "count"),
            Figure("trip_bars_mean", "mean length, bars", "mean"),
            Figure("open_profit", "still open, profit", "money"),
        ),
    ),
    Group(
        "Use of capital",
        "Exposure is the holding's value as a share of equity.",
        (
            Figure("trades", "fills", "count"),
            Figure("turnover_per_day", "turnover a day, × equity", "ratio"),
            Figure("time_in_market", "time in market", "share"),
            Figure("exposure_mean", "mean exposure", "share"),
            Figure("exposure_net", "mean exposure, signed", "share"),
            Figure("exposure_max", "largest exposure", "share"),
        ),
    ),
    Group(
        "Costs",
        "Fees, funding and borrow paid. Spread and impact are inside the prices.",
        (
            Figure("fees", "fees", "money"),
            Figure("funding", "funding", "money"),
            Figure("borrow", "borrow", "money"),
            Figure("cost_share", "of first equity", "share"),
            Figure("cost_of_gross", "of gross profit", "share"),
        ),
    ),
)
VERSUS_GROUP = Group(
    "Against buy-and-hold",
    "On the same bars, both after their costs. Capture: geometric mean return over the bars in which holding gained, "
    "or lost, as a share of its own.",
    (
        Figure("excess_return", "excess return", "share"),
        Figure("alpha", "alpha, a year", "share"),
        Figure("beta", "beta", "ratio"),
        Figure("correlation", "correlation", "ratio"),
        Figure("tracking_error", "tracking error, a year", "share"),
        Figure("information_ratio", "information ratio, a year", "ratio"),
        Figure("up_capture", "up capture", "share"),
        Figure("down_capture", "down capture", "share"),
        Figure("bars_ahead", "bars ahead", "share"),
    ),
)
VAR_TESTS = {
    "historical_95": "95 %, historical",
    "historical_99": "99 %, historical",
    "cornish_fisher_95": "95 %, CF",
    "cornish_fisher_99": "99 %, CF",
}


def sections_of(measured: Measured) -> list[Section]:
    """Every group as text: ours first, buy-and-hold last."""
    names = sorted(measured.tracks, key=lambda name: (name == BENCHMARK, name != "policy"))
    sections = [_section(group, names, measured.figures) for group in GROUPS]
    if measured.against:
        others = [name for name in names if name != BENCHMARK]
        sections.append(_section(VERSUS_GROUP, others, measured.against))
    sections.append(_var_section(names, measured))
    return sections


def _section(group: Group, names: Sequence[str], figures: Mapping[str, Mapping[str, float]]) -> Section:
    rows = [(one.label, [_cell(group, one, figures[name]) for name in names]) for one in group.figures]
    return Section(group.title, group.note, names, rows)


def _cell(group: Group, figure: Figure, figures: Mapping[str, float]) -> str:
    """One figure as text; a dash where it is a figure of round trips and none has ended."""
    if group.title == NEEDS_TRIPS and not figures["round_trips"] and figure.key not in WITHOUT_TRIPS:
        return "–"
    return KINDS[figure.kind](figures[figure.key])


def _var_section(names: Sequence[str], measured: Measured) -> Section:
    rows = []
    for key, label in VAR_TESTS.items():
        tests = [measured.var_tests[name][key] for name in names]
        rows.append((f"{label}: exceeded", [_exceeded(test) for test in tests]))
        rows.append((f"{label}: p-value", [f"{test.p_value:.3f}" if test.bars else "–" for test in tests]))
    note = (
        f"Each bar's VaR is that of the {measured.var_window:,} bars before it; in brackets, how many bars should have "
        "lost more. A p-value below 0.05: it does not hold."
    )
    return Section("Does the VaR hold? (Kupiec)", note, names, rows)


def _exceeded(test: Kupiec) -> str:
    return f"{test.violations:,} ({test.expected:,.1f})" if test.bars else "–"
