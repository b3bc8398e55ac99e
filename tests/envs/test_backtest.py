import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.agents.grids import Grid, grid
from wavetank.agents.rules import make_rule
from wavetank.agents.settings import RULES, read_setting
from wavetank.envs.backtest import FIGURES, Ranked, backtest
from wavetank.envs.desk import order_lots
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.rule_walk import surely_stays
from wavetank.experiments.evaluate import run_policy
from wavetank.experiments.statistics import deflated_sharpe, moments_of
from wavetank.market.bars import Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.funding import Funding
from wavetank.market.jit import COMPILED, threads
from wavetank.market.ledger import open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.store import data_folder, read_bars

from ..agents.plain_rules import plain_signal
from ..market.handmade import drawn_bars, hourly
from ..market.twin import PlainVenue, assumed_rate, plain_conditions
from . import interpreted_backtest
from .cases import DEAR, FREE, GAPPY, LEVERED, SMOOTH, WILD

BARE = ObservationSpec("bare", 1, ("return_1",))
NEED = 16  # bars that the bare observation, volatility and volume need
TEXTS = (
    *RULES,
    "hold(stop_loss=0.05)",
    "ma_cross(fast=3, slow=9, trailing=0.02, roi={0: 0.05, 10: 0.01})",
    "rsi_reversion(window=4, low=35, high=65, trend=0, take_profit=0.03)",
    "bollinger(window=9, width=1, shorts=0)",
    "dca(every=7, share=0.13, take_profit=0.2)",
)
GROUNDS: dict[str, tuple[Bars, dict[str, Any]]] = {
    "defaults": (SMOOTH, {}),
    "gaps": (GAPPY, {"costs": DEAR}),
    "free": (GAPPY, {"costs": FREE, "dead_band": 0.0}),
    "levered": (WILD, {"instrument": LEVERED}),
    "borrowed": (WILD, {"instrument": LEVERED, "costs": Costs(borrow_bps_per_day=30.0, funding_bps_per_8h=-8.0)}),
    "clipped": (WILD, {"instrument": LEVERED, "limits": Limits("clip", 0.4, 0.2, 0.1, 0.3)}),
    "live": (GAPPY, {"limits": Limits("live", 0.9, 0.5, daily_loss=0.01, drawdown=0.08)}),
    "live, ends when halted": (GAPPY, {"limits": Limits("live", 1.0, 2.0, 0.03, 0.1, terminate_on_halt=True)}),
    "little cash": (SMOOTH, {"cash": 100.0, "instrument": Instrument(lot=0.01, min_notional=20.0)}),
}


def one(text: str, bars: Bars, **keywords: Any) -> Ranked:
    return backtest(Grid((read_setting(text),)), bars, **{"warm_up": NEED, "curves": 1, **keywords})


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_setting_earns_to_the_last_bit_what_the_environment_gives_to_its_rule(ground: str) -> None:
    bars, keywords = GROUNDS[ground]
    traded = 0
    for text in TEXTS:
        ranked = one(text, bars, **keywords)
        track = run_policy(make_rule(text), bars, spec=BARE, **{"limits": Limits(), **keywords})
        rows = np.searchsorted(ranked.closed_at, track.closed_at)  # a halted or ruined track has fewer
        assert (ranked.closed_at[rows] == track.closed_at).all()
        assert ranked.curves[0][rows].tobytes() == track.equity.tobytes(), text
        assert ranked.curves[0][-1] == track.equity[-1]
        metrics = track.metrics()
        for name, values in ranked.figures.items():
            assert values[0] == pytest.approx(metrics[name], rel=1e-8, abs=1e-9), (text, name)
        for name in ("final_equity", "total_return", "max_drawdown", "trades", "round_trips", "win_rate"):
            assert values_of(ranked, name)[0] == metrics[name], (text, name)
        traded += int(metrics["trades"])
    assert traded > 100


def values_of(ranked: Ranked, name: str) -> list[float]:
    return [float(value) for value in ranked.figures[name]]


def test_the_grounds_halt_ruin_and_meet_gaps() -> None:
    """Else the comparison above would say less than it seems to."""
    ends = {
        ground: run_policy(make_rule("ma_cross"), bars, spec=BARE, **{"limits": Limits(), **keywords})
        for ground, (bars, keywords) in GROUNDS.items()
    }
    assert ends["live"].state[-1] == 2
    assert len(ends["live, ends when halted"]) < len(ends["live"])
    assert len(ends["levered"]) < len(WILD) - 2 * NEED
    assert (np.diff(ends["gaps"].closed_at) > 10 * GAPPY.interval_ms).sum() == 2


def test_money_is_that_of_an_exact_venue_and_signals_are_those_of_a_plain_rule() -> None:
    """Plain signals, exact rational money: nothing of the product's own arithmetic but square roots."""
    bars, costs, instrument = drawn_bars(np.random.default_rng(8), 140), Costs(impact_y=0.7), Instrument(lot=0.01)
    rows = list(bars)
    venue = PlainVenue(instrument, costs, Limits(), Fraction(10_000))
    signals = plain_signal(rows, "ma_cross", fast=2, slow=6)
    for t in range(NEED - 1, len(rows) - 1):
        sigma, volume = plain_conditions(rows[: t + 1])
        rate = assumed_rate(rows[t + 1].opened_at, bars.interval_ms, 1.0)
        order = venue.order(signals[t], rows[t].close, 0.02)
        venue.bar(order, rows[t + 1], rows[t].opened_at, sigma, volume, rate)

    ranked = one("ma_cross(fast=2, slow=6)", bars, costs=costs, instrument=instrument, cash=10_000.0)
    assert ranked.curves[0][-1] == pytest.approx(float(venue.equity), rel=1e-10)
    assert values_of(ranked, "fees")[0] == pytest.approx(float(venue.fees), rel=1e-10)
    assert values_of(ranked, "trades") == [venue.trades]
    assert venue.trades > 20


def test_two_trips_on_paper() -> None:
    """Bought at 100; one profit is taken at 110, the other trip is held down to 99. Nothing costs anything."""
    closes = [100.0] * 20 + [110.0] * 10 + [99.0] * 10
    bars = hourly([(c, c, c, c, 1e6) for c in closes])
    keywords = {"costs": FREE, "cash": 1000.0, "dead_band": 0.0, "instrument": Instrument(lot=1e-6, min_notional=0.0)}
    ranked = one("hold(take_profit=0.1)", bars, **keywords)
    assert values_of(ranked, "total_return")[0] == pytest.approx(0.1)
    assert [values_of(ranked, name)[0] for name in ("trades", "round_trips", "win_rate")] == [2.0, 1.0, 1.0]
    assert values_of(ranked, "max_drawdown") == [0.0]
    held = one("hold", bars, **keywords)
    assert values_of(held, "total_return")[0] == pytest.approx(-0.01)
    assert values_of(held, "max_drawdown")[0] == pytest.approx(0.1)
    assert values_of(held, "round_trips") == [0.0]  # it is still open
    assert values_of(held, "time_in_market") == [1.0]
    assert values_of(held, "turnover_per_day")[0] == pytest.approx(24 / 24)  # once its equity in 24 bars


@given(
    st.floats(-1.0, 1.0),
    st.floats(1e-3, 1e9),
    st.floats(1e-6, 1e6),
    st.sampled_from([1e-6, 1e-3, 0.1, 1.0]),
    st.sampled_from([0.0, 1e-12, 2e-9, 1e-6, 0.02, 0.5]),
    st.floats(-1.5, 1.5),
    st.sampled_from([0.3, 1.0, 8.0]),
)
@settings(max_examples=400)
def test_what_surely_stays_is_no_order(
    target: float, equity: float, price: float, lot: float, dead_band: float, error: float, leverage: float
) -> None:
    """Positions at and just off the edge of the dead-band: where the short cut says no order, the desk says so too."""
    terms = terms_of(Instrument(lot=lot, min_notional=0.0, max_leverage=leverage), Costs(), Limits(), dead_band)
    for edge in (0.0, dead_band * (1.0 - 1e-9), dead_band, dead_band * (1.0 + 1e-9), error):
        for side in (-1.0, 1.0):
            lots = round((target + side * edge) * leverage * equity / price / lot)
            account = open_account(equity)._replace(lots=min(max(lots, -(10**15)), 10**15))
            if surely_stays(target, account, price, terms):
                assert order_lots(target, account, price, terms) == 0


def test_what_lies_well_inside_the_dead_band_surely_stays() -> None:
    terms = terms_of(Instrument(lot=1e-3), Costs(), Limits(), 0.02)
    account = open_account(1000.0)._replace(lots=9_900)
    assert surely_stays(1.0, account, 100.0, terms)  # 990 of the 1,000 wished for, and 20 are not traded
    assert not surely_stays(1.0, account._replace(lots=9_790), 100.0, terms)
    assert not surely_stays(1.0, account._replace(equity=0.0), 100.0, terms)


def test_settings_are_ranked_and_told_with_how_many_were_tried() -> None:
    tried = grid("ma_cross", fast=range(2, 8), slow=range(5, 25, 5))
    ranked = backtest(tried, SMOOTH, by="total_return", curves=3)
    returns = ranked.figures["total_return"]
    assert ranked.order.tolist() == sorted(range(len(tried)), key=lambda k: -returns[k])
    assert (ranked.trials, tried.dropped) == (len(tried), 3)
    assert ranked.best == tried.settings[int(np.argmax(returns))]
    assert [curve[-1] / 100_000.0 - 1.0 for curve in ranked.curves] == [returns[k] for k in ranked.order[:3]]
    assert tuple(ranked.figures) == FIGURES
    lines = ranked.table(4).splitlines()
    assert len(lines) == 6
    assert ranked.best.text in lines[1]
    assert lines[-1] == "21 settings of ma_cross were tried, 3 dropped; by total_return"
    shallow = backtest(tried, SMOOTH, by="max_drawdown")
    assert int(shallow.order[0]) == int(np.argmin(shallow.figures["max_drawdown"]))
    assert shallow.curves.shape[0] == 0


def test_the_best_of_many_is_deflated_by_what_the_result_tells() -> None:
    ranked = backtest(grid("ma_cross", fast=range(2, 30), slow=[40, 60, 80]), SMOOTH, curves=1)
    curve = ranked.curves[0]
    moments = moments_of(np.diff(curve) / curve[:-1])
    assert moments.sharpe == pytest.approx(ranked.bar_sharpes[ranked.order[0]], rel=1e-9)
    spread = float(np.var(ranked.bar_sharpes, ddof=1))
    assert deflated_sharpe(moments, ranked.trials, spread) < deflated_sharpe(moments, 1, spread)


def test_every_setting_is_judged_on_the_bars_that_the_slowest_one_leaves() -> None:
    ranked = backtest(grid("ma_cross", fast=2, slow=[5, 90]), SMOOTH, curves=2)
    assert ranked.closed_at[0] == SMOOTH.closed_at[89]
    assert ranked.curves.shape == (2, len(SMOOTH) - 89)
    alone = backtest(grid("ma_cross", fast=2, slow=5), SMOOTH, curves=1)
    assert alone.closed_at[0] == SMOOTH.closed_at[NEED - 1]


def test_a_funding_series_is_charged() -> None:
    stamps = SMOOTH.opened_at[::8].copy()
    dear = one("hold", SMOOTH, funding=Funding(stamps, np.full(len(stamps), 1e-3)))
    free = one("hold", SMOOTH, funding=Funding(stamps, np.zeros(len(stamps))))
    assert values_of(free, "funding") == [0.0]
    assert values_of(dear, "funding")[0] > 1000.0
    assert values_of(dear, "final_equity")[0] < values_of(free, "final_equity")[0]


def test_borrow_is_among_the_figures_and_less_of_it_ranks_higher() -> None:
    dear = Costs(borrow_bps_per_day=50.0)
    ranked = backtest(grid("ma_cross", fast=[2, 3, 5], slow=[8, 13]), WILD, instrument=LEVERED, costs=dear, by="borrow")
    paid = [values_of(ranked, "borrow")[place] for place in ranked.order]

    assert min(paid) > 0.0
    assert paid == sorted(paid)


def test_the_future_changes_no_equity_so_far() -> None:
    other = drawn_bars(np.random.default_rng(55), len(SMOOTH), volume=50_000.0)
    mixed = Bars.from_rows("1h", [*list(SMOOTH)[:500], *list(other)[500:]])
    for text in TEXTS:
        before, after = one(text, SMOOTH).curves[0], one(text, mixed).curves[0]
        assert before[: 500 - NEED + 1].tobytes() == after[: 500 - NEED + 1].tobytes()


def test_one_thread_and_two_tell_the_same_and_leave_the_number_as_it_was() -> None:
    before = threads()
    tried = grid("breakout", entry=range(5, 25), exit=[2, 5])
    single, double = (backtest(tried, WILD, threads=count, curves=2) for count in (1, 2))
    assert all(single.figures[name].tobytes() == double.figures[name].tobytes() for name in single.figures)
    assert single.curves.tobytes() == double.curves.tobytes()
    assert threads() == before


@pytest.mark.parametrize(
    "keywords, said",
    [
        ({"cash": 0.0}, "cannot open with 0.0 in cash"),
        ({"by": "luck"}, "there is no figure 'luck' to rank by; there are total_return"),
        ({"warm_up": 3}, "warm_up 3 is too short"),
        ({"warm_up": 5000}, "needs 5000 bars to warm up and one to trade; the longest stretch has 900"),
        ({"dead_band": 1.5}, "dead_band 1.5 must lie in"),
        ({"curves": -1}, "curves -1 must be 0 or more"),
        ({"threads": 0}, "threads 0 must be 1 or more"),
    ],
)
def test_a_wrong_input_is_one_sentence(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        backtest(grid("hold"), SMOOTH, **keywords)


def _digests(*words: str, **environment: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, str(Path(interpreted_backtest.__file__)), *words],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_compiled_and_interpreted_rules_tell_the_same_to_the_last_bit() -> None:
    told = _digests(NUMBA_DISABLE_JIT="1")
    assert not told["compiled"]
    assert told["digests"] == interpreted_backtest.alone() | interpreted_backtest.digests()


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_no_rule_reads_past_the_end_of_its_row(tmp_path: Path) -> None:
    told = _digests("alone", NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert told["compiled"]
    assert told["digests"] == interpreted_backtest.alone()


@pytest.mark.slow
def test_a_thousand_crosses_over_four_years_of_bitcoin() -> None:
    path = data_folder() / "ohlcv/binanceusdm_BTCUSDT_1h.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded bars at {path}")
    bars = read_bars(path)
    ranked = backtest(grid("ma_cross", fast=range(5, 55), slow=range(60, 160, 5)), bars, curves=1)
    assert ranked.trials == 1000
    track = run_policy(make_rule(ranked.best.text), bars, spec=BARE, limits=Limits(), start=154)
    assert ranked.curves[0].tobytes() == track.equity.tobytes()
    assert math.isfinite(sum(float(values.sum()) for values in ranked.figures.values()))
