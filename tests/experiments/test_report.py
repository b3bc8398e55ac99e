import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from wavetank.experiments.findings import read_findings
from wavetank.experiments.report import render, write_report
from wavetank.experiments.runs import RunError
from wavetank.experiments.tables import figure, percent, table

from .made_run import COMMIT, made_run

VOID = {"meta", "link", "img", "br", "hr", "input"}
WORDS_OF_NOTHING = re.compile(r"\bNone\b|\bnan\b|\binf\b|[{}]")


class Page(HTMLParser):
    """Checks that elements close in order, and keeps ids, links, images and the text outside <style>."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.labels: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for key in ("id",) if (value := given.get(key))]
        self.links += [value for key in ("href", "src") if (value := given.get(key))]
        if given.get("role") == "img":
            self.labels.append(given.get("aria-label") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_refers_to_nothing_outside_itself(page: str) -> None:
    read = Page(page)
    assert [link for link in read.links if not link.startswith("#")] == []
    assert not re.search(r"url\(|@import|<script|https?://", page)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_every_section_stands_with_its_evidence(page: str) -> None:
    read = Page(page)
    assert {"gates", "equity", "windows", "storms", "paper", "training", "timings", "provenance"} <= set(read.ids)
    assert "does." not in read.text  # the sentence in place of missing evidence
    assert WORDS_OF_NOTHING.search(read.text) is None


def test_the_verdict_comes_with_its_reasons(page: str) -> None:
    read = Page(page)
    assert "Refused" in read.text
    assert "Out of sample: the deflated Sharpe ratio is 0.412, below 0.95" in read.text
    assert read.text.index("0.412") < read.text.index("Provenance")


def test_a_promoted_run_says_so(tmp_path: Path) -> None:
    text = Page(render(read_findings(made_run(tmp_path / "run", verdict="promoted")))).text
    assert "Promoted" in text
    assert "Refused" not in text


def test_every_picture_has_words(page: str) -> None:
    labels = Page(page).labels
    assert len(labels) == 8
    assert all(len(label) > 30 for label in labels)


def test_provenance_names_commit_hashes_seed_and_assumed_costs(page: str) -> None:
    text = Page(page).text
    for told in (
        COMMIT,
        "c" * 64,
        "d" * 64,
        "e" * 64,
        "1 bp per 8 h, longs pay (assumed)",
        "taker 5 bp",
        "numpy 2.4.6",
    ):
        assert told in text
    assert "investment advice" in text


def test_names_cannot_break_the_page(page: str) -> None:
    assert "demo <ppo>" in Page(page).text
    assert "demo &lt;ppo&gt;" in page


@pytest.mark.parametrize(
    "gone, command",
    [
        ("walkforward.json", "wavetank walkforward"),
        ("stress.json", "wavetank stress"),
        ("promotion.json", "wavetank promote"),
        ("paper.json", "wavetank paper"),
        ("timings.json", "wavetank train"),
    ],
)
def test_missing_evidence_is_named_with_the_command_that_makes_it(tmp_path: Path, gone: str, command: str) -> None:
    run = made_run(tmp_path / "run", rows=400)
    (run / gone).unlink()
    assert command in Page(render(read_findings(run))).text


def test_a_fresh_run_has_a_page_too(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", rows=400)
    for path in run.iterdir():
        if path.name not in ("run.json", "tracks"):
            path.unlink()
    for path in (run / "tracks").iterdir():
        path.unlink()
    text = Page(render(read_findings(run))).text
    assert "Not judged" in text
    assert "Promoted" not in text


def test_an_absent_storm_is_printed_as_absent(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", rows=400)
    told: dict[str, Any] = json.loads((run / "stress.json").read_text())
    told |= {"cells": [], "against": [], "worst": None, "absent": {"flash_crash": "the crowd trades bars of 1m"}}
    (run / "stress.json").write_text(json.dumps(told))
    assert "flash_crash is absent: the crowd trades bars of 1m." in Page(render(read_findings(run))).text


def test_the_same_run_makes_the_same_page(run: Path, page: str) -> None:
    assert render(read_findings(run)) == page


def test_a_folder_that_is_no_run_is_refused_and_broken_evidence_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no run\.json"):
        write_report(tmp_path)
    run = made_run(tmp_path / "run", rows=400)
    (run / "stress.json").write_text("{")
    with pytest.raises(RunError, match=r"stress\.json cannot be read"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_figures_read_as_their_names_tell() -> None:
    assert percent(-0.0123) == "−1.23%"
    assert figure("flash_crash_worst_drawdown", 0.5) == "50.00%"
    assert figure("mean_over_hold", -1.5e-6) == "−0.015 bp"
    assert figure("trials", 12_345) == "12,345"
    assert figure("sharpe_per_bar", -0.25) == "−0.2500"
    assert figure("first_difference", None) == "none"


def test_cells_are_escaped() -> None:
    assert "<b>" not in table(["<b>"], [["<b>", "<b>"]], "<b>")
