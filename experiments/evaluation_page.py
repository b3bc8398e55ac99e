"""One self-contained page about an evaluation: figures by group, pictures, the largest round trips, where it came from.

A pure function of what was measured. The page refers to nothing outside itself, and passes no verdict: that is
`promote`'s.
"""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

import numpy as np

from .ablation import Ablation, section_of
from .assumed import cost_rows
from .evaluate import Track
from .evaluation_pictures import returns_picture, rolling_picture, trips_picture
from .figure_groups import KINDS, Section, sections_of
from .measured import BENCHMARK, Measured
from .met_before import Met
from .pictures import drawdown_picture, equity_picture, name_of
from .report import PAGE, STYLE
from .round_trips import round_trips_of
from .sections import day
from .tables import facts, percent, table, tiles

MOST_TRIPS = 10
OWN_STYLE = """
.figures table { table-layout: fixed; min-width: 560px; } .figures th:first-child { width: 34%; }
.figures thead th { white-space: normal; overflow-wrap: anywhere; } .meta { overflow-wrap: anywhere; }
"""  # the columns of all groups stand below each other
SIDES = {1: "long", -1: "short", 0: "within a bar"}
WHERE = {
    "test": "the test slice, which neither training nor selection has seen",
    "validation": "the validation slice, on which the policy was selected",
}


def render_page(
    measured: Measured, told: Mapping[str, Any], ablations: Mapping[str, Ablation] | None = None, *, sharpe_days: int
) -> str:
    """The whole page as HTML; `told` are the facts of evaluation.json: slice, policy, data, costs, funding."""
    without = [section_of(each, measured.figures["policy"]) for each in (ablations or {}).values()]
    body = {
        "equity": ("Equity", _equity(measured)),
        "sharpe": ("Rolling Sharpe", _or_words(rolling_picture(measured.tracks, sharpe_days), "too few bars")),
        "returns": ("Returns", _or_words(_returns(measured), "it never gained or lost anything")),
        "trips": ("Round trips", _trips(measured.tracks["policy"])),
        "figures": ("Figures", "".join(_group(section) for section in sections_of(measured))),
        **({"memory": ("Memory", "".join(_group(section) for section in without))} if without else {}),
        "provenance": ("Provenance", _provenance(told)),
    }
    name = str(told["policy"])
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{name}: evaluation · wavetank"),
        style=STYLE.read_text(encoding="utf-8") + OWN_STYLE,
        name=escape(name),
        head=_head(measured, told),
        nav=" ".join(f'<a href="#{key}">{title}</a>' for key, (title, _) in body.items()),
        body="\n".join(
            f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>\n{inside}\n</section>'
            for key, (title, inside) in body.items()
        ),
    )


def _head(measured: Measured, told: Mapping[str, Any]) -> str:
    ours, hold = measured.figures["policy"], measured.figures.get(BENCHMARK)
    beside = f", buy-and-hold {percent(hold['total_return'])}" if hold else ""
    lead = f"{percent(ours['total_return'])} in {ours['bars']:,.0f} bars after all costs{beside}."
    rows = [
        ("Return", "total_return", "share"),
        ("Deepest drawdown", "max_drawdown", "share"),
        ("Sharpe, a year", "sharpe", "ratio"),
        ("VaR 99 %, a bar", "var_99", "share"),
        ("Time in market", "time_in_market", "share"),
        ("Costs paid", "cost_share", "share"),
    ]
    shown = [
        (label, KINDS[kind](ours[key]), f"holding {KINDS[kind](hold[key])}" if hold else "")
        for label, key, kind in rows
    ]
    where = escape(_where(told))
    return f'<h1>Evaluation</h1><p class="lead">{escape(lead)}</p><p class="meta">{where}</p>{tiles(shown)}'


def _where(told: Mapping[str, Any]) -> str:
    if "met" not in told:
        return f"On {WHERE[told['slice']]}."
    return f"On {told['source']}: {Met(**told['met']).sentence}."


def _group(section: Section) -> str:
    head = ["", *(name_of(name) for name in section.names)]
    rows = [[label, *cells] for label, cells in section.rows]
    return f'<h3>{escape(section.title)}</h3><div class="figures">{table(head, rows, section.note)}</div>'


def _equity(measured: Measured) -> str:
    what = "After all costs. Baselines run without limits."
    return equity_picture(measured.tracks, [], what) + drawdown_picture(measured.tracks)


def _returns(measured: Measured) -> str:
    return returns_picture(measured.tracks["policy"], measured.figures["policy"])


def _trips(track: Track) -> str:
    trips = round_trips_of(track)
    if trips.closed == 0:
        return _or_words("", "no round trip is closed")
    order = np.argsort(trips.profit[: trips.closed], kind="stable")
    half = MOST_TRIPS // 2
    chosen = order if len(order) <= MOST_TRIPS else np.concatenate([order[:half], order[-half:]])
    rows = [
        [
            day(int(track.closed_at[trips.begun[i]])),
            day(int(track.closed_at[trips.ended[i]])),
            SIDES[int(trips.side[i])],
            f"{trips.ended[i] - trips.begun[i]:,}",
            KINDS["money"](float(trips.profit[i])),
            percent(float(trips.result[i])),
            KINDS["money"](float(trips.costs[i])),
        ]
        for i in reversed(chosen)
    ]
    note = f"The largest gains and losses of {trips.closed:,} closed round trips." if len(order) > len(chosen) else ""
    head = ["Decided at", "Over at", "Side", "Bars", "Profit", "Of equity", "Costs"]
    return trips_picture(track) + table(head, rows, note or f"All {trips.closed:,} closed round trips.")


def _provenance(told: Mapping[str, Any]) -> str:
    data = told.get("data") or {}
    rows = [("Policy", str(told["policy"])), ("Slice", str(told["slice"]))]
    if "source" in told:
        rows.append(("File", str(told["source"])))
    if data:
        rows += [
            ("Bars", f"{data['bars']:,}, warm-up included, {day(data['from'])} – {day(data['until'])}"),
            ("Data", f"sha256 {data['sha256']}"),
        ]
    rows += cost_rows(told["costs"], told["funding"])
    rows.append(("Limits", "the policy under its passport's, baselines under none"))
    if told.get("memory_mode") == "shuffled":
        rows.append(("Memory", "trained with shuffled outcomes: a yardstick, not a policy to trade"))
    return facts(rows)


def _or_words(picture: str, why: str) -> str:
    return picture or f'<p class="faint">Nothing to draw: {escape(why)}.</p>'
