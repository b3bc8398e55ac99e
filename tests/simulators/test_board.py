"""What a crowd market shows of itself: bars, trades and quotes, in ticks and lots or in real units."""

from dataclasses import replace

import numpy as np
import pytest

from wavetank.market.orders import Instrument
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import Population
from wavetank.simulators.world import Label, Part


@pytest.fixture(scope="module")
def day() -> CrowdMarket:
    return CrowdMarket("normal", rng=11).run(1440)


def test_bars_are_the_trades_counted_again(day: CrowdMarket) -> None:
    bars, trades = day.bars(), day.trades()
    assert (bars.interval, len(bars), bars.symbol) == ("1m", 1440, "CROWD")
    assert bars.trades is not None
    assert bars.taker_buy_volume is not None
    bar_of = (trades["at_ms"] - bars.opened_at[0]) // 60_000
    assert np.array_equal(np.bincount(bar_of, minlength=1440), bars.trades)
    volume = np.bincount(bar_of, trades["lots"], 1440) * day.lot
    bought = np.bincount(bar_of, trades["lots"] * (trades["side"] > 0), 1440) * day.lot
    assert np.allclose(volume, bars.volume, rtol=1e-12)
    assert np.allclose(bought, bars.taker_buy_volume, rtol=1e-12)
    for i in np.flatnonzero(bars.trades > 0)[::50]:
        ticks = trades["ticks"][bar_of == i] * day.tick
        assert [ticks[0], ticks.max(), ticks.min(), ticks[-1]] == list(bars.bar(int(i))[1:5])


def test_a_bar_without_trades_stands_still_at_the_last_price() -> None:
    asleep = Population()
    for name in ("noise", "fundamental", "trend", "contrarian", "readers", "leveraged"):
        asleep = replace(asleep, **{name: getattr(asleep, name)._replace(rate=0.0)})
    bars = CrowdMarket("normal", rng=1, crowd=asleep).run(3).bars()
    assert bars.trades is not None
    assert bars.trades.tolist() == [0, 0, 0]
    assert bars.close.tolist() == bars.open.tolist() == [30_000.0] * 3
    assert bars.volume.tolist() == [0.0, 0.0, 0.0]


def test_trades_are_in_order_with_gapless_time_and_no_label_in_a_calm_market(day: CrowdMarket) -> None:
    trades = day.trades()
    assert (np.diff(trades["sequence"]) > 0).all()
    assert (np.diff(trades["at_ms"]) >= 0).all()
    assert set(trades["side"]) == {1, -1}
    told = {Label.NONE, Label.LIQUIDATION}  # even in calm a leveraged trader may be closed out
    assert set(trades["label"]) | set(trades["maker_label"]) <= told
    assert set(day.labels()["label"]) <= told
    assert (trades["taker"] != trades["maker"]).all()


def test_the_market_says_what_is_traded() -> None:
    market = CrowdMarket("normal", rng=1)
    assert market.instrument() == Instrument("CROWD", "crowd", tick=1.0, lot=0.001)
    assert (market.tick, market.lot) == (1.0, 0.001)
    assert abs(market.mid_ticks - market.last_ticks) < 100


def test_an_instrument_gives_ticks_and_lots_their_worth_and_changes_no_trade() -> None:
    coin = Instrument("COIN", "crowd", tick=0.01, lot=0.5)
    plain, named = CrowdMarket(rng=3).run(5), CrowdMarket(rng=3, instrument=coin).run(5)
    assert named.trades().tobytes() == plain.trades().tobytes()
    assert named.bars().symbol == "COIN"
    assert np.allclose(named.bars().close, 0.01 * plain.bars().close, rtol=1e-12)
    assert np.allclose(named.bars().volume, 500.0 * plain.bars().volume, rtol=1e-12)
    assert named.instrument() == coin


def test_quotes_are_the_books_top_at_the_end_of_every_step() -> None:
    market = CrowdMarket("normal", rng=4, quotes=True).run(3)
    quotes = market.quotes()
    assert quotes["step"].tolist() == list(range(180))
    bids, asks = market.depth(1 << 12)
    last = quotes[-1]
    assert [last["bid_ticks"], last["bid_lots"], last["ask_ticks"], last["ask_lots"]] == [*bids[0], *asks[0]]
    mid = (bids[0, 0] + asks[0, 0]) / 2
    for name, share in (("near_lots", 1e-3), ("far_lots", 1e-2)):
        within = [side[np.abs(side[:, 0] - mid) <= mid * share, 1].sum() for side in (bids, asks)]
        assert last[name] == sum(within)
    assert (np.diff(quotes["messages"]) >= 0).all()


def test_what_the_board_shows_now_is_the_last_row_of_what_was_reported(day: CrowdMarket) -> None:
    for name, column in day.datacollector.model_vars.items():
        assert getattr(day, name) == pytest.approx(column[-1], rel=1e-12), name
    assert day.last_bar() == day.bars().bar(len(day.bars()) - 1)
    makers = next(agent for agent in day.agents if agent.part is Part.MAKERS)
    assert day.makers_lots == makers.lots != 0
