"""Build a memory from a file of bars, ask it what followed similar moments, say what it holds, or move its index.

    wavetank memory build BTC_1h.parquet --out btc-memory --fit-until 2021-01-01
    wavetank memory query btc-memory --at 2022-11-08T20:00
    wavetank memory stats btc-memory --check
    wavetank memory move btc-memory --to http://localhost:6333
    wavetank memory optimize btc-memory

A memory is a folder: `embedder.npz`, `archive/` (the truth), `edge-…/` (the live index over it, named after the
embedder), and what advice is measured by, `calibration.json` and `rules.npz`.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from ..market.bars import Bars
from ..market.store import read_bars
from ..memory.archive import Archive
from ..memory.calibration import Calibration, TooFewMoments
from ..memory.edge import EdgeMemory
from ..memory.embed import WINDOW
from ..memory.embedding import HOUSE, STATISTICS, Fitted, fit_embedder
from ..memory.moments import HORIZON, Moments, PastError, moments_of
from ..memory.move import content_of, move, pages_of
from ..memory.rule_returns import RuleReturns
from ..memory.store import Listed, ingest
from . import memory_query
from .memory_folder import (
    ARCHIVE,
    CALIBRATION,
    EMBEDDER,
    HERE,
    RULES,
    index_folder,
    instant,
    iso,
    open_memory,
    opened_draft,
    opened_store,
)
from .progress import count_bar


def main() -> int:
    """Do what the verb after `memory` says; mistakes are raised as one sentence each."""
    arguments = _parser().parse_args()
    action: Callable[[argparse.Namespace], None] = arguments.action
    action(arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="wavetank memory", description=summary)
    verbs = parser.add_subparsers(required=True, metavar="build | query | stats | move | optimize")
    _build_options(verbs.add_parser("build", help="make a memory of a file of bars"))
    memory_query.add_options(verbs.add_parser("query", help="what followed the moments most similar to one"))
    stats = verbs.add_parser("stats", help="what a memory holds")
    stats.add_argument("memory", help="a folder made by `memory build`")
    stats.add_argument("--store", help="a server's URL or edge:FOLDER; default: the memory's own index")
    stats.add_argument("--check", action="store_true", help="read the index, and compare every point with the archive")
    stats.add_argument("--json", action="store_true", help="print JSON")
    stats.set_defaults(action=_stats)
    moving = verbs.add_parser("move", help="copy the live index to a server, or from one, and compare")
    moving.add_argument("memory", help="a folder made by `memory build`")
    moving.add_argument("--to", help="a server's URL or edge:FOLDER; default: the memory's own index")
    moving.add_argument("--from", dest="source", help="the same; default: the memory's own index")
    moving.set_defaults(action=_move)
    optimize = verbs.add_parser(
        "optimize", help="build the search graph of the live index; takes minutes if it is large"
    )
    optimize.add_argument("memory", help="a folder made by `memory build`")
    optimize.set_defaults(action=_optimize)
    return parser


def _build_options(build: argparse.ArgumentParser) -> None:
    build.add_argument("bars", help="a .parquet or .csv file of bars")
    build.add_argument("--out", required=True, help="the folder to make; must not exist yet")
    build.add_argument("--fit-until", help="fit the embedding on bars closed by then only (default: all bars)")
    build.add_argument("--symbol", help="the symbol, where the file does not say it")
    build.add_argument("--horizon", type=int, default=HORIZON, help="bars until an outcome is known")
    build.add_argument("--window", type=int, default=WINDOW, help="bars that a vector looks back over")
    build.add_argument("--width", type=int, help="dimensions of a vector (default: the embedder's own)")
    kinds = f"{', '.join(HOUSE)}, or an address such as my_package:Mine"
    build.add_argument("--embedder", default=STATISTICS, help=f"what makes vectors of bars: {kinds}")
    build.set_defaults(action=_build)


def _build(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    if out.exists():
        raise PastError(f"{out} exists already: a memory is built into a new folder")
    bars = read_bars(arguments.bars, arguments.symbol)
    until = arguments.fit_until
    stop = len(bars) if until is None else int(np.searchsorted(bars.closed_at, instant(until), "right"))
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
    embedder = fit_embedder(arguments.embedder, bars, stop, window=arguments.window, width=arguments.width)
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
    with EdgeMemory(index_folder(folder, embedder.digest), embedder.width, embedder=embedder.digest) as store:
        with count_bar("moments into the live index") as advance:
            ingest(store, moments, advance, as_of=int(bars.closed_at[-1]))
        _optimized(store)
    _calibrate(folder, bars, moments, embedder, arguments.horizon)
    return len(moments)


def _calibrate(folder: Path, bars: Bars, moments: Moments, embedder: Fitted, horizon: int) -> None:
    """Write what advice is measured by, fitted on the training slice; a line, and nothing, where that is too short."""
    try:
        with count_bar("training moments asked") as advance:
            calibration = Calibration.fit(
                moments,
                embedder,
                interval_ms=bars.interval_ms,
                horizon=horizon,
                until=embedder.fitted_until,
                progress=advance,
            )
    except TooFewMoments as error:
        print(f"note: {error}; `query` will give no advice", file=sys.stderr)
        return
    calibration.save(folder / CALIBRATION)
    RuleReturns.of(bars, embedder.window, horizon).save(folder / RULES)


def _stats(arguments: argparse.Namespace) -> None:
    memory = open_memory(arguments.memory)
    archive, embedder = memory.archive, memory.embedder
    with opened_store(memory, arguments.store or memory.place) as store:
        indexed = store.count()
        is_equal = not arguments.check or _is_of(archive, store)
    facts: dict[str, str | int | float] = {
        "moments": len(archive),
        "indexed": indexed,
        "symbols": ", ".join(sorted(archive.symbols)),
        "interval": archive.interval,
        "first_close": iso(int(archive.moments.closed_at.min())),
        "last_close": iso(int(archive.moments.closed_at.max())),
        "last_known": iso(int(archive.moments.known_at[-1])),
        "horizon_bars": archive.horizon,
        "window_bars": embedder.window,
        "width": embedder.width,
        "fitted_until": iso(embedder.fitted_until),
        "embedder": embedder.digest,
        "archive": archive.digest,
    }
    print(json.dumps(facts) if arguments.json else "\n".join(f"{n:<14}{v}" for n, v in facts.items()))
    if indexed != len(archive):
        raise PastError(f"the index holds {indexed} points, the archive {len(archive)}: build the memory again")
    if not is_equal:
        raise PastError("the index does not hold what the archive holds: build the memory again")


def _is_of(archive: Archive, store: Listed) -> bool:
    """Whether a store holds the archive's moments to the last bit, and no others."""
    with count_bar("archive and index compared") as advance:
        truth = content_of(pages_of(archive.moments), advance, 2 * len(archive))
        held = content_of(store.pages(), lambda done, all_: advance(len(archive) + done, all_), 2 * len(archive))
    return truth == held


def _move(arguments: argparse.Namespace) -> None:
    memory = open_memory(arguments.memory)
    source, target = arguments.source or memory.place, arguments.to or memory.place
    if source == target:
        raise PastError("--to or --from must say where the index goes, or comes from: a server's URL or edge:FOLDER")
    with (
        opened_store(memory, source) as store,
        opened_draft(memory, target) as draft,
        count_bar("points moved") as advance,
    ):
        moved = move(store, draft, advance)
    if target.startswith(HERE):
        with opened_store(memory, target) as copy:
            _optimized(copy)
    print(f"{moved.count:,} points of digest {moved.digest[:12]} stand at {target} as at {source}")


def _optimize(arguments: argparse.Namespace) -> None:
    memory = open_memory(arguments.memory)
    with opened_store(memory, memory.place) as store:
        is_built, count = _optimized(store), store.count()
    print(f"{count:,} points: " + ("the search graph was built anew" if is_built else "nothing to build"))


def _optimized(store: Listed) -> bool:
    with Console(stderr=True).status("building the search graph"):
        return store.optimize()
