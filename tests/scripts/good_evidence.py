"""Evidence that opens its gates, typed by hand."""

from typing import Any

import numpy as np

from wavetank.experiments.evaluate import Track


def good_walk() -> Track:
    """600 bars that earn 20 bp each, give or take 10."""
    rows = 601
    earned = 0.002 + 0.001 * np.where(np.arange(rows - 1) % 2, 1.0, -1.0)
    zeros = np.zeros(rows)
    return Track(
        name="policy",
        interval_ms=3_600_000,
        closed_at=np.arange(rows, dtype=np.int64) * 3_600_000 + 3_599_999,
        close=np.full(rows, 100.0),
        equity=100_000.0 * np.cumprod(np.concatenate([[1.0], 1.0 + earned])),
        exposure=zeros,
        action=zeros,
        fees=zeros,
        funding=zeros,
        borrow=zeros,
        turnover=zeros,
        trades=np.zeros(rows, np.int64),
        state=np.zeros(rows, np.int8),
    )


def good_storms() -> dict[str, Any]:
    """Three seeds of two scenarios, none of them bad."""
    cells = [
        {"policy": "policy", "scenario": scenario, "total_return": 0.01, "max_drawdown": 0.02, "liquidated": False}
        for scenario in ("normal", "flash_crash")
        for _ in range(3)
    ]
    return {"policy": "policy", "seeds": ["1", "2", "3"], "absent": {}, "cells": cells}
