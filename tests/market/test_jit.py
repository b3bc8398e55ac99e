"""The one door to numba: what a compiled kernel is cached under."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.market import jit

ROOT = Path(jit.__file__).resolve().parents[1]


def test_a_kernels_key_depends_on_every_file_it_imports(tmp_path: Path) -> None:
    house = _copied_house(tmp_path)
    before = _digest(house, "envs/episodes.py")
    costs = house / "market" / "costs.py"
    costs.write_text(costs.read_text() + "\n# another fee\n")
    assert _digest(house, "envs/episodes.py") != before


def test_a_kernels_key_does_not_depend_on_what_it_does_not_import(tmp_path: Path) -> None:
    house = _copied_house(tmp_path)
    before = _digest(house, "market/draws.py")
    costs = house / "market" / "costs.py"
    costs.write_text(costs.read_text() + "\n# another fee\n")
    assert _digest(house, "market/draws.py") == before


def test_every_kernel_folder_in_use_is_known_to_the_pruner() -> None:
    assert jit.source_digest(ROOT / "envs" / "episodes.py") in jit.kernel_folders()


@pytest.mark.skipif(not jit.COMPILED, reason="kernels are interpreted")
def test_a_lean_kernel_counts_no_references() -> None:
    def second(values: NDArray[np.float64]) -> float:
        return float(values[1:][0])

    def counted(function: Callable[..., float]) -> int:
        assert function(np.arange(3.0)) == 1.0
        compiled: Any = function
        return sum(ir.count("call void @NRT_incref") for ir in compiled.inspect_llvm().values())

    assert counted(jit.lean_kernel(second)) == 0
    assert counted(jit.kernel(second)) > 0


def test_the_same_house_runs_without_numba() -> None:
    code = "from wavetank.market import jit; from wavetank.envs import batch; print(jit.COMPILED, jit.threads())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1"]


def _copied_house(folder: Path) -> Path:
    for room in ("market", "envs", "memory", "agents", "simulators"):
        shutil.copytree(ROOT / room, folder / room)
    return folder


def _digest(house: Path, name: str) -> str:
    jit._reached.cache_clear()
    jit._imports.cache_clear()
    return jit.source_digest(house / name)
