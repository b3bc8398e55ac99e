"""The counterfactual twin of an arena: the same market of the same seed, in which the policy sends nothing.

Orders from outside touch nobody's draws, so all that differs between the two is what the policy's orders set off.
For evaluation: what it tells goes into `info`, never into an observation.
"""

from ..simulators import world as crowd
from ..simulators.crowd import CrowdMarket
from ..simulators.snapshots import Snapshot
from ..simulators.storms import Scenario

BPS = 1e4


class Twin:
    """A second market that follows the first, step by step."""

    def __init__(self, market: CrowdMarket) -> None:
        self.market = market

    def begin(self, warm: Snapshot, seed: int, scenario: Scenario) -> None:
        """Begin where the policy's market begins."""
        self.market.set_state(warm)
        self.market.branch(seed, scenario)

    def follow(self, market: CrowdMarket, closed: bool) -> dict[str, float]:
        """Live until `market`'s step, which ends a bar where it has `closed`; what info tells of the two prices."""
        if closed:
            self.market.run_bar()
        else:
            for _ in range(int(market.world.clock[crowd.STEP]) - int(self.market.world.clock[crowd.STEP])):
                self.market.step()
        price = self.market.close_price
        return {"twin_close": price, "impact_bps": BPS * (market.close_price / price - 1.0)}

    def close(self) -> None:
        self.market.close()
