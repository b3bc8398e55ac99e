"""What a crowd market keeps of its past while it runs: everything that was asked for, however small its tables are."""

import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.matching import Reject


def test_tables_that_run_full_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    long = CrowdMarket("normal", rng=4, quotes=True).run(60)
    monkeypatch.setattr("wavetank.simulators.cast.ROOM", 3 * (1 << 12) + 64)
    monkeypatch.setattr("wavetank.simulators.cast.BARS_ROOM", 12)
    monkeypatch.setattr("wavetank.simulators.world.QUOTE_ROOM", 100)
    short = CrowdMarket("normal", rng=4, quotes=True)
    assert len(short.world.bars) == 12
    short.run(60)
    assert short.tape_digest() == long.tape_digest()
    assert short.quotes().tobytes() == long.quotes().tobytes()
    assert short.rejects()[Reject.LOG_FULL] == 0


def test_every_order_event_is_kept_where_asked_and_the_market_is_the_same() -> None:
    full, lean = (CrowdMarket("normal", rng=2, all_orders=all_orders).run(5) for all_orders in (True, False))
    assert full.trades().tobytes() == lean.trades().tobytes()
    assert len(full.orders()) > len(full.trades())
    with pytest.raises(ValueError, match="all_orders=True"):
        lean.orders()


def test_a_market_without_a_tape_keeps_the_bars_alone_and_is_the_same_market() -> None:
    kept, forgotten = (CrowdMarket("normal", rng=2, quotes=True, tape=tape).run(40) for tape in (True, False))
    assert forgotten.world.bars.tobytes() == kept.world.bars.tobytes()
    assert forgotten.datacollector.model_vars == kept.datacollector.model_vars
    with pytest.raises(ValueError, match="tape=True"):
        forgotten.trades()
    with pytest.raises(ValueError, match="quotes=True"):
        forgotten.quotes()


def test_quotes_that_nobody_asked_for_are_refused() -> None:
    with pytest.raises(ValueError, match="quotes=True"):
        CrowdMarket("normal", rng=4).quotes()
