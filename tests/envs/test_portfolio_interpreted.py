"""Compiled and interpreted portfolios agree to the last bit, and no kernel of theirs reads past the end of an array."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wavetank.market.jit import COMPILED

from . import interpreted_portfolio_walk

SCRIPT = Path(interpreted_portfolio_walk.__file__)


def _run(*ways: str, **environment: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *ways], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_compiled_and_interpreted_portfolios_tell_the_same_to_the_last_bit() -> None:
    told = _run(NUMBA_DISABLE_JIT="1")
    assert not told["compiled"]
    assert told["digests"] == interpreted_portfolio_walk.digests()
    assert len(set(told["digests"].values())) == len(told["digests"])


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_no_kernel_of_a_portfolio_reads_past_the_end_of_an_array(tmp_path: Path) -> None:
    told = _run("serial", NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert told["compiled"]
    assert told["digests"] == interpreted_portfolio_walk.digests()
