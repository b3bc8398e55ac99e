"""Trade windows against plain Python, pandas and paper; live equals whole; nothing after the reference is seen."""

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavetank.market.jit import COMPILED
from wavetank.market.store import data_folder
from wavetank.market.windows import AGGREGATES, Aggregates, Trades, TradeStream, aggregate

from .handmade import MIDNIGHT, same_bits

Floats = NDArray[np.float64]
WINDOWS = ((1_000, 0), (5_000, 0), (5_000, 1_000), (60_000, 59_999), (3, 2))
LONE = Trades(np.array([MIDNIGHT]), np.array([7.0]), np.array([2.0]))
RECORDED = ("binance_spot_BTCUSDT_2024-08-08", "binance_XRPETH_trades_2019-10")


def drawn_trades(count: int, seed: int = 0) -> Trades:
    """Trades with many at one instant, some long silences, and prices that walk."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 0, 1, 7, 150, 900, 12_000], count)
    price = 100.0 * np.exp(np.cumsum(0.001 * rng.standard_normal(count)))
    return Trades(MIDNIGHT + np.cumsum(steps, dtype=np.int64), price, rng.exponential(size=count) + 1e-6)


def plainly(trades: Trades, ref: int, t1: int, t2: int) -> dict[str, float]:
    """The definitions, word by word, over lists."""
    rows = [(int(a), float(p), float(q)) for a, p, q in zip(trades.at, trades.price, trades.quantity, strict=True)]
    inside = [row for row in rows if ref - t1 < row[0] <= ref - t2]
    earlier = [row for row in rows if ref - t1 - (t1 - t2) < row[0] <= ref - t1]
    if not inside:
        return {name: 0.0 if name in ("deals", "sum_volume") else math.nan for name in AGGREGATES}
    prices, volumes = [p for _, p, _ in inside], [q for *_, q in inside]
    ends = [a for a, _, _ in inside[1:]] + [ref - t2]
    held = [end - a for (a, _, _), end in zip(inside, ends, strict=True)]
    weighted = math.fsum(p * h for p, h in zip(prices, held, strict=True))
    before = math.fsum(q for *_, q in earlier)
    total = math.fsum(volumes)
    return {
        "max_price": max(prices),
        "min_price": min(prices),
        "first_price": prices[0],
        "last_price": prices[-1],
        "sum_volume": total,
        "avg_volume": total / len(volumes),
        "deals": len(volumes),
        "twpa": weighted / sum(held) if sum(held) else prices[-1],
        "vwap": math.fsum(p * q for p, q in zip(prices, volumes, strict=True)) / total,
        "velocity": math.log(prices[-1] / prices[0]) / ((t1 - t2) / 1000),
        "volume_surge": total / before if before else math.nan,
        "volume_concentration": math.fsum((q / total) ** 2 for q in volumes),
    }


def _refs(trades: Trades, count: int) -> NDArray[np.int64]:
    first, last = int(trades.at[0]), int(trades.at[-1])
    return np.unique(np.concatenate([np.linspace(first - 10, last + 9_000, count), trades.at[::11]]).astype(np.int64))


@pytest.mark.parametrize(("t1", "t2"), WINDOWS)
def test_windows_are_what_their_definitions_say(t1: int, t2: int) -> None:
    trades = drawn_trades(300)
    refs = _refs(trades, 80)
    expected = [[plainly(trades, int(ref), t1, t2)[name] for name in AGGREGATES] for ref in refs]
    np.testing.assert_allclose(aggregate(trades, refs, t1, t2), expected, rtol=1e-12, atol=1e-15)


def test_five_trades_on_paper() -> None:
    """(ref − 4 s, ref]: of five trades the first is one instant too old; the second is the first inside."""
    ref = MIDNIGHT + 10_000
    trades = Trades(
        np.array([6_000, 6_001, 7_000, 9_000, 10_000]) + MIDNIGHT,
        np.array([50.0, 100.0, 104.0, 96.0, 98.0]),
        np.array([8.0, 1.0, 2.0, 4.0, 1.0]),
    )
    told = Aggregates(*aggregate(trades, [ref], 4_000)[0])
    assert told[:4] == (104.0, 96.0, 100.0, 98.0)
    assert (told.sum_volume, told.avg_volume, told.deals) == (8.0, 2.0, 4.0)
    assert told.twpa == pytest.approx((999 * 100 + 2_000 * 104 + 1_000 * 96) / 3_999)
    assert told.vwap == pytest.approx((100 + 208 + 384 + 98) / 8)
    assert told.velocity == pytest.approx(math.log(0.98) / 4)
    assert told.volume_surge == 1.0
    assert told.volume_concentration == pytest.approx((1 + 4 + 16 + 1) / 64)


@pytest.mark.parametrize("at", [MIDNIGHT - 5_000, MIDNIGHT + 20_000])
def test_an_empty_window_counts_nothing_and_says_nan(at: int) -> None:
    told = Aggregates(*aggregate(LONE, [at], 1_000)[0])
    assert (told.deals, told.sum_volume) == (0.0, 0.0)
    assert all(math.isnan(value) for name, value in told._asdict().items() if name not in ("deals", "sum_volume"))


def test_a_lone_trade_at_the_windows_end_is_every_price_there_is() -> None:
    told = Aggregates(*aggregate(LONE, [MIDNIGHT], 1_000)[0])
    assert (told.twpa, told.vwap, told.first_price, told.last_price) == (7.0, 7.0, 7.0, 7.0)
    assert (told.velocity, told.volume_concentration) == (0.0, 1.0)
    assert math.isnan(told.volume_surge), "nothing was traded before"


def _live(trades: Trades, refs: NDArray[np.int64], t1: int, t2: int, restart_every: int = 0) -> Floats:
    stream, k, told = TradeStream(t1, t2), 0, []
    for n, ref in enumerate(refs):
        while k < len(trades) and trades.at[k] <= ref:
            stream.add(int(trades.at[k]), float(trades.price[k]), float(trades.quantity[k]))
            k += 1
        if restart_every and n % restart_every == 0:
            saved, stream = stream.state(), TradeStream(t1, t2)
            stream.restore(saved)
        told.append(stream.ask(int(ref)))
    return np.array(told, np.float64)


@pytest.mark.parametrize(("t1", "t2"), WINDOWS)
@pytest.mark.parametrize("restart_every", [0, 1, 7])
def test_live_and_whole_give_the_same_bits_restarts_or_not(t1: int, t2: int, restart_every: int) -> None:
    trades = drawn_trades(600, seed=3)
    refs = _refs(trades, 150)
    assert same_bits(_live(trades, refs, t1, t2, restart_every), aggregate(trades, refs, t1, t2))


def test_a_stream_forgets_what_no_window_to_come_can_reach() -> None:
    stream = TradeStream(1_000)
    for k in range(20_000):
        stream.add(MIDNIGHT + 10 * k, 1.0, 1.0)
        told = stream.ask(MIDNIGHT + 10 * k)
    assert told.deals == 100.0
    assert len(stream.state()) < 16 + 24 * 600


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.floats(1e-6, 1e6), st.floats(1e-9, 1e9)), min_size=1, max_size=40),
    st.lists(st.integers(-100, 9_000), min_size=1, max_size=8),
    st.integers(1, 5_000),
    st.integers(0, 4_999),
)
def test_any_trades_and_windows_agree_with_plain_python(
    steps: list[tuple[int, float, float]], refs: list[int], length: int, t2: int
) -> None:
    at, price, quantity = (np.array(column) for column in zip(*steps, strict=True))
    trades = Trades(MIDNIGHT + np.cumsum(at, dtype=np.int64), price, quantity)
    for ref, row in zip(sorted(refs), aggregate(trades, sorted(np.add(refs, MIDNIGHT)), t2 + length, t2), strict=True):
        expected = plainly(trades, MIDNIGHT + ref, t2 + length, t2)
        np.testing.assert_allclose(row, [expected[name] for name in AGGREGATES], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_trades_agree_with_pandas_and_live_with_whole(name: str) -> None:
    path = data_folder() / "trades" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"no recorded data at {data_folder()} (WAVETANK_DATA)")
    table = pd.read_parquet(path).sort_values("ts", kind="stable").head(8_000)
    at = np.array(table.ts.astype("datetime64[ms, UTC]").astype(np.int64), np.int64)
    trades = Trades(at, table.price.to_numpy(), table[table.columns.intersection(["qty", "amount"])[0]].to_numpy())
    series = pd.DataFrame({"price": trades.price, "quantity": trades.quantity}, index=pd.to_datetime(at, unit="ms"))
    series["money"] = series.price * series.quantity
    window = series.rolling("30s")  # pandas' windows, too, are open on the old side and closed on the new
    last_of_instant = ~series.index.duplicated(keep="last")
    refs = at[last_of_instant]
    told = pd.DataFrame(aggregate(trades, refs, 30_000), columns=list(AGGREGATES))
    oracle = {
        "max_price": window.price.max(),
        "min_price": window.price.min(),
        "first_price": window.price.apply(lambda prices: float(prices[0]), raw=True),
        "last_price": series.price,
        "sum_volume": window.quantity.sum(),
        "avg_volume": window.quantity.mean(),
        "deals": window.quantity.count(),
    }
    for column, expected in oracle.items():
        np.testing.assert_allclose(told[column], np.array(expected)[last_of_instant], rtol=1e-8, err_msg=column)
    vwap = np.array(window.money.sum()) / np.array(window.quantity.sum())
    np.testing.assert_allclose(told.vwap, vwap[last_of_instant], rtol=1e-8)
    some = refs[::5]
    assert same_bits(_live(trades, some, 30_000, 5_000), aggregate(trades, some, 30_000, 5_000))


@pytest.mark.parametrize("k", [10, 150, 299])
def test_trades_after_the_reference_change_nothing(k: int) -> None:
    trades = drawn_trades(300, seed=4)
    ref = int(trades.at[k])
    known = int(np.searchsorted(trades.at, ref, "right"))
    other = Trades(trades.at, *(np.where(np.arange(300) < known, x, 9.0 * x) for x in (trades.price, trades.quantity)))
    refs = np.linspace(int(trades.at[0]), ref, 40).astype(np.int64)
    assert same_bits(aggregate(trades, refs, 5_000, 10), aggregate(other, refs, 5_000, 10))
    later = trades.at[known:]
    assert k == 299 or not same_bits(aggregate(trades, later, 5_000, 10), aggregate(other, later, 5_000, 10))


@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_compiled_and_interpreted_give_the_same_bits() -> None:
    code = "import sys; sys.path.insert(0, {root!r}); from tests.market.test_windows import digest; print(digest())"
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code.format(root=root)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [digest()]


def digest() -> str:
    trades = drawn_trades(400, seed=5)
    return hashlib.sha256(aggregate(trades, _refs(trades, 60), 5_000, 300).tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("t1", "t2", "sentence"),
    [
        (0, 0, "a window from 0 ms to 0 ms before its reference cannot be: t1 > t2 ≥ 0"),
        (5, 5, "a window from 5 ms to 5 ms"),
        (5, -1, "a window from 5 ms to -1 ms"),
    ],
)
def test_a_window_that_cannot_be_is_refused(t1: int, t2: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        aggregate(drawn_trades(3), [MIDNIGHT], t1, t2)
    with pytest.raises(ValueError, match=sentence):
        TradeStream(t1, t2)


def test_trades_and_references_that_fall_or_are_no_numbers_are_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="trade 2 at 4 ms is older than the one before it"):
        Trades(np.array([3, 5, 4]), ones, ones)
    with pytest.raises(ValueError, match="trade 1: price nan must be a number above 0"):
        Trades(np.array([3, 5, 6]), np.array([1.0, math.nan, 0.0]), ones)
    with pytest.raises(ValueError, match="trade 0: quantity 0.0 must be a number above 0"):
        Trades(np.array([3, 5, 6]), ones, np.zeros(3))
    with pytest.raises(ValueError, match=r"column price has shape \(2,\), the trades are 3"):
        Trades(np.array([3, 5, 6]), ones[:2], ones)
    with pytest.raises(ValueError, match="reference 1 at 1 ms is older than the one before it"):
        aggregate(drawn_trades(3), [2, 1], 5)
    stream = TradeStream(5)
    stream.add(10, 1.0, 1.0)
    with pytest.raises(ValueError, match="trade at 9 ms is older than the last one, 10"):
        stream.add(9, 1.0, 1.0)
    with pytest.raises(ValueError, match="trade at 11 ms: price nan and quantity 1.0 must be numbers above 0"):
        stream.add(11, math.nan, 1.0)
    stream.ask(20)
    with pytest.raises(ValueError, match="reference 19 ms is older than the last one, 20"):
        stream.ask(19)
    with pytest.raises(ValueError, match="a state of 41 bytes does not hold 1 trades"):
        stream.restore(stream.state() + b"x")
