"""A trader from outside: latency, fills, accounts, and a crowd that draws as if it were not there."""

from dataclasses import replace

import numpy as np
import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.matching import Reject
from wavetank.simulators.population import population


def test_an_idle_outsider_changes_nothing() -> None:
    alone, watched = CrowdMarket("normal", rng=8), CrowdMarket("normal", rng=8)
    watched.add_trader("policy")
    assert alone.run(10).tape_digest() == watched.run(10).tape_digest()


@pytest.mark.parametrize("latency", [1, 3])
def test_an_order_arrives_as_late_as_anybody_elses_and_behind_them(latency: int) -> None:
    market = CrowdMarket("normal", rng=8, latency_steps=latency).run(1)
    owner = market.add_trader("policy")
    order_id = market.submit_market(owner, 250)
    market.run_bar()
    fills = market.fills(owner)
    arrived = 59 + latency  # the step that ran last was 59
    assert set(fills[:, 2]) == {arrived}
    assert fills[:, 1].sum() == market.position(owner) == 250
    assert -(fills[:, 0] * fills[:, 1]).sum() == market.cash(owner)
    trades = market.trades()
    mine = trades[trades["taker_id"] == order_id]
    assert mine.tobytes() == trades[trades["step"] == arrived][-len(mine) :].tobytes()
    assert market.reply(order_id) == 250


def test_fills_are_handed_over_once_and_tell_both_directions() -> None:
    market = CrowdMarket("normal", rng=8).run(1)
    owner = market.add_trader("policy")
    market.submit_market(owner, -40)
    assert len(market.fills(owner)) == 0
    market.run_bar()
    assert market.fills(owner)[:, 1].sum() == -40
    assert market.fills(owner).shape == (0, 3)
    market.submit_market(owner, 40)
    market.run_bar()
    assert market.fills(owner)[:, 1].sum() == 40
    assert market.position(owner) == 0


def test_the_crowd_draws_the_same_whatever_the_outsider_does() -> None:
    usual = population("1m")
    unmoved = replace(usual, value=usual.value._replace(attention=0.0))  # or a move of the price makes everybody busier
    calm = CrowdMarket("normal", rng=8, crowd=unmoved, all_orders=True)
    shaken = CrowdMarket("normal", rng=8, crowd=unmoved, all_orders=True)
    owner = shaken.add_trader("policy")
    for _ in range(10):
        shaken.submit_market(owner, -20_000)
        calm.run_bar()
        shaken.run_bar()
    assert shaken.bars().low.min() < calm.bars().low.min()
    noise = calm.crowd.noise.traders
    drawn = []
    for market in (calm, shaken):
        orders = market.orders()
        mine = orders[(orders["owner"] < noise) & (orders["step"] >= 0)]
        drawn.append(np.stack([mine[name] for name in ("step", "owner", "side", "lots")]))
        drawn.append(np.stack([mine["ticks"] == 0]))
    assert np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(drawn[1], drawn[3])
    assert calm.datacollector.model_vars["value"] == shaken.datacollector.model_vars["value"]
    assert calm.datacollector.model_vars["activity"] == shaken.datacollector.model_vars["activity"]


def test_a_busier_market_hears_no_other_news() -> None:
    usual = population("1m")
    crowd = replace(usual, value=usual.value._replace(attention=2.0, news_rate=0.01, news_sd=1e-3))
    calm, shaken = (CrowdMarket("normal", rng=8, crowd=crowd) for _ in range(2))
    owner = shaken.add_trader("policy")
    for _ in range(20):
        shaken.submit_market(owner, -20_000)
        calm.run_bar()
        shaken.run_bar()
    assert calm.datacollector.model_vars["activity"] != shaken.datacollector.model_vars["activity"]
    assert calm.datacollector.model_vars["value"] == shaken.datacollector.model_vars["value"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_order_moves_the_price_its_way_against_the_paired_run(sign: int) -> None:
    moves = []
    for seed in range(12):
        calm, pushed = (CrowdMarket("normal", rng=seed).run(2) for _ in range(2))
        owner = pushed.add_trader("policy")
        pushed.submit_market(owner, sign * 20_000)
        for market in (calm, pushed):
            market.step()
            market.step()
        moves.append(sign * (pushed.mid_ticks - calm.mid_ticks))
    assert min(moves) >= 0
    assert np.median(moves) > 1


def test_a_reset_keeps_the_account_and_empties_it() -> None:
    market = CrowdMarket("normal", rng=8)
    owner = market.add_trader("policy")
    market.submit_market(owner, 500)
    market.run(1)
    market.submit_market(owner, 500)
    market.reset(8).run(1)
    assert (market.position(owner), market.cash(owner)) == (0, 0)
    assert len(market.fills(owner)) == 0
    market.submit_market(owner, 5)
    market.run(1)
    assert market.fills(owner)[:, 1].sum() == 5


def test_wrong_orders_are_answered_in_one_sentence() -> None:
    market = CrowdMarket("normal", rng=8)
    with pytest.raises(ValueError, match="owner 0 is no outside trader"):
        market.submit_market(0, 5)
    owner = market.add_trader("policy")
    with pytest.raises(ValueError, match="'policy' is already in this market"):
        market.add_trader("policy")
    for i in range(15):
        market.add_trader(f"other {i}")
    with pytest.raises(ValueError, match="room for 16 outside traders"):
        market.add_trader("one more")
    with pytest.raises(ValueError, match="travels 9000 steps cannot be sent"):
        market.submit_market(owner, 1, delay_steps=8_999)
    with pytest.raises(ValueError, match="too many orders are on their way"):
        send_for_ever(market, owner)


def send_for_ever(market: CrowdMarket, owner: int) -> None:
    while True:
        market.submit_market(owner, 1)


def test_garbage_from_a_trader_is_answered_with_a_code_and_the_market_goes_on() -> None:
    market = CrowdMarket("normal", rng=8)
    owner = market.add_trader("policy")
    garbage = {
        market.submit_market(owner, 0): Reject.BAD_SIZE,
        market.submit_limit(owner, 5, -3): Reject.PRICE_OFF_RANGE,
        market.submit_limit(owner, 5, 30_000, kind=99): Reject.UNKNOWN_KIND,
    }
    assert [market.reply(order_id) for order_id in garbage] == [None] * 3
    market.run(1)
    assert {order_id: market.reply(order_id) for order_id in garbage} == {k: -int(v) for k, v in garbage.items()}
    assert market.bars_done == 1
    assert (market.position(owner), market.cash(owner)) == (0, 0)


def test_an_outsider_rests_a_limit_order_and_takes_it_back() -> None:
    market = CrowdMarket("normal", rng=8)
    owner = market.add_trader("policy")
    price = int(market.mid_ticks) - 500
    order_id = market.submit_limit(owner, 7, price)
    market.step()
    assert market.reply(order_id) == 0
    assert [price, 7] in market.depth(1 << 10)[0].tolist()
    market.cancel(owner, order_id)
    market.step()
    assert [price, 7] not in market.depth(1 << 10)[0].tolist()
    assert market.position(owner) == 0


def test_orders_can_be_sent_ahead() -> None:
    market = CrowdMarket("normal", rng=8)
    owner = market.add_trader("policy")
    for delay in (0, 30, 90):
        market.submit_market(owner, 3, delay_steps=delay)
    market.run(2)
    assert sorted(set(market.fills(owner)[:, 2])) == [0, 30, 90]
