"""What training with a memory is worth: three arms alike but for their past, compared by hand-made tracks."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.experiments.evaluate import Track
from wavetank.experiments.memory_worth import ARMS, PAIRS, SHUFFLED, WITH, WITHOUT, compared, memory_worth
from wavetank.experiments.runs import RunError
from wavetank.market.store import write_bars

from .conftest import NOW, config_of
from .made_bars import wandering

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "memory_worth.py"
PAST: dict[str, tuple[str, ...]] = {
    WITHOUT: ("env.observation=spine",),
    WITH: ("env.observation=spine_memory",),
    SHUFFLED: ("env.observation=spine_memory", "memory.outcomes=shuffled"),
}


def track_of(*growth: float, fees: float = 0.0) -> Track:
    """An account that grows so much at every close; the last one was paid `fees` for."""
    equity = 100.0 * np.exp(np.cumsum([0.0, *growth]))
    count = len(equity)
    columns: dict[str, Any] = {field.name: np.zeros(count) for field in fields(Track)[2:]}
    columns |= {"equity": equity, "close": np.ones(count), "closed_at": np.arange(1, count + 1) * 3_600_000 - 1}
    columns |= {"trades": np.arange(count), "state": np.zeros(count, np.int8), "fees": np.r_[np.zeros(count - 1), fees]}
    return Track("track", 3_600_000, **columns)


def arms_of(tmp_path: Path, *words: str) -> dict[str, list[Any]]:
    common = ("experiment=fast", "env=history", f"market.path={tmp_path / 'bars.parquet'}", "tracking=none", *words)
    return {
        arm: [
            config_of("train", *common, *PAST[arm], f"seed={seed}", f"out={tmp_path / f'{arm}-{seed}'}")
            for seed in (1, 2)
        ]
        for arm in ARMS
    }


def test_pairs_are_of_one_seed_and_a_baseline_is_the_same_to_all() -> None:
    quiet = np.zeros(9)
    found = {
        WITHOUT: [track_of(*quiet), track_of(*quiet + 0.01)],
        WITH: [track_of(*quiet + 0.03), track_of(*quiet + 0.02)],
        SHUFFLED: [track_of(*quiet + 0.04), track_of(*quiet)],
        "flat": [track_of(*quiet)],
        "hold": [track_of(*quiet - 0.01)],
    }
    worth = compared(found, {})
    pairs = {(pair.ours, pair.theirs): pair for pair in worth.pairs}

    assert tuple(pairs) == PAIRS
    for names, by_seed, better in (
        ((WITH, WITHOUT), (0.03, 0.01), 2),
        ((WITH, SHUFFLED), (-0.01, 0.02), 1),
        ((SHUFFLED, WITHOUT), (0.04, -0.01), 1),
        ((WITH, "flat"), (0.03, 0.02), 2),
        ((WITHOUT, "flat"), (0.0, 0.01), 1),
    ):
        assert pairs[names].by_seed == pytest.approx(by_seed)
        assert pairs[names].ahead.estimate == pytest.approx(np.mean(by_seed))
        assert pairs[names].better == better
        assert (pairs[names].unit, pairs[names].periods) == ("bar", 9)
    assert worth.figures[WITH]["total_return"] == pytest.approx([np.exp(0.27) - 1.0, np.exp(0.18) - 1.0])
    assert worth.figures["hold"]["trades"] == [9.0]


def test_before_fees_what_was_paid_is_given_back() -> None:
    paid, free = track_of(0.0, 0.0, np.log(0.97), fees=3.0), track_of(0.0, 0.0, 0.0)
    found = {WITHOUT: [free, free], WITH: [paid, paid], SHUFFLED: [free, free], "flat": [free], "hold": [free]}
    pair = compared(found, {}).pairs[0]

    assert pair.ahead.estimate == pytest.approx(np.log(0.97) / 3)
    assert pair.before_fees.estimate == pytest.approx(0.0)


def test_arms_that_differ_in_more_or_in_less_than_their_past_are_refused(tmp_path: Path) -> None:
    arms = arms_of(tmp_path)

    def other(arm: str, **changes: Any) -> dict[str, list[Any]]:
        return {**arms, arm: [replace(config, **changes) for config in arms[arm]]}

    known = arms[WITH][0].memory
    wide = replace(known, outcomes="shuffled", neighbours=32)
    blind = replace(arms[WITH][0].env, observation="spine")
    another = replace(arms[WITH][0].env, observation="default_memory")
    for given, sentence in (
        (other(WITH, steps=65), "the arms differ in steps: 2048, 65, 2048"),
        (other(SHUFFLED, memory=wide), "the arms differ in memory.neighbours: 16, 16, 32"),
        (other(SHUFFLED, memory=known), "memory.outcomes is known, known, known, not known, known, shuffled"),
        (other(WITH, env=blind), "the arms see spine, spine, spine_memory"),
        (other(WITH, env=another), "the arms see spine, default_memory, spine_memory"),
        ({**arms, WITH: arms[WITH][:1]}, "the arms have 2, 1, 2 seeds"),
        ({WITH: arms[WITH]}, "the arms are memory, not without, memory, shuffled"),
    ):
        with pytest.raises(RunError, match=sentence):
            memory_worth(given, now=NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_script_tells_a_memory_that_knows_from_one_that_does_not_and_trains_only_what_is_missing(
    tmp_path: Path,
) -> None:
    """PPO where the past does tell the future: with its memory it gains, without or with shuffled outcomes not."""
    write_bars(tmp_path / "bars.parquet", replace(wandering(2500), symbol="OURS"))
    words = ["--out", "table", "--market", "bars.parquet", "--seeds", "2", "--steps", "512", "--control-steps", "8192"]
    words += ["--", "env.num_envs=16", "agent.hidden=[16]", "agent.rollout=32"]
    told = [_run(tmp_path, *words) for _ in range(2)]
    assert all(done.returncode == 0 for done in told), told[0].stderr
    assert [done.stderr.count("training") for done in told] == [12, 0]
    assert told[0].stdout == told[1].stdout == (tmp_path / "table" / "worth.md").read_text() + "\n"

    kept = json.loads((tmp_path / "table" / "worth.json").read_text())
    assert kept["about"]["steps"] == 512
    returns = {arm: kept["control"]["figures"][arm]["total_return"] for arm in ARMS}
    assert min(returns[WITH]) > 0.5
    assert max(*returns[WITHOUT], *returns[SHUFFLED]) < 0.5 * min(returns[WITH])
    for pair in kept["control"]["pairs"][:2]:
        assert min(pair["by_seed"]) > 0.005  # half a per cent a day
    recorded = json.loads((tmp_path / "table" / "recorded-shuffled-2" / "run.json").read_text())
    assert recorded["data"]["test"] == kept["recorded"]["test"]
    assert recorded["config"]["memory"]["outcomes"] == "shuffled"


@pytest.mark.slow
def test_the_script_without_bars_says_so_in_one_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "--market", "nowhere.parquet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "there are no bars at nowhere.parquet: set WAVETANK_DATA, or say --market FILE.parquet\n"
    assert list(tmp_path.iterdir()) == []


def _run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
