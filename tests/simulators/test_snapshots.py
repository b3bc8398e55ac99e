"""A snapshot goes on as its market does, in whatever market it is put back into, and branches into another's draws."""

from typing import Any

import numpy as np
import pytest

from wavetank.simulators import ladder
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.population import population
from wavetank.simulators.snapshots import put_back, snapshot_of
from wavetank.simulators.worlds import ARRAYS, Worlds


def test_a_market_goes_on_from_its_state_in_a_market_that_was_elsewhere() -> None:
    market = CrowdMarket("normal", 3).run(20)
    kept, elsewhere = market.state(), CrowdMarket("flash_crash", 9, onset=5).run(60)
    elsewhere.set_state(kept)
    on, off = market.run(30).bars(), elsewhere.run(30).bars()
    assert np.array_equal(on.opened_at, off.opened_at)
    assert np.array_equal(on.close, off.close)
    assert np.array_equal(on.volume, off.volume)
    for one, other in zip(market.world.book.accounts, elsewhere.world.book.accounts, strict=True):
        assert np.array_equal(one, other)


def test_every_array_is_put_back_into_a_used_world_as_into_an_empty_one() -> None:
    """But scratch, which is written before it is read, and the events, which are the tape."""
    market, used = CrowdMarket("normal", 4).run(15), CrowdMarket("flash_crash", 5, onset=2).run(40)
    kept = market.state()
    empty = Worlds(population("1m"), 1, 100).each[0]
    used.set_state(kept)
    put_back(kept, empty)
    pairs: list[tuple[Any, Any]] = [(used.world, empty), (used.world.book, empty.book)]
    for one, other in pairs:
        for name, left, right in zip(one._fields, one, other, strict=True):
            if name not in ("book", "events", "due", "origins", "answers", "bars", "notes"):
                assert np.array_equal(left, right), name
    again = snapshot_of(empty)
    assert all(np.array_equal(array, kept[name]) for name, array in again.items())


def test_a_state_is_small_and_a_copy() -> None:
    market = CrowdMarket("normal", 6).run(5)
    kept = market.state()
    before = {name: array.copy() for name, array in kept.items()}
    market.run(5)
    assert all(np.array_equal(before[name], array) for name, array in kept.items())
    whole = sum(array.nbytes for array in (*market.world.book, *market.world[1:]))
    assert sum(array.nbytes for array in kept.values()) < whole / 20


def test_a_branch_draws_as_the_other_market_does_and_keeps_what_was_traded() -> None:
    market = CrowdMarket("flash_crash", 3, calm=True).run(5)
    past, kept = market.bars(), market.state()
    plain = market.run(20).bars().close
    one = CrowdMarket("flash_crash", 8).set_state(kept).branch(21).run(20)
    other = CrowdMarket("flash_crash", 9).set_state(kept).branch(21).run(20)
    third = CrowdMarket("flash_crash", 9).set_state(kept).branch(22).run(20)
    assert np.array_equal(one.bars().close, other.bars().close)
    assert not np.array_equal(one.bars().close, third.bars().close)
    assert not np.array_equal(one.bars().close, plain)
    assert np.array_equal(one.bars().close[:5], past.close)
    assert one.storm == other.storm == CrowdMarket("flash_crash", 21).storm


def test_a_market_without_a_tape_trades_the_same_bars_and_says_that_it_kept_no_trades() -> None:
    bare, whole = CrowdMarket("normal", 5, tape=False).run(40), CrowdMarket("normal", 5).run(40)
    assert np.array_equal(bare.bars().close, whole.bars().close)
    assert bare.world.book.head[ladder.TRADED] == whole.world.book.head[ladder.TRADED]
    with pytest.raises(ValueError, match="keeps no tape"):
        bare.trades()


def test_a_table_of_worlds_tells_every_array_of_every_world() -> None:
    worlds = Worlds(population("1m"), 3, 2000)
    assert worlds.table.shape == (3 * ARRAYS, 3)
    for i, world in enumerate(worlds.each):
        arrays = [*world.book, *world[1:]]
        assert [row[0] for row in worlds.table[i * ARRAYS : (i + 1) * ARRAYS].tolist()] == [
            array.ctypes.data for array in arrays
        ]
    assert len(worlds.each[0].bars) == 2000
