"""A passport leaves the desk and comes back only if this desk gives the same columns and the same lots."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.export import ExportError
from wavetank.agents.frozen import PassportError
from wavetank.agents.seal import write_seal
from wavetank.envs.actions import exposure_of
from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Passport, Terrain, export_passport, load_passport
from wavetank.envs.past import Tabled
from wavetank.envs.trading import TradingEnv
from wavetank.market.bars import Bars
from wavetank.market.exchange import BarExchange
from wavetank.market.limits import allowed_lots
from wavetank.market.orders import Order
from wavetank.memory.embed import Embedder
from wavetank.memory.recall import embargo_ms

from .networks import restless_network, windowed_network
from .passports import HORIZON, NEIGHBOURS, NOON, made_bars, network_of, terrain_of

Maker = Callable[[str], Path]
STATELESS_AND_NOT = ("box", "discrete", "windowed", "recurrent", "both")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return made_bars()


@pytest.fixture
def copied(passport_of: Maker, tmp_path: Path) -> Maker:
    return lambda kind: Path(shutil.copytree(passport_of(kind), tmp_path / kind))


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the manifest and seal anew, as somebody who knows the format would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    write_seal(folder)


@pytest.mark.parametrize("kind", STATELESS_AND_NOT)
def test_what_was_exported_is_loaded(passport_of: Maker, kind: str) -> None:
    passport = load_passport(passport_of(kind), now=NOON)
    assert passport.terrain == terrain_of(kind)
    assert passport.policy.shape == terrain_of(kind).spec.shape
    assert passport.policy.state_size == network_of(kind).state_size
    assert passport.manifest["stages"] == ["paper"]
    assert passport.manifest["created_at"] == NOON.isoformat()
    assert passport.manifest["rewards"] is None


def test_terrain_survives_json() -> None:
    for kind in STATELESS_AND_NOT:
        terrain = terrain_of(kind)
        assert Terrain.from_json(json.loads(json.dumps(terrain.to_json()))) == terrain


@pytest.mark.parametrize("kind", STATELESS_AND_NOT)
def test_env_with_the_frozen_policy_equals_desk_and_paper_venue(passport_of: Maker, bars: Bars, kind: str) -> None:
    """One desk: the compiled walk of training and the calls of the runner give one equity, to the last bit."""
    passport = load_passport(passport_of(kind))
    terrain, state = passport.terrain, None
    env = TradingEnv(
        bars, instrument=terrain.instrument, limits=terrain.limits, observation=terrain.spec, random_start=False
    )
    observation, info = env.reset(seed=1)
    desk, venue = _warmed(passport, bars, info["index"])
    steps, over = 0, False
    while not over:
        assert desk.observe(venue.account).tobytes() == observation.tobytes()
        decision = passport.policy.act(observation, state)
        state, exposure = decision.state, exposure_of(float(decision.action[0, 0]), terrain.action)
        wanted = sum(order.lots for order in desk.orders(exposure, venue.account))
        lots = allowed_lots(wanted, venue.account, desk.price, passport.terrain.terms)
        if lots:
            venue.submit(Order(lots))
        observation, _, terminated, truncated, info = env.step(np.array([exposure]))
        bar = bars.bar(info["index"])
        venue.on_bar(bar)
        desk.on_bar(bar)
        assert venue.account == env.account
        steps, over = steps + 1, terminated or truncated
    assert steps == len(bars) - 60 - (terrain.spec.window - 1)
    assert env.account.trades > 5


def _warmed(passport: Passport, bars: Bars, index: int):  # type: ignore[no-untyped-def]  # a desk and a venue
    terrain = passport.terrain
    desk, venue = passport.desk(), BarExchange(terrain.terms, bars.interval_ms)
    for k in range(index + 1):
        venue.warm(bars.bar(k))
        desk.on_bar(bars.bar(k))
    return desk, venue


def test_the_reference_describes_every_column_that_was_fitted_memory_included(passport_of: Maker, bars: Bars) -> None:
    spec = terrain_of("memory").spec
    with np.load(passport_of("memory") / "reference.npz") as file:
        told = dict(file)
    assert told["columns"].tolist() == [*spec.market, *spec.memory]
    past = Tabled.of(bars, Embedder.fit(bars), k=NEIGHBOURS, horizon=HORIZON).matrix_for(bars)
    rows = np.hstack([feature_matrix(bars, spec.market), past]).astype(np.float64)
    warm = rows[np.isfinite(rows).all(axis=1)]
    assert told["quantiles"][4].tolist() == np.median(warm, axis=0).tolist()
    assert len(told["quantiles"][4]) == len(spec.market) + 10
    with np.load(passport_of("box") / "reference.npz") as file:
        assert file["columns"].tolist() == list(terrain_of("box").spec.market)


def test_the_manifest_pins_the_memory(passport_of: Maker, bars: Bars) -> None:
    memory = load_passport(passport_of("memory")).memory
    assert memory is not None
    told = json.loads((passport_of("memory") / "manifest.json").read_text())["memory"]
    embedder = Embedder.fit(bars)
    assert told["embedder"] == embedder.digest == memory.embedder.digest
    assert (told["neighbours"], told["horizon"], told["mode"]) == (NEIGHBOURS, HORIZON, "exact")
    assert told["embargo"] * bars.interval_ms == embargo_ms(embedder, bars.interval_ms, HORIZON, None)
    assert told["archive"]["moments"] == len(memory.archive or ())


@pytest.mark.parametrize(("key", "value"), [("embargo", 0), ("embedder", "?"), ("mode", "approximate")])
def test_a_memory_on_other_terms_is_refused(copied: Maker, key: str, value: object) -> None:
    folder = copied("memory")
    memory = json.loads((folder / "manifest.json").read_text())["memory"]
    rewrite(folder, memory={**memory, key: value})
    with pytest.raises(PassportError, match=f"its memory has {key} .*, its manifest says {re.escape(str(value))}"):
        load_passport(folder)


def test_a_reference_of_other_columns_is_refused_even_under_a_fresh_seal(copied: Maker, passport_of: Maker) -> None:
    folder = copied("box")
    shutil.copy(passport_of("memory") / "reference.npz", folder / "reference.npz")
    write_seal(folder)
    with pytest.raises(PassportError, match=rf"{folder}: reference\.npz describes"):
        load_passport(folder)


def test_a_resealed_passport_of_another_terrain_fails_on_its_golden_bars(copied: Maker) -> None:
    folder = copied("box")
    instrument = json.loads((folder / "manifest.json").read_text())["instrument"]
    rewrite(folder, instrument={**instrument, "lot": 0.02})
    with pytest.raises(PassportError, match="golden bar"):
        load_passport(folder)


def test_another_spec_is_refused_by_its_digest_and_by_what_this_desk_makes_of_it(copied: Maker) -> None:
    folder = copied("box")
    observation = json.loads((folder / "manifest.json").read_text())["observation"]
    market = ["return_1", *observation["market"][1:]]
    spec = ObservationSpec(observation["name"], 1, tuple(market))
    other = {**observation, "market": market, "columns": list(spec.columns)}
    rewrite(folder, observation=other)
    with pytest.raises(PassportError, match=r"reference\.npz describes return_5"):
        load_passport(folder)
    with np.load(folder / "reference.npz") as file:
        reference = {**file, "columns": np.array(market)}
    np.savez(folder / "reference.npz", **reference)
    write_seal(folder)
    with pytest.raises(PassportError, match="its observation is not the one that its digest names"):
        load_passport(folder)
    rewrite(folder, observation={**other, "digest": spec.digest})
    with pytest.raises(PassportError, match="column return_1 of golden bar 0 is"):
        load_passport(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stages": "paper"}, "its stages are 'paper', not a list"),
        ({"limits": {}}, "passport"),
        ({"interval": "7h"}, "7h"),
        ({"memory": {"embedder": "?"}}, "its observation and its memory do not go together"),
    ],
)
def test_a_manifest_that_describes_no_desk_is_refused_in_one_sentence(
    copied: Maker, changes: dict[str, Any], sentence: str
) -> None:
    folder = copied("box")
    rewrite(folder, **changes)
    if changes == {"limits": {}}:
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["limits"], manifest["stages"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        write_seal(folder)
        sentence = "its manifest has no 'limits'"
    with pytest.raises(PassportError, match=sentence) as caught:
        load_passport(folder)
    assert "\n" not in str(caught.value)


def test_bars_of_another_interval_are_refused_and_nothing_is_written(bars: Bars, tmp_path: Path) -> None:
    terrain = replace(terrain_of("box"), interval="1m")
    with pytest.raises(ValueError, match="the bars are 1h, the policy lives at 1m"):
        _exported(network_of("box"), tmp_path / "p", terrain, bars)
    assert not list(tmp_path.iterdir())


def test_a_network_of_another_shape_is_refused_and_nothing_is_written(bars: Bars, tmp_path: Path) -> None:
    width = terrain_of("windowed").spec.width
    with pytest.raises(ValueError, match=r"the network takes \(12,\), observation wide shows \(9, 12\)"):
        _exported(restless_network(width), tmp_path / "p", terrain_of("windowed"), bars)
    with pytest.raises(ValueError, match=r"the network takes \(5, 12\), observation wide shows \(9, 12\)"):
        _exported(windowed_network(5, width), tmp_path / "p", terrain_of("windowed"), bars)
    with pytest.raises(ExportError, match="the network takes 7 columns, not 12"):
        _exported(restless_network(7), tmp_path / "p", terrain_of("box"), bars)
    assert not list(tmp_path.iterdir())


def test_a_network_whose_actions_are_others_is_refused_and_nothing_is_written(bars: Bars, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"action \d\.0 is not a number in \[-1, 1\]"):
        _exported(network_of("discrete"), tmp_path / "p", terrain_of("box"), bars)
    assert not list(tmp_path.iterdir())


def test_a_stage_that_there_is_not_is_refused_and_nothing_is_written(bars: Bars, tmp_path: Path) -> None:
    with pytest.raises(PassportError, match="there is no stage 'moon'"):
        _exported(network_of("box"), tmp_path / "p", terrain_of("box"), bars, stages=("moon",))
    assert not list(tmp_path.iterdir())


def test_an_expired_passport_is_refused(bars: Bars, tmp_path: Path) -> None:
    target = _exported(network_of("box"), tmp_path / "p", terrain_of("box"), bars, expires_at=NOON)
    with pytest.raises(PassportError, match="expired"):
        load_passport(target, now=NOON)


LOADS = """
import sys
from wavetank.envs.passport import load_passport
load_passport(sys.argv[1])
print(sorted({'torch', 'onnx', 'stable_baselines3', 'ray', 'gymnasium', 'pandas', 'mlflow'} & set(sys.modules)))
"""


@pytest.mark.parametrize("kind", ["box", "both"])
def test_a_passport_is_loaded_and_replayed_without_torch(passport_of: Maker, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(passport_of(kind))], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def _exported(network: Any, folder: Path, terrain: Terrain, bars: Bars, **more: Any) -> Path:
    return export_passport(network, folder, terrain, bars, name="x", created_at=NOON, training={}, **more)
