"""Figures as words and small pieces of HTML: percentages, tables, tiles, lists of facts. Everything is escaped here."""

from collections.abc import Sequence
from html import escape

LABELS = {
    "bars": "bars",
    "trials": "trials counted",
    "sharpe_per_bar": "Sharpe, a bar",
    "luckiest_sharpe_per_bar": "luckiest of the trials",
    "probabilistic_sharpe": "probabilistic Sharpe",
    "deflated_sharpe": "deflated Sharpe",
    "total_return": "return",
    "mean_over_hold": "mean a bar, over holding",
    "mean_over_hold_low": "… 95 % from",
    "mean_over_hold_high": "… 95 % to",
    "sharpe_over_hold": "Sharpe a bar, over holding",
    "sharpe_over_hold_low": "… 95 % from",
    "sharpe_over_hold_high": "… 95 % to",
    "pairs": "paired seeds",
    "differing": "bars that differ",
    "trades": "trades",
    "first_difference": "first difference",
    "graph_actions_apart": "actions that a graph changes",
    "graph_lots_apart": "positions that it changes",
}
SHARES = ("return", "drawdown")
PER_BAR = "mean_over"  # shares so small that they read as basis points


def percent(share: float) -> str:
    """A share as a percentage with its sign where negative: 0.0123 is 1.23%."""
    return f"{share:.2%}".replace("-", "−")


def number(value: float) -> str:
    """Two decimals, with a real minus sign."""
    return f"{value:.2f}".replace("-", "−")


def figure(key: str, value: float | int | str | None) -> str:
    """A gate's figure by the kind that its name tells."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if key.startswith(PER_BAR):
        return f"{value * 1e4:.3f} bp".replace("-", "−")
    if any(word in key for word in SHARES):
        return percent(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}".replace("-", "−")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], note: str, ours: Sequence[bool] = ()) -> str:
    """A table whose first column names the row; `ours` marks rows to stand out."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = []
    for i, row in enumerate(rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        mark = ' class="ours"' if i < len(ours) and ours[i] else ""
        body.append(f'<tr{mark}><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    words = escape(note)
    return (
        f'<p class="faint">{words}</p><div class="scroll" tabindex="0" role="region" aria-label="{words}">'
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def tiles(rows: Sequence[tuple[str, str, str]]) -> str:
    """Large figures: label, value, a few words."""
    cells = (f"<div><dt>{escape(a)}</dt><dd>{escape(b)}<small>{escape(c)}</small></dd></div>" for a, b, c in rows)
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """A list of names and what they are."""
    if not rows:
        return ""
    return f'<dl class="facts">{"".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows)}</dl>'
