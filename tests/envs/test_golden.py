"""Golden bars: what is recorded of each class of policy, which bars are taken, and what a replay notices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.policy import Decision
from wavetank.envs.features import feature_matrix
from wavetank.envs.golden import GOLDEN_BARS, GOLDEN_ROWS, Golden, record_golden, replay_golden
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, load_passport
from wavetank.envs.past import Tabled
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.embed import Embedder

from ..market.handmade import drawn_bars
from .passports import MARKET, WINDOW, made_bars, terrain_of

SPEC = ObservationSpec("small", 1, MARKET)
TERMS = Terrain(SPEC, Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h").terms


class Counting:
    """A recurrent policy of five lines: it wants more with every bar since its start, and turns at the end."""

    def act(self, observations: Any, state: Any = None, starts: Any = None) -> Decision:
        age = np.zeros((1, 1), np.float32) if state is None else state + np.float32(1)
        one = np.ones(1, np.float32)
        return Decision(np.sin(age / 7), one, one, age)


def recorded(spec: ObservationSpec = SPEC, bars: Bars | None = None, past: Tabled | None = None) -> Golden:
    return record_golden(Counting(), bars or made_bars(), spec, TERMS, "box", past)


def test_a_recurrent_policy_acts_in_sequence_from_a_start_at_the_first_row() -> None:
    golden = recorded()
    assert golden.action[:, 0].tolist() == np.sin(np.arange(len(golden.action), dtype=np.float32) / 7).tolist()
    assert len(np.unique(golden.lots)) > 20
    assert replay_golden(golden, SPEC, TERMS, "box") is None


def test_a_window_shows_the_last_rows_of_the_columns() -> None:
    spec = replace(SPEC, window=WINDOW)
    golden = recorded(spec)
    assert golden.columns.shape[1:] == (WINDOW, spec.width) == spec.shape
    rows = feature_matrix(golden.bars, MARKET)
    first = 60 + WINDOW - 2  # the last of the columns speaks from bar 60 on
    assert len(golden.columns) == GOLDEN_BARS - first
    for row, window in enumerate(golden.columns):
        last = first + row
        assert np.array_equal(window[:, : len(MARKET)], rows[last - WINDOW + 1 : last + 1])


@pytest.mark.parametrize("kind", ["box", "discrete", "windowed", "recurrent", "both"])
def test_every_class_survives_the_file_and_the_replay(passport_of: Callable[[str], Path], kind: str) -> None:
    terrain = terrain_of(kind)
    with np.load(passport_of(kind) / "golden.npz") as file:
        golden = Golden.from_arrays("1h", {name: file[name] for name in file.files})
    assert replay_golden(golden, terrain.spec, terrain.terms, terrain.action) is None
    assert np.count_nonzero(golden.lots) > 20
    again = record_golden(
        load_passport(passport_of(kind)).policy, made_bars(), terrain.spec, terrain.terms, terrain.action
    )
    for name, array in golden.arrays().items():
        assert np.array_equal(again.arrays()[name], array), name


@pytest.mark.parametrize("window", [1, WINDOW])
def test_memory_columns_travel_with_the_bars_of_the_whole_stretch(window: int) -> None:
    bars = made_bars()
    spec = replace(ObservationSpec.load("spine_memory"), window=window)
    past = Tabled.of(bars, Embedder.fit(bars), k=8, horizon=12)
    golden = recorded(spec, bars, past)
    assert golden.past.tobytes() == past.matrix_for(bars).tobytes()[-golden.past.nbytes :]
    assert golden.past[:, -1].sum() > 200  # the past was there to be looked at
    assert replay_golden(golden, spec, TERMS, "box") is None
    golden.past[300, 0] += 1.0
    told = replay_golden(golden, spec, TERMS, "box")
    assert told is not None
    assert f"column {spec.memory[0]} of golden bar" in told
    cut = Golden(golden.bars, golden.columns, golden.action, golden.lots, golden.past[1:])
    assert "have a past of shape (599, 10), not (600, 10)" in str(replay_golden(cut, spec, TERMS, "box"))


def test_what_takers_bought_travels_with_the_bars() -> None:
    plain, rng = made_bars(), np.random.default_rng(1)
    taken, trades = plain.volume * rng.random(len(plain)), np.arange(len(plain))
    bars = replace(plain, taker_buy_volume=taken, trades=trades)
    spec = ObservationSpec("flow", 1, ("return_1", "taker_imbalance_24"))
    golden = Golden.from_arrays("1h", recorded(spec, bars).arrays())
    assert golden.bars.taker_buy_volume is not None
    assert golden.bars.taker_buy_volume.tolist() == taken[-GOLDEN_BARS:].tolist()
    assert golden.bars.trades is not None
    assert golden.bars.trades.tolist() == trades[-GOLDEN_BARS:].tolist()
    assert replay_golden(golden, spec, TERMS, "box") is None
    assert "taker_buy_volume" not in recorded().arrays()


def test_a_spec_that_warms_up_for_longer_gets_more_bars() -> None:
    spec = ObservationSpec("slow", 1, ("return_800",))
    golden = recorded(spec, drawn_bars(np.random.default_rng(2), 1_400))
    assert len(golden.columns) == GOLDEN_ROWS
    assert len(golden.bars) == 801 + GOLDEN_ROWS - 1
    assert replay_golden(golden, spec, TERMS, "box") is None


def test_the_newest_segment_that_is_long_enough_is_taken_and_else_the_longest() -> None:
    bars = drawn_bars(np.random.default_rng(3), 900, gaps={200: 9, 600: 9, 820: 9})
    assert recorded(bars=bars).bars.opened_at[-1] == bars.opened_at[819]  # the last one has 80 bars
    assert len(recorded(bars=bars).bars) == 220
    short = bars.slice(0, 190)
    broken = drawn_bars(np.random.default_rng(3), 190, gaps={70: 9, 150: 9})
    assert len(recorded(bars=short).bars) == 190
    assert len(recorded(bars=broken).bars) == 80
    with pytest.raises(ValueError, match="40 bars without a gap are too few: observation small warms up over 60"):
        recorded(bars=bars.slice(0, 40))


@pytest.fixture
def golden() -> Golden:
    return recorded()


def test_a_desk_that_observes_differently_is_named_by_column_and_bar(golden: Golden) -> None:
    golden.columns[5, 1] += np.float32(1e-6)
    told = replay_golden(golden, SPEC, TERMS, "box")
    assert told is not None
    assert told.startswith("column volatility_20 of golden bar 5 is ")


def test_in_a_window_the_bar_is_named_too() -> None:
    spec = replace(SPEC, window=WINDOW)
    golden = recorded(spec)
    golden.columns[5, 3, 2] += np.float32(1e-3)
    told = replay_golden(golden, spec, TERMS, "box")
    assert told is not None
    assert told.startswith("column rsi_14 of golden bar 5, bar 3 of its window, is ")


def test_a_desk_that_orders_differently_is_named_by_the_bar(golden: Golden) -> None:
    row = int(np.flatnonzero(golden.lots)[0])
    golden.lots[row] += 1
    told = replay_golden(golden, SPEC, TERMS, "box")
    assert told is not None
    assert f"golden bar {row} orders" in told


def test_an_action_that_its_space_does_not_hold_is_named_by_the_bar(golden: Golden) -> None:
    golden.action[0] = 1.5
    assert replay_golden(golden, SPEC, TERMS, "box") == "golden bar 0: action 1.5 is not a number in [-1, 1]"
    golden.action[0] = 3.0
    assert replay_golden(golden, SPEC, TERMS, "discrete") == "golden bar 0: action 3.0 is not one of 0 … 2"


def test_another_window_is_refused_before_a_bar_is_walked(golden: Golden) -> None:
    told = replay_golden(golden, replace(SPEC, window=2), TERMS, "box")
    assert told == "golden bars show observations of shape (12,), this desk (2, 12)"


def test_rows_that_are_missing_or_too_many_are_told(golden: Golden) -> None:
    def part(rows: slice) -> Golden:
        return Golden(golden.bars, golden.columns[rows], golden.action[rows], golden.lots[rows], golden.past)

    n = len(golden.columns)
    assert replay_golden(part(slice(0, n - 1)), SPEC, TERMS, "box") == (
        f"the desk is warm on more golden bars than the {n - 1} recorded"
    )
    shorter = Golden(golden.bars.slice(0, 500), golden.columns, golden.action, golden.lots, golden.past[:500])
    assert replay_golden(shorter, SPEC, TERMS, "box") == f"the desk is warm on 441 golden bars, {n} were recorded"
