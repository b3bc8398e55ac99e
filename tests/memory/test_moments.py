import math

import numpy as np
import pytest

from wavetank.market.bars import Bars
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import PastError, forward_outcomes, moments_of, symbol_code

from .walks import HOUR_MS, START, walk


def six_bars(closes: list[float], lows: list[float]) -> Bars:
    close, low = np.array(closes), np.array(lows)
    opened_at = START + HOUR_MS * np.arange(len(close))
    return Bars("1h", opened_at, close, close, low, close, np.ones(len(close)))


def test_outcomes_of_six_bars_typed_by_hand() -> None:
    bars = six_bars([100, 110, 99, 99, 99, 120], [100, 105, 88, 99, 99, 120])
    outcomes = forward_outcomes(bars, 3)
    assert np.isfinite(outcomes[:, 0]).tolist() == [True, True, True, False, False, False]
    # from 100: up to 110, then a low of 88, a fifth below that peak; ends at 99
    squares = math.log(1.1) ** 2 + math.log(0.9) ** 2
    np.testing.assert_allclose(outcomes[0], [math.log(0.99), 0.2, math.sqrt(squares / 3)], rtol=1e-6)
    # from 99 the price never falls below the entry
    np.testing.assert_allclose(outcomes[2, :2], [math.log(120 / 99), 0.0], rtol=1e-6)


def test_an_outcome_is_known_at_the_close_of_the_last_bar_it_needs() -> None:
    bars = walk(200, gap_at=120)
    embedder = Embedder.fit(bars, 120 + 80, window=32, width=8)
    moments = moments_of(bars, embedder, 5)
    rows = np.r_[31:115, 151:195]  # whole window before, five bars after, both inside one segment
    np.testing.assert_array_equal(moments.closed_at, bars.closed_at[rows])
    np.testing.assert_array_equal(moments.known_at, bars.closed_at[rows + 5])
    np.testing.assert_array_equal(moments.vectors, embedder.vectors(bars)[rows])
    np.testing.assert_allclose(moments.forward_return, np.log(bars.close[rows + 5] / bars.close[rows]), rtol=1e-6)


def test_ids_are_one_a_symbol_and_bar_and_do_not_depend_on_the_slice() -> None:
    bars = walk(200)
    embedder = Embedder.fit(bars, window=32, width=8)
    whole, part = moments_of(bars, embedder, 5), moments_of(bars.slice(50, 200), embedder, 5)
    assert set(part.id) < set(whole.id)
    assert len(set(whole.id)) == len(whole)
    other = moments_of(walk(200, symbol="Y"), embedder, 5)
    assert not set(other.id) & set(whole.id)
    assert whole.names == {symbol_code("X"): "X"}
    assert int(whole.id.min()) > 0


def test_episodes_are_stretches_of_time_of_one_symbol() -> None:
    bars = walk(200)
    embedder = Embedder.fit(bars, window=32, width=8)
    moments = moments_of(bars, embedder, 4)
    labels = moments.episodes(4 * HOUR_MS)
    for a in range(0, 20):
        for b in range(a, 20):
            same = moments.closed_at[a] // (4 * HOUR_MS) == moments.closed_at[b] // (4 * HOUR_MS)
            assert (labels[a] == labels[b]) == same
    assert not set(labels) & set(moments_of(walk(200, symbol="Y"), embedder, 4).episodes(4 * HOUR_MS))


def test_a_horizon_of_no_bars_is_refused() -> None:
    bars = walk(200)
    with pytest.raises(PastError, match="horizon 0 must be at least one bar"):
        moments_of(bars, Embedder.fit(bars, window=32, width=8), 0)
