"""Back-test every rule and print a sha256 of all that came out, as JSON: once compiled, once interpreted.

NUMBA_DISABLE_JIT=1 python interpreted_backtest.py [alone]
"""

import hashlib
import json
import sys

import numpy as np

from wavetank.agents.grids import grid
from wavetank.agents.rules import make_rule
from wavetank.agents.settings import RULES
from wavetank.envs.backtest import backtest
from wavetank.market.bars import INTERVALS, Bar, Bars
from wavetank.market.costs import Costs
from wavetank.market.draws import uniform
from wavetank.market.jit import COMPILED
from wavetank.market.ledger import open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

HOUR = INTERVALS["1h"]
GRIDS = {
    **{name: grid(name, stop_loss=[0.0, 0.04], trailing=[0.0, 0.05]) for name in RULES},
    "rsi_reversion": grid("rsi_reversion", window=[3, 6], low=35.0, high=65.0, trend=[0, 30], roi=[{0: 0.05, 9: 0.0}]),
    "ma_cross": grid("ma_cross", fast=[2, 7], slow=[7, 20], take_profit=[0.0, 0.03]),
}
GROUNDS = {
    "defaults": {},
    "levered": {"instrument": Instrument(max_leverage=6.0, maintenance=0.05), "costs": Costs(participation=0.01)},
    "live": {"limits": Limits("live", 0.8, 2.0, 0.02, 0.15), "dead_band": 0.0},
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


def digests() -> dict[str, str]:
    """One digest a rule and ground."""
    bars, told = made_bars(), dict[str, str]()
    for rule, tried in GRIDS.items():
        for name, ground in GROUNDS.items():
            ranked = backtest(tried, bars, warm_up=20, curves=2, **ground)  # type: ignore[arg-type]
            digest = hashlib.sha256(ranked.curves.tobytes() + ranked.order.tobytes())
            for figure in ranked.figures.values():
                digest.update(figure.tobytes())
            told[f"{rule} {name}"] = digest.hexdigest()
    return told


def alone() -> dict[str, str]:
    """One digest a rule, which acts bar by bar: outside of parallel loops, in which errors are lost."""
    bars = made_bars()
    return {f"{rule} alone": _alone(tried.settings[-1].text, bars) for rule, tried in GRIDS.items()}


def _alone(text: str, bars: Bars) -> str:
    rule, account, digest = make_rule(text), open_account(1000.0), hashlib.sha256()
    rule.begin(bars.slice(0, 50), account)
    for k in range(50, len(bars)):
        lots = int(4 * uniform(2, k, 0)) - 2
        rule.see(bars.bar(k), account._replace(lots=lots, entry=float(bars.close[k - 3])))
        digest.update(rule.act(np.zeros((1, 1), np.float32)).action.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    told = alone() if sys.argv[1:] == ["alone"] else {**alone(), **digests()}
    json.dump({"compiled": COMPILED, "digests": told}, sys.stdout)
