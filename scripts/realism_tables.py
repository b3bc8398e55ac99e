"""The tables that `wavetank realism` shows: scores beside null models, facts, gates, order book, impact; the trial."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ..simulators.realism import SETS, load_bands

if TYPE_CHECKING:
    from ..experiments.bands import Refit

WIDTH = 120  # where the terminal is narrower: figures cut short say nothing
NAMES = {"facts": "proposed", "refit": "refit"}


def show_verdict(unit: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what was seen of one time unit, in red what misses its band or gate."""
    console = console or Console(width=max(WIDTH, Console().width))
    for table in (_scores(unit), _facts(unit), _gates(unit), _book(unit), _impact(unit)):
        console.print(table)
    console.print(_laws(unit), highlight=False)


def show_trial(result: "Refit", console: Console | None = None) -> None:
    """Print the mean passes of a refit's trial by model, and the verdict."""
    interval = result.bands.interval
    table = _table(f"{interval}: mean passes of 17, {result.source}", "model", *(NAMES[name] for name in SETS))
    for model, means in result.scores.items():
        table.add_row(model.replace("_", " "), *(f"{means[name]:.2f}" for name in SETS))
    console = console or Console(width=max(WIDTH, Console().width))
    console.print(table)
    verdict = "the refit stands" if result.bands.stands else f"the refit is void: {'; '.join(result.failed)}"
    console.print(f"{interval}: {verdict}", soft_wrap=True, highlight=False)


def _scores(unit: Mapping[str, Any]) -> Table:
    heads = [NAMES[name] + (" (decides)" if unit["deciding"] == name else "") for name in SETS]
    table = _table(f"{unit['interval']}: passes of 17", "", *heads)
    for kind in ("mean", "p10", "min"):
        table.add_row(f"crowd, {kind}", *(f"{unit['scores'][name][kind]:.2f}" for name in SETS), style="bold")
    for whose, models in unit["nulls"].items():
        for model, means in models.items():
            row = f"{model.replace('_', ' ')}, {whose.replace('_', ' ')}"
            table.add_row(row.removesuffix(", of real windows"), *(f"{means[name]:.2f}" for name in SETS))
    return table


def _facts(unit: Mapping[str, Any]) -> Table:
    sets = {name: load_bands(f"{name}_{unit['interval']}") for name in SETS}
    heads = [head for name in SETS for head in (NAMES[name], "seeds in it")]
    table = _table(f"{unit['interval']}: stylised facts", "fact", "p05", "median", "p95", *heads)
    for i, row in enumerate(unit["facts"]):
        cells = []
        for name, bands in sets.items():
            cells += [_band(bands.low[i], bands.high[i]), f"{row[name]:.0%}"]
        table.add_row(row["fact"], *_quantiles(row), *cells, style=_style(row[unit["deciding"]] >= 0.5))
    return table


def _gates(unit: Mapping[str, Any]) -> Table:
    seeds = len(unit["seeds"])
    table = _table(f"{unit['interval']}: hard gates", "gate", "holds on", "seen")
    for row in unit["gates"]:
        table.add_row(row["gate"], f"{row['holds']} of {seeds}", row["seen"], style=_style(row["holds"] == seeds))
    return table


def _book(unit: Mapping[str, Any]) -> Table:
    table = _table(
        f"{unit['interval']}: order book", "figure", "p05", "median", "p95", "band (real, 1 s)", "seeds in it"
    )
    for row in unit["book"]:
        low, high = (float("nan") if end is None else end for end in row["band"])
        table.add_row(
            row["figure"],
            *_quantiles(row),
            row.get("regime", _band(low, high)),
            "" if row["band"] == [None, None] else f"{row['in_band']:.0%}",
            style=_style(row["in_band"] >= 0.5),
        )
    return table


def _impact(unit: Mapping[str, Any]) -> Table:
    impact = unit["impact"]
    table = _table(f"{unit['interval']}: impact, {impact['pairs']} pairs", "share", "at the end", "later", "filled")
    for share, end, error, after, filled in zip(*impact["levels"].values(), strict=True):
        table.add_row(f"{share:.1%}", f"{end:.3f} ± {error:.3f} σ", f"{after:.3f} σ", f"{filled:.1%}")
    return table


def _laws(unit: Mapping[str, Any]) -> str:
    impact = unit["impact"]
    return "  ".join(
        f"{sign} {impact[name]['value']:.2f} ({impact[name]['interval'][0]:.2f} … {impact[name]['interval'][1]:.2f})"
        for sign, name in (("δ", "exponent"), ("Y", "prefactor"), ("decay", "decay"))
    )


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    return table


def _quantiles(row: Mapping[str, Any]) -> list[str]:
    return ["–"] * 3 if row["quantiles"] is None else [f"{value:.3g}" for value in row["quantiles"]]


def _band(low: float, high: float) -> str:
    shown = ["" if abs(end) == float("inf") or end != end else f"{end:.3g}" for end in (low, high)]
    return f"{shown[0]} … {shown[1]}" if any(shown) else "open"


def _style(is_fine: bool) -> str:
    return "" if is_fine else "red"
