"""Walk portfolios of several kinds and print a sha256 of all that they told, as JSON: once compiled, once interpreted.

NUMBA_DISABLE_JIT=1 python interpreted_portfolio_walk.py [serial]
"""

import hashlib
import json
import sys
from typing import Any

import numpy as np

from wavetank.envs.portfolio_batch import BatchPortfolioEnv
from wavetank.market.bars import INTERVALS, Bar, Bars
from wavetank.market.costs import Costs
from wavetank.market.draws import uniform
from wavetank.market.jit import COMPILED
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

HOUR = INTERVALS["1h"]
LEVERED = [Instrument(max_leverage=6.0, maintenance=rate) for rate in (0.05, 0.02, 0.08)]
SETUPS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "levered": {"instruments": LEVERED, "episode_bars": 40, "costs": Costs(borrow_bps_per_day=20)},
    "clipped": {"limits": Limits("clip", 0.5, 0.3, 0.02, 0.2), "costs": Costs(participation=0.01)},
    "live": {"limits": Limits("live", 1.0, 2.0, 0.01, 0.05), "rewards": {"log_growth": 1.0, "drawdown": 0.3}},
}


def made_bars(asset: int, count: int = 260) -> Bars:
    """A jumpy market with holes and, now and then, an outage, from the house's own counter-based draws."""
    rows, close = list[Bar](), 100.0
    for k in range(count):
        open_ = close * (1.0 + 0.01 * (uniform(asset, k, 0) - 0.5))
        close = open_ * (1.0 + 0.1 * (uniform(asset, k, 1) - 0.5))
        reach = 0.03 * uniform(asset, k, 2)
        high, low = max(open_, close) * (1.0 + reach), min(open_, close) * (1.0 - reach)
        bar = Bar(1_704_067_200_000 + k * HOUR, open_, high, low, close, 5e4 * uniform(asset, k, 3))
        missing = uniform(asset, k, 4) < 0.1 or 100 + 20 * asset <= k < 106 + 20 * asset or 180 <= k < 186
        rows += [] if missing else [bar]
    return Bars.from_rows("1h", rows)


WAYS = (("SAME_STEP", False), ("NEXT_STEP", False), ("SAME_STEP", True))  # autoreset, whether threads may walk


def digests(ways: tuple[tuple[str, bool], ...] = WAYS, steps: int = 150, count: int = 3) -> dict[str, str]:
    """One digest a way to walk."""
    bars, told = [made_bars(asset) for asset in range(3)], dict[str, str]()
    for name, setup in SETUPS.items():
        for mode, parallel in ways:
            env = BatchPortfolioEnv(bars, count, autoreset=mode, parts=True, observation="spine", **setup)
            env.parallel = parallel  # an error inside a parallel loop is lost, so the serial kernel walks first
            digest = hashlib.sha256(env.reset(seed=3)[0].tobytes())
            for targets in np.random.default_rng(4).uniform(-1, 1, (steps, count, 3)):
                *arrays, infos = env.step(targets)
                running = env.episodes.running
                for array in (*arrays, infos["reward_parts"], running.money, running.counts, *env.episodes.positions):
                    digest.update(array.tobytes())
            if parallel:
                assert told[f"{name} {mode}"] == digest.hexdigest()
            told[f"{name} {mode}"] = digest.hexdigest()
    return told


if __name__ == "__main__":
    ways = WAYS[:2] if "serial" in sys.argv else WAYS
    json.dump({"compiled": COMPILED, "digests": digests(ways)}, sys.stdout)
