"""Pictures of a watched market: price and trading over time, the book's depth, what each cohort holds; a line of facts.

Takes a `Look`, gives HTML with inline SVG. Knows no browser and no Solara.
"""

from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import NDArray

from .plots import Line, Panel, Span, chart
from .watched_market import Look

Floats = NDArray[np.float64]

SHOWN_BARS = 600  # the last ones: a storm of the house, recovery included, fits
DEPTH_BP = 60  # of the book, either side of the mid
NOBODY = 1e-9  # a cohort that never held more has no line


def market_picture(look: Look) -> str:
    """Price beside value, mean spread, volume and two-sided share of the last bars; storms shaded."""
    rows = slice(-SHOWN_BARS, None)
    x = look.closed_at[rows]
    spans, unnamed = _spans(look, x, named=True), _spans(look, x, named=False)
    price, value = look.price[rows], look.value[rows]
    panels = [
        Panel(
            [Line("price", "market", x, price), Line("value", "value", x, value)],
            f"quote per {look.symbol}", 190, spans=spans,
        ),
        Panel([Line("spread", "spread", x, look.spread_ticks[rows])], "ticks, mean of a bar", 70,
              limits=_from_zero(look.spread_ticks[rows]), spans=unnamed),
        Panel([Line("volume", "volume", x, look.volume[rows], step=True, filled=True)], f"{look.symbol} a bar", 70,
              limits=_from_zero(look.volume[rows]), spans=unnamed),
        Panel([Line("two-sided", "quoted", x, look.quoted_share[rows])], "of a bar, both sides quoted", 50,
              percent=True, limits=(0.0, 1.05), spans=unnamed),
    ]  # fmt: skip
    return chart(
        panels,
        title="Price and trading.",
        caption="What the crowd pays beside the value that nobody sees exactly; a storm is shaded, paler while the "
        "market gets over it.",
        alt=f"Over {len(x)} bars the price goes from {price[0]:,.0f} to {price[-1]:,.0f}, at its lowest "
        f"{price.min():,.0f}; the value ends at {value[-1]:,.0f}. Last bar: spread {look.spread_ticks[-1]:.1f} ticks, "
        f"volume {look.volume[-1]:,.2f}, two-sided {look.quoted_share[-1]:.0%}.",
    )


def depth_picture(look: Look) -> str:
    """What rests on the book now, added up from the mid outwards: bids to the left, asks to the right."""
    bids, asks = _walls(look.bids, look.mid), _walls(look.asks, look.mid)
    top = _round_up(max(float(bids[1].max()), float(asks[1].max())))
    lines = [
        Line("", "bids", -bids[0][::-1], bids[1][::-1], filled=True),
        Line("", "asks", asks[0], asks[1], filled=True),
    ]
    return chart(
        [Panel(lines, f"{look.symbol}, added up", 170, limits=(0.0, top))],
        title="Book depth.",
        caption=f"Resting orders within {DEPTH_BP} bp of the mid, {look.mid:,.1f}: bids left, asks right.",
        alt=f"Within {DEPTH_BP} bp of the mid {look.mid:,.1f} rest {bids[1][-1]:,.2f} to buy and {asks[1][-1]:,.2f} "
        "to sell.",
        time=False,
        x_label="bp",
    )


def holdings_picture(look: Look) -> str:
    """What each cohort holds at every bar's close; all of them together hold nothing."""
    rows = slice(-SHOWN_BARS, None)
    x = look.closed_at[rows]
    held = {name: lots[rows] for name, lots in look.holdings.items() if np.max(np.abs(lots)) > NOBODY}
    lines = [Line(name, name, x, lots, step=True) for name, lots in held.items()]
    told = ", ".join(f"{name} {lots[-1]:+,.2f}" for name, lots in held.items())
    return chart(
        [Panel(lines or [Line("nobody", "flat", x, np.zeros(len(x)))], look.symbol, 190, zero=True,
               spans=_spans(look, x, named=False))],
        title="Who holds what.",
        caption="Net position of each cohort of traders; below zero is short.",
        alt=f"At the last close: {told or 'nobody holds anything'}.",
    )  # fmt: skip


def facts_line(look: Look) -> str:
    """The market in one line: clock, bar, price, spread, two-sided share, storms."""
    clock = datetime.fromtimestamp(
        (look.closed_at[-1] + look.steps_in_bar * look.interval_ms / look.steps_a_bar) / 1000.0, UTC
    )
    running = f", step {look.steps_in_bar} of {look.steps_a_bar}" if look.steps_in_bar else ""
    facts = {
        "market": look.market,
        "clock": f"{clock:%d %b %Y %H:%M}{clock.strftime(':%S') if look.steps_in_bar else ''} UTC",
        "finished bars": f"{look.bars:,}{running}",
        "mid": f"{look.mid:,.1f}",
        "off value": f"{look.price[-1] / look.value[-1] - 1.0:+.2%}",
        "spread": f"{look.spread_ticks[-1]:.1f} ticks",
        "two-sided": f"{look.quoted_share[-1]:.1%}",
        "weather": _weather_now(look),
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items())
    return f'<dl class="facts">{cells}</dl>'


def _weather_now(look: Look) -> str:
    bar = look.bars
    told = []
    for weather in look.weather:
        name = weather.storm.scenario.replace("_", " ")
        if bar < weather.first:
            told.append(f"calm until bar {weather.first}")
        elif bar < weather.after:
            told.append(f"{name} until bar {weather.after}")
        elif bar < weather.end:
            told.append(f"after {name}")
    return " · ".join(dict.fromkeys(told)) or "calm"


def _spans(look: Look, x: Floats, *, named: bool) -> list[Span]:
    spans = []
    for weather in look.weather:
        word = weather.storm.scenario.replace("_", " ") if named else ""
        first, after, end = (_instant(look, bar) for bar in (weather.first, weather.after, weather.end))
        if first < x[-1]:
            spans.append(Span(first, after, word))
            spans.append(Span(after, end, "", "after"))
    return spans


def _instant(look: Look, bar: int) -> float:
    """When a bar opens, ms UTC."""
    return float(look.closed_at[0]) + (bar - 1) * look.interval_ms


def _walls(side: Floats, mid: float) -> tuple[Floats, Floats]:
    """Corners of one side's depth: bp from the mid, growing, and the size that rests up to there."""
    away = np.abs(side[:, 0] / mid - 1.0) * 1e4
    near = away <= DEPTH_BP
    away, total = away[near], np.cumsum(side[near, 1])
    before = np.concatenate([[0.0], total])
    x = np.concatenate([[0.0], np.repeat(away, 2), [DEPTH_BP]])
    y = np.concatenate([[0.0], np.ravel(np.column_stack([before[:-1], total])), [before[-1]]])
    return x, y


def _from_zero(values: Floats) -> tuple[float, float]:
    return 0.0, _round_up(float(np.max(values)))


def _round_up(largest: float) -> float:
    """The next round number, so that an axis stands still while its values move."""
    if largest <= 0.0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    return float(next(m * power for m in (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0) if m * power >= largest))
