"""The page's sections about what a policy did: equity, windows, storms, paper, training, timings, as HTML."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .evaluate import Track
from .findings import Findings
from .pictures import (
    drawdown_picture,
    equity_picture,
    name_of,
    storm_picture,
    stress_picture,
    timing_picture,
    training_picture,
)
from .tables import facts, number, percent, table


def equity(told: Findings) -> str:
    """Equity and drawdown beside the baselines."""
    tracks = told.tracks
    if "policy" not in tracks:
        return absent("There is no track to draw.", "wavetank walkforward out=DIR")
    if told.walk:
        seams = [int(window["test_from"]) for window in told.walk["windows"]]
        what = "Bars that no window's training has seen, one window after the other, after all costs."
    else:
        seams, what = [], "The validation slice, after all costs."
    return equity_picture(tracks, seams, what) + drawdown_picture(tracks)


def windows(told: Findings) -> str:
    """The walk-forward, one row a window."""
    if told.walk is None:
        return absent("The policy has not been walked forward.", "wavetank walkforward out=DIR")
    rows = []
    for window in told.walk["windows"]:
        ours, hold = window["figures"]["policy"], window["figures"].get("hold")
        rows.append(
            [
                f"{window['index'] + 1}",
                f"{window['train'][1] - window['train'][0]:,}",
                f"{day(window['test_from'])} – {day(window['test_until'])}",
                percent(ours["total_return"]),
                percent(hold["total_return"]) if hold else "–",
                number(ours["sharpe"]),
                percent(ours["max_drawdown"]),
                f"{ours['trades']:.0f}",
            ]
        )
    head = ["Window", "Trained on, bars", "Judged on", "Return", "Holding", "Sharpe", "Drawdown", "Trades"]
    note = (
        f"Each window trains anew and is judged on the bars after it; {told.walk['purge']} bars stand unused between. "
        "Baselines run without limits."
    )
    return table(head, rows, note)


def storms(told: Findings) -> str:
    """The stress matrix, its comparisons, and the worst storm with the trades."""
    if told.stress is None:
        return absent("The policy has met no storm.", "wavetank stress run=DIR")
    stress = told.stress
    parts = [_stress_table(stress), *(stress_picture(stress["against"], f) for f in ("total_return", "max_drawdown"))]
    parts += [f"<p>{escape(name)} is absent: {escape(why)}.</p>" for name, why in stress["absent"].items()]
    if worst := stress.get("worst"):
        tracks = {name: Track.load(told.folder / path) for name, path in worst["tracks"].items()}
        parts.append(
            storm_picture(
                tracks,
                worst["weather"],
                title="The storm that hurt it most.",
                caption="Price, what the policy held as a share of what it may, and what it was worth.",
            )
        )
    return "".join(parts)


def _stress_table(stress: Mapping[str, Any]) -> str:
    rows, ours = [], []
    names = list(dict.fromkeys(cell["policy"] for cell in stress["cells"]))
    for scenario in dict.fromkeys(cell["scenario"] for cell in stress["cells"]):
        for name in names:
            cells = [c for c in stress["cells"] if (c["policy"], c["scenario"]) == (name, scenario)]
            returns = sorted(cell["total_return"] for cell in cells)
            ours.append(name == stress["policy"])
            rows.append(
                [
                    f"{scenario.replace('_', ' ')} · {name_of(name)}",
                    percent(sum(returns) / len(returns)),
                    f"{percent(returns[0])} … {percent(returns[-1])}",
                    percent(max(cell["max_drawdown"] for cell in cells)),
                    _to_flat(cells, scenario),
                    f"{sum(cell['liquidated'] for cell in cells)}",
                ]
            )
    head = ["Scenario · policy", "Mean return", "Lowest … highest", "Worst drawdown", "Bars to flat", "Liquidated"]
    note = (
        f"{len(stress['seeds'])} paired seeds: every policy meets the same crowds. Severities come from the judge "
        "range, which no training draws. Bars to flat: median from the storm's onset."
    )
    return table(head, rows, note, ours)


def _to_flat(cells: Sequence[Mapping[str, Any]], scenario: str) -> str:
    times = sorted(cell["bars_to_flat"] for cell in cells if cell["bars_to_flat"] is not None)
    if scenario == "normal":
        return "–"
    never = len(cells) - len(times)
    middle = f"{times[len(times) // 2]}" if times else ""
    return f"{middle}{' ' if middle and never else ''}{f'({never} never)' if never else ''}"


def paper(told: Findings) -> str:
    """The paper session through a storm, and what its gates had a say on."""
    if told.paper is None:
        return absent("It has not traded on paper here.", "wavetank paper policy=DIR feed=crowd journal=FILE.db")
    paper = told.paper
    track = Track.load(told.folder / paper["track"])
    picture = storm_picture(
        {"policy": track},
        paper["weather"],
        title="On paper, through a flash crash.",
        caption="The runner's own account, bar by bar, as its journal holds it.",
    )
    rows = [(str(label), str(value)) for label, value in paper["facts"].items()]
    head = ["Gate", "What it does", "Had a say on"]
    gates = [[g["name"].replace("_", " "), g["effect"], f"{g['bars']:,} bars"] for g in paper["gates"]]
    note = "Risk gates of the runner, each counted by the bars on which it had a say."
    return picture + facts(rows) + table(head, gates, note)


def training(told: Findings) -> str:
    """The learning curve."""
    return training_picture(told.metrics) or absent("No training episode has ended yet.", "wavetank train out=DIR")


def timings(told: Findings) -> str:
    """Where the time went."""
    return timing_picture(told.timings or {}) or absent("No timings were kept.", "wavetank train out=DIR")


def absent(what: str, command: str) -> str:
    """A sentence in place of a section without evidence, and the command that makes it."""
    return f'<p class="faint">{escape(what)} <code>{escape(command)}</code> does.</p>'


def day(ms: int) -> str:
    """A UTC instant in ms, to the minute."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%d %b %Y %H:%M")
