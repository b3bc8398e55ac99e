"""What a crowd is worth: two arms alike but for their env, through the same storms, compared by hand-made figures."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.envs.passport import load_passport
from wavetank.experiments.crowd_worth import ALL_STORMS, RECORDED, compared, crowd_worth, through_storm, trained
from wavetank.experiments.evaluate import Track
from wavetank.experiments.runs import RunError
from wavetank.experiments.seeds import derive_seed
from wavetank.experiments.stress import ArenaStorms
from wavetank.market.store import write_bars

from .conftest import NOW, config_of
from .made_bars import wandering

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "crowd_worth.py"
TINY = (
    "env.num_envs=4",
    "env.episode_bars=16",
    "env.observation=spine",
    "env.dead_band=0.02",
    "agent.rollout=16",
    "agent.minibatch=32",
    "agent.hidden=[8]",
    "agent.learning_rate=0.05",
)


def track_of(*equity: float) -> Track:
    """An account that is worth so much at the closes of three minutes."""
    count = len(equity)
    columns: dict[str, Any] = {field.name: np.zeros(count) for field in fields(Track)[2:]}
    columns |= {"equity": np.array(equity), "close": np.ones(count), "closed_at": np.arange(count) * 60_000}
    return Track("track", 60_000, **columns | {"trades": np.arange(count), "state": np.zeros(count, np.int8)})


def arms_of(tmp_path: Path, *words: str) -> dict[str, list[Any]]:
    path = tmp_path / "bars.parquet"
    if not path.exists():
        write_bars(path, wandering(1500, interval="1m"))
    common = ("experiment=fast", *TINY, f"market.path={path}", "tracking=none", "steps=64", *words)
    own = {"history": (), "mixture": ("env.scenario=[normal,flash_crash]", "env.burn_in_bars=200")}
    return {
        arm: [
            config_of("train", *common, f"env={arm}", *more, f"seed={seed}", f"out={tmp_path / f'{arm}-{seed}'}")
            for seed in (1, 2)
        ]
        for arm, more in own.items()
    }


def test_advantages_are_the_mixture_s_and_positive_where_it_is_better() -> None:
    steady, falls = track_of(100.0, 100.0, 110.0), track_of(100.0, 80.0, 100.0)
    flat = [[track_of(100.0, 100.0, 100.0)] * 2]
    found = {"crash": {"history": [[falls, falls]], "mixture": [[steady, steady]], "flat": flat, "hold": flat}}
    rows = {(row.scenario, row.figure): row for row in compared(found).rows}
    assert rows["crash", "total_return"].means == pytest.approx(
        {"history": 0.0, "mixture": 0.1, "flat": 0.0, "hold": 0.0}
    )
    assert rows["crash", "total_return"].advantage.estimate == pytest.approx(0.1)
    assert rows["crash", "max_drawdown"].advantage.estimate == pytest.approx(0.2)  # 20 % less deep
    assert rows["crash", "max_drawdown"].over_flat.estimate == 0.0
    assert rows["crash", "max_drawdown"].by_seed == pytest.approx([0.2])


def test_pairs_are_of_one_seed_and_one_market_and_storms_are_averaged_without_calm_and_record() -> None:
    def scenario(shift: float, count: int = 3) -> dict[str, list[list[Track]]]:
        """Seed s earns s, market m earns 10 m, and the mixture `shift` more everywhere, in per cent."""
        arms = {
            arm: [[track_of(100.0, 100.0 + s + 10 * m + more) for m in range(count)] for s in range(2)]
            for arm, more in (("history", 0.0), ("mixture", shift))
        }
        return arms | {name: [[track_of(100.0, 100.0)] * count] for name in ("flat", "hold")}

    found = {"normal": scenario(50.0), "crash": scenario(1.0), "spoofing": scenario(3.0), RECORDED: scenario(7.0, 1)}
    worth = compared(found)
    rows = {row.scenario: row for row in worth.rows if row.figure == "total_return"}
    assert list(rows) == ["normal", "crash", "spoofing", ALL_STORMS, RECORDED]
    for name, wanted in (("normal", 0.5), ("crash", 0.01), (ALL_STORMS, 0.02), (RECORDED, 0.07)):
        advantage = rows[name].advantage
        assert (advantage.low, advantage.estimate, advantage.high) == pytest.approx((wanted, wanted, wanted))
        assert rows[name].by_seed == pytest.approx([wanted, wanted])
    assert worth.to_json()["cells"]["total_return"]["crash"]["history"][1][2] == pytest.approx(0.21)


def test_arms_that_differ_in_more_than_their_env_are_refused_by_the_key(tmp_path: Path) -> None:
    arms = arms_of(tmp_path)
    longer = {**arms, "mixture": [replace(config, steps=65) for config in arms["mixture"]]}
    wider = {**arms, "mixture": [replace(config, env=replace(config.env, num_envs=8)) for config in arms["mixture"]]}
    slower = {**arms, "mixture": [replace(each, env=replace(each.env, interval="4h")) for each in arms["mixture"]]}
    given: dict[str, Any] = {"scenarios": ["normal"], "markets": 2, "now": NOW}
    with pytest.raises(RunError, match="storms hold their bands at 1m, 1h alone"):
        crowd_worth(slower, **given)
    with pytest.raises(RunError, match="the arms differ in steps: 64 and 65"):
        crowd_worth(longer, **given)
    with pytest.raises(RunError, match=r"the arms differ in env\.num_envs: 4 and 8"):
        crowd_worth(wider, **given)
    with pytest.raises(RunError, match="2 policies on history and 1 on mixture"):
        crowd_worth({**arms, "mixture": arms["mixture"][:1]}, **given)
    with pytest.raises(RunError, match="not in history and mixture"):
        crowd_worth({"history": arms["mixture"], "mixture": arms["history"]}, **given)
    with pytest.raises(RunError, match="spine_memory looks into a past"):
        crowd_worth(arms_of(tmp_path, "env.observation=spine_memory"), **given)
    assert [path.name for path in tmp_path.iterdir()] == ["bars.parquet"]


@pytest.mark.slow
def test_a_policy_s_storms_are_those_of_the_stress_matrix(tmp_path: Path) -> None:
    arms = arms_of(tmp_path)
    passports = {arm: [trained(configs[0], now=NOW)] for arm, configs in arms.items()}
    found = through_storm(passports, "flash_crash", 2, seed=derive_seed(3, "stress"), bars=30)
    for arm, each in passports.items():
        storms = ArenaStorms(each[0].terrain, bars=30)
        for market in range(2):
            outing = storms(each[0].policy, "flash_crash", derive_seed(3, "stress") + market, arm)
            assert np.array_equal(outing.track.equity, found[arm][0][market].equity)
            assert np.array_equal(outing.track.close, found[arm][0][market].close)
    assert found["history"][0][0].close[0] == found["mixture"][0][0].close[0] == found["hold"][0][0].close[0]
    assert [int(track.trades[-1]) for track in found["flat"][0]] == [0, 0]


@pytest.mark.slow
def test_what_was_trained_otherwise_is_refused_and_not_taken_for_it(tmp_path: Path) -> None:
    config = arms_of(tmp_path)["history"][0]
    first = trained(config, now=NOW)
    assert trained(config, now=NOW).policy.manifest == first.policy.manifest
    with pytest.raises(RunError, match="steps=64, not 65"):
        trained(replace(config, steps=65), now=NOW)
    write_bars(tmp_path / "bars.parquet", wandering(1500, seed=9, interval="1m"))
    with pytest.raises(RunError, match="was trained on another train than there is now; name a new folder"):
        trained(config, now=NOW)


@pytest.mark.slow
def test_what_was_trained_in_another_crowd_is_refused(tmp_path: Path) -> None:
    config = arms_of(tmp_path)["mixture"][0]
    trained(config, now=NOW)
    record = Path(config.out) / "run.json"
    told = json.loads(record.read_text())
    told["data"]["burn_in"]["flash_crash"]["sha256"] = "0" * 64  # as if the storm had been another one then
    record.write_text(json.dumps(told))
    with pytest.raises(RunError, match="was trained on another burn_in than there is now"):
        trained(config, now=NOW)


@pytest.mark.slow
def test_the_script_writes_its_table_and_trains_what_is_missing_only(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.parquet", wandering(1500, interval="1m"))
    words = ["--out", "table", "--market", "bars.parquet", "--seeds", "2", "--steps", "64", "--markets", "2"]
    words += ["--bars", "20", "--scenarios", "flash_crash", "normal", "--", *TINY]
    told = [_run(tmp_path, *words) for _ in range(2)]
    assert all(done.returncode == 0 for done in told), told[0].stderr
    assert [done.stderr.count("training") for done in told] == [4, 0]
    assert told[0].stdout == told[1].stdout
    page, kept = (
        (tmp_path / "table" / "worth.md").read_text(),
        json.loads((tmp_path / "table" / "worth.json").read_text()),
    )
    lines = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    assert lines[2:] == [name for name in ("normal", "flash_crash", ALL_STORMS, RECORDED) for _ in range(2)]
    assert np.shape(kept["cells"]["max_drawdown"]["flash_crash"]["mixture"]) == (2, 2)
    assert "crash" in kept["about"]["trained_in"]
    assert "crash_with_spoofing" not in kept["about"]["trained_in"]
    manifest = load_passport(tmp_path / "table" / "mixture-2" / "passport").manifest
    assert manifest["training"]["seed"] == 2


def test_the_script_without_bars_says_so_in_one_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "--market", "nowhere.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "there are no bars at nowhere.parquet: set WAVETANK_DATA, or say --market FILE.parquet\n"
    assert list(tmp_path.iterdir()) == []


def _run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
