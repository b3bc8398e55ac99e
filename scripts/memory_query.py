"""Ask a memory what followed the moments most similar to one, known by then: `wavetank memory query`."""

import argparse
import json
import sys

import numpy as np

from ..market.bars import INTERVALS, Bars
from ..market.store import read_bars
from ..memory.advice import Advice, advise
from ..memory.calibration import Calibration
from ..memory.columns import FEWEST, MEMORY_COLUMNS
from ..memory.moments import PastError, Singles
from ..memory.recall import NEIGHBOURS, embargo_ms
from ..memory.rescore import columns_of, nearest_in
from ..memory.rule_returns import RuleReturns
from ..memory.store import Neighbour
from .memory_folder import CALIBRATION, RULES, Memory, instant, iso, open_memory, opened_store


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what `query` takes."""
    parser.add_argument("memory", help="a folder made by `memory build`")
    parser.add_argument("--at", required=True, help="an ISO time (UTC) or milliseconds: the last bar closed by then")
    parser.add_argument("--bars", help="a file with the bars before --at; default: the archive's own moment")
    parser.add_argument("--symbol", help="the symbol asked about, where the memory holds several")
    parser.add_argument("--k", type=int, default=NEIGHBOURS, help="neighbours")
    parser.add_argument("--store", help="a server's URL or edge:FOLDER; default: the memory's own index")
    parser.add_argument("--ef", type=int, help="search the graph so many candidates wide; default: exactly")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(action=query)


def query(arguments: argparse.Namespace) -> None:
    """Print the ten columns at a moment, what they advise, and the neighbours that both come from."""
    memory = open_memory(arguments.memory)
    at = instant(arguments.at)
    if arguments.bars is None:
        symbol = _symbol(memory, arguments.symbol)
        closed_at, vector = _asked_moment(memory, symbol, at)
    else:
        bars = read_bars(arguments.bars, arguments.symbol)
        symbol = bars.symbol
        closed_at, vector = _asked_bars(memory, bars, at)
    found = _found(memory, arguments, symbol, closed_at, vector)
    if len(found) < FEWEST:
        raise PastError(
            f"by {iso(closed_at)} only {len(found)} outcomes were known far enough from it; {FEWEST} are needed"
        )
    if memory.embedder.fitted_until > closed_at:
        until = iso(memory.embedder.fitted_until)
        print(f"note: embedding and advice were fitted on bars until {until}, later than this moment", file=sys.stderr)
    advice = _advice(memory, arguments, found)
    columns = dict(zip(MEMORY_COLUMNS, columns_of(found, memory.embedder.high_volatility).tolist(), strict=True))
    if arguments.json:
        neighbours = [{"id": hit.id, "similarity": hit.similarity, **hit.payload} for hit in found]
        told = {"symbol": symbol, "as_of": closed_at, "columns": columns, "neighbours": neighbours}
        print(json.dumps({**told, "advice": None if advice is None else advice.to_json()}))
        return
    print(f"{symbol} at {iso(closed_at)}: what followed the {len(found)} most similar moments known by then")
    for name, value in columns.items():
        print(f"  {name:<22}{value:>10.4f}")
    if advice is not None:
        _show(advice)
    for hit in found:
        print(f"  {_line(hit)}")


def _found(
    memory: Memory, arguments: argparse.Namespace, symbol: str, closed_at: int, vector: Singles
) -> list[Neighbour]:
    step, horizon = INTERVALS[memory.archive.interval], memory.archive.horizon
    with opened_store(memory, arguments.store or memory.place) as store:
        if (held := store.count()) < len(memory.archive):
            raise PastError(f"the index holds {held} points, the archive {len(memory.archive)}: build the memory again")
        return nearest_in(
            store,
            vector,
            closed_at,
            k=arguments.k,
            symbol=symbol,
            embargo=embargo_ms(memory.embedder, step, horizon, None),
            episode_ms=horizon * step,
            exact=arguments.ef is None,
            ef=arguments.ef,
        )


def _advice(memory: Memory, arguments: argparse.Namespace, found: list[Neighbour]) -> Advice | None:
    """What the neighbours advise; None, and a line that says why, where there is nothing to measure them by."""
    if not (memory.folder / CALIBRATION).exists():
        print("note: no advice: this memory was built of too few bars to say what is normal", file=sys.stderr)
        return None
    calibration = Calibration.load(memory.folder / CALIBRATION)
    if arguments.k != calibration.neighbours:
        print(f"note: no advice: it is calibrated for k {calibration.neighbours}, not {arguments.k}", file=sys.stderr)
        return None
    calibration.check(embedder=memory.embedder.digest, neighbours=arguments.k, horizon=memory.archive.horizon)
    return advise(found, calibration, RuleReturns.load(memory.folder / RULES))


def _show(advice: Advice) -> None:
    alarm = "nothing like it is known" if advice.anomaly else f"novel as {advice.novelty_rank:.0%} of training moments"
    chance = f"{advice.risk:.0%} fall by {advice.deep_fall:.1%} within {advice.horizon} bars"
    print(f"  risk      {advice.level}: {chance} (usual {advice.base_rate:.0%})")
    print(f"  anomaly   {'yes' if advice.anomaly else 'no'}: {alarm}")
    print(f"  regime    {advice.regime}")
    for standing in advice.rules:
        if standing.rule == advice.rule:
            share = (
                f"{standing.won:.0%} [{standing.low:.0%}, {standing.high:.0%}] of {advice.effective_k:.1f} witnesses"
            )
            print(f"  rule      {standing.rule}: {standing.mean_return:+.2%} on average, best after {share}")


def _asked_moment(memory: Memory, symbol: str, at: int) -> tuple[int, Singles]:
    """The close and the vector of the archive's own moment at `at`."""
    moments, step = memory.archive.moments, INTERVALS[memory.archive.interval]
    own = moments.symbol == memory.archive.symbols[symbol]
    rows = np.flatnonzero(own & (moments.closed_at <= at) & (moments.closed_at > at - step))
    if not len(rows):
        first, last = int(moments.closed_at[own].min()), int(moments.closed_at[own].max())
        raise PastError(
            f"the memory has no moment of {symbol} at {iso(at)}, only {iso(first)} to {iso(last)}; give --bars"
        )
    return int(moments.closed_at[rows[-1]]), moments.vectors[rows[-1]]


def _asked_bars(memory: Memory, bars: Bars, at: int) -> tuple[int, Singles]:
    """The close and the vector of the last of these bars that closed by `at`."""
    stop = int(np.searchsorted(bars.closed_at, at, "right"))
    if stop == 0 or bars.closed_at[stop - 1] <= at - bars.interval_ms:
        raise PastError(f"the bars hold none that closed in the {bars.interval} before {iso(at)}")
    vector = memory.embedder.vector(bars.slice(0, stop))
    if np.isnan(vector[0]):
        raise PastError(f"the bars hold no {memory.embedder.window} in a row before {iso(at)}")
    return int(bars.closed_at[stop - 1]), vector


def _symbol(memory: Memory, wanted: str | None) -> str:
    held = sorted(memory.archive.symbols)
    if wanted is None and len(held) == 1:
        return held[0]
    if wanted not in held:
        raise PastError(f"symbol {wanted!r} is not one of the memory's: {', '.join(held)}")
    return str(wanted)


def _line(hit: Neighbour) -> str:
    payload = hit.payload
    when, symbol = iso(payload.get("closed_at", payload["known"])), payload.get("symbol", "")
    return f"{when}  {symbol:<10} similarity {hit.similarity:6.3f}  return {payload['forward_return']:+8.4f}"
