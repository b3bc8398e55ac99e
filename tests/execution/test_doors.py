"""The doors with a real passport: paper, kill -9, replay, verify, and what they say to wrong input."""

import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.scaling import Scaler
from wavetank.envs.actions import exposure_of
from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport
from wavetank.envs.trading import TradingEnv
from wavetank.execution.gates import Denial
from wavetank.execution.history import read_history
from wavetank.execution.journal import Journal, Kind, read_rows
from wavetank.market.bars import Bars
from wavetank.market.limits import Limits
from wavetank.market.store import write_bars

from .toy import COSTS, INSTRUMENT, made_bars

BARS = 1500
LIMITS = Limits(mode="off", daily_loss=0.02, drawdown=0.9)


class Ground(NamedTuple):
    """A folder with a passport and a file of bars."""

    passport: Path
    bars: Path


class Done(NamedTuple):
    code: int
    out: str
    error: str


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return made_ground(tmp_path_factory.mktemp("box"), "box")


def made_ground(folder: Path, kind: str) -> Ground:
    torch = pytest.importorskip("torch")
    from wavetank.agents.keys import PPOConfig
    from wavetank.agents.networks import ActorCritic, PolicyNetwork  # needs torch

    torch.manual_seed(3)
    spec, bars = ObservationSpec.load("spine"), made_bars(700)
    rows = feature_matrix(bars, spec.market)
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)])
    net = ActorCritic(scaler, spec.shape, PPOConfig(hidden=(16,)), 1 if kind == "box" else 3, discrete=kind != "box")
    with torch.no_grad():
        net.action.weight.normal_(std=0.5)  # so that it wants something
    network = PolicyNetwork(net)
    terrain = Terrain(spec, INSTRUMENT, COSTS, LIMITS, "1h", kind)
    passport, made = folder / "run" / "passport", datetime(2025, 1, 1, tzinfo=UTC)
    export_passport(network, passport, terrain, bars, name="toy", created_at=made, training={})
    return Ground(passport, write_bars(folder / "bars.parquet", made_bars(BARS, seed=4)))


def wavetank(*words: str | Path, cwd: Path) -> Done:
    done = subprocess.run(_command(*words), capture_output=True, text=True, cwd=cwd, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "wavetank.scripts.cli", *map(str, words)]


def paper(ground: Ground, journal: Path, *more: str) -> list[str]:
    return ["paper", f"policy={ground.passport}", f"feed.path={ground.bars}", f"journal={journal}", *more]


def test_the_doors_of_the_trading_loop_start_without_the_compiler_and_the_research_loop() -> None:
    heavy = ("numba", "torch", "gymnasium", "mlflow", "mesa", "ray")
    for verb in ("paper", "replay", "journal"):
        code = f"import sys, wavetank.scripts.{verb}\nprint([n for n in {heavy} if n in sys.modules])"
        given = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=given, check=True)
        assert done.stdout.strip() == "[]", verb


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["box", "discrete"])
def test_a_frozen_policy_walks_environment_and_paper_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    ground = made_ground(tmp_path / "ground", kind)
    done = wavetank(*paper(ground, tmp_path / "a.db"), cwd=tmp_path)
    assert (done.code, done.error) == (0, "")
    told = read_history(tmp_path / "a.db")
    policy = FrozenPolicy.load(ground.passport)
    terrain = Terrain.from_json(policy.manifest)
    env = TradingEnv(
        made_bars(BARS, seed=4),
        instrument=terrain.instrument,
        costs=terrain.costs,
        limits=Limits(mode="live", daily_loss=0.02, drawdown=0.9),
        observation=terrain.spec,
        actions="box",
        random_start=False,
    )
    observation, info = env.reset(seed=1)
    for row in range(len(told) - 1):
        assert (info["equity"], info["lots"], info["fees"]) == (told.equity[row], told.lots[row], told.fees[row])
        action = float(policy.act(observation).action[0, 0])
        assert action == told.action[row]
        observation, _, _, _, info = env.step(np.array([exposure_of(action, terrain.action)]))
        assert info["order_lots"] == told.allowed[row]
    assert info["equity"] == told.equity[-1]
    assert told.trades[-1] > 50
    assert 1 in told.state  # the daily loss was felt
    assert f"{len(told.fills)} fills" in done.out


@pytest.mark.slow
def test_killed_sessions_end_like_whole_ones(ground: Ground, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    assert wavetank(*paper(ground, whole), cwd=tmp_path).code == 0
    rng, kills = np.random.default_rng(2), 0
    for _ in range(6):
        child = subprocess.Popen(_command(*paper(ground, broken)), stdout=subprocess.DEVNULL, cwd=tmp_path)
        _wait_for_the_lock(broken, child)
        time.sleep(float(rng.uniform(0.0, 0.15)))
        child.send_signal(signal.SIGKILL)
        kills += child.wait(60) == -signal.SIGKILL
    assert kills >= 2
    before = len(list(read_rows(broken, Kind.BAR)))
    went_on = wavetank(*paper(ground, broken), cwd=tmp_path)
    assert went_on.code == 0
    assert (f"{BARS} bars, went on from bar {before}," in went_on.out) == (before > 0)
    told = [wavetank("replay", path, "--json", cwd=tmp_path) for path in (whole, broken)]
    assert [done.code for done in told] == [0, 0]
    assert told[0].out == told[1].out
    found = json.loads(told[0].out)
    intents = [row.facts["client_id"] for row in read_rows(broken, Kind.INTENT)]
    assert (found["bars"], found["orders"]) == (BARS, len(intents))
    assert len(set(intents)) == len(intents)
    assert wavetank("journal", "verify", broken, cwd=tmp_path).code == 0


def _wait_for_the_lock(path: Path, child: subprocess.Popen[bytes]) -> None:
    """Until this very session holds the journal, so that the kill does not always hit the imports."""
    lock = path.with_name(path.name + ".lock")
    while child.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if lock.read_text().strip() == str(child.pid):
                return
        time.sleep(0.002)


@pytest.mark.slow
def test_changed_journals_and_passports_are_named(ground: Ground, tmp_path: Path) -> None:
    journal = tmp_path / "a.db"
    wavetank(*paper(ground, journal), cwd=tmp_path)
    _rehash_verdict(journal)
    done = wavetank("replay", journal, "--policy", ground.passport, cwd=tmp_path)
    row = next(row.seq for row in read_rows(journal, Kind.VERDICT))
    assert (done.code, done.out) == (1, "")
    assert f"row {row} differs: the journal says verdict" in done.error
    connection = sqlite3.connect(journal)
    connection.execute("UPDATE rows SET payload = CAST('{}' AS BLOB) WHERE seq = 40")
    connection.commit()
    connection.close()
    for words in (("replay", journal), ("journal", "verify", journal)):
        done = wavetank(*words, cwd=tmp_path)
        assert done.code == 1
        assert "row 40 (account) is not what was written" in done.error


def _rehash_verdict(path: Path) -> None:
    """A forger who changes a verdict and makes the whole chain anew: only a replay finds that out."""
    rows = [(row.kind, row.facts) for row in read_rows(path)]
    first = next(i for i, (kind, _) in enumerate(rows) if kind == Kind.VERDICT)
    rows[first][1]["asked"] += 1
    path.unlink()
    journal = Journal(path)
    for kind, facts in rows:
        journal.append(Kind(kind), facts)
    journal.commit()
    journal.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TRIGGER rows_stay; DROP TRIGGER rows_remain;")
    connection.close()


@pytest.mark.slow
def test_wrong_input_costs_one_sentence_and_leaves_nothing(ground: Ground, tmp_path: Path) -> None:
    minutes = write_bars(tmp_path / "minutes.csv.parquet", _minutes())
    tampered = tmp_path / "tampered"
    subprocess.run(["cp", "-r", ground.passport, tampered], check=True)
    graph = tampered / "policy.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    journal = tmp_path / "a.db"
    good = paper(ground, journal)
    for words, expected in (
        ([*good, "polcy=x"], "polcy"),
        ([*good, "feed.pth=x"], "pth"),
        ([*good, "limits_mode=brave"], "brave"),
        ([*good, "cash=-1"], "cash -1.0 must be above 0"),
        ([*good, "feed.path=none.parquet"], "there is no file of bars at none.parquet"),
        ([*good, f"feed.path={minutes}"], "holds 1m bars, the policy lives at 1h"),
        ([*good, "policy=nowhere"], "nowhere"),
        ([*good, f"policy={tampered}"], "policy.onnx differs from its hash"),
        ([*good, "policy=champion"], "champion"),
        ([*good, "policy=champion", "tracking=none"], "policy=champion needs a registry"),
        ([*good, f"journal={tmp_path}/none/a.db"], "there is no folder"),
        (["paper", f"policy={ground.passport}"], "journal"),
        (["replay", journal], "there is no journal at"),
        (["journal", "verify", journal], "there is no journal at"),
        (["journal", "verify", minutes], "is not a journal"),
    ):
        done = wavetank(*words, cwd=tmp_path)
        assert (done.code, done.out) == (2, ""), words
        assert expected in done.error, words
        assert len(done.error.splitlines()) == 1, done.error
        assert not list(tmp_path.glob("a.db*")), words


def _minutes() -> Bars:
    bars = made_bars(10)
    return Bars("1m", bars.opened_at // 60, bars.open, bars.high, bars.low, bars.close, bars.volume)


@pytest.mark.slow
def test_the_registrys_champion_is_fetched_once_and_kept(ground: Ground, tmp_path: Path) -> None:
    tracking = pytest.importorskip("wavetank.experiments.tracking")
    root = tmp_path / "mlflow"
    version = tracking.register_passport(ground.passport, root=root, name="wavetank")
    tracking.set_champion("wavetank", version, root=root)
    words = ["policy=champion", f"tracking.root={root}"]
    for _ in range(2):
        done = wavetank(*paper(ground, tmp_path / "a.db", *words), cwd=tmp_path)
        assert (done.code, done.error) == (0, "")
    assert (tmp_path / "a.db.passport" / "manifest.json").is_file()


@pytest.mark.slow
def test_a_second_runner_on_the_journal_is_refused(ground: Ground, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db")
    done = wavetank(*paper(ground, tmp_path / "a.db"), cwd=tmp_path)
    journal.close()
    assert done.code == 2
    assert f"a.db is in use by another runner (process {os.getpid()})" in done.error


@pytest.mark.slow
def test_a_runs_folder_is_taken_for_its_passport_and_the_api_leaves_private_tokens(
    ground: Ground, tmp_path: Path
) -> None:
    more = ["api=on", "api.port=0", f"api.folder={tmp_path}/keys", f"policy={ground.passport.parent}"]
    done = wavetank(*paper(ground, tmp_path / "a.db", *more), cwd=tmp_path)
    assert (done.code, done.error) == (0, "")
    assert "API at http://127.0.0.1:" in done.out
    keys = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert keys == ["api.secret", "kill.token", "read.token"]
    for name in keys:
        path = tmp_path / "keys" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() not in done.out
    assert Denial.KILLED.value not in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "keys"]
