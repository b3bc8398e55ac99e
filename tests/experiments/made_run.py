"""A run's folder made by hand: every file that the report can read, with small, seeded tracks."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from wavetank.experiments.evaluate import Track

HOUR, MINUTE = 3_600_000, 60_000
BEGAN = 1_717_200_000_000  # 2024-06-01 00:00 UTC
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def track(name: str, rows: int, *, step: int = MINUTE, seed: int = 1, drift: float = 0.0, at: int = BEGAN) -> Track:
    """A policy that turns over every thirty bars in a market of its own seed."""
    rng = np.random.default_rng(seed)
    close = 30_000.0 * np.exp(np.cumsum(rng.normal(0.0, 6e-4, rows)))
    turns = np.repeat(rng.choice([-1.0, 0.0, 0.5, 1.0], rows // 30 + 1), 30)[:rows]
    exposure = {"hold": np.ones(rows), "flat": np.zeros(rows)}.get(name, turns)
    earned = np.concatenate([[0.0], exposure[:-1] * np.diff(np.log(close)) + drift * (name == "policy")])
    traded = np.abs(np.diff(exposure, prepend=0.0)) > 0
    return Track(
        name=name,
        interval_ms=step,
        closed_at=at + np.arange(rows, dtype=np.int64) * step + step - 1,
        close=close,
        equity=100_000.0 * np.exp(np.cumsum(earned)),
        exposure=exposure,
        action=exposure,
        fees=np.cumsum(traded * 12.0),
        funding=np.zeros(rows),
        borrow=np.zeros(rows),
        turnover=np.cumsum(traded * 100_000.0),
        trades=np.cumsum(traded).astype(np.int64),
        state=np.zeros(rows, np.int8),
    )


def made_run(folder: Path, *, verdict: str = "refused", rows: int = 1500) -> Path:
    """Write the folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    oos = {name: track(name, rows, seed=7) for name in ("policy", "hold", "ma_cross", "flat")}
    for name, made in oos.items():
        made.save(folder / f"tracks/oos_{name}.npz")
        track(name, 540, seed=9).save(folder / f"tracks/storm_{name}.npz")
    track("policy", 540, seed=11).save(folder / "tracks/paper.npz")
    files: dict[str, Any] = {
        "run.json": _record(),
        "walkforward.json": _walk(oos, rows),
        "stress.json": _stress(),
        "promotion.json": _promotion(verdict),
        "paper.json": _paper(),
        "timings.json": {"make_market_s": 3.2, "train_s": 21.4, "walk_s": 30.1, "storms_s": 12.0, "steps": 100_000},
    }
    for name, told in files.items():
        (folder / name).write_text(json.dumps(told))
    points = [
        {"step": 2048 * i, "rollout/return": -0.02 + 0.002 * i, "train/explained_variance": i / 40}
        for i in range(1, 30)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    return folder


def _record() -> dict[str, Any]:
    slices = {"sha256": "a" * 64, "bars": 4000, "from": BEGAN, "until": BEGAN + 4000 * MINUTE}
    return {
        "config": {
            "tracking": {"model": "demo <ppo>"},
            "agent": {"backend": "sb3"},
            "steps": 100_000,
            "seed": 7,
            "costs": {
                "taker_fee_bps": 5.0,
                "maker_fee_bps": 2.0,
                "half_spread_bps": 1.0,
                "impact_y": 0.5,
                "funding_bps_per_8h": 1.0,
            },
        },
        "config_digest": "c" * 64,
        "seed": 7,
        "git_commit": COMMIT,
        "git_dirty": False,
        "lock_sha256": "d" * 64,
        "versions": {"wavetank": "0.1.0", "numpy": "2.4.6"},
        "started_at": "2026-11-21T03:30:00+00:00",
        "data": {"source": "crowd", "interval": "1m", "train": slices, "test": slices},
    }


def _walk(oos: dict[str, Track], rows: int) -> dict[str, Any]:
    third = rows // 3
    windows = [
        {
            "index": i,
            "train": [1000 * i, 1000 * i + 2000],
            "test_from": BEGAN + i * third * MINUTE,
            "test_until": BEGAN + ((i + 1) * third - 1) * MINUTE,
            "figures": {name: made.metrics() for name, made in oos.items()},
        }
        for i in range(3)
    ]
    return {"config_digest": "c" * 64, "purge": 48, "windows": windows}


def _stress() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    names, scenarios = ("policy", "flat", "hold", "ma_cross"), ("normal", "flash_crash")
    cells = [
        {
            "policy": name,
            "scenario": scenario,
            "pair": pair,
            "total_return": 0.0 if name == "flat" else float(rng.normal(-0.01, 0.02)),
            "max_drawdown": 0.0 if name == "flat" else float(rng.uniform(0.01, 0.12)),
            "bars_to_flat": None if scenario == "normal" or pair % 3 == 0 else 4 + pair,
            "liquidated": False,
            "trades": 20,
        }
        for scenario in scenarios
        for pair in range(10)
        for name in names
    ]
    against = [
        {
            "scenario": scenario,
            "baseline": name,
            "figure": figure,
            "comparison": {
                "difference": {"estimate": middle, "low": middle - 0.012, "high": middle + 0.009, "level": 0.95},
                "p_value": 0.04,
                "share_better": 0.6,
                "pairs": 10,
            },
        }
        for scenario in scenarios
        for name, middle in (("flat", -0.006), ("hold", 0.004), ("ma_cross", 0.011))
        for figure in ("total_return", "max_drawdown")
    ]
    return {
        "policy": "policy",
        "seeds": [str(i) for i in range(10)],
        "absent": {},
        "cells": cells,
        "against": against,
        "worst": {"weather": weather(), "tracks": {name: f"tracks/storm_{name}.npz" for name in names}},
    }


def weather() -> dict[str, int]:
    """A storm four hours after the tracks begin, ten minutes long, with four hours of recovery."""
    return {"onset": BEGAN + 4 * HOUR, "end": BEGAN + 4 * HOUR + 10 * MINUTE, "calm_again": BEGAN + 8 * HOUR}


def _promotion(verdict: str) -> dict[str, Any]:
    reason = "the deflated Sharpe ratio is 0.412, below 0.95: the best of 4 lucky runs would look as good"
    refused = verdict == "refused"
    return {
        "verdict": verdict,
        "passport_sha256": "e" * 64,
        "gates": [
            {
                "name": "out_of_sample",
                "passed": not refused,
                "reasons": [reason] if refused else [],
                "figures": {
                    "bars": 1500, "trials": 4, "sharpe_per_bar": 0.012, "luckiest_sharpe_per_bar": 0.027,
                    "probabilistic_sharpe": 0.71, "deflated_sharpe": 0.412 if refused else 0.971,
                    "total_return": 0.021, "mean_over_hold": 1.4e-6,
                },
            },
            {"name": "stress", "passed": True, "reasons": [], "figures": {"flash_crash_worst_drawdown": 0.11}},
            {"name": "parity", "passed": True, "reasons": [], "figures": {"differing": 0, "first_difference": None}},
        ],
    }  # fmt: skip


def _paper() -> dict[str, Any]:
    return {
        "track": "tracks/paper.npz",
        "weather": weather(),
        "facts": {"Bars": "540", "Decisions": "481", "Latency of a decision": "p50 38 µs, p99 92 µs"},
        "gates": [
            {"name": "order_size", "effect": "cut", "bars": 0},
            {"name": "exposure", "effect": "cut", "bars": 12},
        ],
    }
