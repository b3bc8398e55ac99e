"""Data docs: pandera judges rows as the arrays do, and table, JSON and page tell everything that was found."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.experiments.quality_docs import Report
from wavetank.experiments.quality_report import FILES, check_series, frame_of, row_schema, schema_findings
from wavetank.market.bars import INTERVALS, Bars
from wavetank.market.book_quality import BOOK_CHECKS
from wavetank.market.quality import Rules
from wavetank.market.raw import RawBars
from wavetank.market.series_quality import DRIFT_CHECKS, ROW_CHECKS, Finding, check_bars
from wavetank.market.store import data_folder, read_bars

from .made_bars import rising, wandering

pa = pytest.importorskip("pandera.pandas")

HOUR = INTERVALS["1h"]


def faulty() -> RawBars:
    """120 bars of which three cannot be true, with one repeat and one jump."""
    raw = RawBars.of(wandering(120))
    raw.close[7], raw.low[30], raw.volume[31] = math.nan, 1e6, -1.0
    for column in (raw.open, raw.high, raw.low, raw.close):
        column[60:] *= 1.7
    return raw.take(np.append(np.arange(120), 3))


def test_a_good_series_passes_and_every_check_says_so() -> None:
    report = check_series(wandering(200), name="made")
    assert report.ok
    assert report.findings == ()
    assert {report.status(check) for check in report.asked} == {"passed"}
    assert report.table().startswith("made, 1h: passed\n200 rows: 200 good, 0 rejected, 0 repeats collapsed")


def test_what_is_wrong_is_told_once_for_each_check_with_its_first_row() -> None:
    report = check_series(faulty(), name="made")
    assert not report.ok
    assert [f.check for f in report.findings] == ["price", "low", "volume", "repeat", "order", "jump", "gap"]
    price = report.of("price")[0]
    assert price.rows == (7, 30)
    assert price.instant == 7 * HOUR
    assert re.fullmatch(
        r"row 7 does not pass, open [\d.]+, high [\d.]+, low [\d.]+, close nan; 1 more row", price.message
    )
    assert (report.rows, report.rejected, report.repeats) == (121, 3, 1)
    assert report.bars is not None
    assert len(report.bars) == 117


def test_a_warning_alone_does_not_fail_a_series() -> None:
    report = check_series(rising(60, skip=(30, 9)), name="gapped")
    assert report.ok
    assert (report.status("gap"), report.status("jump")) == ("warning", "passed")


def test_a_check_of_what_is_not_there_is_not_passed_but_not_asked() -> None:
    bare = wandering(50)
    assert not {"taker", "trades", "absent", *DRIFT_CHECKS} & set(check_series(bare, name="made").asked)
    counted = replace(bare, trades=np.arange(50))
    asked = check_series(counted, name="made", reference=bare).asked
    assert {"trades", "absent", *DRIFT_CHECKS} <= set(asked)
    assert "taker" not in asked


def test_the_schema_is_one_of_pandera_and_refuses_by_itself() -> None:
    raw = faulty()
    schema = row_schema(raw)
    assert isinstance(schema, pa.DataFrameSchema)
    with pytest.raises(pa.errors.SchemaErrors) as refused:
        schema.validate(frame_of(raw), lazy=True)
    assert set(refused.value.failure_cases["check"]) == {"price", "low", "volume"}
    schema.validate(frame_of(raw).drop(index=[7, 30, 31]), lazy=True)


prices = st.sampled_from([1.0, 2.0, 3.0] * 3 + [0.0, -1.0, 1e6, math.nan, math.inf])
rows = st.tuples(
    st.sampled_from([0, HOUR, 2 * HOUR, HOUR // 2, -HOUR, 4_102_444_800_000 + HOUR]),
    *[prices] * 4,
    st.sampled_from([2.0, 0.0, 9.0, -1.0, math.nan, math.inf]),
    st.sampled_from([1.0, 2.0, 3.0, -1.0, math.nan, math.inf]),
    st.sampled_from([0.0, 1.0, 2.5, -1.0, math.nan, math.inf, 1e17]),
)
likely = st.tuples(
    st.sampled_from([0, HOUR]),
    st.just(2.0),
    st.sampled_from([3.0, 4.0]),
    *[st.just(1.0)] * 2,
    st.just(5.0),
    st.sampled_from([1.0, math.nan]),
    st.just(3.0),
)


@settings(max_examples=40)
@given(st.lists(st.one_of(rows, likely), min_size=1, max_size=25), st.booleans())
def test_pandera_and_the_array_checks_agree_on_every_row(table: list[tuple[Any, ...]], bounded: bool) -> None:
    at, opens, highs, lows, closes, volume, taker, trades = (np.array(column) for column in zip(*table, strict=True))
    raw = RawBars("1h", at, opens, highs, lows, closes, volume, taker, trades)
    rules = Rules(price_low=1.5, price_high=3.5, volume_high=8.0, opened_high=HOUR) if bounded else Rules()
    ours = {f.check: f for f in check_bars(raw, rules) if f.check in ROW_CHECKS}
    theirs = {f.check: f for f in schema_findings(raw, rules)}
    assert list(theirs) == list(ours)
    for check, finding in theirs.items():
        assert finding.rows == ours[check].rows
        assert (finding.severity, finding.instant) == (ours[check].severity, ours[check].instant)


def test_the_table_says_each_check_and_each_finding() -> None:
    report = check_series(faulty(), name="made", reference=wandering(90, seed=5))
    lines = report.table().splitlines()
    assert lines[0] == "made, 1h: failed"
    assert lines[1] == "121 rows: 117 good, 3 rejected, 1 repeat collapsed, 1970-01-01 00:00 – 1970-01-05 23:00 UTC"
    told = {line.split("  ")[0]: line.split() for line in lines[4:] if "  " in line}
    assert set(told) == set(report.asked)
    assert told["price"] == ["price", "failed", "2", "1970-01-01", "07:00"]
    assert told["grid"] == ["grid", "passed"]
    assert [line for line in lines if line.startswith("error: jump: close ")] != []


def test_the_json_holds_counts_rules_checks_and_findings() -> None:
    report = check_series(faulty(), name="made", rules=Rules(jump=0.6))
    told = json.loads(report.to_json())
    assert (told["name"], told["ok"], told["rows"], told["good"]) == ("made", False, 121, 117)
    assert (told["rejected"], told["repeats"]) == (3, 1)
    assert (told["first_opened_at"], told["last_opened_at"]) == (0, 119 * HOUR)
    assert (told["rules"]["jump"], told["rules"]["volume_high"], told["rules"]["fatal"]) == (0.6, None, ["jump"])
    assert [check["check"] for check in told["checks"]] == list(report.asked)
    price = next(finding for finding in told["findings"] if finding["check"] == "price")
    assert (price["count"], price["first_rows"], price["instant"]) == (2, [7, 30], 7 * HOUR)


def test_other_checks_stand_in_the_same_report() -> None:
    crossed = Finding("book crossed", "error", (4, 9), 5 * HOUR, "the best bid 2 is not below the best ask 1", 1.0)
    report = check_series(wandering(50), name="made", also=[crossed], also_asked=BOOK_CHECKS)
    assert not report.ok
    assert report.status("book crossed") == "failed"
    assert report.status("book empty") == "passed"
    assert "the best bid 2 is not below the best ask 1" in report.to_html()


class Page(HTMLParser):
    """Text, ids and references of a page whose elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.ids += [value or "" for key, value in attrs if key == "id"]
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize("reference", [None, wandering(300, seed=9)], ids=["alone", "with a reference"])
def test_the_page_is_whole_and_refers_to_nothing_outside_itself(reference: Bars | None) -> None:
    report = check_series(faulty(), name="made <b>&", reference=reference)
    text = report.to_html()
    page = Page(text)
    assert not re.search(r"url\(|@import|<script|https?://|<b>&", text)
    assert {link.removeprefix("#") for link in page.links} == {"found", "checks", "returns", "gaps", "rules"}
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    for finding in report.findings:
        assert finding.message in page.text
    for says in report.asked.values():
        assert says in page.text
    assert ("reference" in page.text.split("Log returns")[1].split("Bars that are there")[0]) == (reference is not None)
    assert "3 bars missing in 2 gaps" in page.text


def test_the_histogram_and_the_gaps_are_drawn_from_the_bars() -> None:
    gapped = rising(200, skip=(100, 9))
    page = check_series(gapped, name="made").to_html()
    assert page.count('class="shade storm"') == 2  # one gap, on the wide and on the narrow picture
    assert "the end of a segment" in page
    crossed = check_series(rising(200, skip=(100, 2)), name="made").to_html()
    assert crossed.count('class="shade after"') == 2
    assert "shade" not in re.sub(
        r"<style>.*?</style>", "", check_series(rising(200), name="made").to_html(), flags=re.S
    )


def test_a_series_of_which_nothing_is_good_has_a_page_too() -> None:
    raw = RawBars.of(rising(2))
    raw.low[:] = 0.0
    report = check_series(raw, name="made")
    assert (report.bars, report.ok) == (None, False)
    assert "There are no two bars." in Page(report.to_html()).text
    assert json.loads(report.to_json())["first_opened_at"] is None
    single = check_series(rising(1), name="made")
    assert single.ok
    assert "There are no two neighbouring bars." in Page(single.to_html()).text


def test_three_files_are_written(tmp_path: Path) -> None:
    report = check_series(faulty(), name="made", out=tmp_path / "docs")
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == sorted(FILES)
    assert (tmp_path / "docs" / "quality.txt").read_text() == report.table()
    assert (tmp_path / "docs" / "quality.json").read_text() == report.to_json()
    assert (tmp_path / "docs" / "quality.html").read_text() == report.to_html()


def test_nothing_is_written_where_one_file_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Report) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(Report, "to_html", broken)
    with pytest.raises(RuntimeError, match="no page"):
        check_series(rising(9), name="made", out=tmp_path / "docs")
    assert list(tmp_path.rglob("*")) == []


def test_no_half_file_stays_where_a_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "quality.json").mkdir()
    with pytest.raises(OSError, match="quality"):
        check_series(rising(9), name="made", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["quality.json"]


def test_the_primary_series_passes_and_luna_fails() -> None:
    folder = data_folder() / "ohlcv"
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    good = read_bars(folder / "binanceusdm_BTCUSDT_1h.parquet")
    assert check_series(good, name="BTCUSDT").findings == ()
    bad = check_series(read_bars(folder / "binance_LUNAUSDT_1h.parquet"), name="LUNAUSDT", reference=good)
    assert not bad.ok
    assert {"jump", "gap", "drift psi", "drift ks"} <= {f.check for f in bad.findings}
    assert "437" in bad.to_html()
