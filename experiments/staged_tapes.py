"""Raises plays in the crowd and leaves what detectors learn from: labelled tapes, and labelled orders.

A pump's span begins with its rush, is known by its highest trade and ends when what was won should be lost again.
Alerts while the group still gathers are false ones. Knows no detector.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from ..market.bars import Bars
from ..simulators.cast import seats_of
from ..simulators.crowd import CrowdMarket
from ..simulators.world import Part
from .alert_scores import Span
from .labelled_tapes import LabelledOrders, LabelledTape, order_events_of, prints_of
from .plays import CELLS, Play, Sent, group_of, numbered
from .pump_plays import LEAST_VOLUME, PUMP, RAMP_BARS, RISE_BARS, RISES, look_alike, pump_play
from .spoof_plays import HONEST, SHOWS, honest_play, spoof_play

Told = Callable[[str], None]  # whose turn it is

TRIES = 400  # markets raised for one pump wanted, at most


def raised(play: Play, *, all_orders: bool = False) -> CrowdMarket:
    """The market of a play, run to its end; whoever asked for it closes it."""
    market = CrowdMarket(
        play.scenario,
        play.seed,
        storm=play.storm,
        crowd=play.crowd,
        all_orders=all_orders,
        quotes="top" if all_orders else False,
    )
    _trade(market, play.sent, play.bars)
    return market


def tape_of(play: Play) -> LabelledTape:
    """A play's prints and bars, and the pump in it if there is one."""
    market = raised(play)
    prints, bars = prints_of(market.trades(), market.tick, market.lot), market.bars()
    bar_ms, opened_at = bars.interval_ms, market.opened_at
    market.close()
    began = opened_at + play.begins * bar_ms
    spans: tuple[Span, ...] = ()
    if play.family == PUMP:
        inside = (prints.at_ms >= began) & (prints.at_ms < began + RISE_BARS * bar_ms)
        top = int(np.flatnonzero(inside)[np.argmax(prints.price[inside])]) if inside.any() else 0
        spans = (Span(began, int(prints.at_ms[top]), began + play.lasts * bar_ms),)
    return LabelledTape(play.run, play.family, play.group, prints, spans, opened_at + play.bars * bar_ms, bars)


def pump_tapes(
    seed: int, stage: int, groups: Sequence[int], a_cell: int, told: Told = lambda _: None
) -> Iterator[LabelledTape]:
    """Pumps as the facts have them, `a_cell` of each length of rush and fifth of the rises that is in these groups."""
    missing = np.array([[a_cell * (group_of(row, at) in groups) for at in range(CELLS)] for row in range(CELLS)])
    draws = numbered(seed, stage)
    for _ in range(int(missing.sum()) * TRIES):
        if not missing.any():
            return
        market_seed, rng = next(draws)
        row, reach = (int(place) for place in rng.choice(np.argwhere(missing > 0)))
        tape = tape_of(pump_play(market_seed, rng, RAMP_BARS[row], reach))
        column = int((rise_of(tape) - RISES[0]) / (RISES[1] - RISES[0]) * CELLS // 1)
        if 0 <= column < CELLS and missing[row, column] and volume_of(tape) >= LEAST_VOLUME:
            missing[row, column] -= 1
            told(tape.run)
            yield replace(tape, group=str(group_of(row, column)))
    raise ValueError(f"{int(missing.sum())} pumps of the kinds wanted did not come about in {TRIES} tries for each")


def look_alikes(
    seed: int, stage: int, families: Sequence[str], groups: Sequence[int], a_group: int, told: Told = lambda _: None
) -> Iterator[LabelledTape]:
    """What is no pump: `a_group` markets of each of these families and groups of parameters."""
    for market_seed, rng, family, group in _places(seed, stage, families, groups, a_group):
        told(family)
        yield tape_of(look_alike(market_seed, rng, family, group))


def orders_of(play: Play) -> LabelledOrders:
    """A play's order events, and who in it spoofed."""
    market = raised(play, all_orders=True)
    events = order_events_of(market.events(), market.quotes())
    spoofers = seats_of(market.crowd).cohorts[Part.SPOOFER] if play.family in SHOWS else ()
    market.close()
    return LabelledOrders(play.run, play.family, play.group, events, frozenset(spoofers))


def order_tapes(
    seed: int, stage: int, families: Sequence[str], groups: Sequence[int], a_group: int, told: Told = lambda _: None
) -> Iterator[LabelledOrders]:
    """Order events with spoofers and without: `a_group` markets of each of these families and groups of parameters."""
    for market_seed, rng, family, group in _places(seed, stage, families, groups, a_group):
        told(family)
        yield orders_of((honest_play if family in HONEST else spoof_play)(market_seed, rng, family, group))


def _places(
    seed: int, stage: int, families: Sequence[str], groups: Sequence[int], a_group: int
) -> Iterator[tuple[int, np.random.Generator, str, int]]:
    """Seed, generator, family and group of each market of a stage, family by family."""
    places = product(families, groups, range(a_group))
    for (market_seed, rng), (family, group, _) in zip(numbered(seed, stage), places, strict=False):
        yield market_seed, rng, family, group


def rise_of(tape: LabelledTape) -> float:
    """How far a pump rises above the last trade before its rush, as a share; 0 where nothing traded before."""
    (span,), at = tape.pumps, tape.prints.at_ms
    before, after = int(np.searchsorted(at, span.start_ms)), int(np.searchsorted(at, span.peak_ms, "right"))
    if before == 0 or after <= before:
        return 0.0
    return float(tape.prints.price[before:after].max() / tape.prints.price[before - 1] - 1.0)


def volume_of(tape: LabelledTape) -> float:
    """The busiest bar of a pump's rise in usual ones, which are the mean of all bars before the rush."""
    bars, (span,) = _bars_of(tape), tape.pumps
    began = int(np.searchsorted(bars.opened_at, span.start_ms))
    return float(bars.volume[began : began + RISE_BARS].max() / max(1e-9, bars.volume[:began].mean()))


def _bars_of(tape: LabelledTape) -> Bars:
    if tape.bars is None:
        raise ValueError(f"run {tape.run!r} has no bars")
    return tape.bars


def _trade(market: CrowdMarket, sent: tuple[Sent, ...], bars: int) -> None:
    """Let an outside trader send its orders, each at its step, and cancel those whose life is over."""
    per_bar, me = market.crowd.unit.steps_per_bar, market.add_trader("outsider") if sent else -1
    ending, last = dict[int, list[int]](), -1
    for each in sorted(sent, key=lambda order: order.step):
        _advance(market, each.step, ending, me)
        if each.is_market:
            market.submit_market(me, each.lots)
        else:
            order_id = market.submit_limit(me, each.lots, _price(market, each))
            ending.setdefault(each.step + each.life, []).append(order_id)
        last = max(last, each.step + each.life)
    _advance(market, min(last + 1, bars * per_bar - 1), ending, me)
    market.run(bars - market.bars_done)


def _advance(market: CrowdMarket, until: int, ending: dict[int, list[int]], me: int) -> None:
    """Go on until so many steps are done: whole bars at once while nothing of ours is to be cancelled in them."""
    per_bar = market.crowd.unit.steps_per_bar
    while market.steps < until:
        whole = (until - market.steps) // per_bar
        for order_id in ending.pop(market.steps, ()):
            market.cancel(me, order_id)
        if whole and market.steps % per_bar == 0 and not ending:
            market.run(whole)
        else:
            market.step()


def _price(market: CrowdMarket, order: Sent) -> int:
    """So many ticks behind the best of its own side, or behind the last trade where that side is empty."""
    side = 1 if order.lots > 0 else -1
    best = market.depth(1)[0 if side > 0 else 1]
    touch = int(best[0, 0]) if len(best) else market.last_ticks
    return max(1, touch - side * order.behind)
