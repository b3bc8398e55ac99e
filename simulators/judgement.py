"""One seed of the crowd judged: its scorecards on both band sets, the hard gates, and the order book's figures.

The calm market runs one window; a second, shorter run of the same seed keeps every order event, for what the book must
never do, and must trade what the first one traded. Knows nothing of other seeds or of the verdict over them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import gates
from .book_metrics import book_metrics
from .crowd import CrowdMarket
from .gates import Gate, Ints
from .nulls import NULL_NAMES, Window, draw_null
from .population import Population
from .realism import SETS, Bands, Scorecard, judged, load_bands
from .stylised import Floats, facts_of, returns_of

EVENT_BARS = 120  # of which every order event is kept
SEED_BARS = 10  # of the markets that gate G6 compares
FIGURE_SEED = 0  # of the draws of the order book's figures and of the null models, beside the market's own


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What one seed showed; `cards` and `nulls` (passes) by band set, `nulls` of this market's own window."""

    seed: int
    digest: str
    cards: dict[str, Scorecard]
    nulls: dict[str, dict[str, int]]
    gates: list[Gate]
    book: dict[str, float]


def judge_seed(seed: int, interval: str = "1m", crowd: Population | None = None, bars: int | None = None) -> SeedReport:
    """Run the calm crowd of one seed for a window of returns, or for `bars` of them, and judge what it left."""
    sets = {name: load_bands(f"{name}_{interval}") for name in SETS}
    wanted = sets["facts"].pace.window if bars is None else bars
    market = CrowdMarket(rng=seed, interval=interval, crowd=crowd, quotes=True)
    before = _accounts(market)
    market.run(wanted + 1)  # a return has two closes
    history, quotes, trades = market.bars(), market.quotes(), market.trades()
    returns, volume = returns_of(history.close), history.volume[1:]
    rng = np.random.default_rng([FIGURE_SEED, seed])
    assert history.trades is not None  # the crowd counts them
    report = SeedReport(
        seed,
        market.tape_digest(),
        cards_of((returns, volume), sets),
        nulls_of((returns, volume), sets, rng),
        [
            gates.volatility_gate(returns, interval),
            gates.two_sided_gate(quotes),
            gates.spread_gate(quotes),
            gates.trading_gate(history.trades),
            gates.accounting_gate(before, _accounts(market), quotes, trades, _events(seed, interval, crowd, trades)),
            _seed_gate(seed, interval, crowd),
        ],
        book_metrics(quotes, trades, rng),
    )
    market.close()
    return report


def cards_of(window: Window, sets: dict[str, Bands]) -> dict[str, Scorecard]:
    """The scorecard of one window on every band set; its facts are measured once."""
    values = _facts(window, sets)
    return {name: judged(values, bands) for name, bands in sets.items()}


def nulls_of(window: Window, sets: dict[str, Bands], rng: np.random.Generator) -> dict[str, dict[str, int]]:
    """Passes of one draw of every null model of the window, on every band set."""
    cards = {null: cards_of(draw_null(null, rng, window), sets) for null in NULL_NAMES}
    return {null: {name: card.passes for name, card in of_null.items()} for null, of_null in cards.items()}


def _facts(window: Window, sets: dict[str, Bands]) -> Floats:
    return facts_of(*window, next(iter(sets.values())).pace)


def _accounts(market: CrowdMarket) -> Ints:
    """Position and cash of every owner that the book knows."""
    owners = range(len(market.world.book.accounts))
    return np.array([(market.position(owner), market.cash(owner)) for owner in owners], np.int64)


def _events(seed: int, interval: str, crowd: Population | None, trades: NDArray[np.void]) -> NDArray[np.void]:
    """Every order event of the same market's first bars, which must hold the trades that it made before."""
    market = CrowdMarket(rng=seed, interval=interval, crowd=crowd, all_orders=True)
    market.run(min(EVENT_BARS, int(trades["step"].max()) // market.crowd.unit.steps_per_bar + 1))
    events, again = market.events(), market.trades()
    market.close()
    if not np.array_equal(again, trades[: len(again)]):
        raise ValueError(f"seed {seed} traded otherwise when every order event was kept")
    return events


def _seed_gate(seed: int, interval: str, crowd: Population | None) -> Gate:
    market = CrowdMarket(rng=seed, interval=interval, crowd=crowd)
    first = market.run(SEED_BARS).tape_digest()
    again, other = (market.reset(rng).run(SEED_BARS).tape_digest() for rng in (seed, seed + 1))
    market.close()
    return gates.seed_gate(first, again, [other])
