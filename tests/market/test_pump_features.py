"""Pump features against a slow plain twin, and what must not change them: later prints, the scale, the ids' absence."""

import math

import numpy as np
import pytest

from wavetank.market.chunks import Pace
from wavetank.market.prints import Print, Prints
from wavetank.market.pump_features import BAR_FEATURES, PUMP_FEATURES, bar_pace, bar_rows, tape_rows

from .handmade import drawn_bars
from .invented_tapes import MINUTE, START, burst, quiet, tape, with_ids_hidden

NAMES = list(PUMP_FEATURES)
PACE = Pace(chunk_ms=25_000, hop_ms=25_000, window_ms=100 * 25_000, warm_ms=20 * 25_000)
HOPPING = Pace(chunk_ms=25_000, hop_ms=5_000, window_ms=30 * MINUTE, warm_ms=10 * MINUTE)


@pytest.fixture(scope="module")
def prints() -> Prints:
    rng = np.random.default_rng(4)
    pump = burst(rng, START + 70 * MINUTE + 3_000, seconds=20, orders=60, fills=4, rise=0.3, price=101.0)
    return tape(quiet(rng, 120), pump)


def twin(prints: Prints, pace: Pace, cell: int) -> dict[str, float]:
    """The features of the chunk that ends with `cell`, from all prints, by plain Python."""
    chunks = dict[int, list[int]]()
    for i, at in enumerate(prints.at_ms):
        chunks.setdefault(int(at) // pace.hop_ms, []).append(i)
    first = min(chunks)

    def totals(end: int) -> tuple[float, float, float]:
        inside = [i for c in range(max(first, end - pace.parts + 1), end + 1) for i in chunks.get(c, [])]
        buys: dict[tuple[int, int], int] = {}
        for i in inside:
            if prints.side[i] > 0:
                key = (int(prints.at_ms[i]), int(prints.ids[i]))
                buys[key] = buys.get(key, 0) + 1
        rush = sum(fills >= 2 for fills in buys.values())
        return float(rush), float(len(inside)), sum(float(prints.price[i] * prints.volume[i]) for i in inside)

    usual = range(max(first, cell - pace.parts - pace.window + 1), cell - pace.parts + 1)
    past = np.array([totals(end) for end in usual])
    busy = float(past[:, 2].sum() / np.count_nonzero(past[:, 1]))
    now, found = totals(cell), {}
    for k, (name, least) in enumerate((("rush_orders", 1.0), ("trades", 1.0), ("volumes", busy))):
        z = (now[k] - past[:, k].mean()) / (past[:, k].std() + least)
        found[f"std_{name}"] = math.copysign(math.log1p(abs(z)), z)
        found[f"avg_{name}"] = math.log((now[k] + least) / (past[:, k].mean() + least))
    return found


@pytest.mark.parametrize("pace", [PACE, HOPPING])
def test_features_are_those_of_a_slow_plain_twin(prints: Prints, pace: Pace) -> None:
    rows = tape_rows(prints, pace)
    for place in [*range(0, len(rows.known_at), 37), len(rows.known_at) - 1]:
        cell = int(rows.known_at[place]) // pace.hop_ms - 1
        told = dict(zip(NAMES, rows.values[place], strict=True))
        for name, value in twin(prints, pace, cell).items():
            assert told[name] == pytest.approx(value, rel=1e-9, abs=1e-9), (name, place)


def test_a_pump_stands_out_in_rush_orders_volume_and_price(prints: Prints) -> None:
    known_at, values = tape_rows(prints, HOPPING)
    in_pump = (known_at > START + 70 * MINUTE) & (known_at <= START + 71 * MINUTE)
    for name in ("std_rush_orders", "avg_volumes", "std_price"):
        column = values[:, NAMES.index(name)]
        assert column[in_pump].max() > column[~in_pump & (known_at < START + 70 * MINUTE)].max() + 0.5


def test_another_future_leaves_every_past_row_as_it_was(prints: Prints) -> None:
    whole = tape_rows(prints, HOPPING)
    cut = int(np.searchsorted(prints.at_ms, START + 60 * MINUTE))
    rng = np.random.default_rng(99)
    changed = Prints(
        prints.at_ms,
        np.where(np.arange(len(prints)) < cut, prints.price, 3.0 * prints.price),
        np.where(np.arange(len(prints)) < cut, prints.volume, rng.exponential(90.0, len(prints)) + 1.0),
        np.where(np.arange(len(prints)) < cut, prints.side, -prints.side),
        prints.ids,
    )
    other = tape_rows(changed, HOPPING)
    past = whole.known_at <= prints.at_ms[cut]
    assert past.sum() > 50
    assert np.array_equal(whole.values[past], other.values[other.known_at <= prints.at_ms[cut]])
    assert not np.array_equal(whole.values[~past][:5], other.values[other.known_at > prints.at_ms[cut]][:5])


def test_a_row_is_known_when_its_chunk_is_over_and_holds_no_later_print(prints: Prints) -> None:
    rows = tape_rows(prints, HOPPING)
    place = len(rows.known_at) // 2
    known = int(rows.known_at[place])
    before = prints.slice(0, int(np.searchsorted(prints.at_ms, known, "left")))
    again = tape_rows(before, HOPPING, until_ms=known)
    assert again.known_at[-1] == known
    assert np.array_equal(again.values[-1], rows.values[place])


def test_price_and_volume_have_no_unit(prints: Prints) -> None:
    rows = tape_rows(prints, HOPPING)
    other = Prints(prints.at_ms, prints.price * 2.0**-14, prints.volume * 2.0**20, prints.side, prints.ids)
    np.testing.assert_allclose(tape_rows(other, HOPPING).values, rows.values, rtol=1e-9, atol=1e-9)


def test_a_tape_without_ids_tells_the_same_where_no_two_orders_share_an_instant() -> None:
    prints = tape(quiet(np.random.default_rng(8), 60, a_minute=2.0))
    same = tape_rows(with_ids_hidden(prints), HOPPING).values
    np.testing.assert_array_equal(tape_rows(prints, HOPPING).values, same)


def test_a_market_of_minute_steps_has_the_features_of_one_of_seconds(prints: Prints) -> None:
    fast = tape_rows(prints, HOPPING)
    slow = Prints(prints.at_ms * 60, prints.price, prints.volume, prints.side, prints.ids)
    steps = tape_rows(slow, HOPPING.of_step(60_000))
    assert np.array_equal(steps.known_at, fast.known_at * 60)
    clockless = NAMES.index("hour_sin")
    np.testing.assert_array_equal(steps.values[:, :clockless], fast.values[:, :clockless])


def test_a_market_that_slept_through_the_whole_window_is_not_judged() -> None:
    rng = np.random.default_rng(2)
    later = [Print(START + 660 * MINUTE + 1_000 * k, 100.0, 500.0, 1) for k in range(30)]
    prints = tape(quiet(rng, 60), later)
    known_at, values = tape_rows(prints, HOPPING)
    assert known_at[-1] < START + 61 * MINUTE
    assert np.isfinite(values).all()


def test_nothing_is_told_before_it_is_warm(prints: Prints) -> None:
    known_at, _ = tape_rows(prints, HOPPING)
    assert known_at[0] >= prints.at_ms[0] + HOPPING.warm_ms


def test_bars_tell_the_features_that_bars_can_tell() -> None:
    bars = drawn_bars(np.random.default_rng(3), 400, interval="1m", gaps={200: 30})
    pace = bar_pace(MINUTE, 100, 50)
    known_at, values = bar_rows(bars, pace)
    assert set(known_at) <= set(bars.closed_at)
    behind_gap = int(bars.closed_at[200])
    assert not ((known_at >= behind_gap) & (known_at < behind_gap + 50 * MINUTE)).any()  # begun anew
    quote = bars.volume * (bars.high + bars.low + bars.close) / 3.0
    i = int(np.flatnonzero(bars.closed_at == known_at[-1])[0])
    past = quote[i - 100 : i]
    busy = past.sum() / np.count_nonzero(bars.volume[i - 100 : i] > -1.0)
    expected = math.log((quote[i] + busy) / (past.mean() + busy))
    assert values[-1, NAMES.index("avg_volumes")] == pytest.approx(expected, rel=1e-9)
    assert set(BAR_FEATURES) < set(PUMP_FEATURES)


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ((25_000, 4_000), "is not a whole number of hops"),
        ((25_000, 5_000, 10_000), "warm_ms"),
        ((25_000, 0), "hops of 0"),
    ],
)
def test_a_pace_that_cannot_be_is_refused(spans: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Pace(*spans)
