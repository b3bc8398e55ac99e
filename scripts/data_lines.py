"""What the door to the data reads from its flags and prints: rules, series, gaps, rejected rows. Opens no store."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from ..market.parquet import BarsError
from ..market.quality import Rules, Sifted
from ..market.series_quality import CHECKS
from ..market.store import Gap, Quarantine, Series, iso

SHOWN = 3  # rejected rows that are told of with their reason


def rules_of(words: Sequence[str]) -> Rules:
    """The house's rules with some of them set: `price_high=5e6`, `fatal=jump,gap`."""
    house = Rules()
    known = [field.name for field in fields(Rules)]
    told: dict[str, float | int | frozenset[str]] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            raise BarsError(f"there is no rule {name!r}; there are {', '.join(known)}")
        told[name] = _value(word, value, getattr(house, name))
    return Rules(**told)  # type: ignore[arg-type]  # each value has just been given its field's type


def series_lines(series: Sequence[Series]) -> Iterator[str]:
    """A line a series, in columns that are as wide as they must be: a pipe has no width."""
    head = ["series", "first", "last", "rows", "gaps", "missing", "taker", "trades", "quarantine"]
    cells = [head, *([*_ends(one), *_figures(one)] for one in series)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        left = [f"{cell:<{width}}" for cell, width in zip(row[:3], widths[:3], strict=True)]
        right = [f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True)]
        yield "  ".join([*left, *right])


def gap_lines(name: str, gaps: Sequence[Gap], suspects: Quarantine) -> Iterator[str]:
    """Gaps, and apart from them the rows in quarantine."""
    yield f"{name}: {len(gaps):,} gaps, {sum(gap.missing for gap in gaps):,} bars missing"
    for gap in gaps:
        yield f"  {iso(gap.from_ms)} to {iso(gap.to_ms)}  {gap.missing:>9,}"
    if len(suspects):
        yield f"and {len(suspects):,} rows in quarantine"
    for at, reason, source in _suspects(suspects):
        yield f"  {iso(at)}  {reason} ({source})"


def quarantine_facts(suspects: Quarantine) -> list[dict[str, int | str]]:
    """Rows in quarantine for machines."""
    return [{"opened_at": at, "reason": reason, "source": source} for at, reason, source in _suspects(suspects)]


def sifted_lines(rows: Sifted) -> Iterator[str]:
    """What a file's rows suffered: repeats, columns that some row lacks, and rejected rows with their reasons."""
    if rows.repeats:
        yield f"{rows.repeats:,} rows came twice and are kept once"
    if rows.dropped:
        yield f"not every row has {' and '.join(rows.dropped)}"
    if len(rows.rejected):
        yield f"{len(rows.rejected):,} rows into quarantine:"
        told = zip(rows.rejected.opened_at.tolist(), rows.reasons, strict=True)
        yield from (f"  {iso(at)}  {reason}" for at, reason in list(told)[:SHOWN])
    if len(rows.rejected) > SHOWN:
        yield f"  … and {len(rows.rejected) - SHOWN:,} more (`wavetank data gaps` lists them)"


def _value(word: str, value: str, house: object) -> float | int | frozenset[str]:
    if isinstance(house, frozenset):
        checks = frozenset(filter(None, value.split(",")))
        if checks <= CHECKS.keys():
            return checks
        raise BarsError(f"the rule {word!r} names no check of {', '.join(CHECKS)}")
    try:
        return int(value) if isinstance(house, int) else float(value)
    except ValueError:
        raise BarsError(f"the rule {word!r} sets no number") from None


def _suspects(suspects: Quarantine) -> Iterator[tuple[int, str, str]]:
    yield from zip(suspects.rows.opened_at.tolist(), suspects.reasons, suspects.sources, strict=True)


def _ends(one: Series) -> list[str]:
    ends = ("" if at is None else iso(at)[:16].replace("T", " ") for at in (one.first_ms, one.last_ms))
    return [f"{one.venue} {one.symbol} {one.interval}", *ends]


def _figures(one: Series) -> list[str]:
    counts = ["" if count is None else f"{count:,}" for count in (one.rows, one.gaps, one.missing)]
    return [*counts, one.taker_buy_volume, one.trades, f"{one.quarantined:,}"]
