"""The observation spec: named, ordered, pinned by its digest; what it does not know it refuses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from wavetank.envs.families import column as find_column
from wavetank.envs.features import warm_up
from wavetank.envs.observation import ACCOUNT_COLUMNS, ObservationSpec, observation_page
from wavetank.memory.columns import MEMORY_COLUMNS

CONF = Path(__file__).resolve().parents[2] / "conf" / "observation"
SPECS = sorted(path.stem for path in CONF.glob("*.yaml"))
SPINE = (
    *("return_1", "return_5", "return_20", "volatility_20", "volatility_ratio"),
    *("atr_14", "rsi_14", "ema_ratio", "donchian_20", "volume_surge_20"),
)


def test_the_spine_is_ten_market_columns_and_the_account() -> None:
    spec = ObservationSpec.load("spine")
    assert spec.columns == (*SPINE, *ACCOUNT_COLUMNS)
    assert spec.width == 18
    assert spec.memory == ()


def test_the_vector_is_market_then_memory_then_account() -> None:
    spec = ObservationSpec.load("spine_memory")
    assert spec.columns == (*SPINE, *MEMORY_COLUMNS, *ACCOUNT_COLUMNS)
    assert spec.width == 28


def test_specs_that_have_trained_policies_are_never_edited() -> None:
    """Their digests are in those policies' passports."""
    assert ObservationSpec.load("spine").digest.startswith("4900187f33d5e2f3")
    assert ObservationSpec.load("spine_memory").digest.startswith("429efe868d9b0112")


def test_the_default_is_thirty_two_market_columns_and_the_account() -> None:
    spec = ObservationSpec.load("default")
    assert len(spec.market) == 32
    assert spec.width == 40
    assert warm_up(spec.market) <= 200
    assert not any("@" in name or ":" in name or find_column(name).needs_taker for name in spec.market)


def test_memory_and_flow_are_the_default_and_more() -> None:
    default, memory, flow = (ObservationSpec.load(name) for name in ("default", "default_memory", "default_flow"))
    assert memory.market == default.market
    assert memory.width == 50
    assert flow.market[:32] == default.market
    assert all(find_column(name).needs_taker for name in flow.market[32:])
    assert len(flow.market) > 32


def test_the_account_columns_are_those_of_the_contract_in_its_order() -> None:
    assert ACCOUNT_COLUMNS == (
        "position",
        "unrealised",
        "drawdown",
        "idle",
        "margin_headroom",
        "loss_headroom",
        "exposure_headroom",
        "trading_state",
    )


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_that_is_shipped_loads_under_its_own_name_and_survives_json(name: str) -> None:
    spec = ObservationSpec.load(name)
    assert spec.name == name
    back = ObservationSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert back == spec
    assert back.digest == spec.digest


def test_the_digest_is_sha256_over_name_version_and_columns() -> None:
    spec = ObservationSpec("tiny", 3, ("return_5", "return_1"))
    text = json.dumps(
        {
            "account": list(ACCOUNT_COLUMNS),
            "market": ["return_5", "return_1"],
            "memory": [],
            "name": "tiny",
            "version": 3,
        }
    )
    assert spec.digest == hashlib.sha256(text.encode()).hexdigest()


def test_name_version_order_and_columns_each_change_the_digest() -> None:
    specs = [
        ObservationSpec("a", 1, ("return_1", "return_5")),
        ObservationSpec("b", 1, ("return_1", "return_5")),
        ObservationSpec("a", 2, ("return_1", "return_5")),
        ObservationSpec("a", 1, ("return_5", "return_1")),
        ObservationSpec("a", 1, ("return_1",)),
        ObservationSpec("a", 1, ("return_1", "return_5"), MEMORY_COLUMNS),
    ]
    assert len({spec.digest for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    ("market", "memory", "sentence"),
    [
        ((), (), "observation x: there must be at least one market column"),
        (("return_1", "luck"), (), "observation x: there is no market column 'luck'; known are return_N"),
        (("rsi_0",), (), "observation x: market column 'rsi_0' should read rsi_N"),
        (("rsi_14@5h",), (), "observation x: market column 'rsi_14@5h': '5h' is not one of 1m"),
        (("no_such_package:spike",), (), "observation x: market column 'no_such_package:spike': there is no module"),
        (("return_1", "return_1"), (), "observation x: a market column stands twice"),
        (("return_1",), ("luck",), "observation x: there is no memory column 'luck'; known are outcome_mean"),
        (("return_1",), MEMORY_COLUMNS[:9], "observation x: memory columns come all ten, in order, or not at all"),
        (("return_1",), MEMORY_COLUMNS[::-1], "observation x: memory columns come all ten, in order, or not at all"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_in_one_sentence(
    market: tuple[str, ...], memory: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        ObservationSpec("x", 1, market, memory)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"windows": 4}, "observation x: unknown key windows"),
        ({"account": ["position"]}, "observation x: account columns .* are not this desk's"),
    ],
)
def test_json_of_another_desk_is_refused(changed: dict[str, Any], sentence: str) -> None:
    data = ObservationSpec("x", 1, ("return_1",)).to_json() | changed
    with pytest.raises(ValueError, match=sentence):
        ObservationSpec.from_json(data)


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"there is no observation 'spline'; known are .*spine, spine_memory"):
        ObservationSpec.load("spline")


def test_a_file_of_ones_own_is_a_spec_with_any_numbers_and_intervals(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nversion: 2\nmarket: [rsi_21, ema_ratio_5_40, atr_14@4h]\n")
    spec = ObservationSpec.load(str(file))
    assert spec == ObservationSpec("mine", 2, ("rsi_21", "ema_ratio_5_40", "atr_14@4h"))
    assert spec.width == 11


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: mine\nmarket: [return_1]\n", "observation mine: version is missing"),
        ("- return_1\n", "observation file .*mine.yaml holds no keys: it wants name, version, market, memory"),
        ("name: mine\nversion: 1\nmarket: [rsi_0]\n", "observation mine: market column 'rsi_0' should read rsi_N"),
        (None, "there is no observation file .*mine.yaml"),
    ],
)
def test_a_file_that_is_no_spec_is_refused(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=f"^{sentence}"):
        ObservationSpec.load(str(file))


def test_the_page_names_every_column_of_every_spec_once_and_every_family() -> None:
    page = observation_page(("spine", "spine_memory"))
    specs = page.partition("## Families")[0]
    for column in ObservationSpec.load("spine_memory").columns:
        wanted = 1 if column in MEMORY_COLUMNS else 2
        assert specs.count(f"| `{column}` |") == wanted, column
    assert ObservationSpec.load("spine").digest[:16] in page
    for form in ("return_N", "ema_ratio_N_M", "macd_N_M_K", "taker_imbalance_N", "volatility_ratio"):
        assert form in page.partition("## Families")[2]
