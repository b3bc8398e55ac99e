"""Judge a series and write its data docs: a pandera schema for the rows, array checks for the series as a whole.

The only file that knows pandera. The schemas are built from the instrument's `Rules` and agree with `market.quality`
row by row; everything else is `market.series_quality`. Rejects and repairs nothing.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ..market.bars import Bars
from ..market.quality import HOUSE_RULES, LARGEST_COUNT, TAKER_SLACK, Rules, sift
from ..market.raw import OPTIONAL, PRICES, RawBars
from ..market.series_quality import CHECKS, DRIFT_CHECKS, ROW_CHECKS, Finding, check_bars, number_of
from .quality_docs import Report

FILES = ("quality.json", "quality.txt", "quality.html")
SHOWN = {  # the columns that tell why a row breaks a rule
    "time": ("opened_at",),
    "grid": ("opened_at",),
    "price": PRICES,
    "low": ("low", "open", "close"),
    "high": ("high", "open", "close"),
    "volume": ("volume",),
    "taker": ("taker_buy_volume", "volume"),
    "trades": ("trades",),
    "unique": ("opened_at", *PRICES, "volume"),
}


def check_series(
    bars: Bars | RawBars,
    *,
    name: str,
    rules: Rules = HOUSE_RULES,
    reference: Bars | None = None,
    also: Sequence[Finding] = (),
    also_asked: Mapping[str, str] | None = None,
    out: Path | None = None,
) -> Report:
    """Judge a series by every check, and write quality.json, .txt and .html into the folder `out` where one is given.

    `also` are findings of other checks (a book's, a feature matrix's) to stand in the same report, and `also_asked`
    what those checks say, as in `BOOK_CHECKS`. Drift is asked only where there is a `reference`.
    """
    raw = RawBars.of(bars) if isinstance(bars, Bars) else bars
    sifted = sift(raw, rules)
    of_rows = schema_findings(raw, rules)
    of_series = [finding for finding in check_bars(raw, rules, reference) if finding.check not in ROW_CHECKS]
    unasked = _without_evidence(raw, reference)
    report = Report(
        name=name,
        interval=raw.interval,
        rows=len(raw),
        rejected=len(sifted.rejected),
        repeats=sifted.repeats,
        bars=sifted.bars,
        rules=rules,
        asked={check: says for check, says in CHECKS.items() if check not in unasked} | dict(also_asked or {}),
        findings=(*of_rows, *of_series, *also),
        reference=reference,
    )
    if out is not None:
        write_docs(report, out)
    return report


def _without_evidence(raw: RawBars, reference: Bars | None) -> set[str]:
    """Checks of what is not there: they were not passed, they cannot be asked."""
    columns = {"taker": raw.taker_buy_volume, "trades": raw.trades}
    absent = {check for check, values in columns.items() if values is None}
    return absent | (DRIFT_CHECKS if reference is None else set()) | ({"absent"} if len(absent) == 2 else set())


def write_docs(report: Report, out: Path) -> list[Path]:
    """Write the three files of a report, all or none, and return their paths."""
    texts = (report.to_json(), report.table(), report.to_html())
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / name for name in FILES]
    halves = [path.with_name(f".{path.name}.half") for path in paths]
    try:
        for half, text in zip(halves, texts, strict=True):
            half.write_text(text, encoding="utf-8")
        for half, path in zip(halves, paths, strict=True):
            half.replace(path)
    finally:
        for half in halves:
            half.unlink(missing_ok=True)
    return paths


def schema_findings(raw: RawBars, rules: Rules = HOUSE_RULES) -> list[Finding]:
    """What pandera finds wrong with rows: one error a rule, in the order of `CHECKS`."""
    frame = frame_of(raw)
    broken = _failures(row_schema(raw, rules), frame)
    impossible = set().union(*broken.values())
    broken |= _failures(instant_schema(), frame.drop(index=list(impossible)))
    return [_finding(frame, rule, np.array(sorted(broken[rule]))) for rule in CHECKS if rule in broken]


def frame_of(raw: RawBars) -> pd.DataFrame:
    """Raw rows as a frame; its index is the row."""
    columns: dict[str, Any] = {"opened_at": raw.opened_at}
    told = {name: getattr(raw, name) for name in (*PRICES, "volume", *OPTIONAL)}
    return pd.DataFrame(columns | {name: values for name, values in told.items() if values is not None})


def row_schema(raw: RawBars, rules: Rules = HOUSE_RULES) -> pa.DataFrameSchema:
    """The rules that judge a row by itself. NaN breaks those on prices and volume; in the rest it says nothing."""
    step, most = raw.interval_ms, min(rules.volume_high, sys.float_info.max)
    price = _check("price", lambda s: (s > rules.price_low) & (s < rules.price_high))
    columns = {
        "opened_at": pa.Column(
            "int64",
            [_check("time", lambda s: s.between(0, rules.opened_high)), _check("grid", lambda s: s % step == 0)],
        ),
        **{name: pa.Column("float64", price, nullable=True) for name in PRICES},
        "volume": pa.Column("float64", _check("volume", lambda s: s.between(0.0, most)), nullable=True),
        "taker_buy_volume": pa.Column(
            "float64",
            _check("taker", lambda s: s.isna() | s.between(0.0, sys.float_info.max)),
            nullable=True,
            required=False,
        ),
        "trades": pa.Column(
            "float64",
            _check("trades", lambda s: s.isna() | (s.between(0, LARGEST_COUNT) & (s == s.round()))),
            nullable=True,
            required=False,
        ),
    }
    shape = [
        _check("low", lambda f: ~((f["low"] > f["open"]) | (f["low"] > f["close"]))),
        _check("high", lambda f: ~((f["high"] < f["open"]) | (f["high"] < f["close"]))),
    ]
    share = _check("taker", lambda f: ~(f["taker_buy_volume"] > f["volume"] + TAKER_SLACK * f["volume"]))
    has_taker = raw.taker_buy_volume is not None
    return pa.DataFrameSchema(columns, checks=[*shape, share] if has_taker else shape, strict=True)


def instant_schema() -> pa.DataFrameSchema:
    """The rule that judges possible rows together: those of one instant may repeat each other, but not disagree."""

    def agrees(frame: pd.DataFrame) -> "pd.Series[bool]":
        distinct = frame.drop_duplicates()
        torn = distinct.loc[distinct["opened_at"].duplicated(keep=False), "opened_at"]
        return ~frame["opened_at"].isin(torn)

    return pa.DataFrameSchema(checks=_check("unique", agrees))


def _check(rule: str, predicate: Any) -> pa.Check:
    return pa.Check(predicate, name=rule, ignore_na=False)


def _failures(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> dict[str, set[int]]:
    """Rows that break each rule of a schema."""
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return {str(rule): {int(row) for row in rows} for rule, rows in cases.groupby("check")["index"]}
    return {}


def _finding(frame: pd.DataFrame, rule: str, rows: Any) -> Finding:
    first = int(rows[0])
    shown = ", ".join(f"{name} {_figure(frame.at[first, name])}" for name in SHOWN[rule])
    more = f"; {number_of(len(rows) - 1, 'more row')}" if len(rows) > 1 else ""
    instant = int(frame["opened_at"].iloc[rows].min())
    words = f"row {first} does not pass, {shown}{more}"
    return Finding(rule, "error", tuple(rows.tolist()), instant, words, float(len(rows)))


def _figure(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and not math.isnan(value) else str(value)
