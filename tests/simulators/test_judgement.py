"""One seed judged: cards of what the market left, gates that hold, and a report that comes again with its seed."""

import numpy as np
import pytest

from wavetank.simulators.book_metrics import BANDS as BOOK_BANDS
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.judgement import SeedReport, judge_seed
from wavetank.simulators.nulls import NULL_NAMES
from wavetank.simulators.realism import SETS, load_bands, scorecard
from wavetank.simulators.stylised import returns_of

BARS = 1_100


@pytest.fixture(scope="module")
def report() -> SeedReport:
    return judge_seed(31, bars=BARS)


def test_the_cards_are_those_of_the_market_s_own_bars(report: SeedReport) -> None:
    bars = CrowdMarket(rng=31).run(BARS + 1).bars()
    for name in SETS:
        card = scorecard(returns_of(bars.close), bars.volume[1:], load_bands(f"{name}_1m"))
        assert report.cards[name].passes == card.passes
        assert np.array_equal(report.cards[name].values, card.values, equal_nan=True)


def test_every_null_is_scored_beside_on_both_sets(report: SeedReport) -> None:
    assert list(report.nulls) == list(NULL_NAMES)
    assert all(0 <= report.nulls[null][name] <= 17 for null in NULL_NAMES for name in SETS)
    assert report.nulls["gaussian"]["facts"] < 10


def test_the_crowd_s_books_balance_and_its_seeds_repeat(report: SeedReport) -> None:
    assert [gate.name[:2] for gate in report.gates] == ["G1", "G2", "G3", "G4", "G5", "G6"]
    assert report.gates[4].holds
    assert report.gates[5].holds


def test_every_figure_of_the_book_is_known(report: SeedReport) -> None:
    assert list(report.book) == list(BOOK_BANDS)
    assert all(np.isfinite(list(report.book.values())))


def test_a_report_comes_again_with_its_seed(report: SeedReport) -> None:
    again = judge_seed(31, bars=BARS)
    assert again.digest == report.digest
    assert (again.nulls, again.gates, again.book) == (report.nulls, report.gates, report.book)
