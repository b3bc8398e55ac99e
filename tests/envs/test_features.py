"""Matrix and stream agree to the last bit; restarts, gaps, scales, strange markets; the spine's columns as they were.

What every single column is worth is judged in test_indicators.py.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetank.envs import features
from wavetank.envs.families import FAMILIES
from wavetank.envs.features import FEATURES, FeatureStream, code_digest, describe, feature_matrix, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.own_trials import drawn_market
from wavetank.market import jit
from wavetank.market.bars import Bar, Bars

from ..market.handmade import HOUR, MIDNIGHT, drawn_bars, hourly, same_bits
from .interpreted_walk import made_bars

ALL = tuple(FEATURES)
SPINE = ObservationSpec.load("spine").market
DEFAULT, FLOW = (ObservationSpec.load(name).market for name in ("default", "default_flow"))
HIGHER = ("rsi_3@4h", "return_1", "realised_6@2h", "donchian_5@4h", "week_sin@1d", "vwap_3@2h")
CLOCK = ("day_sin", "day_cos", "week_sin", "week_cos")
BARS = drawn_bars(np.random.default_rng(11), 700)
STRANGE = st.tuples(st.sampled_from([1e-8, 0.5, 1.0, 1.0, 1.0, 3e7]), st.sampled_from([0.0, 0.0, 1.0, 1e12, 1e200]))


def test_the_spine_tells_what_it_told_when_its_first_policies_were_trained() -> None:
    """The digest was taken of the code of 2026-11-21, over made-up bars with gaps (x86-64, glibc)."""
    stream, digest = FeatureStream(SPINE, HOUR), hashlib.sha256()
    for bar in made_bars():
        row = stream.update(bar)
        digest.update(b"" if row is None else row.tobytes())
    assert digest.hexdigest() == "24a70f28e76c525020f3f7d69ec939a495d6e68608d232bd8b37dea9a136a72a"
    matrix = feature_matrix(made_bars(), SPINE)
    expected = "4b0f7c96171603ad2ebf96e8b335b12aff7d67e1ace16db57fc368a450c16a6f"
    assert hashlib.sha256(matrix.tobytes()).hexdigest() == expected


@pytest.mark.parametrize("names", [ALL, ALL[::-1], DEFAULT, HIGHER, ("atr_14",), ("rsi_14", "return_1")])
def test_the_batch_is_the_stream_to_the_last_bit_across_gaps_too(names: tuple[str, ...]) -> None:
    bars = drawn_bars(np.random.default_rng(12), 900, gaps={100: 3, 280: 4, 300: 50, 500: 1, 690: 2})
    stream = FeatureStream(names, HOUR)
    absent = np.full(len(names), np.nan, np.float32)
    rows = [absent if (row := stream.update(bar)) is None else row.astype(np.float32) for bar in bars]
    matrix = feature_matrix(bars, names)
    assert matrix.dtype == np.float32
    assert same_bits(matrix, np.array(rows))
    assert np.isfinite(matrix).all(axis=1).sum() > 400


@st.composite
def _names(draw: st.DrawFn) -> str:
    """A column of any family with any numbers, now and then over a higher interval."""
    family = draw(st.sampled_from(sorted(FAMILIES)))
    ranges = FAMILIES[family].ranges
    numbers = [draw(st.integers(low, min(high, low + 30))) for low, high in ranges]
    if len(numbers) > 1:
        numbers[1] = numbers[0] + draw(st.integers(1, 30))
    return "_".join([family, *map(str, numbers)]) + draw(st.sampled_from(["", "", "", "@2h", "@4h"]))


@settings(max_examples=60)
@given(
    names=st.lists(_names(), min_size=1, max_size=6, unique=True),
    gaps=st.dictionaries(st.integers(1, 500), st.integers(1, 6), max_size=5),
    seed=st.integers(0, 99),
    at=st.integers(0, 499),
)
def test_any_columns_over_any_gaps_are_alike_whole_live_and_restarted(
    names: list[str], gaps: dict[int, int], seed: int, at: int
) -> None:
    bars = drawn_bars(np.random.default_rng(seed), 500, gaps=gaps)
    taker = bars.volume * np.random.default_rng(seed).random(500)
    bars = Bars("1h", bars.opened_at, bars.open, bars.high, bars.low, bars.close, bars.volume, taker)
    stream, rows = FeatureStream(tuple(names), HOUR), list[object]()
    for t, bar in enumerate(bars):
        if t == at:
            saved, stream = stream.state(), FeatureStream(tuple(names), HOUR)
            stream.restore(saved)
        row = stream.update(bar)
        rows.append(np.full(len(names), np.nan) if row is None else row)
    assert same_bits(feature_matrix(bars, tuple(names)), np.array(rows, np.float64).astype(np.float32))


def digest() -> str:
    """sha256 of what every kind of column says of a drawn market, whole and live."""
    bars = drawn_market(1_200, 9)
    names = tuple(dict.fromkeys((*ALL, *FLOW, *HIGHER, "taker_imbalance_3@2h")))
    told, stream = hashlib.sha256(feature_matrix(bars, names).tobytes()), FeatureStream(names, HOUR)
    for bar in bars:
        row = stream.update(bar)
        told.update(b"" if row is None else row.tobytes())
    return told.hexdigest()


@pytest.mark.skipif(not jit.COMPILED, reason="numba is switched off")
def test_compiled_and_interpreted_columns_are_the_same_to_the_last_bit() -> None:
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from tests.envs.test_features import digest; print(digest())"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest()]


def test_the_columns_of_a_set_are_those_of_its_members() -> None:
    names = tuple(dict.fromkeys((*ALL, *DEFAULT, *HIGHER)))
    together = feature_matrix(BARS, names)
    need = warm_up(names, HOUR)
    for k, name in enumerate(names):
        assert same_bits(together[need - 1 :, k], feature_matrix(BARS, (name,))[need - 1 :, 0]), name


@pytest.mark.parametrize(("missing", "restarts"), [(3, False), (4, True)])
@pytest.mark.parametrize("names", [ALL, HIGHER])
def test_a_gap_of_more_than_three_bars_starts_the_warm_up_anew(
    names: tuple[str, ...], missing: int, restarts: bool
) -> None:
    bars = drawn_bars(np.random.default_rng(13), 300, gaps={200: missing})
    stream = FeatureStream(names, HOUR)
    warm = [stream.update(bar) is not None for bar in bars]
    need = warm_up(names, HOUR)
    silent = [*range(need - 1), *(range(200, 200 + need - 1) if restarts else [])]
    assert [t for t in range(300) if not warm[t]] == silent
    if restarts:
        behind = feature_matrix(bars.slice(200, 300), names)
        assert same_bits(feature_matrix(bars, names)[200:], behind), "nothing of the time before the gap is left"


def test_the_warm_up_is_that_of_the_slowest_column() -> None:
    assert warm_up(("return_1",)) == 2
    assert warm_up(("return_1", "donchian_20")) == 20
    assert warm_up(ALL) == max(feature.warm_up for feature in FEATURES.values())
    assert warm_up(DEFAULT) == 169


@pytest.mark.parametrize("names", [ALL, DEFAULT, HIGHER])
@pytest.mark.parametrize("at", [1, 5, 30, 79, 80, 170])
def test_a_restored_stream_goes_on_exactly(names: tuple[str, ...], at: int) -> None:
    bars = list(drawn_bars(np.random.default_rng(14), 420, gaps={120: 2, 220: 10}))
    whole, first = FeatureStream(names, HOUR), FeatureStream(names, HOUR)
    for bar in bars[:at]:
        whole.update(bar)
        first.update(bar)
    saved = first.state()
    second = FeatureStream(names, HOUR)
    second.restore(saved)
    first.update(bars[at])  # the first stream lives on; its bytes were a copy
    for bar in bars[at:]:
        a, b = whole.update(bar), second.update(bar)
        assert (a is None) == (b is None)
        assert a is None or same_bits(a, b)
    assert whole.state() == second.state()
    assert whole.is_warm


def test_a_state_of_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="a feature state of .* numbers does not fit these columns"):
        FeatureStream(ALL, HOUR).restore(FeatureStream(("return_1",), HOUR).state())


@pytest.mark.parametrize("at", [MIDNIGHT, MIDNIGHT - HOUR])
def test_a_bar_that_is_not_newer_is_refused_and_changes_nothing(at: int) -> None:
    stream = FeatureStream(("return_1",), HOUR)
    stream.update(Bar(MIDNIGHT, 1.0, 1.0, 1.0, 1.0, 1.0))
    before = stream.state()
    with pytest.raises(ValueError, match=f"bar at {at} is not newer than the last one, {MIDNIGHT}"):
        stream.update(Bar(at, 1.0, 1.0, 1.0, 1.0, 1.0))
    assert stream.state() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("luck", "there is no market column 'luck'; known are return_N, volatility_20, "),
        ("Return_1", "there is no market column 'Return_1'; known are"),
        ("macd", "market column 'macd' should read macd_N_M_K"),
        ("rsi", "market column 'rsi' should read rsi_N"),
        ("rsi_014", "market column 'rsi_014' should read rsi_N"),
        ("rsi_0", "market column 'rsi_0' should read rsi_N"),
        ("rsi_2001", "market column 'rsi_2001': 2001 is not within 1 … 2000 bars"),
        ("velocity_1", "market column 'velocity_1': 1 is not within 2 … 2000 bars"),
        ("volatility_21", "market column 'volatility_21': 21 is not within 20 … 20 bars"),
        ("ema_ratio_26_12", "market column 'ema_ratio_26_12': 26 bars are not fewer than 12"),
        ("day_sin_3", "market column 'day_sin_3' should read day_sin"),
        ("rsi_14@5h", "market column 'rsi_14@5h': '5h' is not one of 1m, 3m, "),
        ("rsi_14@", "market column 'rsi_14@': '' is not one of 1m, 3m, "),
        ("rsi_14@1h", "market column 'rsi_14@1h': bars of 3600000 ms do not gather into longer ones of 1h"),
        ("rsi_14@15m", "market column 'rsi_14@15m': bars of 3600000 ms do not gather into longer ones of 15m"),
    ],
)
def test_a_column_that_cannot_be_is_refused_in_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        feature_matrix(BARS, ("return_1", name))
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        FeatureStream(("return_1", name), HOUR)


def test_the_numbers_of_a_name_are_free() -> None:
    names = ("rsi_21", "return_3", "ema_ratio_5_40", "macd_3_7_2", "surge_1_2", "realised_1", "donchian_1")
    assert np.isfinite(feature_matrix(BARS, names)[-1]).all()
    assert same_bits(feature_matrix(BARS, ("ema_ratio",)), feature_matrix(BARS, ("ema_ratio_12_26",)))


def test_taker_columns_refuse_bars_that_do_not_know_the_takers() -> None:
    names = ("return_1", "taker_imbalance_24")
    sentence = "market column 'taker_imbalance_24' needs taker_buy_volume, which these bars do not have"
    with pytest.raises(ValueError, match=sentence):
        feature_matrix(BARS, names)
    stream = FeatureStream(names, HOUR)
    with pytest.raises(ValueError, match=sentence):
        stream.update(BARS.bar(0))


@pytest.mark.parametrize("factor", [2.0**-40, 0.25, 1024.0])
def test_columns_have_no_scale(factor: float) -> None:
    """Prices and volumes times a power of two move no bit of any column."""
    names = tuple(dict.fromkeys((*ALL, *DEFAULT, *HIGHER)))
    scaled = Bars(
        "1h",
        BARS.opened_at,
        *(getattr(BARS, name) * factor for name in ("open", "high", "low", "close", "volume")),
    )
    assert same_bits(feature_matrix(scaled, names), feature_matrix(BARS, names))


@settings(max_examples=40, deadline=None)
@given(st.lists(STRANGE, min_size=62, max_size=120))
def test_columns_are_finite_in_the_strangest_markets(market: list[tuple[float, float]]) -> None:
    bars = hourly([(price, price, price, price, volume) for price, volume in market])
    matrix = feature_matrix(bars, ALL)[warm_up(ALL) - 1 :]
    assert np.isfinite(matrix).all()
    for name in ("rsi_14", "donchian_20", "velocity_12", "concentration_24"):
        assert np.abs(matrix[:, ALL.index(name)]).max() <= 1.0


def test_a_market_in_which_nothing_happens_gives_zeros() -> None:
    names = tuple(name for name in (*ALL, *HIGHER) if name.partition("@")[0] not in CLOCK)
    matrix = feature_matrix(hourly([(7.0, 7.0, 7.0, 7.0, 3.0)] * 120), names)
    assert np.array_equal(matrix[-1], np.zeros(len(names), np.float32))


def test_the_code_digest_covers_every_file_of_the_room_that_columns_are_made_of() -> None:
    room = Path(features.__file__).resolve().parent
    files = {Path(str(module.__file__)).resolve() for module in (features, *features.CODE)}
    assert files == {path for path in jit._reached(Path(features.__file__).resolve()) if path.parent == room}
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (features, *features.CODE))
    assert code_digest() == hashlib.sha256(code).hexdigest()


def test_every_column_is_described() -> None:
    assert describe("atr_14").endswith("speaks from bar 60 on.")
    assert describe("rsi_7@4h").startswith("over 4h bars: Wilder's relative strength over 7 bars")
    names = tuple(dict.fromkeys((*ALL, *DEFAULT)))
    assert len({describe(name) for name in names}) == len(names) - 1, "ema_ratio is ema_ratio_12_26"
