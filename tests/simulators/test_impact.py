"""The impact fit finds the law that made its pairs, and says no to markets that do not move by it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from wavetank.simulators.impact import SHARES, ImpactFit, Pairs, child_lots, impact_fit


def made(exponent: float, prefactor: float, kept: float = 0.5, noise: float = 0.3, pairs: int = 400) -> Pairs:
    """Pairs of Y · share ** δ with noise, of which a part is kept afterwards."""
    rng = np.random.default_rng(1)
    share = np.repeat(np.array(SHARES)[:, None], pairs, axis=1)
    law = prefactor * share**exponent
    end = law + noise * rng.normal(size=share.shape)
    return Pairs(share, end, kept * law + noise * rng.normal(size=share.shape), np.ones(share.shape))


def fitted(pairs: Pairs) -> ImpactFit:
    return impact_fit(pairs, np.random.default_rng(0))


@pytest.mark.parametrize("exponent,prefactor", [(0.5, 1.0), (0.6, 0.5), (1.0, 2.0)])
def test_the_fit_finds_the_law_and_its_interval_holds_it(exponent: float, prefactor: float) -> None:
    fit = fitted(made(exponent, prefactor, noise=0.1, pairs=2000))
    assert fit.exponent == pytest.approx(exponent, abs=0.05)
    assert fit.prefactor == pytest.approx(prefactor, rel=0.1)
    assert fit.exponent_interval[0] < exponent < fit.exponent_interval[1]
    assert fit.prefactor_interval[0] < prefactor < fit.prefactor_interval[1]
    assert fit.decay == pytest.approx(0.5, abs=0.05)


def test_the_fit_is_the_least_squares_of_scipy() -> None:
    pairs = made(0.5, 1.0)
    fit = fitted(pairs)
    (prefactor, exponent), _ = optimize.curve_fit(
        lambda x, y, d: y * x**d, fit.share, fit.mean_end, p0=(1.0, 0.5), sigma=fit.error_end
    )
    assert fit.exponent == pytest.approx(exponent, abs=0.003)
    assert fit.prefactor == pytest.approx(prefactor, rel=0.005)


def test_a_square_root_that_decays_passes_and_everything_else_says_why() -> None:
    assert fitted(made(0.5, 1.0)).passes
    assert "δ" in fitted(made(1.0, 1.5)).failed[0]
    assert "Y" in fitted(made(0.5, 3.0)).failed[0]
    assert fitted(made(0.5, 1.0, kept=1.0)).failed[0].startswith("decay")
    assert fitted(made(0.5, 1.0, pairs=199)).failed == ["199 pairs are fewer than 200"]
    half = made(0.5, 1.0)
    assert "only 50% of a metaorder was filled" in fitted(replace(half, filled=half.filled / 2)).failed[0]


@pytest.mark.parametrize("prefactor", [0.0, -1.0])
def test_a_price_that_a_metaorder_does_not_move_or_moves_backwards_fails(prefactor: float) -> None:
    assert not fitted(made(0.5, prefactor)).passes


def test_more_pairs_narrow_the_interval() -> None:
    few, many = (np.diff(fitted(made(0.5, 1.0, pairs=count)).exponent_interval)[0] for count in (200, 3200))
    assert many < few / 2


def test_one_pair_is_no_sample() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 1\)"):
        fitted(made(0.5, 1.0, pairs=1))


@given(st.integers(-(10**9), 10**9), st.integers(1, 2000))
def test_children_are_even_and_sum_to_their_parent(lots: int, children: int) -> None:
    parts = child_lots(lots, children)
    assert len(parts) == children
    assert sum(parts) == lots
    assert max(parts) - min(parts) <= 1


def test_what_is_told_is_plain_numbers_and_holds_every_level() -> None:
    told = fitted(made(0.5, 1.0)).told()
    assert all(len(values) == len(SHARES) for values in told["levels"].values())
    assert all(a < b for a, b in pairwise(told["levels"]["mean_end"]))
    assert told["exponent"]["interval"][0] < told["exponent"]["value"] < told["exponent"]["interval"][1]
