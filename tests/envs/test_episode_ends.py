"""How an episode ends, and what its beginning refuses."""

import numpy as np
import pytest

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bar, Bars
from wavetank.market.costs import Costs
from wavetank.market.ledger import RUINED
from wavetank.market.orders import Instrument

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars

ONE_COLUMN = ObservationSpec("tiny", 1, ("return_1",))


def gapped(before: int = 20, after: int = 20) -> Bars:
    """Flat bars at 100, a gap of ten hours, flat bars again."""
    rows = [Bar(MIDNIGHT + i * HOUR, 100.0, 100.0, 100.0, 100.0, 1e6) for i in range(before)]
    later = MIDNIGHT + (before + 10) * HOUR
    rows += [Bar(later + i * HOUR, 100.0, 100.0, 100.0, 100.0, 1e6) for i in range(after)]
    return Bars.from_rows("1h", rows)


def test_a_close_at_a_gap_that_ruins_terminates_the_episode() -> None:
    """Twenty times leverage and a gap close that costs 8 % of notional: more than the account holds."""
    env = TradingEnv(
        gapped(),
        instrument=Instrument(max_leverage=20.0, maintenance=0.001),
        costs=Costs(half_spread_bps=0.0, taker_fee_bps=200.0, impact_y=0.0, funding_bps_per_8h=0.0),
        observation=ONE_COLUMN,
        random_start=False,
    )
    env.reset(seed=1)
    terminated = truncated = False
    while not (terminated or truncated):
        action = np.array([1.0 if env.index == 17 else env.account.lots * 0.1 / (20 * env.account.equity)])
        _, _, terminated, truncated, info = env.step(np.clip(action, -1, 1))
    assert (terminated, truncated) == (True, False)
    assert info["ruin"] == RUINED
    assert env.account.lots == 0


def test_the_end_of_the_data_truncates_and_leaves_the_position_marked() -> None:
    env = TradingEnv(gapped(), observation=ONE_COLUMN)
    env.reset(seed=1, options={"start": 35})
    truncated = False
    while not truncated:
        _, _, _, truncated, info = env.step(np.array([0.5]))
    assert info["lots"] != 0


@pytest.mark.parametrize("start", [35.5, "35", [1.0]])
def test_a_start_that_is_no_whole_number_is_refused(start: object) -> None:
    for env in (TradingEnv(gapped(), observation=ONE_COLUMN), BatchTradingEnv(gapped(), 1, observation=ONE_COLUMN)):
        with pytest.raises(ValueError, match="whole number"):
            env.reset(seed=1, options={"start": start})


def test_the_first_reset_of_a_batch_begins_every_episode() -> None:
    env = BatchTradingEnv(drawn_bars(np.random.default_rng(1), 200), 2)
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(seed=1, options={"reset_mask": np.array([True, False])})
    env.reset(seed=1)
