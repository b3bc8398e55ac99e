"""A window of W bars: the last W observations of the plain env as rows, in batch, scalar env and desk alike."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.desk import Desk
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.trading import TradingEnv
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import same_bits
from .cases import GAPPY, SHORT, SMOOTH

WIDE = replace(SHORT, window=7)


def test_a_window_is_the_last_observations_newest_last() -> None:
    plain, wide = TradingEnv(SMOOTH, observation=SHORT), TradingEnv(SMOOTH, observation=WIDE)
    last, _ = plain.reset(options={"start": 100})
    window, _ = wide.reset(options={"start": 100})
    assert window.shape == (7, SHORT.width) == wide.observation_space.shape
    assert same_bits(window[-1], last)
    seen, rng = [last], np.random.default_rng(1)
    for k in range(40):
        action = rng.uniform(-1, 1, 1)
        last, window = plain.step(action)[0], wide.step(action)[0]
        seen.append(last)
        rows = min(len(seen), 7)
        assert same_bits(window[-rows:], np.array(seen[-rows:])), f"step {k}"


def test_bars_before_the_first_decision_show_their_market_and_a_fresh_account() -> None:
    plain, wide = TradingEnv(SMOOTH, observation=SHORT), TradingEnv(SMOOTH, observation=WIDE)
    window, _ = wide.reset(options={"start": 100})
    for back in range(7):
        seen, _ = plain.reset(options={"start": 100 - back})
        assert same_bits(window[-1 - back, :2], seen[:2])
    assert all(same_bits(row, window[-1, 2:]) for row in window[:, 2:])


def test_a_window_warms_up_over_its_length() -> None:
    first = TradingEnv(GAPPY, observation=SHORT, random_start=False)
    later = TradingEnv(GAPPY, observation=WIDE, random_start=False)
    first.reset()
    later.reset()
    assert later.index == first.index + 6


@pytest.mark.parametrize("autoreset", ["SAME_STEP", "NEXT_STEP"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_batch_of_windows_equals_single_ones(autoreset: str, copy: bool) -> None:
    batch = BatchTradingEnv(GAPPY, 5, autoreset=autoreset, copy=copy, observation=WIDE, episode_bars=11)
    singles = [TradingEnv(GAPPY, observation=WIDE, episode_bars=11) for _ in range(5)]
    seen, _ = batch.reset(seed=3)
    assert seen.shape == (5, 7, SHORT.width) == batch.observation_space.shape
    for i, env in enumerate(singles):
        assert same_bits(seen[i], env.reset(seed=3 + i)[0])
    rng, over = np.random.default_rng(4), [False] * 5
    for _ in range(90):
        actions = rng.uniform(-1, 1, (5, 1))
        seen, _, _, _, infos = batch.step(actions)
        for i, env in enumerate(singles):
            if over[i]:
                own, over[i] = env.reset()[0], False
            else:
                own, _, terminated, truncated, _ = env.step(actions[i])
                if terminated or truncated:
                    if autoreset == "SAME_STEP":
                        assert same_bits(infos["final_obs"][i], own)
                        own = env.reset()[0]
                    else:
                        over[i] = True
            assert same_bits(seen[i], own)


def test_the_desk_shows_the_same_window_and_restores_it() -> None:
    terms = terms_of(Instrument(), Costs(), Limits())
    env = TradingEnv(SMOOTH, observation=WIDE, random_start=False)
    observation, _ = env.reset()
    desk, venue = Desk(WIDE, terms, SMOOTH.interval_ms), BarExchange(terms, SMOOTH.interval_ms)
    for bar in list(SMOOTH)[: env.index + 1]:
        venue.warm(bar)
        desk.on_bar(bar)
    rng = np.random.default_rng(5)
    for k in range(60):
        seen = desk.observe(venue.account)
        assert same_bits(seen, observation), f"step {k}"
        if k % 9 == 0:
            assert same_bits(desk.observe(venue.account), seen), "asking twice changes nothing"
            state, desk = desk.state(), Desk(WIDE, terms, SMOOTH.interval_ms)
            desk.restore(state)
        action = float(rng.uniform(-1, 1))
        for order in desk.orders(action, venue.account):
            venue.submit(order)
        observation = env.step(np.array([action]))[0]
        bar = SMOOTH.bar(env.index)
        venue.on_bar(bar)
        desk.on_bar(bar)


def test_a_window_does_not_reach_across_a_gap() -> None:
    desk = Desk(WIDE, terms_of(Instrument(), Costs(), Limits()), GAPPY.interval_ms)
    warm = [desk.on_bar(bar) for bar in GAPPY]
    need = 6 + 7 - 1  # return_5 speaks at its 6th bar
    assert len(GAPPY.segments()) > 2
    for start, stop in GAPPY.segments():
        assert warm[start:stop] == ([False] * (need - 1) + [True] * (stop - start))[: stop - start]


@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is .*infinity.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*looks like an image.*:UserWarning")
def test_gymnasium_finds_nothing_wrong_with_a_window() -> None:
    check_env(TradingEnv(SMOOTH, observation=WIDE, episode_bars=50), skip_render_check=True)


@pytest.mark.parametrize("window", [0, -1, 513])
def test_a_window_that_cannot_be_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"observation short: window {window} must lie in 1 … 512 bars"):
        replace(SHORT, window=window)


def test_a_window_changes_the_digest_and_survives_json() -> None:
    assert WIDE.digest != SHORT.digest
    assert ObservationSpec.from_json(WIDE.to_json()) == WIDE
    assert "window" not in SHORT.to_json(), "digests of specs without a window stay what they were"
