"""The generated parts of `docs/realism.md`: bands, the refit's trial, and what the crowd scored.

A page keeps its own words; between `<!-- NAME -->` and `<!-- end NAME -->` stands what this file writes. Knows how
figures are shown, not how they come about.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from ..simulators.realism import SETS, Bands, load_bands
from ..simulators.stylised import FACTS, PACES
from .bands import HELD_OUT_LEAST, NULLS_MOST, REAL

PROPOSED_OR_REFIT = {"facts": "proposed", "refit": "refit"}  # what readers call the sets


def filled(page: str, sections: Mapping[str, str]) -> str:
    """The page with each named section replaced; a section without its marks is a ValueError."""
    for name, text in sections.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if len(marks.findall(page)) != 1:
            raise ValueError(f"the page has no place for {name}: <!-- {name} --> … <!-- end {name} -->")
        page = marks.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", page)  # type: ignore[misc]
    return page


def band_sections() -> dict[str, str]:
    """The sections that the band files alone decide."""
    return {"bands": bands_table(), "trial": trial_table(), "verdict": verdict_lines()}


def bands_table() -> str:
    """Both sets at both units, a line a fact."""
    sets = [load_bands(f"{name}_{interval}") for interval in PACES for name in SETS]
    head = [f"{bands.interval} {_set_of(bands)}" + ("" if bands.stands else " (void)") for bands in sets]
    rows = [[str(i + 1), f"`{fact}`", *(told_band(bands, i) for bands in sets)] for i, fact in enumerate(FACTS)]
    return table(["#", "fact", *head], rows)


def trial_table() -> str:
    """Mean passes of held-out windows and of every null, for both sets at both units, beside the limits."""
    trials = {interval: load_bands(f"refit_{interval}").fitted["scores"] for interval in PACES}
    head = [f"{interval} {PROPOSED_OR_REFIT[name]}" for interval in PACES for name in SETS]
    rows = []
    for model in trials["1m"]:
        limit = f"≥ {HELD_OUT_LEAST:g}" if model == REAL else f"≤ {NULLS_MOST[model]:g}" if model in NULLS_MOST else ""
        scores = [trials[interval][model][name] for interval in PACES for name in SETS]
        rows.append([model.replace("_", " "), limit, *(f"{score:.2f}" for score in scores)])
    return table(["model", "a refit needs", *head], rows)


def verdict_lines() -> str:
    """A sentence a unit: whether the refit stands, and why not."""
    lines = []
    for interval in PACES:
        refit = load_bands(f"refit_{interval}")
        fitted = refit.fitted
        windows = f"{fitted['fit_windows']} windows of {fitted['source']}, {fitted['held_out_windows']} held out"
        why = "it stands" if refit.stands else f"**void**, the proposed bands decide: {'; '.join(fitted['failed'])}"
        lines.append(f"- **{interval}** ({windows}): {why}.\n")
    return "".join(lines)


def crowd_section(told: Mapping[str, Any]) -> dict[str, str]:
    """The section of what the crowd scored, from the JSON that `wavetank realism` writes."""
    parts = [f"`{told['command']}`\n"]
    for interval, unit in told["intervals"].items():
        verdict = "passes" if unit["passes"] else f"falls short: {'; '.join(unit['failed'])}"
        parts.append(f"\n### {interval}: the crowd {verdict}\n")
        parts += [f"\n{text}" for text in (_scores_of(unit), _facts_of(unit), _gates_of(unit))]
        parts += [f"\n{text}" for text in (_book_of(unit), _impact_of(unit))]
    return {"crowd": "".join(parts)}


def _scores_of(unit: Mapping[str, Any]) -> str:
    shown = [("crowd, mean", {name: unit["scores"][name]["mean"] for name in SETS})]
    shown += [("crowd, lowest seed", {name: unit["scores"][name]["min"] for name in SETS})]
    shown += [(f"real windows: {model.replace('_', ' ')}", s) for model, s in unit["nulls"]["of_real_windows"].items()]
    shown += [
        (f"the crowd's windows: {model.replace('_', ' ')}", s) for model, s in unit["nulls"]["of_the_crowd"].items()
    ]
    head = ["passes of 17", *(PROPOSED_OR_REFIT[name] + _decides(unit, name) for name in SETS)]
    return table(head, [[model, *(f"{scores[name]:.2f}" for name in SETS)] for model, scores in shown])


def _decides(unit: Mapping[str, Any], name: str) -> str:
    return " (decides)" if unit["deciding"] == name else ""


def _facts_of(unit: Mapping[str, Any]) -> str:
    sets = [load_bands(f"{name}_{unit['interval']}") for name in SETS]
    head = ["#", "fact", "crowd p05 / median / p95"]
    head += [f"{PROPOSED_OR_REFIT[name]}{more}" for name in SETS for more in (" band", ", in it")]
    rows = []
    for i, row in enumerate(unit["facts"]):
        shares = [cell for s, name in zip(sets, SETS, strict=True) for cell in (told_band(s, i), f"{row[name]:.0%}")]
        rows.append([i + 1, f"`{row['fact']}`", _told_quantiles(row["quantiles"]), *shares])
    return table(head, rows)


def _gates_of(unit: Mapping[str, Any]) -> str:
    seeds = len(unit["seeds"])
    rows = [[row["gate"], f"{row['holds']} of {seeds} seeds", row["seen"]] for row in unit["gates"]]
    return table(["gate", "holds on", "seen (first seed that fails, else first)"], rows)


def _book_of(unit: Mapping[str, Any]) -> str:
    rows = []
    for row in unit["book"]:
        low, high = row["band"]
        band = "stated: " + row["regime"] if "regime" in row else told_ends(low, high)
        judged = f"{row['in_band']:.0%}" if low is not None or high is not None else ""
        rows.append([f"`{row['figure']}`", _told_quantiles(row["quantiles"]), band, judged])
    return table(["order book", "crowd p05 / median / p95", "band (real, 1 s)", "seeds in it"], rows)


def _impact_of(unit: Mapping[str, Any]) -> str:
    impact = unit["impact"]
    levels = impact["levels"]
    rows = [
        [f"{share:.1%}", f"{end:.3f} ± {error:.3f}", f"{after:.3f}", f"{filled:.1%}"]
        for share, end, error, after, filled in zip(*levels.values(), strict=True)
    ]
    laws = "; ".join(
        f"{sign} {impact[name]['value']:.2f} [{impact[name]['interval'][0]:.2f}, {impact[name]['interval'][1]:.2f}]"
        for sign, name in (("δ", "exponent"), ("Y", "prefactor"), ("decay", "decay"))
    )
    head = ["metaorder, share of volume", "impact at its end, σ", "60 bars later, σ", "filled"]
    return f"{table(head, rows)}\n{impact['pairs']} pairs; {laws} (95 %).\n"


def _told_quantiles(quantiles: list[float] | None) -> str:
    return "–" if quantiles is None else " / ".join(f"{value:.3g}" for value in quantiles)


def told_band(bands: Bands, fact: int) -> str:
    """One band as text, its open end left open."""
    low, high = (None if math.isinf(end) else float(end) for end in (bands.low[fact], bands.high[fact]))
    return told_ends(low, high)


def told_ends(low: float | None, high: float | None) -> str:
    """A band by its ends; None is an open one."""
    if low is None:
        return "open" if high is None else f"≤ {high:.3g}"
    return f"≥ {low:.3g}" if high is None else f"[{low:.3g}, {high:.3g}]"


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _set_of(bands: Bands) -> str:
    return PROPOSED_OR_REFIT[bands.name.partition("_")[0]]
