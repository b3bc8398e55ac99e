"""Metaorders in a crowd: one market with and without a large order, seed by seed, for the impact gate.

Every market is calm and runs `LEAD_BARS` first. The metaorder then trades for `SPAN_BARS` in even children at market,
through an outsider's account, and shifts nobody's draws; seeds take turns in buying and selling. Knows nothing of the
law that is fitted to what it measures.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .crowd import CrowdMarket
from .impact import REST_BARS, SHARES, SPAN_BARS, Pairs, child_lots
from .population import Population
from .stylised import returns_of

LEAD_BARS = 60  # after the market's own burn-in
CHILDREN_PER_BAR = 10
OWNER = "metaorder"

Told = Callable[[str], None]


def paired_impacts(
    seeds: Sequence[int], interval: str = "1m", crowd: Population | None = None, told: Told = lambda _: None
) -> Pairs:
    """Run every seed without and with a metaorder of each share; two seeds or more."""
    market = CrowdMarket(rng=0, interval=interval, crowd=crowd)
    owner = market.add_trader(OWNER)
    rows = []
    for turn, seed in enumerate(seeds):
        told(f"seed {seed}")
        rows.append(_levels(market, owner, seed, 1 if turn % 2 == 0 else -1))
    market.close()
    share, end, after, filled = np.array(rows).transpose(2, 1, 0)
    return Pairs(share, end, after, filled)


def _levels(market: CrowdMarket, owner: int, seed: int, side: int) -> list[tuple[float, float, float, float]]:
    """(share, impact at the end, impact later, filled) of each level, impacts in σ of the market left alone."""
    alone_end, alone_after = _walk(market, owner, seed, 0)
    bars = market.bars().slice(LEAD_BARS - 1, LEAD_BARS + SPAN_BARS)
    sigma = math.sqrt(float(np.sum(returns_of(bars.close) ** 2)))
    volume = round(float(bars.volume[1:].sum()) / market.lot)
    if sigma <= 0.0 or volume <= 0:
        raise ValueError(f"the market of seed {seed} did not trade for {SPAN_BARS} bars, there is nothing to compare")
    levels = []
    for share in SHARES:
        sent = max(1, round(share * volume))
        end, after = _walk(market, owner, seed, side * sent)
        held = abs(market.position(owner))
        levels.append(
            (held / volume, side * (end - alone_end) / sigma, side * (after - alone_after) / sigma, held / sent)
        )
    return levels


def _walk(market: CrowdMarket, owner: int, seed: int, lots: int) -> tuple[float, float]:
    """(log mid when the metaorder ends, log mid later) of one market."""
    market.reset(seed).run(LEAD_BARS)
    children = SPAN_BARS * CHILDREN_PER_BAR
    spacing = market.crowd.unit.steps_per_bar // CHILDREN_PER_BAR
    for turn, part in enumerate(child_lots(lots, children)):
        if part:
            market.submit_market(owner, part, delay_steps=turn * spacing)
    end = math.log(market.run(SPAN_BARS).mid_ticks)
    return end, math.log(market.run(REST_BARS).mid_ticks)
