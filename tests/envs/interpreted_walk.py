"""Walk environments of every kind and print a sha256 of all that they told, as JSON: once compiled, once interpreted.

NUMBA_DISABLE_JIT=1 python interpreted_walk.py
"""

import hashlib
import json
import sys

import numpy as np

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.desk import Desk
from wavetank.envs.features import FEATURES
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.rewards import PARTS
from wavetank.market.bars import INTERVALS, Bar, Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.draws import uniform
from wavetank.market.exchange import BarExchange
from wavetank.market.jit import COMPILED
from wavetank.market.limits import Limits, allowed_lots
from wavetank.market.orders import Instrument, Kind, Order

HOUR = INTERVALS["1h"]
SETUPS = {
    "defaults": {},
    "levered": {"instrument": Instrument(max_leverage=6.0, maintenance=0.05), "episode_bars": 60},
    "clipped": {"limits": Limits("clip", 0.5, 0.3, 0.02, 0.2), "costs": Costs(participation=0.01)},
    "live": {"limits": Limits("live", 1.0, 2.0, 0.01, 0.05, True), "rewards": {"log_growth": 1.0, "drawdown": 0.3}},
    "windowed": {"observation": ObservationSpec("wide", 1, ("return_1", "rsi_14"), window=5), "episode_bars": 30},
    "borrowing": {"instrument": Instrument(max_leverage=3.0), "costs": Costs(borrow_bps_per_day=50.0)},
    "varied": {"vary_costs": 3.0, "episode_bars": 25, "rewards": dict.fromkeys(PARTS, 0.5)},
}


def made_bars(count: int = 420) -> Bars:
    """A jumpy market with short and long gaps, from the house's own counter-based draws."""
    rows, close, at = list[Bar](), 100.0, 1_704_067_200_000
    for k in range(count):
        at += {90: 3, 200: 4, 300: 40}.get(k, 0) * HOUR
        open_ = close * (1.0 + 0.01 * (uniform(1, k, 0) - 0.5))
        close = open_ * (1.0 + 0.08 * (uniform(1, k, 1) - 0.5))
        reach = 0.02 * uniform(1, k, 2)
        high, low = max(open_, close) * (1.0 + reach), min(open_, close) * (1.0 - reach)
        rows.append(Bar(at, open_, high, low, close, 5e4 * uniform(1, k, 3) if k % 17 else 0.0))
        at += HOUR
    return Bars.from_rows("1h", rows)


def digests(steps: int = 300, count: int = 4) -> dict[str, str]:
    """One digest a way to walk."""
    bars, told = made_bars(), dict[str, str]()
    for name, setup in SETUPS.items():
        for mode, parallel in (("SAME_STEP", False), ("NEXT_STEP", False), ("SAME_STEP", True)):
            env = BatchTradingEnv(bars, count, autoreset=mode, parts=True, **setup)  # type: ignore[arg-type]
            env.parallel = parallel  # an error inside a parallel loop is lost, so the serial kernel walks first
            digest = hashlib.sha256(env.reset(seed=3)[0].tobytes())
            actions = np.random.default_rng(4).uniform(-1, 1, (steps, count, 1)).astype(np.float32)
            for action in actions:
                *arrays, infos = env.step(action)
                for array in (*arrays, infos["reward_parts"], env.episodes.running.money, env.episodes.running.counts):
                    digest.update(array.tobytes())
            if parallel:
                assert told[f"{name} {mode}"] == digest.hexdigest()
            told[f"{name} {mode}"] = digest.hexdigest()
    return told | {"desk": _desk_digest(bars)}


def _desk_digest(bars: Bars) -> str:
    """The live path: desk, limits and venue with resting orders."""
    terms = terms_of(Instrument(max_leverage=3.0), Costs(), Limits("live"))
    desk = Desk(ObservationSpec("all", 1, tuple(FEATURES)), terms, HOUR)
    venue, digest = BarExchange(terms, HOUR), hashlib.sha256()
    for k, bar in enumerate(bars):
        digest.update(repr([tuple(fill) for fill in venue.on_bar(bar)]).encode())
        digest.update(repr(tuple(venue.account)).encode())
        if desk.on_bar(bar):
            digest.update(desk.observe(venue.account).tobytes())
            order = desk.orders(2.0 * uniform(2, k, 0) - 1.0, venue.account)
            lots = allowed_lots(order[0].lots if order else 0, venue.account, desk.price, terms)
            if lots:
                venue.submit(Order(lots))
            if k % 5 == 0:
                kind, side = (Kind.LIMIT, 1) if k % 2 else (Kind.STOP, -1)
                venue.submit(Order(side * 500, kind, round(bar.close * 98.0)))
    return digest.hexdigest()


if __name__ == "__main__":
    json.dump({"compiled": COMPILED, "digests": digests()}, sys.stdout)
