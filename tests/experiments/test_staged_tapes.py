"""Staged markets: the truth beside a tape is that of the orders' own labels, and an outsider does what it is told."""

import numpy as np
import pytest

from wavetank.experiments.plays import Play, Sent, calm_crowd
from wavetank.experiments.pump_plays import LEAST_VOLUME, RISE_BARS, RISES, look_alike, pump_play
from wavetank.experiments.spoof_plays import EVASIVE, PLAIN, honest_play, spoof_play
from wavetank.experiments.staged_tapes import (
    look_alikes,
    orders_of,
    pump_tapes,
    raised,
    rise_of,
    tape_of,
    volume_of,
)
from wavetank.market.order_events import CANCELLED, RESTED, TAKEN
from wavetank.simulators.cast import seats_of
from wavetank.simulators.storms import Scenario
from wavetank.simulators.world import Label

MINUTE = 60_000
OUTSIDER = seats_of(calm_crowd()).outsiders.start


def outside(*sent: Sent, bars: int = 4) -> Play:
    return Play("outside", "bot", "0", Scenario("plain"), None, 3, 1, 2, bars, sent)


@pytest.mark.slow
def test_pumps_are_those_of_the_facts_and_groups_share_no_cell() -> None:
    tapes = list(pump_tapes(5, 0, (0, 3), 1))
    assert len(tapes) == 10
    assert {tape.group for tape in tapes} == {"0", "3"}
    for tape in tapes:
        (span,) = tape.pumps
        assert RISES[0] <= rise_of(tape) <= RISES[1]
        assert volume_of(tape) >= LEAST_VOLUME
        assert span.start_ms < span.peak_ms <= span.start_ms + RISE_BARS * MINUTE


@pytest.mark.slow
def test_a_pump_s_span_begins_when_the_group_rushes() -> None:
    play = pump_play(11, np.random.default_rng(11), 2, 4)
    market = raised(play)
    labels = market.labels()
    began = market.opened_at + play.begins * MINUTE
    bought = labels["at_ms"][labels["label"] == Label.PUMP]
    before, after = ((bought >= began - MINUTE) & (bought < began)).sum(), (bought >= began) & (bought < began + MINUTE)
    assert after.sum() > 5 * max(1, before)
    assert bought[bought >= began].min() <= began + 3_000
    (span,) = tape_of(play).pumps
    assert span.start_ms == began
    market.close()


@pytest.mark.slow
def test_the_same_seed_stages_the_same_tape_and_its_bars_are_its_prints() -> None:
    first, again = (next(iter(look_alikes(3, 1, ("news",), (0,), 1))) for _ in range(2))
    assert (first.prints.price == again.prints.price).all()
    assert (first.prints.at_ms == again.prints.at_ms).all()
    assert first.bars is not None
    assert first.prints.volume.sum() == pytest.approx(first.bars.volume.sum())
    assert first.pumps == ()


@pytest.mark.slow
def test_what_an_outside_trader_sends_arrives_a_step_later_and_leaves_when_its_life_is_over() -> None:
    market = raised(outside(Sent(70, 900), Sent(80, 50, 40, 25), bars=4), all_orders=True)
    events = market.events()
    mine = events[events["owner"] == OUTSIDER]
    assert set(mine["step"][mine["lots"] == 900]) == {70}
    placed = mine[mine["order_id"] == mine["order_id"].max()]
    assert placed["step"].min() == 80
    assert placed["step"].max() == 105
    assert market.bars_done == 4
    market.close()


@pytest.mark.slow
def test_a_bot_trades_and_its_tape_holds_no_pump() -> None:
    play = look_alike(4, np.random.default_rng(4), "bot", 1)
    market = raised(play)
    trades = market.trades()
    steps = set(trades["step"][trades["taker"] == OUTSIDER])
    assert steps
    assert steps <= {each.step for each in play.sent}
    market.close()
    assert tape_of(play).pumps == ()


@pytest.mark.slow
@pytest.mark.parametrize("family", [PLAIN, EVASIVE])
def test_the_spoofer_of_labelled_orders_is_whose_orders_the_crowd_labels(family: str) -> None:
    play = spoof_play(7, np.random.default_rng(7), family, 0)
    tape = orders_of(play)
    market = raised(play, all_orders=True)
    labels = market.labels()
    assert set(labels["owner"][labels["label"] == Label.SPOOF]) == set(tape.spoofers)
    market.close()
    mine = np.isin(tape.events.owner, list(tape.spoofers))
    assert (tape.events.kind[mine] == CANCELLED).sum() > 10


@pytest.mark.slow
def test_an_honest_pegger_cancels_much_shows_one_side_and_is_no_spoofer() -> None:
    play = honest_play(9, np.random.default_rng(9), "pegger", 4)
    tape = orders_of(play)
    assert tape.spoofers == frozenset()
    mine = tape.events.owner == seats_of(play.crowd).outsiders.start  # its crowd has market makers of its own
    rested = tape.events.side[mine & (tape.events.kind == RESTED)]
    assert len(rested) > 20
    assert len(set(rested)) == 1
    assert not (mine & (tape.events.kind == TAKEN)).sum() > len(rested)
