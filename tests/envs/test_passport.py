"""A passport leaves the desk and comes back only if this desk gives the same columns and the same lots."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy, PassportError
from wavetank.agents.seal import write_seal
from wavetank.envs.golden import record_golden, replay_golden
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Passport, Terrain, export_passport, load_passport
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.exchange import BarExchange
from wavetank.market.limits import Limits, allowed_lots
from wavetank.market.orders import Instrument, Order

from ..market.handmade import drawn_bars
from .networks import restless_network

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return drawn_bars(np.random.default_rng(4), 700)


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return Terrain(ObservationSpec.load("spine"), Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h")


@pytest.fixture(scope="module")
def folder(bars: Bars, terrain: Terrain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("passports") / "restless"
    return export_passport(
        restless_network(terrain.spec.width), target, terrain, bars, name="restless", created_at=NOON, training={}
    )


def test_what_was_exported_is_loaded(folder: Path, terrain: Terrain) -> None:
    passport = load_passport(folder, now=NOON)
    assert passport.terrain == terrain
    assert passport.manifest["stages"] == ["paper"]
    assert passport.manifest["created_at"] == NOON.isoformat()


def test_terrain_survives_json(terrain: Terrain) -> None:
    assert Terrain.from_json(json.loads(json.dumps(terrain.to_json()))) == terrain


def test_env_with_the_frozen_policy_equals_desk_and_paper_venue(folder: Path, bars: Bars) -> None:
    """One desk: the compiled walk of training and the calls of the runner give one equity, to the last bit."""
    passport = load_passport(folder)
    terrain = passport.terrain
    env = TradingEnv(
        bars, instrument=terrain.instrument, limits=terrain.limits, observation=terrain.spec, random_start=False
    )
    observation, info = env.reset(seed=1)
    desk, venue = _warmed(passport, bars, info["index"])
    steps, over = 0, False
    while not over:
        assert desk.observe(venue.account).tobytes() == observation.tobytes()
        action = passport.policy.act(observation).action[0]
        wanted = sum(order.lots for order in desk.orders(float(action[0]), venue.account))
        lots = allowed_lots(wanted, venue.account, desk.price, passport.terrain.terms)
        if lots:
            venue.submit(Order(lots))
        observation, _, terminated, truncated, info = env.step(action)
        bar = bars.bar(info["index"])
        venue.on_bar(bar)
        desk.on_bar(bar)
        assert venue.account == env.account
        steps, over = steps + 1, terminated or truncated
    assert steps == len(bars) - 60
    assert env.account.trades > 5


def _warmed(passport: Passport, bars: Bars, index: int):  # type: ignore[no-untyped-def]  # a desk and a venue
    terrain = passport.terrain
    desk, venue = passport.desk(), BarExchange(terrain.terms, bars.interval_ms)
    for k in range(index + 1):
        venue.warm(bars.bar(k))
        desk.on_bar(bars.bar(k))
    return desk, venue


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("policy.onnx", "policy.onnx"),
        ("golden.npz", "golden.npz"),
        ("reference.npz", "reference.npz"),
        ("manifest.json", "manifest.json"),
        ("manifest.sha256", "manifest.sha256|listed"),
    ],
)
def test_one_flipped_byte_is_refused_by_name(folder: Path, tmp_path: Path, name: str, what: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(PassportError, match=what):
        load_passport(copy)


def test_golden_bars_catch_a_desk_that_observes_differently(folder: Path, bars: Bars, terrain: Terrain) -> None:
    golden = record_golden(FrozenPolicy.load(folder), bars, terrain.spec, terrain.terms, "box")
    assert replay_golden(golden, terrain.spec, terrain.terms, "box") is None
    golden.columns[5, 3] += np.float32(1e-6)
    told = replay_golden(golden, terrain.spec, terrain.terms, "box")
    assert told is not None
    assert "volatility_20 of golden bar 5" in told


def test_golden_bars_catch_a_desk_that_orders_differently(folder: Path, bars: Bars, terrain: Terrain) -> None:
    golden = record_golden(FrozenPolicy.load(folder), bars, terrain.spec, terrain.terms, "box")
    row = int(np.flatnonzero(golden.lots)[0])
    golden.lots[row] += 1
    told = replay_golden(golden, terrain.spec, terrain.terms, "box")
    assert told is not None
    assert f"golden bar {row} orders" in told


def test_a_resealed_passport_of_another_terrain_fails_on_its_golden_bars(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["instrument"]["lot"] = 0.02
    (copy / "manifest.json").write_text(json.dumps(manifest))
    write_seal(copy)
    with pytest.raises(PassportError, match="golden bar"):
        load_passport(copy)


def test_bars_of_another_interval_are_refused_and_nothing_is_written(
    bars: Bars, terrain: Terrain, tmp_path: Path
) -> None:
    network = restless_network(terrain.spec.width)
    with pytest.raises(ValueError, match="1h"):
        export_passport(
            network, tmp_path / "p", replace(terrain, interval="1m"), bars, name="x", created_at=NOON, training={}
        )
    assert not list(tmp_path.iterdir())


def test_an_expired_passport_is_refused(bars: Bars, terrain: Terrain, tmp_path: Path) -> None:
    network = restless_network(terrain.spec.width)
    target = export_passport(
        network, tmp_path / "p", terrain, bars, name="x", created_at=NOON, training={}, expires_at=NOON
    )
    with pytest.raises(PassportError, match="expired"):
        load_passport(target, now=NOON)
