"""A fetch that was killed goes on where it was, to the same bytes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wavetank.market.sources import Fetched
from wavetank.market.store import Store

from .fetching import INTERVAL, JAN, TRUTH, assert_holds, fetch_into, loopback_binance, of_month, segments
from .pages import LoopbackExchange


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with loopback_binance() as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


class Killed(BaseException):
    """The power goes."""


class _DiesBeforeAMark(Store):
    """Rows are on disk; that they were taken is not yet remembered."""

    def mark(self, *args: Any, **named: Any) -> None:
        raise Killed


def _dies_after(pieces: int) -> Callable[[str, int, int], None]:
    def progress(piece: str, done: int, total: int) -> None:
        if done == pieces:
            raise Killed

    return progress


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_fetch_that_died_goes_on_to_the_same_bytes(
    exchange: LoopbackExchange, store: Store, tmp_path: Path, pieces: int
) -> None:
    whole = Store(tmp_path / "whole")
    fetch_into(exchange, whole)
    with pytest.raises(Killed):
        fetch_into(exchange, store, progress=_dies_after(pieces))
    before = len(exchange.asked)
    fetch_into(exchange, store)
    zips = [path for path in exchange.paths()[before:] if path.endswith(".zip")]
    assert len(zips) == max(0, 2 - pieces)
    assert segments(store) == segments(whole) != {}
    assert store.marked("binance", "BTCUSDT", INTERVAL) == whole.marked("binance", "BTCUSDT", INTERVAL)


def test_a_fetch_that_died_between_rows_and_mark_goes_on_to_the_same_bytes(
    exchange: LoopbackExchange, store: Store, tmp_path: Path
) -> None:
    whole = Store(tmp_path / "whole")
    fetch_into(exchange, whole)
    with pytest.raises(Killed):
        fetch_into(exchange, _DiesBeforeAMark(store.root))
    assert_holds(store, of_month(JAN))
    assert fetch_into(exchange, store) == Fetched(
        new=len(TRUTH) - len(of_month(JAN)), same=len(of_month(JAN)), pieces=3
    )
    assert segments(store) == segments(whole)
