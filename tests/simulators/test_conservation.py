"""Whatever storms, and whatever an outsider sends: nothing is made or lost, and no book is crossed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.scenarios import scenario_names
from wavetank.simulators.storms import ROLES, Role

BARS, ONSET = 12, 3
lots = st.integers(-5_000, 5_000).filter(bool)
ticks = st.integers(-50, 50)  # from the last trade
sent = st.lists(st.tuples(st.integers(0, BARS * 60 - 2), lots, st.none() | ticks), max_size=30)


def balanced(market: CrowdMarket) -> bool:
    """Positions sum to nothing, and so does cash: a trade moves both from one account to another."""
    bids, asks = market.depth(1)
    crossed = len(bids) and len(asks) and bids[0, 0] >= asks[0, 0]
    return market.world.book.accounts.sum(axis=0).tolist() == [0, 0] and not crossed


@settings(max_examples=40, deadline=None)
@given(
    scenario=st.sampled_from(scenario_names()),
    seed=st.integers(0, 2**63 - 1),
    role=st.sampled_from(ROLES),
    orders=sent,
)
def test_accounts_sum_to_nothing_and_no_book_is_crossed(
    scenario: str, seed: int, role: Role, orders: list[tuple[int, int, int | None]]
) -> None:
    calm = scenario == "normal"
    market = CrowdMarket(scenario, seed, role=role, onset=None if calm else ONSET)
    owner = market.add_trader("outsider")
    by_step: dict[int, list[tuple[int, int | None]]] = {}
    for step, size, away in orders:
        by_step.setdefault(step, []).append((size, away))
    for step in range(BARS * 60):
        for size, away in by_step.get(step, ()):
            if away is None:
                market.submit_market(owner, size)
            else:
                market.submit_limit(owner, size, max(1, market.last_ticks + away))
        market.step()
        if step % 10 == 9:
            assert balanced(market)
    trades = market.trades()
    signed = trades["side"].astype(np.int64) * trades["lots"]
    mine = signed[trades["taker"] == owner].sum() - signed[trades["maker"] == owner].sum()
    assert market.position(owner) == mine
    market.close()
