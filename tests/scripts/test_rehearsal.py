"""What a journal tells as a track: the columns of the environment's own, to the last bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wavetank.envs.desk import Desk
from wavetank.envs.trading import TradingEnv
from wavetank.execution.history import read_history
from wavetank.experiments.evaluate import follow
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.orders import Instrument
from wavetank.scripts.rehearsal import track_of

from ..execution.toy import HOUR_MS, SPEC, WIDE, ToyPolicy, made_bars, run_session, trader


def test_the_track_of_a_journal_is_the_environments_own_where_three_times_the_equity_may_be_held(
    tmp_path: Path,
) -> None:
    bars, levered, costs = made_bars(300), Instrument(max_leverage=3.0), Costs(borrow_bps_per_day=30.0)
    terms = terms_of(levered, costs, WIDE)
    run_session(tmp_path / "paper.db", bars, replace(trader(), desk=Desk(SPEC, terms, HOUR_MS), terms=terms))
    told = track_of(read_history(tmp_path / "paper.db"), HOUR_MS, levered.lot)
    env = TradingEnv(bars, instrument=levered, costs=costs, limits=WIDE, observation=SPEC, random_start=False)
    policy: Any = ToyPolicy()
    own = follow(policy, env, name="policy", interval_ms=HOUR_MS)

    assert np.max(np.abs(own.exposure)) > 1.5
    assert own.borrow[-1] > 0.0
    paid = ("fees", "funding", "borrow", "turnover", "trades")
    for name in ("closed_at", "close", "equity", "exposure", *paid, "state"):
        assert getattr(told, name).tobytes() == getattr(own, name).tobytes(), name
