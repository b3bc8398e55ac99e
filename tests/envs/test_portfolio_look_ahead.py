"""Nothing knows the future: other bars, or missing ones, after t leave all that was told up to t bit-identical."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.portfolio import PortfolioEnv
from wavetank.market.bars import Bars
from wavetank.market.store import data_folder, read_bars

from .portfolios import CASES, SHORT, draw_targets
from .test_panel import with_another_future

REACH = 45


def _told(env: PortfolioEnv, targets: NDArray[np.float64], start: int) -> list[bytes]:
    """Everything that a walk tells, one line a row."""
    observation, info = env.reset(seed=1, options={"start": start})
    told = [observation.tobytes() + repr(info).encode()]
    for target in targets:
        observation, *results, info = env.step(target)
        told.append(observation.tobytes() + repr((results, info, env.account)).encode())
        if results[1] or results[2]:
            break
    return told


@pytest.mark.parametrize(
    "name", ["free, of all", "holes", "late", "margin", "clipped", "live", "costs of each", "levered"]
)
@pytest.mark.parametrize("t", [110, 170, 230])
def test_another_future_changes_nothing_that_was_told_before(name: str, t: int) -> None:
    bars, keywords = CASES[name]
    keywords = keywords | {"episode_bars": None}
    env = PortfolioEnv(bars, **keywords)
    at = int(env.episodes.panel.opened_at[t])
    other = PortfolioEnv([with_another_future(each, at, k) for k, each in enumerate(bars)], **keywords)
    targets = draw_targets(np.random.default_rng(t), REACH + 10, 1, len(bars))[:, 0]
    a, b = (_told(each, targets, t - REACH) for each in (env, other))
    past = min(REACH + 1, len(a), len(b))
    assert past > 3
    assert a[:past] == b[:past]
    if min(len(a), len(b)) > past:
        assert a[past:] != b[past:], "the futures are the same: this test sees nothing"


@pytest.fixture(scope="module")
def recorded() -> list[Bars]:
    """Ten days of May 2021 of every recorded perpetual of the panel: real dislocations on the 19th."""
    paths = sorted((data_folder() / "ohlcv").glob("binanceusdm-panel_*USDT_1h.parquet"))
    if not paths:
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    return [read_bars(path, start="2021-05-12", end="2021-05-23") for path in paths]


def test_another_future_of_eighteen_recorded_perpetuals_changes_nothing_either(recorded: list[Bars]) -> None:
    assert len(recorded) == 18
    env = PortfolioEnv(recorded, observation=SHORT)
    for t in (100, 180):
        at = int(env.episodes.panel.opened_at[t])
        other = PortfolioEnv([with_another_future(each, at, k) for k, each in enumerate(recorded)], observation=SHORT)
        targets = draw_targets(np.random.default_rng(t), REACH + 10, 1, 18)[:, 0]
        a, b = (_told(each, targets, t - REACH) for each in (env, other))
        assert a[: REACH + 1] == b[: REACH + 1]
        assert a[REACH + 1 :] != b[REACH + 1 :]
