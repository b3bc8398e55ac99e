"""Pairs with and without a metaorder: one market until it begins, moved in its direction, whole and repeatable."""

import math

import numpy as np
import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.impact import REST_BARS, SHARES, SPAN_BARS, Pairs
from wavetank.simulators.metaorders import LEAD_BARS, paired_impacts

SEEDS = (70, 71, 72, 73)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return paired_impacts(SEEDS)


def test_every_level_trades_its_share_of_the_volume_and_is_filled(pairs: Pairs) -> None:
    assert pairs.end.shape == (len(SHARES), len(SEEDS))
    assert pairs.filled == pytest.approx(np.ones((4, 4)), abs=0.02)
    assert pairs.share == pytest.approx(np.repeat(np.array(SHARES)[:, None], 4, axis=1), rel=0.02)


def test_a_large_metaorder_moves_the_price_its_way(pairs: Pairs) -> None:
    assert pairs.end[-1].mean() > 0.0


def test_the_same_seeds_give_the_same_pairs_and_no_seed_depends_on_those_before(pairs: Pairs) -> None:
    again = paired_impacts(SEEDS[2:])  # the turn of buying and selling begins anew, evenly
    for name in ("share", "end", "after", "filled"):
        assert np.array_equal(getattr(again, name), getattr(pairs, name)[:, 2:])


def test_impacts_are_differences_of_two_markets_in_sigmas_of_the_one_alone(pairs: Pairs) -> None:
    alone, beside = CrowdMarket(rng=SEEDS[0]), CrowdMarket(rng=SEEDS[0])
    owner = beside.add_trader("large")
    alone.run(LEAD_BARS + SPAN_BARS)
    closes = alone.bars().close[LEAD_BARS - 1 :]
    volume = round(alone.bars().volume[LEAD_BARS:].sum() / alone.lot)
    sigma = math.sqrt(np.sum(np.diff(np.log(closes)) ** 2))
    sent = round(0.10 * volume)
    beside.run(LEAD_BARS)
    for child in range(300):
        lots = round(sent * (child + 1) / 300) - round(sent * child / 300)
        beside.submit_market(owner, lots, delay_steps=6 * child)
    beside.run(SPAN_BARS)
    assert pairs.end[2, 0] == pytest.approx(math.log(beside.mid_ticks / alone.mid_ticks) / sigma)
    beside.run(REST_BARS)
    alone.run(REST_BARS)
    assert pairs.after[2, 0] == pytest.approx(math.log(beside.mid_ticks / alone.mid_ticks) / sigma)


def test_whose_turn_it_is_is_told_once_a_seed() -> None:
    told: list[str] = []
    paired_impacts(SEEDS[:2], told=told.append)
    assert told == ["seed 70", "seed 71"]
