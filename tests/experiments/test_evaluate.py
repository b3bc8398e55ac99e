from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.agents.policy import Decision
from wavetank.agents.rules import make_rule
from wavetank.envs.arena import ArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.trading import TradingEnv
from wavetank.experiments.evaluate import Track, follow, run_policy, stitch, warm_up_bars
from wavetank.market.bars import Bar, Bars
from wavetank.market.costs import Costs
from wavetank.market.ledger import Account, open_account
from wavetank.market.limits import Limits, State
from wavetank.market.orders import Instrument

from .hand_tracks import HOUR, track_of
from .made_bars import rising, wandering

SPEC = ObservationSpec.load("default")
FREE = Costs(0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
OFF = Limits(mode="off")
FINE = Instrument(lot=1e-6, min_notional=0.0)
NEED = warm_up_bars(SPEC)


class Wishes:
    """Wants the exposures it was told, one a bar."""

    def __init__(self, *wishes: float) -> None:
        self.wishes = list(wishes)

    def act(self, observations: NDArray[np.float32], state: Any = None, starts: Any = None) -> Decision:
        assert observations.shape == (1, SPEC.width)
        wish = np.array([[self.wishes.pop(0)]], np.float32)
        return Decision(wish, np.ones(1, np.float32), np.zeros(1, np.float32))


def test_holding_without_costs_earns_what_the_market_earns() -> None:
    bars = rising(NEED + 50)
    track = run_policy(make_rule("hold"), bars, instrument=FINE, costs=FREE, limits=OFF, cash=1000.0)

    # bought at the open of the bar after the first observed one, which is the close it was observed at
    assert len(track) == 51
    assert track.equity[-1] == pytest.approx(1000.0 * 1.001**50, rel=1e-6)
    assert track.exposure[0] == 0.0
    assert track.exposure[1:] == pytest.approx(np.ones(50), abs=1e-6)
    assert (track.closed_at == bars.closed_at[NEED - 1 :]).all()
    assert (track.close == bars.close[NEED - 1 :]).all()


def test_a_flat_policy_keeps_its_money() -> None:
    track = run_policy(make_rule("flat"), wandering(NEED + 20), cash=500.0)

    assert (track.equity == 500.0).all()
    assert track.metrics()["trades"] == 0


def test_a_track_is_what_the_environment_says_step_by_step() -> None:
    bars = wandering(NEED + 12)
    wishes = [0.5, -1.0, -1.0, 0.0, 1.0, 0.2, -0.3, 0.0, 1.0, 1.0, -1.0, 0.4]
    limits, costs = Limits(mode="live"), Costs(borrow_bps_per_day=30.0)
    track = run_policy(Wishes(*wishes), bars, limits=limits, costs=costs)
    env = TradingEnv(bars, limits=limits, costs=costs, random_start=False)
    env.reset()

    for row, wish in enumerate(wishes, start=1):
        env.step(np.array([wish], np.float32))
        account = env.account
        for name in ("equity", "fees", "funding", "borrow", "turnover", "trades"):
            assert getattr(track, name)[row] == getattr(account, name), name
        assert track.action[row] == np.float32(wish)
    assert track.borrow[-1] > 0.0


def test_the_track_begins_at_the_bar_asked_for() -> None:
    bars = wandering(NEED + 40)

    assert run_policy(make_rule("hold"), bars, start=NEED + 9).closed_at[0] == bars.closed_at[NEED + 9]
    assert run_policy(make_rule("hold"), bars, start=3).closed_at[0] == bars.closed_at[NEED - 1]


def test_the_future_does_not_change_the_track_so_far() -> None:
    bars, other = wandering(NEED + 60), wandering(NEED + 60, seed=1)
    mixed = replace(bars)
    for name in ("open", "high", "low", "close"):
        column = getattr(bars, name).copy()
        scale = bars.close[NEED + 29] / other.close[NEED + 29]
        column[NEED + 30 :] = getattr(other, name)[NEED + 30 :] * scale
        object.__setattr__(mixed, name, column)
    mixed.__post_init__()
    before, after = (run_policy(make_rule("ma_cross"), each, limits=OFF) for each in (bars, mixed))

    assert before.equity[:31].tobytes() == after.equity[:31].tobytes()
    assert before.equity[-1] != after.equity[-1]


def test_a_long_gap_closes_the_position_and_the_account_goes_on_with_what_is_left() -> None:
    bars = rising(2 * NEED + 60, skip=(NEED + 30, 10))
    track = run_policy(make_rule("hold"), bars, instrument=FINE, costs=FREE, limits=OFF, cash=1000.0)
    jump = int(np.flatnonzero(np.diff(track.closed_at) > bars.interval_ms)[0])

    assert track.closed_at[jump] == bars.closed_at[NEED + 29]
    assert track.exposure[jump] == 0.0
    assert track.closed_at[jump + 1] == bars.closed_at[NEED + 30 + NEED]
    bars_held = 30 + (len(bars) - (NEED + 30) - NEED)
    assert track.equity[-1] == pytest.approx(1000.0 * 1.001**bars_held, rel=1e-6)
    assert (np.diff(track.turnover) >= 0).all()


def test_a_halted_account_stays_flat_after_a_gap() -> None:
    bars = rising(2 * NEED + 60, rate=-0.01, skip=(NEED + 30, 10))
    track = run_policy(make_rule("hold"), bars, costs=FREE)
    after = track.closed_at > bars.closed_at[NEED + 29]

    assert track.state[-1] == State.HALTED
    assert after.sum() == 30
    assert (track.exposure[after] == 0).all()
    assert len(set(track.equity[after])) == 1


def test_ruin_ends_the_track() -> None:
    bars = rising(2 * NEED + 60, rate=0.06, skip=(NEED + 30, 10))
    instrument = Instrument(max_leverage=20.0)
    track = run_policy(Wishes(*[-1.0] * 30), bars, instrument=instrument, costs=FREE, limits=OFF)

    assert len(track) == 2  # 20 × 6 % in one bar
    assert track.equity[-1] == pytest.approx(0.0, abs=1e-6)


def test_closing_out_sells_on_the_last_bar_at_its_cost() -> None:
    bars = rising(NEED + 20)
    kept = run_policy(make_rule("hold"), bars, limits=OFF)
    sold = run_policy(make_rule("hold"), bars, limits=OFF, close_out=True)

    assert kept.exposure[-1] > 0.9
    assert sold.exposure[-1] == 0.0
    assert sold.trades[-1] == kept.trades[-1] + 1
    assert sold.fees[-1] > kept.fees[-1]
    assert (sold.equity[:-1] == kept.equity[:-1]).all()


def test_a_discrete_policy_means_short_flat_and_long() -> None:
    discrete = run_policy(Wishes(2.0, 0.0, 1.0), wandering(NEED + 3), actions="discrete")
    exposures = run_policy(Wishes(1.0, -1.0, 0.0), wandering(NEED + 3))

    assert (discrete.equity == exposures.equity).all()
    assert list(discrete.action) == [0.0, 1.0, -1.0, 0.0]


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{NEED} bars are too few"):
        run_policy(make_rule("flat"), wandering(NEED))


def test_stitched_tracks_go_on_with_the_money_of_the_last_one() -> None:
    bars = rising(NEED + 60)
    whole = run_policy(make_rule("hold"), bars, instrument=FINE, costs=FREE, limits=OFF)
    cut = NEED + 29
    first = run_policy(make_rule("hold"), bars.slice(0, cut + 1), instrument=FINE, costs=FREE, limits=OFF)
    second = run_policy(make_rule("hold"), bars, start=cut, instrument=FINE, costs=FREE, limits=OFF, cash=7.0)
    both = stitch("both", [first, second])

    assert (both.closed_at == whole.closed_at).all()
    assert both.equity == pytest.approx(whole.equity, rel=1e-6)
    assert both.trades[-1] == first.trades[-1] + second.trades[-1]
    assert (np.diff(both.fees) >= 0).all()
    with pytest.raises(ValueError, match="before the last one ended"):
        stitch("both", [second, first])


def test_a_saved_track_comes_back_bit_for_bit(tmp_path: Path) -> None:
    track = run_policy(make_rule("ma_cross"), wandering(NEED + 30))
    again = Track.load(track.save(tmp_path / "tracks" / "one.npz"))

    assert (again.name, again.interval_ms) == (track.name, track.interval_ms)
    for name in (
        "closed_at",
        "close",
        "equity",
        "exposure",
        "action",
        "fees",
        "funding",
        "borrow",
        "turnover",
        "trades",
        "state",
    ):
        assert getattr(again, name).tobytes() == getattr(track, name).tobytes()
        assert getattr(again, name).dtype == getattr(track, name).dtype


def test_a_track_of_before_borrow_was_written_down_is_refused(tmp_path: Path) -> None:
    path = run_policy(make_rule("flat"), wandering(NEED + 5)).save(tmp_path / "old.npz")
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files if name != "borrow"}
    np.savez_compressed(path, **columns)

    with pytest.raises(ValueError, match=r"old\.npz has no borrow: an older version wrote it; make it again"):
        Track.load(path)


def test_borrow_is_in_the_track_and_explains_what_was_lost() -> None:
    # Prices stand still: three times the equity is held, so two thirds of it is borrowed, and nothing else costs.
    bars, levered = rising(NEED + 48, rate=0.0), Instrument(lot=1e-6, min_notional=0.0, max_leverage=3.0)
    dear = replace(FREE, borrow_bps_per_day=50.0)
    track = run_policy(make_rule("hold"), bars, instrument=levered, costs=dear, limits=OFF, cash=1000.0)
    found = track.metrics()

    assert found["borrow"] == pytest.approx(1000.0 - track.equity[-1], abs=1e-6)
    assert found["borrow"] == pytest.approx(2000.0 * 0.005 * 48 / 24, rel=0.02)  # its own interest is borrowed too
    assert found["cost_share"] == pytest.approx(found["borrow"] / 1000.0)


def test_stitched_borrow_is_scaled_with_the_equity() -> None:
    first = track_of([100.0, 200.0], borrow=[0.0, 3.0])
    second = track_of([100.0, 90.0], borrow=[0.0, 5.0], closed_at=[HOUR, 2 * HOUR])

    assert list(stitch("both", [first, second]).borrow) == [0.0, 3.0, 13.0]


def test_a_track_that_is_not_finite_or_not_whole_is_refused() -> None:
    track = run_policy(make_rule("flat"), wandering(NEED + 5))
    broken = track.equity.copy()
    broken[2] = np.nan

    with pytest.raises(ValueError, match="equity is not finite"):
        replace(track, equity=broken)
    with pytest.raises(ValueError, match="fees has 2 rows, not 6"):
        replace(track, fees=np.zeros(2))


class Listens:
    """A policy that sees bars: remembers what it was shown, wants what it was told."""

    def __init__(self, *wishes: float) -> None:
        self.wishes = list(wishes)
        self.shown: list[Bar] = []
        self.accounts: list[Account] = []

    def begin(self, bars: Bars, account: Account) -> None:
        self.shown, self.accounts = list(bars), [account]

    def see(self, bar: Bar, account: Account) -> None:
        self.shown.append(bar)
        self.accounts.append(account)

    def act(self, observations: NDArray[np.float32], state: Any = None, starts: Any = None) -> Decision:
        wish = np.array([[self.wishes[len(self.accounts) - 1]]], np.float32)
        return Decision(wish, np.ones(1, np.float32), np.zeros(1, np.float32))


def test_a_rule_is_shown_every_closed_bar_since_the_gap_and_the_account_at_its_close() -> None:
    bars = rising(2 * NEED + 60, skip=(NEED + 30, 10))
    policy = Listens(*[0.5, 1.0, 0.2] * 40)
    track = run_policy(policy, bars, limits=OFF)
    second = NEED + 30  # the first bar of the last stretch

    assert policy.shown == list(bars)[second:]
    assert len(policy.accounts) == len(bars) - second - NEED + 1
    assert [account.equity for account in policy.accounts[1:]] == track.equity[31:].tolist()
    assert policy.accounts[0].lots == 0


def test_a_rule_starts_as_warm_as_the_bars_before_its_first_decision_make_it() -> None:
    bars, bare = rising(100), ObservationSpec("bare", 1, ("return_1",))
    late, early = (
        run_policy(make_rule("ma_cross(fast=5, slow=60)"), bars, spec=bare, start=start, limits=OFF)
        for start in (59, 58)
    )

    assert late.action[1] == 1.0
    assert early.action[1:3].tolist() == [0.0, 1.0]


def test_a_rule_answers_exposures_where_the_judged_policy_is_discrete() -> None:
    bars = wandering(NEED + 60)
    discrete, exposures = (
        run_policy(make_rule("dca(every=5, share=0.1)"), bars, actions=kind, limits=OFF) for kind in ("discrete", "box")
    )

    assert discrete.equity.tobytes() == exposures.equity.tobytes()
    assert 0.0 < discrete.exposure[3] < 0.2


def test_a_rule_that_closed_out_for_a_stop_stays_out_in_the_environment() -> None:
    bars = rising(NEED + 40, rate=-0.01)
    track = run_policy(make_rule("hold(stop_loss=0.03)"), bars, instrument=FINE, costs=FREE, limits=OFF, cash=1000.0)

    # bought at the close observed first; 0.99⁴ is the first close 3 % below, known at row 4, sold at the next open
    assert track.exposure[1:5] == pytest.approx(np.ones(4), abs=1e-6)
    assert not track.exposure[5:].any()
    assert track.equity[-1] == pytest.approx(1000.0 * 0.99**4, rel=1e-6)


def test_a_rule_in_an_environment_without_bars_is_refused() -> None:
    class Elsewhere:
        account = open_account(1.0)

        def reset(self, **given: Any) -> Any:
            return np.zeros(3, np.float32), {}

        def step(self, action: Any) -> Any:
            raise AssertionError("no step is due")

    with pytest.raises(ValueError, match="Elsewhere has no bars to show to a rule"):
        follow(make_rule("hold"), Elsewhere(), name="hold", interval_ms=1)


@pytest.mark.slow
def test_a_rule_sees_the_bars_of_a_crowd() -> None:
    arena = ArenaEnv("normal", episode_bars=30)
    policy = Listens(*[0.5] * 40)
    track = follow(policy, arena, name="listens", interval_ms=arena.interval_ms, seed=3)

    assert policy.shown == list(arena.market.bars())
    assert [bar.close for bar in policy.shown[-31:]] == track.close.tolist()
    assert policy.accounts[-1] == arena.account
    arena.close()


def test_a_window_of_bars_is_observed_once_it_is_full() -> None:
    bars = wandering(80)
    windowed = ObservationSpec("windowed", 1, ("return_1",), window=4)
    track = run_policy(make_rule("hold"), bars, spec=windowed)

    assert warm_up_bars(windowed) == 16 + 3  # volatility and volume, and three bars more
    assert track.closed_at[0] == bars.closed_at[18]
