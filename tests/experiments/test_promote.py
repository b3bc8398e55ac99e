import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.experiments.evaluate import Track
from wavetank.experiments.promote import (
    BOOKED,
    GATES,
    Gate,
    Standard,
    Verdict,
    no_parity,
    out_of_sample_gate,
    parity_evidence,
    parity_gate,
    seal_digest,
    stress_gate,
    weigh,
    write_verdict,
)

STANDARD = Standard(
    deflated_sharpe=0.95,
    walk_bars=500,
    scenarios=("normal", "flash_crash"),
    pairs=3,
    drawdown=0.2,
    mean_loss=0.05,
    parity_bars=3,
)
DIGEST = "c" * 64


def track_of(returns: Any, name: str = "policy") -> Track:
    equity = 100_000.0 * np.cumprod(np.concatenate([[1.0], 1.0 + np.asarray(returns)]))
    rows = len(equity)
    zeros = np.zeros(rows)
    return Track(
        name=name,
        interval_ms=60_000,
        closed_at=np.arange(rows, dtype=np.int64) * 60_000 + 59_999,
        close=np.full(rows, 100.0),
        equity=equity,
        exposure=zeros,
        action=zeros,
        fees=zeros,
        funding=zeros,
        borrow=zeros,
        turnover=zeros,
        trades=np.zeros(rows, np.int64),
        state=np.zeros(rows, np.int8),
    )


def noise(mean: float, seed: int = 3, count: int = 1000) -> Any:
    drawn = np.random.default_rng(seed).normal(0.0, 0.01, count)
    return drawn - drawn.mean() + mean


def cell(scenario: str, pair: int, **changes: Any) -> dict[str, Any]:
    calm = {"total_return": 0.01, "max_drawdown": 0.03, "liquidated": False, "bars_to_flat": None, "trades": 4}
    return {"policy": "policy", "scenario": scenario, "pair": pair} | calm | changes


def storms(**changes: Any) -> dict[str, Any]:
    cells = [cell(scenario, pair) for scenario in ("normal", "flash_crash") for pair in range(3)]
    cells[-1] |= changes
    return {"policy": "policy", "seeds": ["1", "2", "3"], "absent": {}, "cells": cells}


def passport_in(run: Path) -> Path:
    folder = run / "passport"
    folder.mkdir(parents=True)
    (folder / "manifest.sha256").write_text("abc  manifest.json\n")
    return folder


def evidence_in(run: Path) -> Path:
    """A run's folder whose evidence opens every gate."""
    passport = passport_in(run)
    seal = seal_digest(passport)
    track_of(noise(0.002)).save(run / "tracks/oos_policy.npz")
    track_of(noise(0.0, seed=4), "hold").save(run / "tracks/oos_hold.npz")
    parity = {"bars": 9, "differing": 0, "first_difference": None, "trades": 2}
    for name, told in {
        "run.json": {"config_digest": DIGEST},
        "walkforward.json": {"config_digest": DIGEST},
        "stress.json": {"passport_sha256": seal, **storms()},
        "parity.json": {"passport_sha256": seal, **parity},
    }.items():
        (run / name).write_text(json.dumps(told))
    return passport


def test_whole_evidence_promotes(tmp_path: Path) -> None:
    passport = evidence_in(tmp_path)
    verdict = weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1)
    assert verdict.reasons == ()
    assert verdict.promoted
    told = json.loads(write_verdict(tmp_path, verdict).read_text())
    assert told["verdict"] == "promoted"
    assert [gate["name"] for gate in told["gates"]] == list(GATES)
    assert told["gates"][0]["figures"]["trials"] == 3
    assert told["gates"][0]["figures"]["mean_over_hold"] == pytest.approx(0.002, abs=1e-9)


@pytest.mark.parametrize(
    "gone, closed",
    [
        ("walkforward.json", "out_of_sample"),
        ("tracks/oos_policy.npz", "out_of_sample"),
        ("stress.json", "stress"),
        ("parity.json", "parity"),
    ],
)
def test_missing_evidence_closes_its_gate_and_no_other(tmp_path: Path, gone: str, closed: str) -> None:
    passport = evidence_in(tmp_path)
    (tmp_path / gone).unlink()
    verdict = weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1)
    assert not verdict.promoted
    assert [gate.name for gate in verdict.gates if not gate.passed] == [closed]
    assert "no usable evidence" in verdict.reasons[0]
    assert Path(gone).name in verdict.reasons[0]


@pytest.mark.parametrize("name", ["stress.json", "parity.json"])
def test_evidence_about_another_passport_does_not_count(tmp_path: Path, name: str) -> None:
    passport = evidence_in(tmp_path)
    (passport / "manifest.sha256").write_text("def  manifest.json\n")
    verdict = weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1)
    assert f"{name} is of another passport" in " ".join(verdict.reasons)


def test_a_walk_of_another_config_does_not_count(tmp_path: Path) -> None:
    passport = evidence_in(tmp_path)
    (tmp_path / "walkforward.json").write_text(json.dumps({"config_digest": "d" * 64}))
    verdict = weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1)
    assert "another config" in verdict.reasons[0]


@pytest.mark.parametrize("broken", ["{", "[]", '{"passport_sha256": "x"}', "{}"])
def test_broken_evidence_is_a_reason_and_not_an_error(tmp_path: Path, broken: str) -> None:
    passport = evidence_in(tmp_path)
    (tmp_path / "stress.json").write_text(broken)
    assert [g.passed for g in weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1).gates] == [
        True,
        False,
        True,
    ]


def test_evidence_without_its_keys_is_a_reason(tmp_path: Path) -> None:
    passport = evidence_in(tmp_path)
    (tmp_path / "stress.json").write_text(json.dumps({"passport_sha256": seal_digest(passport)}))
    verdict = weigh(tmp_path, passport, trials=3, standard=STANDARD, seed=1)
    assert "it lacks 'policy'" in verdict.reasons[0]


def test_more_trials_close_the_gate_that_one_opens() -> None:
    track = track_of(noise(0.0009))
    assert out_of_sample_gate(track, None, 1, STANDARD, 1).passed
    closed = out_of_sample_gate(track, None, 50, STANDARD, 1)
    assert not closed.passed
    assert "the best of 50 lucky runs would look as good" in closed.reasons[0]


def test_an_unremembered_search_is_no_evidence(tmp_path: Path) -> None:
    passport = evidence_in(tmp_path)
    verdict = weigh(tmp_path, passport, trials=0, standard=STANDARD, seed=1)
    assert "cannot be counted" in verdict.reasons[0]


def test_a_policy_that_does_nothing_is_not_promoted(tmp_path: Path) -> None:
    passport = evidence_in(tmp_path)
    track_of(np.zeros(1000)).save(tmp_path / "tracks/oos_policy.npz")
    verdict = weigh(tmp_path, passport, trials=1, standard=STANDARD, seed=1)
    assert "without any spread" in verdict.reasons[0]


def test_a_short_walk_is_refused_however_good_it_looks() -> None:
    gate = out_of_sample_gate(track_of(noise(0.01, count=100)), None, 1, STANDARD, 1)
    assert gate.reasons == ("100 out-of-sample bars are fewer than 500",)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"liquidated": True}, "flash_crash: liquidated in 1 of 3 seeds"),
        ({"max_drawdown": 0.31}, "flash_crash: the worst drawdown is 31.0%, above 20%"),
        ({"total_return": -0.5}, "flash_crash: it loses 16.0% on average, more than 5%"),
        ({"max_drawdown": float("nan")}, "flash_crash: the worst drawdown is nan%, above 20%"),
        ({"policy": "hold"}, "flash_crash is not covered: 2 seeds were driven, 3 are wanted"),
    ],
)
def test_storms_that_hurt_close_the_gate(changes: dict[str, Any], reason: str) -> None:
    gate = stress_gate(storms(**changes), STANDARD)
    assert gate.reasons == (reason,)
    assert not gate.passed


def test_an_absent_storm_says_why() -> None:
    told = storms() | {"cells": [], "absent": {"normal": "the crowd trades bars of 1m"}}
    assert "normal is not covered: the crowd trades bars of 1m" in stress_gate(told, STANDARD).reasons


def booked(track: Track, **changes: float) -> tuple[Any, dict[str, Any]]:
    """What paper would have booked, with `changes` on the second bar."""
    columns = {name: getattr(track, name).copy() for name in BOOKED}
    for name, value in changes.items():
        columns[name][1] = value
    return track.closed_at, columns


def test_parity_is_equality_to_the_last_bit(tmp_path: Path) -> None:
    track = track_of([0.01, -0.02, 0.03])
    passport = passport_in(tmp_path)
    equal = parity_evidence(track, *booked(track), passport)
    assert (equal["bars"], equal["differing"], equal["first_difference"]) == (4, 0, None)
    assert parity_gate(equal, STANDARD).passed
    off = parity_evidence(track, *booked(track, equity=float(np.nextafter(track.equity[1], 1e9))), passport)
    assert off["differing"] == 1
    assert off["first_difference"].startswith("at 119999: equity 101000.0 in the environment, 101000.00000000001")
    assert "differ on 1 bars" in parity_gate(off, STANDARD).reasons[0]


@pytest.mark.parametrize("name", ["fees", "funding", "turnover", "trades", "state"])
def test_parity_looks_at_everything_that_is_booked(tmp_path: Path, name: str) -> None:
    track = track_of([0.01, -0.02, 0.03])
    told = parity_evidence(track, *booked(track, **{name: 1}), passport_in(tmp_path))
    assert f"at 119999: {name} 0" in told["first_difference"]


def test_a_bar_that_paper_never_saw_is_a_difference(tmp_path: Path) -> None:
    track = track_of([0.01, -0.02, 0.03])
    closed_at, columns = booked(track)
    told = parity_evidence(track, closed_at[:3], columns, passport_in(tmp_path))
    assert told["first_difference"] == "at 239999: paper has no such bar"


def test_a_policy_that_paper_cannot_trade_is_refused_with_the_reason(tmp_path: Path) -> None:
    gate = parity_gate(no_parity("it looks into a past", passport_in(tmp_path)), STANDARD)
    assert gate.reasons == ("it could not be rehearsed on paper: it looks into a past",)


def test_no_gates_promote_nobody() -> None:
    assert not Verdict(DIGEST, ()).promoted
    assert Verdict(DIGEST, (Gate("stress", True, (), {}),)).promoted
