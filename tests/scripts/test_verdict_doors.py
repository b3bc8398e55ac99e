"""The doors of sweep, stress, promote, report and demo, opened as `wavetank VERB …` opens them."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wavetank.market.parquet import write_bars
from wavetank.scripts import cli

from ..memory.walks import walk

pytestmark = pytest.mark.slow

TINY = ["experiment=fast", "env.bars=1600", "steps=512"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before, handlers, level = dict(os.environ), logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    os.environ.clear()
    os.environ.update(before)


def wavetank(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank", *map(str, words)])
    return cli.main()


def test_a_run_at_another_interval_than_the_crowds_is_refused_with_every_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    keys = [*TINY, "env.interval=4h", f"out={run}", f"tracking.root={tmp_path / 'mlflow'}"]
    assert wavetank(monkeypatch, "train", *keys) == 0
    assert wavetank(monkeypatch, "walkforward", *keys, "walk.windows=2") == 0
    assert wavetank(monkeypatch, "stress", f"run={run}", "pairs=3") == 0
    assert "the policy lives at 4h" in capfd.readouterr().out

    assert wavetank(monkeypatch, "promote", f"run={run}") == 0
    told = capfd.readouterr().out
    assert "REFUSED" in told
    assert "champion" not in told
    verdict = json.loads((run / "promotion.json").read_text())
    gates = {gate["name"]: gate for gate in verdict["gates"]}
    assert [name for name, gate in gates.items() if gate["passed"]] == ["parity"]
    assert gates["parity"]["figures"]["bars"] >= 200
    assert gates["out_of_sample"]["figures"]["trials"] == 2  # the training and the walk
    assert "normal is not covered: the crowd trades bars of 1m, 1h" in gates["stress"]["reasons"][0]

    assert wavetank(monkeypatch, "report", run, "--out", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    assert "Refused" in page
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("exact_up_to", [200_000, 100])
def test_paper_and_environment_remember_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    """A policy with a memory is rehearsed with its archive; what a large one's graph changes is told beside it."""
    from wavetank.envs import remembrance

    monkeypatch.setattr(remembrance, "EXACT_UP_TO", exact_up_to)
    run = tmp_path / "run"
    write_bars(tmp_path / "bars.parquet", walk(1600, seed=4))
    of_bars = ["experiment=fast", "env=history", f"market.path={tmp_path / 'bars.parquet'}", "steps=512"]
    asked = ["env.observation=spine_memory", "memory.horizon=8", f"memory.cache={tmp_path / 'found'}"]
    assert wavetank(monkeypatch, "train", *of_bars, *asked, f"out={run}", "tracking=none") == 0
    assert len(list((tmp_path / "found").iterdir())) == 1
    assert wavetank(monkeypatch, "promote", f"run={run}", "standard.parity_bars=50") == 0
    parity = json.loads((run / "parity.json").read_text())
    assert parity["bars"] > 50
    assert parity["differing"] == 0
    assert ("graph" in parity) == (exact_up_to == 100)
    if "graph" in parity:
        assert set(parity["graph"]) == {"bars", "actions_apart", "largest", "lots_apart"}
        gates = {gate["name"]: gate for gate in json.loads((run / "promotion.json").read_text())["gates"]}
        assert gates["parity"]["figures"]["graph_actions_apart"] == parity["graph"]["actions_apart"]


def test_a_policy_whose_gates_are_all_open_becomes_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, root = tmp_path / "run", tmp_path / "mlflow"
    keys = [*TINY, f"out={run}", f"tracking.root={root}"]
    assert wavetank(monkeypatch, "train", *keys) == 0
    _write_good_evidence(run)
    assert wavetank(monkeypatch, "promote", f"run={run}", "standard.pairs=3", "standard.parity_bars=50") == 0
    assert "champion  wavetank version 1" in capfd.readouterr().out

    from wavetank.experiments.tracking import champion_version

    assert champion_version("wavetank", root=root) == 1
    (run / "stress.json").unlink()
    assert wavetank(monkeypatch, "promote", f"run={run}", "standard.pairs=3", "standard.parity_bars=50") == 0
    assert "stress.json is missing: wavetank stress makes it" in " ".join(capfd.readouterr().out.split())


def _write_good_evidence(run: Path) -> None:
    """A walk-forward and storms that nothing speaks against, made by hand: parity stays the door's own."""
    from wavetank.experiments.promote import seal_digest

    from .good_evidence import good_storms, good_walk

    good_walk().save(run / "tracks" / "oos_policy.npz")
    digest = json.loads((run / "run.json").read_text())["config_digest"]
    (run / "walkforward.json").write_text(json.dumps({"config_digest": digest}))
    storms = {"passport_sha256": seal_digest(run / "passport"), **good_storms()}
    (run / "stress.json").write_text(json.dumps(storms))


def test_a_sweep_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "env.bars=1200", "tracking=none", f"out={tmp_path / 'sweep'}", "hydra.sweeper.params={}"]
    space = "agent.learning_rate=tag(log,interval(1e-4,1e-2))"
    assert wavetank(monkeypatch, "sweep", *words, space, "n_trials=1") == 0
    assert wavetank(monkeypatch, "sweep", *words, space, "n_trials=2") == 0
    study = json.loads((tmp_path / "sweep" / "study.json").read_text())
    assert [trial["state"] for trial in study["trials"]] == ["complete", "complete"]
    rates = [trial["params"]["agent.learning_rate"] for trial in study["trials"]]
    assert rates[0] != rates[1]
    for number, rate in enumerate(rates):
        record = json.loads((tmp_path / "sweep" / "trials" / str(number) / "run.json").read_text())
        assert record["config"]["agent"]["learning_rate"] == rate
    assert wavetank(monkeypatch, "sweep", *words, space, "n_trials=3", "steps=1024") == 2
    assert "was begun with another fixed part, steps=1024" in capfd.readouterr().err
    figures = json.loads((tmp_path / "sweep" / "trials" / "0" / "validation.json").read_text())
    assert study["trials"][0]["value"] == figures["policy"]["sharpe"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stress"], "run"),
        (["stress", "run=nowhere"], "nowhere is not a run's folder"),
        (["stress", "run=nowhere", "pairs=2"], "pairs: 2 must be 3 or more"),
        (["promote", "run=nowhere", "standard.drawdown=1.5"], "standard.drawdown: 1.5 is not a share"),
        (["promote", "run=nowhere", "standard.deflated_sharpe=0.2"], "must be above 0.5"),
        (["promote", "run=nowhere", "standard.luck=1"], "Key 'luck' not in 'StandardSchema'"),
        (["sweep", "seeed=1"], "Key 'seeed' not in 'SweepConfig'"),
        (["sweep", "n_trials=0"], "n_trials 0 must be 1 or more"),
        (["sweep", "market.path=nowhere.parquet", "out=s"], "there is no file of bars at nowhere.parquet"),
        (["report", "nowhere"], "nowhere is not a run's folder"),
        (["demo", "--out", "."], "holds files already"),
    ],
)
def test_wrong_input_costs_one_sentence_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    Path("already").touch()
    assert wavetank(monkeypatch, *words) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wavetank ")]
    assert len(lines) == 1
    assert sentence in lines[0]


def test_the_whole_way_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert wavetank(monkeypatch, "demo", "--quick", "--out", out, "--seed", "3") == 0
    told = capfd.readouterr().out
    for step in ("Market", "Train", "Windows", "Storms", "Verdict", "Paper", "Page"):
        assert step in told
    assert f"file://{out / 'report.html'}" in told.replace("\n", "")
    page = (out / "report.html").read_text()
    assert "does." not in page  # no section without its evidence
    parity = json.loads((out / "run" / "parity.json").read_text())
    assert parity["differing"] == 0
    assert parity["bars"] > 200
    paper = json.loads((out / "run" / "paper.json").read_text())
    assert "541" in paper["facts"]["Bars"]
    assert sorted(entry.name for entry in out.iterdir()) == ["market.parquet", "mlflow", "report.html", "run"]
