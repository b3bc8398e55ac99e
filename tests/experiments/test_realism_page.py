"""The page about realism: its generated parts are those of today's bands, and a judged crowd finds its place."""

import re
from pathlib import Path

import pytest

from wavetank.experiments.realism_page import band_sections, bands_table, crowd_section, filled, told_ends, trial_table
from wavetank.experiments.realism_verdict import Verdict, told_verdict
from wavetank.simulators.stylised import FACTS

from .made_reports import fit, report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "realism.md"


def test_the_page_shows_today_s_bands_and_trial() -> None:
    page = PAGE.read_text()
    assert filled(page, band_sections()) == page, "run `wavetank realism --refit --page docs/realism.md`"


def test_every_fact_stands_in_the_page_s_definitions_and_in_its_table_of_bands() -> None:
    definitions = PAGE.read_text().partition("<!-- bands -->")[0]
    assert re.findall(r"^\| (\d+) \| `(\w+)`", bands_table(), re.MULTILINE) == [
        (str(i + 1), fact) for i, fact in enumerate(FACTS)
    ]
    for fact in FACTS:
        assert f"`{fact}`" in definitions or f"`_{fact.rpartition('_')[2]}`" in definitions, fact


def test_the_trial_shows_limits_beside_both_sets_at_both_units() -> None:
    rows = trial_table().splitlines()
    assert rows[0].count("|") == 7
    assert re.match(r"\| real held out \| ≥ 15\.5 \| \d", rows[2])
    assert any(row.startswith("| garch normal | ≤ 12.5 |") for row in rows)


def test_a_judged_crowd_finds_its_place_between_the_marks() -> None:
    unit = told_verdict(Verdict("1m", "facts", [report(seed) for seed in range(3)], fit(), ["3 seeds are too few"]))
    section = crowd_section({"command": "wavetank realism --seeds 3", "intervals": {"1m": unit}})
    page = filled("before\n<!-- crowd -->\nNot judged yet.\n<!-- end crowd -->\nafter\n", section)
    assert page.startswith("before\n<!-- crowd -->\n`wavetank realism --seeds 3`\n")
    assert page.endswith("<!-- end crowd -->\nafter\n")
    assert "Not judged" not in page
    for told in ("falls short: 3 seeds are too few", "| G1 | 3 of 3 seeds | fine |", "| crowd, mean | 17.00 |"):
        assert told in page
    assert "δ 0.50 [0.45, 0.55]; Y 1.00 [0.80, 1.20]; decay 0.50 [0.40, 0.60]" in page
    assert filled(page, section) == page


def test_a_page_without_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for crowd"):
        filled("# Realism\n", {"crowd": "…"})


def test_ends_are_told_as_they_are_open() -> None:
    assert [told_ends(*ends) for ends in ((None, 1.0), (2.0, None), (0.5, 1.25), (None, None))] == [
        "≤ 1", "≥ 2", "[0.5, 1.25]", "open",
    ]  # fmt: skip
