"""Build a memory from a file of bars, ask it what followed similar moments, or say what it holds.

    wavetank memory build BTC_1h.parquet --out btc-memory --fit-until 2021-01-01
    wavetank memory query btc-memory --at 2022-11-08T20:00
    wavetank memory stats btc-memory

A memory is a folder: `embedder.npz`, `archive/` (the truth) and `edge/` (the live index over it).
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..market.bars import INTERVALS, Bars
from ..market.store import read_bars
from ..memory.archive import Archive
from ..memory.columns import FEWEST, MEMORY_COLUMNS
from ..memory.edge import EdgeMemory
from ..memory.embed import WIDTH, WINDOW, Embedder
from ..memory.moments import HORIZON, PastError, Singles, moments_of
from ..memory.recall import NEIGHBOURS, embargo_ms
from ..memory.rescore import columns_of, nearest_in
from ..memory.store import Neighbour, ingest

EMBEDDER, ARCHIVE, EDGE = "embedder.npz", "archive", "edge"


class _Memory(NamedTuple):
    folder: Path
    embedder: Embedder
    archive: Archive


def main() -> int:
    """Do what the verb after `memory` says; mistakes are raised as one sentence each."""
    arguments = _parser().parse_args()
    action: Callable[[argparse.Namespace], None] = arguments.action
    action(arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="wavetank memory", description=summary)
    verbs = parser.add_subparsers(required=True, metavar="build | query | stats")
    build = verbs.add_parser("build", help="make a memory of a file of bars")
    build.add_argument("bars", help="a .parquet or .csv file of bars")
    build.add_argument("--out", required=True, help="the folder to make; must not exist yet")
    build.add_argument("--fit-until", help="fit the embedding on bars closed by then only (default: all bars)")
    build.add_argument("--symbol", help="the symbol, where the file does not say it")
    build.add_argument("--horizon", type=int, default=HORIZON, help="bars until an outcome is known")
    build.add_argument("--window", type=int, default=WINDOW, help="bars that a vector looks back over")
    build.add_argument("--width", type=int, default=WIDTH, help="dimensions of a vector")
    build.set_defaults(action=_build)
    query = verbs.add_parser("query", help="what followed the moments most similar to one, known by then")
    query.add_argument("memory", help="a folder made by `memory build`")
    query.add_argument("--at", required=True, help="an ISO time (UTC) or milliseconds: the last bar closed by then")
    query.add_argument("--bars", help="a file with the bars before --at; default: the archive's own moment")
    query.add_argument("--symbol", help="the symbol asked about, where the memory holds several")
    query.add_argument("--k", type=int, default=NEIGHBOURS, help="neighbours")
    query.add_argument("--json", action="store_true", help="print JSON")
    query.set_defaults(action=_query)
    stats = verbs.add_parser("stats", help="what a memory holds")
    stats.add_argument("memory", help="a folder made by `memory build`")
    stats.add_argument("--json", action="store_true", help="print JSON")
    stats.set_defaults(action=_stats)
    return parser


def _build(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    if out.exists():
        raise PastError(f"{out} exists already: a memory is built into a new folder")
    bars = read_bars(arguments.bars, arguments.symbol)
    until = arguments.fit_until
    stop = len(bars) if until is None else int(np.searchsorted(bars.closed_at, _instant(until), "right"))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        count = _build_into(part, bars, stop, arguments)
        part.chmod(0o755)  # mkdtemp's folders are the owner's alone
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{count:,} moments of {bars.symbol or 'this file'} in {out}")


def _build_into(folder: Path, bars: Bars, stop: int, arguments: argparse.Namespace) -> int:
    embedder = Embedder.fit(bars, stop, window=arguments.window, width=arguments.width)
    moments = moments_of(bars, embedder, arguments.horizon)
    if not len(moments):
        raise PastError(f"{len(bars)} bars hold no moment whose outcome is known")
    embedder.save(folder / EMBEDDER)
    Archive.create(
        folder / ARCHIVE,
        width=embedder.width,
        interval=bars.interval,
        horizon=arguments.horizon,
        embedder=embedder.digest,
    ).append(moments)
    with EdgeMemory(folder / EDGE, embedder.width, embedder=embedder.digest) as store:
        with _progress("moments into the live index") as advance:
            ingest(store, moments, advance)
        store.optimize()
    return len(moments)


def _query(arguments: argparse.Namespace) -> None:
    memory = _open(arguments.memory)
    at, step = _instant(arguments.at), INTERVALS[memory.archive.interval]
    if arguments.bars is None:
        symbol = _symbol(memory, arguments.symbol)
        closed_at, vector = _asked_moment(memory, symbol, at)
    else:
        bars = read_bars(arguments.bars, arguments.symbol)
        symbol = bars.symbol
        closed_at, vector = _asked_bars(memory, bars, at)
    with EdgeMemory(memory.folder / EDGE, memory.embedder.width, embedder=memory.embedder.digest) as store:
        found = nearest_in(
            store,
            vector,
            closed_at,
            k=arguments.k,
            symbol=symbol,
            embargo=embargo_ms(memory.embedder, step, memory.archive.horizon, None),
            episode_ms=memory.archive.horizon * step,
        )
    if len(found) < FEWEST:
        raise PastError(
            f"by {_iso(closed_at)} only {len(found)} outcomes were known far enough from it; {FEWEST} are needed"
        )
    if memory.embedder.fitted_until > closed_at:
        until = _iso(memory.embedder.fitted_until)
        print(f"note: the embedding was fitted on bars until {until}, later than this moment", file=sys.stderr)
    columns = dict(zip(MEMORY_COLUMNS, columns_of(found, memory.embedder.high_volatility).tolist(), strict=True))
    if arguments.json:
        neighbours = [{"id": hit.id, "similarity": hit.similarity, **hit.payload} for hit in found]
        print(json.dumps({"symbol": symbol, "as_of": closed_at, "columns": columns, "neighbours": neighbours}))
        return
    print(f"{symbol} at {_iso(closed_at)}: what followed the {len(found)} most similar moments known by then")
    for name, value in columns.items():
        print(f"  {name:<22}{value:>10.4f}")
    for hit in found:
        print(f"  {_line(hit)}")


def _asked_moment(memory: _Memory, symbol: str, at: int) -> tuple[int, Singles]:
    """The close and the vector of the archive's own moment at `at`."""
    moments, step = memory.archive.moments, INTERVALS[memory.archive.interval]
    own = moments.symbol == memory.archive.symbols[symbol]
    rows = np.flatnonzero(own & (moments.closed_at <= at) & (moments.closed_at > at - step))
    if not len(rows):
        first, last = int(moments.closed_at[own].min()), int(moments.closed_at[own].max())
        raise PastError(
            f"the memory has no moment of {symbol} at {_iso(at)}, only {_iso(first)} to {_iso(last)}; give --bars"
        )
    return int(moments.closed_at[rows[-1]]), moments.vectors[rows[-1]]


def _asked_bars(memory: _Memory, bars: Bars, at: int) -> tuple[int, Singles]:
    """The close and the vector of the last of these bars that closed by `at`."""
    stop = int(np.searchsorted(bars.closed_at, at, "right"))
    if stop == 0 or bars.closed_at[stop - 1] <= at - bars.interval_ms:
        raise PastError(f"the bars hold none that closed in the {bars.interval} before {_iso(at)}")
    vector = memory.embedder.vector(bars.slice(0, stop))
    if np.isnan(vector[0]):
        raise PastError(f"the bars hold no {memory.embedder.window} in a row before {_iso(at)}")
    return int(bars.closed_at[stop - 1]), vector


def _stats(arguments: argparse.Namespace) -> None:
    memory = _open(arguments.memory)
    archive, embedder = memory.archive, memory.embedder
    with EdgeMemory(memory.folder / EDGE, embedder.width, embedder=embedder.digest) as store:
        indexed = store.count()
    facts: dict[str, str | int | float] = {
        "moments": len(archive),
        "indexed": indexed,
        "symbols": ", ".join(sorted(archive.symbols)),
        "interval": archive.interval,
        "first_close": _iso(int(archive.moments.closed_at.min())),
        "last_close": _iso(int(archive.moments.closed_at.max())),
        "last_known": _iso(int(archive.moments.known_at[-1])),
        "horizon_bars": archive.horizon,
        "window_bars": embedder.window,
        "width": embedder.width,
        "fitted_until": _iso(embedder.fitted_until),
        "embedder": embedder.digest,
        "archive": archive.digest,
    }
    print(json.dumps(facts) if arguments.json else "\n".join(f"{n:<14}{v}" for n, v in facts.items()))
    if indexed != len(archive):
        raise PastError(f"the index holds {indexed} points, the archive {len(archive)}: build the memory again")


def _open(path: str) -> _Memory:
    folder = Path(path)
    embedder, archive = Embedder.load(folder / EMBEDDER), Archive.open(folder / ARCHIVE)
    if archive.embedder != embedder.digest:
        raise PastError(f"the archive in {folder} is of another embedder than the one beside it")
    if not len(archive):
        raise PastError(f"the archive in {folder} is empty")
    return _Memory(folder, embedder, archive)


def _symbol(memory: _Memory, wanted: str | None) -> str:
    held = sorted(memory.archive.symbols)
    if wanted is None and len(held) == 1:
        return held[0]
    if wanted not in held:
        raise PastError(f"symbol {wanted!r} is not one of the memory's: {', '.join(held)}")
    return str(wanted)


def _line(hit: Neighbour) -> str:
    payload = hit.payload
    when, symbol = _iso(payload.get("closed_at", payload["known"])), payload.get("symbol", "")
    return f"{when}  {symbol:<10} similarity {hit.similarity:6.3f}  return {payload['forward_return']:+8.4f}"


def _instant(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PastError(f"{text!r} is neither an ISO time nor milliseconds") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
