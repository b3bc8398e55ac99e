"""A user's own feature: the same in matrix, stream, desk and environments; what is wrong with it is found and said."""

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.desk import Desk
from wavetank.envs.features import FeatureStream, describe, feature_matrix, own_sources, warm_up
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.own import Feature, own_feature, own_features
from wavetank.envs.own_trials import agreement, drawn_market, look_ahead, restart, scale, strange_bars, try_feature
from wavetank.envs.trading import TradingEnv
from wavetank.market import jit
from wavetank.market.bars import Bar, Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.ledger import open_account
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from ..market.handmade import HOUR, drawn_bars, hourly, same_bits
from . import own_modules as users
from .own_modules import module_of

BARS = drawn_bars(np.random.default_rng(31), 400, gaps={150: 2, 250: 9})


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return module_of(tmp_path, monkeypatch, users.GOOD)


def _paper(bars: Bars, need: int = 20) -> list[float]:
    """Volume over its fading peak, anew behind every long gap."""
    told = list[float]()
    for start, stop in bars.segments():
        peak = 0.0
        for t in range(start, stop):
            volume = float(bars.volume[t])
            peak = max(0.9 * peak, volume)
            told.append((volume / peak if peak > 0 else 0.0) if t - start + 1 >= need else np.nan)
    return told


def test_it_is_what_it_says_in_the_matrix_and_in_the_stream(good: str) -> None:
    names = ("return_1", f"{good}:spike", "rsi_14")
    matrix = feature_matrix(BARS, names)
    need = warm_up(names)
    assert need == 60
    np.testing.assert_allclose(matrix[:, 1], np.where(np.isnan(matrix[:, 0]), np.nan, _paper(BARS)), rtol=1e-6)
    stream = FeatureStream(names, HOUR)
    rows = [np.full(3, np.nan) if (row := stream.update(bar)) is None else row for bar in BARS]
    assert same_bits(np.array(rows, np.float32), matrix)
    assert same_bits(matrix[:, [0, 2]], feature_matrix(BARS, ("return_1", "rsi_14")))


def test_the_desk_and_the_environments_see_it_alike(good: str) -> None:
    spec = ObservationSpec("own", 1, ("return_1", f"{good}:spike"))
    single = TradingEnv(BARS, observation=spec, random_start=False)
    batch = BatchTradingEnv(BARS, 2, observation=spec, random_start=False)
    told, _ = single.reset(seed=1)
    assert told[1] == np.float32(_paper(BARS)[single.index])
    assert same_bits(batch.reset(seed=1)[0][0], told)
    desk = Desk(spec, terms_of(Instrument(), Costs(), Limits()), HOUR)
    for bar in list(BARS)[: single.index + 1]:
        desk.on_bar(bar)
    assert desk.observe(open_account(1e4))[1] == told[1]


def test_a_plain_function_gives_the_kernels_bits_and_a_warning_that_says_how_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = module_of(tmp_path, monkeypatch, users.GOOD, users.PLAIN)
    with caplog.at_level(logging.WARNING):
        plain = feature_matrix(BARS, (f"{module}:plain", f"{module}:plain@4h"))
    assert same_bits(plain, feature_matrix(BARS, (f"{module}:spike", f"{module}:spike@4h")))
    warned = [record.getMessage() for record in caplog.records]
    expected = f"feature {module}:plain is plain Python: some µs a bar, where @kernel takes a hundredth of that"
    assert warned == ([expected] if jit.COMPILED else [])


def test_over_a_higher_interval_it_is_that_of_the_gathered_bars(good: str) -> None:
    bars = drawn_bars(np.random.default_rng(32), 400)
    four = [bars.slice(k, k + 4) for k in range(0, 400, 4)]
    gathered = Bars(
        "4h",
        bars.opened_at[::4],
        bars.open[::4],
        np.array([each.high.max() for each in four]),
        np.array([each.low.min() for each in four]),
        bars.close[3::4],
        np.array([sum(each.volume.tolist()) for each in four]),
    )
    told, higher = feature_matrix(bars, (f"{good}:spike@4h",)), feature_matrix(gathered, (f"{good}:spike",))
    need = warm_up((f"{good}:spike@4h",), HOUR)
    assert need == 20 * 4 + 3
    assert same_bits(told[need - 1 :], np.repeat(higher, 4, axis=0)[need - 4 : 397])
    assert describe(f"{good}:spike@4h") == "over 4h bars: volume over its fading peak; speaks from bar 20 on."


def test_it_sees_takers_and_trades_where_the_bars_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{module_of(tmp_path, monkeypatch, users.FLOW)}:flow"
    bars = drawn_market(60, 1)
    assert bars.taker_buy_volume is not None
    share = np.divide(bars.taker_buy_volume, bars.volume, out=np.zeros(60), where=bars.volume > 0)
    assert same_bits(feature_matrix(bars, (name,))[:, 0], share.astype(np.float32))
    stream = FeatureStream((name,), HOUR)
    assert [stream.update(bar) for bar in bars] == share.tolist()


def test_a_restart_and_its_state_are_exact(good: str) -> None:
    names = (f"{good}:spike", "return_5", f"{good}:spike@2h")
    whole, second = FeatureStream(names, HOUR), FeatureStream(names, HOUR)
    for bar in list(BARS)[:101]:
        whole.update(bar)
    second.restore(whole.state())
    for bar in list(BARS)[101:]:
        a, b = whole.update(bar), second.update(bar)
        assert (a is None) == (b is None)
        assert a is None or same_bits(a, b)
    assert whole.state() == second.state()


def test_the_specs_digest_covers_the_source_and_what_it_imports_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of(tmp_path, monkeypatch, "from .decay import RATE\n", users.GOOD.replace("0.9", "RATE"))
    package = module.partition(".")[0]
    (tmp_path / package / "decay.py").write_text("RATE = 0.9\n")
    names = ("return_1", f"{module}:spike")
    sources = own_sources((*names, f"{module}:spike@4h"))
    assert list(sources) == [f"{package}/__init__.py", f"{package}/decay.py", f"{package}/features.py"]
    assert sources[f"{package}/decay.py"] == b"RATE = 0.9\n"
    digests = [ObservationSpec("own", 1, names).digest]
    (tmp_path / package / "decay.py").write_text("RATE = 0.8\n")
    digests.append(ObservationSpec("own", 1, names).digest)
    (tmp_path / package / "features.py").write_text(sources[f"{package}/features.py"].decode() + "# a remark\n")
    digests.append(ObservationSpec("own", 1, names).digest)
    assert len(set(digests)) == 3
    assert own_sources(("return_1", "rsi_14@4h")) == {}


def test_a_kernel_of_a_users_own_is_compiled_anew_when_the_houses_that_it_calls_change(tmp_path: Path) -> None:
    """numba would go on with what it compiled of yesterday's rings."""
    source = tmp_path / "features.py"
    source.write_text("from wavetank.envs.rings import sliding_sum\n")
    assert {"rings.py", "jit.py"} <= {path.name for path in jit._reached(source)}
    other = tmp_path / "others.py"
    other.write_text("import json\nfrom os import path\n")
    assert jit._reached(other) == {other}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:spike", "market column 'no_such_module:spike': there is no module no_such_module; is it on"),
        ("{module}:luck", "market column '{module}:luck': {module} has no Feature named luck"),
        ("{module}:update", "market column '{module}:update': {module} has no Feature named update"),
        ("{module}:", "there is no market column '{module}:'"),
        ("{module}:spike@5h", "market column '{module}:spike@5h': '5h' is not one of 1m"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(good: str, name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.format(module=good)):
        feature_matrix(BARS, (name.format(module=good),))


def _nothing(state: NDArray[np.float64], bar: Bar) -> float:
    return 0.0


def test_a_feature_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="a feature's update is 3, which cannot be called"):
        Feature(3)  # type: ignore[arg-type]  # what a user may well give
    with pytest.raises(ValueError, match="a feature of -1 floats that warms up over 1 bars cannot be"):
        Feature(_nothing, size=-1)
    with pytest.raises(ValueError, match="a feature of 1 floats that warms up over 0 bars cannot be"):
        Feature(_nothing, size=1, warm_up=0)


def test_a_value_that_is_no_number_is_refused_with_its_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{module_of(tmp_path, monkeypatch, users.SENSELESS)}:senseless"
    still = 7  # the first bar without a range
    bars = hourly([(1.0, 1.0 + (t % 8 != still), 1.0, 1.0, 1.0) for t in range(20)])
    sentence = f"market column {name} is nan at the bar opened at {bars.opened_at[still]}; it must be a number"
    with pytest.raises(ValueError, match=sentence):
        feature_matrix(bars, (name,))
    stream = FeatureStream((name,), HOUR)
    for bar in list(bars)[:still]:
        stream.update(bar)
    with pytest.raises(ValueError, match=sentence):
        stream.update(bars.bar(still))


def test_all_features_of_a_module_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(tmp_path, monkeypatch, users.GOOD, users.PRICED)
    assert own_features(module) == [f"{module}:spike", f"{module}:priced"]
    assert own_feature(f"{module}:spike").about == "volume over its fading peak"


def test_a_sound_feature_passes_every_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(tmp_path, monkeypatch, users.GOOD, users.FLOW)
    for name in own_features(module):
        assert [trial(name) for trial in (look_ahead, restart, agreement, strange_bars, scale)] == [""] * 5


@pytest.mark.parametrize(
    ("source", "failed"),
    [
        (users.PEEKING, {"look-ahead", "restart", "batch = stream", "scale"}),
        (users.HIDING, {"restart"}),
        (users.SENSELESS, {"finite"}),
        (users.PRICED, {"scale"}),
    ],
)
def test_each_bad_one_fails_the_trials_that_are_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, failed: set[str]
) -> None:
    (name,) = own_features(module_of(tmp_path, monkeypatch, source))
    verdicts = {verdict.trial: verdict for verdict in try_feature(name, "another digest")}
    assert not verdicts["compiled = interpreted"].passed, "no column has that digest"
    found = {trial for trial, verdict in verdicts.items() if not verdict.passed} - {"compiled = interpreted"}
    assert found == failed
    assert {trial for trial, verdict in verdicts.items() if verdict.is_warning} == failed & {"scale"}


def test_the_drawn_market_is_as_wild_as_the_trials_need() -> None:
    bars = drawn_market(300, 1)
    assert len(bars.segments()) == 2
    assert (np.diff(bars.opened_at) > HOUR).sum() == 2
    assert (bars.volume == 0).any()
    assert (np.diff(bars.close) == 0).any()
    assert not same_bits(bars.close, drawn_market(300, 2).close)
