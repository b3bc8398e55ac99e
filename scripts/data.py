"""Bring bars into the store, list what it holds, and judge data before anything is trained on it.

    wavetank data fetch BTCUSDT 1h --venue binanceusdm --start 2020-01-01 --funding
    wavetank data import BTC_1h.parquet --venue binance --symbol BTCUSDT
    wavetank data ls
    wavetank data gaps binance BTCUSDT 1h
    wavetank data check binance BTCUSDT 1h --out quality
    wavetank data verify            # every file against the manifest; rebuild: the manifest out of the files

The store lies under `--root`, else WAVETANK_STORE, else ./store. Exit code 1: data found wanting, 2: a mistake.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..market.bars import INTERVALS, Bars
from ..market.parquet import BarsError, check_step, read_raw
from ..market.quality import Rules, Sifted, sift
from ..market.raw import RawBars
from ..market.store import Store, instant, read_bars
from .data_lines import gap_lines, quarantine_facts, rules_of, series_lines, sifted_lines

FINE, WANTING = 0, 1

Advance = Callable[[str, int, int], None]


class _Incoming(NamedTuple):
    """A file whose rows have been judged and wait to be stored."""

    path: Path
    interval: str
    rows: Sifted
    good: RawBars


def main() -> int:
    """Do what the verb after `data` says; 1 where the data is found wanting."""
    arguments = _parser().parse_args()
    action: Callable[[argparse.Namespace], int] = arguments.action
    return action(arguments)


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="wavetank data", description=summary)
    verbs = parser.add_subparsers(required=True, metavar="fetch | import | ls | gaps | check | verify | rebuild")
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument("--root", help="the store's folder (default: WAVETANK_STORE, else ./store)")
    ruled = argparse.ArgumentParser(add_help=False, parents=[root])
    ruled.add_argument(
        "--rule", action="append", default=[], metavar="NAME=VALUE", help="what may be true of this instrument's bars"
    )
    listing = argparse.ArgumentParser(add_help=False, parents=[root])
    listing.add_argument("--json", action="store_true", help="print JSON")

    fetch = verbs.add_parser("fetch", parents=[ruled], help="bars of a venue's public archive and its pages")
    fetch.add_argument("symbol", help="as the venue writes it: BTCUSDT, BTC/USD, …")
    fetch.add_argument("interval", choices=INTERVALS)
    fetch.add_argument("--venue", required=True, help="binance (spot), binanceusdm (perpetuals), or ccxt:NAME")
    fetch.add_argument("--start", required=True, help="an ISO date (UTC) or milliseconds: the first bar's opening")
    fetch.add_argument("--end", help="where to stop, that instant left out (default: the last closed bar)")
    fetch.add_argument("--funding", action="store_true", help="the perpetual's funding rates too")
    fetch.add_argument(
        "--replace",
        action="store_true",
        help="ask for every month again, and let rows take the place of known ones that differ",
    )
    fetch.add_argument("--archive", metavar="URL", help="a mirror of the venue's archive")
    fetch.add_argument("--api", metavar="URL", help="a mirror of the venue's API")
    fetch.set_defaults(action=_fetch)

    bring = verbs.add_parser("import", parents=[ruled], help="files of bars into the store, bad rows into quarantine")
    bring.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .parquet or .csv file of bars")
    bring.add_argument("--venue", required=True, help="where the bars were traded: binance, kraken, …")
    bring.add_argument("--symbol", required=True, help="what was traded: BTCUSDT, …")
    bring.add_argument("--interval", choices=INTERVALS, help="the bars' interval, where the file does not show it")
    bring.add_argument("--replace", action="store_true", help="let rows take the place of known ones that differ")
    bring.set_defaults(action=_import)

    ls = verbs.add_parser("ls", parents=[listing], help="every series of the store")
    ls.set_defaults(action=_ls)

    gaps = verbs.add_parser("gaps", parents=[listing], help="bars that are missing, and rows in quarantine")
    for name in ("venue", "symbol", "interval"):
        gaps.add_argument(name)
    gaps.set_defaults(action=_gaps)

    check = verbs.add_parser("check", parents=[ruled], help="judge a file or a series by every check of quality")
    check.add_argument("what", nargs="+", metavar="FILE | VENUE SYMBOL INTERVAL", help="whose bars are judged")
    check.add_argument("--reference", type=Path, metavar="FILE", help="bars from which the series should not drift")
    check.add_argument("--out", type=Path, metavar="DIR", help="a folder for the table, the JSON and the page")
    check.add_argument("--start", help="an ISO date (UTC) or milliseconds: the first opening that is judged")
    check.add_argument("--end", help="where to stop, that instant left out")
    check.add_argument("--symbol", help="of a file: the symbol, where it does not say it")
    check.add_argument("--interval", choices=INTERVALS, help="of a file: the interval, where it does not show it")
    check.set_defaults(action=_check)

    verify = verbs.add_parser("verify", parents=[root], help="compare every file of the store with its manifest")
    verify.set_defaults(action=_verify)

    rebuild = verbs.add_parser("rebuild", parents=[root], help="make a lost manifest anew out of the files")
    rebuild.set_defaults(action=_rebuild)
    return parser


def _fetch(arguments: argparse.Namespace) -> int:
    from ..market.http import Client  # here, for the other verbs ask nobody anything
    from ..market.sources import Sites, fetch, stored_name

    store, now_ms = Store(arguments.root), time.time_ns() // 1_000_000
    moved = {"archive": arguments.archive} if arguments.archive else {}
    if arguments.api:
        moved |= dict.fromkeys(("spot", "usdm", "ccxt"), arguments.api)
    with _progress() as advance:
        got = fetch(
            store,
            arguments.venue,
            arguments.symbol,
            arguments.interval,
            instant(arguments.start),
            now_ms if arguments.end is None else instant(arguments.end),
            now_ms=now_ms,
            client=Client(sleep=time.sleep, monotonic=time.monotonic, rng=np.random.default_rng()),
            funding=arguments.funding,
            replace=arguments.replace,
            sites=Sites(**moved),
            rules=rules_of(arguments.rule),
            progress=advance,
        )
    series = f"{arguments.venue} {stored_name(arguments.symbol)} {arguments.interval}"
    rates = f", {got.funding:,} funding rates new" if arguments.funding else ""
    print(f"{got.new:,} bars new, {got.same:,} known, {got.changed:,} changed{rates} → {series} in {store.root}")
    if got.quarantined:
        print(f"  {got.quarantined:,} rows into quarantine: `wavetank data gaps {series}` says why")
    if got.strays:
        print(f"  {got.strays:,} funding rates were not asked for and are left out")
    return WANTING if got.quarantined or got.strays else FINE


def _import(arguments: argparse.Namespace) -> int:
    venue, symbol, store = arguments.venue, arguments.symbol, Store(arguments.root)
    rules, rejected = rules_of(arguments.rule), 0
    with _progress() as advance:
        # every file is read before the first is stored: one that cannot be read leaves the store as it was
        incoming = [_read(path, symbol, arguments.interval, rules) for path in arguments.files]
        for number, (path, interval, rows, good) in enumerate(incoming, 1):
            told = "no row is a bar"
            if len(good):
                added = store.append_rows(venue, symbol, good, source=path.name, replace=arguments.replace)
                told = f"{added.new:,} bars new, {added.same:,} known, {added.changed:,} changed"
            store.quarantine(venue, symbol, rows.rejected, rows.reasons, source=path.name)  # a refused file leaves none
            print(f"{path.name}: {told} → {venue} {symbol} {interval} in {store.root}")
            print("".join(f"  {line}\n" for line in sifted_lines(rows)), end="")
            rejected += len(rows.rejected)
            advance("files", number, len(incoming))
    return WANTING if rejected else FINE


def _read(path: Path, symbol: str, interval: str | None, rules: Rules) -> _Incoming:
    raw = read_raw(path, symbol, interval)
    if not len(raw):
        raise BarsError(f"{path} holds no rows")
    check_step(path, raw.opened_at, raw.interval)
    sifted = sift(raw, rules)
    return _Incoming(path, raw.interval, sifted, raw.take(sifted.kept))


def _ls(arguments: argparse.Namespace) -> int:
    store = Store(arguments.root)
    series = store.series()
    if arguments.json:
        print(json.dumps([one._asdict() for one in series]))
    elif series:
        print("\n".join(series_lines(series)))
    else:
        print(f"the store at {store.root} holds nothing yet: `wavetank data import` or `wavetank data fetch` fill it")
    return FINE


def _gaps(arguments: argparse.Namespace) -> int:
    key = (arguments.venue, arguments.symbol, arguments.interval)
    store = Store(arguments.root)
    gaps, suspects = store.gaps(*key), store.quarantined(*key)
    if arguments.json:
        print(json.dumps({"gaps": [gap._asdict() for gap in gaps], "quarantine": quarantine_facts(suspects)}))
    else:
        print("\n".join(gap_lines(" ".join(key), gaps, suspects)))
    return FINE


def _check(arguments: argparse.Namespace) -> int:
    from ..experiments.quality_report import FILES, check_series  # here, for pandera is an extra
    from ..market.series_quality import Finding

    name, rows, suspects = _judged(arguments)
    reference = read_bars(arguments.reference, interval=rows.interval) if arguments.reference else None
    also = []
    if suspects:
        words = f"{suspects:,} rows of this series are in quarantine (`wavetank data gaps` lists them)"
        also.append(Finding("quarantine", "warning", (), None, words, float(suspects)))
    report = check_series(
        rows,
        name=name,
        rules=rules_of(arguments.rule),
        reference=reference,
        also=also,
        also_asked={} if suspects is None else {"quarantine": "no row of the series is in quarantine"},
        out=arguments.out,
    )
    print(report.table(), end="")
    if arguments.out:
        print(f"{', '.join(FILES)} in {arguments.out}")
    return FINE if report.ok else WANTING


def _judged(arguments: argparse.Namespace) -> tuple[str, Bars | RawBars, int | None]:
    """What is to be judged: a name, its rows, and for a series of the store how many lie in quarantine."""
    words: list[str] = arguments.what
    if len(words) == 1:
        path, raw = Path(words[0]), read_raw(words[0], arguments.symbol, arguments.interval)
        return path.name, _between(path, raw, arguments.start, arguments.end), None
    if len(words) != 3:
        raise BarsError(f"check takes a FILE, or VENUE SYMBOL INTERVAL, not {' '.join(words)}")
    named = next((flag for flag in ("symbol", "interval") if getattr(arguments, flag) is not None), None)
    if named is not None:
        raise BarsError(f"--{named} is of a file; the series is {' '.join(words)}")
    venue, symbol, interval = words
    store = Store(arguments.root)
    bars = store.read(venue, symbol, interval, arguments.start, arguments.end)
    return f"{venue} {symbol}", bars, len(store.quarantined(venue, symbol, interval))


def _between(path: Path, raw: RawBars, start: str | None, end: str | None) -> RawBars:
    asked = np.ones(len(raw), np.bool_)
    if start is not None:
        asked &= raw.opened_at >= instant(start)
    if end is not None:
        asked &= raw.opened_at < instant(end)
    if len(raw) and not asked.any():
        raise BarsError(f"{path} has no row between {start} and {end}")
    return raw.take(asked)


def _verify(arguments: argparse.Namespace) -> int:
    store = Store(arguments.root)
    differences = store.verify()
    for words in differences:
        print(words)
    segments = sum(one.segments for one in store.series())
    print(f"{segments:,} files of {store.root} compared with the manifest, {len(differences):,} differences")
    return WANTING if differences else FINE


def _rebuild(arguments: argparse.Namespace) -> int:
    store = Store(arguments.root)
    print(f"{store.rebuild():,} files of {store.root} are named again; quarantine and marks of downloads start anew")
    return FINE


@contextmanager
def _progress() -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
