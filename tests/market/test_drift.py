"""The index against a slow twin and paper, the Kolmogorov–Smirnov test against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from wavetank.market.bars import Floats
from wavetank.market.drift import LEAST_SHARE, kolmogorov, ks, populations, psi

from .handmade import drawn_bars, hourly

# Few distinct values, so that ties, merged edges and empty bins are drawn often.
coarse = st.lists(st.integers(-6, 6).map(lambda k: k / 4), min_size=1, max_size=60).map(np.array)
fine = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array)


def slow_psi(reference: Floats, sample: Floats, bins: int) -> float:
    """The index from its definition, value by value."""
    ordered = sorted(float(v) for v in reference)
    edges = sorted({ordered[max(math.ceil(len(ordered) * k / bins) - 1, 0)] for k in range(1, bins)})
    total = 0.0
    for b in range(len(edges) + 1):
        low = edges[b - 1] if b else -math.inf
        high = edges[b] if b < len(edges) else math.inf
        p, q = (max(sum(low < v <= high for v in xs) / len(xs), LEAST_SHARE) for xs in (reference, sample))
        total += (q - p) * math.log(q / p)
    return total


@pytest.mark.parametrize("samples", [coarse, fine], ids=["ties", "any"])
def test_the_index_equals_its_slow_twin(samples: st.SearchStrategy[Floats]) -> None:
    @given(samples, samples, st.integers(2, 12))
    def compare(reference: Floats, sample: Floats, bins: int) -> None:
        assert psi(reference, sample, bins) == pytest.approx(slow_psi(reference, sample, bins), abs=1e-12)

    compare()


def test_the_index_is_the_one_on_paper() -> None:
    # halves of the reference: (−∞, 2] and (2, ∞); the sample has a quarter and three quarters there
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert psi(np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 3, 9]), bins=2) == pytest.approx(expected)


def test_the_index_of_a_slice_and_itself_is_zero_and_of_strangers_is_finite() -> None:
    values = np.arange(100.0)
    assert psi(values, values) == 0.0
    assert 5.0 < psi(values, values + 1e9) < math.inf


@pytest.mark.parametrize("samples", [coarse, fine], ids=["ties", "any"])
def test_the_distance_equals_scipys(samples: st.SearchStrategy[Floats]) -> None:
    @given(samples.filter(lambda v: len(v) > 1), samples)  # of one and one scipy divides by a rounded 0
    def compare(a: Floats, b: Floats) -> None:
        distance, p = ks(a, b)
        assert distance == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
        assert p == pytest.approx(special.kolmogorov(distance * math.sqrt(len(a) * len(b) / (len(a) + len(b)))))

    compare()


def test_the_chance_of_a_distance_is_scipys_where_samples_are_large() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(0.0, 1.0, 40_000), rng.normal(0.01, 1.0, 30_000)
    distance, p = ks(a, b)
    theirs = stats.ks_2samp(a, b, method="asymp")  # a finite sample's own correction apart
    assert distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert 1e-3 < p < 0.5
    assert p == pytest.approx(theirs.pvalue, rel=0.02)


def test_both_series_of_kolmogorov_equal_scipys() -> None:
    for x in (0.0, 0.01, 0.2, 0.5, 0.999, 1.0, 1.001, 1.7, 3.0, 6.0):
        assert kolmogorov(x) == pytest.approx(special.kolmogorov(x), rel=1e-9, abs=1e-15)


def test_returns_do_not_cross_gaps_and_volumes_of_nothing_have_no_logarithm() -> None:
    bars = drawn_bars(np.random.default_rng(3), 90, gaps={20: 1, 40: 30})
    told = populations(bars)
    assert len(told["log return"]) == 90 - 1 - 2
    assert len(told["log range"]) == 90
    assert len(told["log volume"]) == int(np.sum(bars.volume > 0)) < 90
    assert all(np.isfinite(values).all() for values in told.values())


def test_populations_are_the_ones_on_paper() -> None:
    told = populations(hourly([(1, 2, 1, 2, 5), (2, 4, 1, 1, 0)]))
    assert told["log return"] == pytest.approx([math.log(0.5)])
    assert told["log range"] == pytest.approx([math.log(2), math.log(4)])
    assert told["log volume"].tolist() == [math.log(5)]


@pytest.mark.parametrize("judge", [psi, ks])
def test_an_empty_or_infinite_sample_is_refused_with_its_place(judge: object) -> None:
    assert callable(judge)
    good = np.arange(3.0)
    with pytest.raises(ValueError, match="the sample is empty"):
        judge(good, np.zeros(0))
    with pytest.raises(ValueError, match="the reference holds nan at 1"):
        judge(np.array([0.0, np.nan, 1.0]), good)
    with pytest.raises(ValueError, match="the sample holds -inf at 2"):
        judge(good, np.array([0.0, 1.0, -np.inf]))


def test_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="1 bins cannot"):
        psi(np.arange(3.0), np.arange(3.0), bins=1)
