"""The table of `wavetank evaluate`; the door itself is opened in test_research_doors."""

import pytest

from wavetank.experiments.figure_groups import Section
from wavetank.scripts.evaluate import show_sections

LONG = "ma_cross(fast=10, slow=50)"


def sections_of(names: list[str]) -> list[Section]:
    money = [f"{1_000_000 * (i + 1):,.2f}" for i in range(len(names))]
    return [
        Section("Growth", "A note.", names, [("profit", money), ("bars", ["900"] * len(names))]),
        Section("Against", "A note.", names[:-1], [("beta", ["0.50"] * (len(names) - 1))]),
    ]


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_no_figure_is_cut_short_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    names = ["policy", LONG, "flat", "hold"]
    show_sections("title", sections_of(names))
    lines = capsys.readouterr().out.splitlines()

    (profit,) = [line.split() for line in lines if line.split()[:1] == ["profit"]]
    assert profit[1:] == ["1,000,000.00", "2,000,000.00", "3,000,000.00", "4,000,000.00"]
    (beta,) = [line.split() for line in lines if line.split()[:1] == ["beta"]]
    assert beta[1:] == ["0.50", "0.50", "0.50", "–"]
    assert not any("…" in line for line in lines)


def test_groups_stand_in_order_under_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    show_sections("who and how", sections_of(["policy", "hold"]))
    told = capsys.readouterr().out
    places = [told.index(word) for word in ("who and how", "policy", "Growth", "profit", "bars", "Against", "beta")]
    assert places == sorted(places)
