"""The door to numba: a kernel whose callee changed is compiled anew; without numba the same source runs as it is."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.trading import TradingEnv
from wavetank.envs.walk import walk_serial
from wavetank.market import jit
from wavetank.simulators.draws import normal

from ..envs.cases import SMOOTH

JIT = Path(jit.__file__).resolve()

FEE = """
from .jit import kernel

@kernel
def fee(amount: float) -> float:
    return amount * {rate}
"""
OUTER = """
from ..market.fees import fee
from ..market.jit import COMPILED, kernel

@kernel
def cost(amount: float) -> float:
    return fee(amount) + 1.0

if __name__ == "__main__":
    print(COMPILED, cost(100.0), sum(cost.stats.cache_hits.values()) if COMPILED else 0)
"""


def _house(folder: Path, rate: float = 0.5) -> Path:
    """A package of three files around a copy of the real door."""
    for room in ("", "market", "envs"):
        (folder / "house" / room).mkdir(parents=True, exist_ok=True)
        (folder / "house" / room / "__init__.py").touch()
    (folder / "house" / "market" / "jit.py").write_bytes(JIT.read_bytes())
    (folder / "house" / "market" / "fees.py").write_text(FEE.format(rate=rate))
    (folder / "house" / "envs" / "outer.py").write_text(OUTER)
    return folder


def _run(folder: Path, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-m", "house.envs.outer"],
        cwd=folder,
        env=kept | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("own_folder", [False, True])
def test_a_kernel_whose_callee_changed_is_compiled_anew(tmp_path: Path, own_folder: bool) -> None:
    house, told = _house(tmp_path), {"NUMBA_CACHE_DIR": str(tmp_path / "own")} if own_folder else {}
    assert _run(house, **told) == ["True", "51.0", "0"]
    assert _run(house, **told) == ["True", "51.0", "1"], "the second process finds the kernel"
    _house(tmp_path, rate=0.25)
    assert _run(house, **told) == ["True", "26.0", "0"], "numba's own key would go on charging yesterday's fee"
    _house(tmp_path, rate=0.5)
    assert _run(house, **told) == ["True", "51.0", "1"], "the old state finds its old kernel"
    assert (tmp_path / "own").exists() == own_folder


@pytest.mark.slow
def test_where_nothing_can_be_written_kernels_are_compiled_each_time(tmp_path: Path) -> None:
    house = _house(tmp_path)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert _run(house, HOME=str(tmp_path / "cache"))[:2] == ["True", "51.0"]


def test_with_the_switch_off_the_source_runs_as_it_is(tmp_path: Path) -> None:
    assert _run(_house(tmp_path), NUMBA_DISABLE_JIT="1") == ["False", "51.0", "0"]
    assert not (tmp_path / "cache").exists()


def test_with_the_switch_off_numba_is_not_even_imported() -> None:
    script = "import sys, wavetank.market.exchange as e; print('numba' in sys.modules, e.to_lots(0.3, 0.1))"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "3"]


def test_the_key_of_a_file_changes_with_everything_it_imports_and_with_nothing_else(tmp_path: Path) -> None:
    outer = _house(tmp_path) / "house" / "envs" / "outer.py"
    before = jit.source_digest(outer)
    (tmp_path / "house" / "market" / "bars.py").write_text("X = 1\n")
    assert jit.source_digest(outer) == before, "a file that it does not import"
    (tmp_path / "house" / "market" / "fees.py").write_text(FEE.format(rate=0.7))
    changed = jit.source_digest(outer)
    assert changed != before
    outer.write_text(OUTER + "\n")
    assert jit.source_digest(outer) not in (before, changed)


def test_the_engines_key_covers_the_files_of_both_rooms() -> None:
    """A change of any of these must recompile the compiled step of the batch environment."""
    reached = {path.name for path in jit._reached(JIT.parents[1] / "envs" / "episodes.py")}
    market = {"ledger.py", "exchange.py", "costs.py", "limits.py", "orders.py", "terms.py", "draws.py", "jit.py"}
    assert market | {"desk.py", "rewards.py", "tape.py", "episodes.py"} <= reached


@pytest.mark.skipif(not jit.COMPILED, reason="numba is switched off")
def test_threads_stay_within_what_the_process_has() -> None:
    before = jit.threads()
    try:
        jit.set_threads(1)
        assert jit.threads() == 1
        jit.set_threads(10_000)
        assert 1 <= jit.threads() <= (os.cpu_count() or 1)
        jit.set_threads(0)
        assert jit.threads() == 1
    finally:
        jit.set_threads(before)


@pytest.mark.skipif(not jit.COMPILED, reason="numba is switched off")
def test_cells_are_copied_as_the_plain_source_copies_them() -> None:
    @jit.calling_kernel
    def compiled(target: NDArray[Any], at: int, source: NDArray[Any], start: int, count: int) -> None:
        jit.prefetch_cells(source, start)
        jit.copy_cells(target, at, source, start, count)

    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.int64):
        source = rng.integers(0, 1_000, (7, 11)).astype(dtype)
        for at, start, count in ((0, 0, 77), (5, 60, 17), (76, 0, 1), (3, 4, 0)):
            targets = [np.full((7, 11), -1, dtype) for _ in range(2)]
            compiled(targets[0], at, source, start, count)
            jit._copy_cells(targets[1], at, source, start, count)
            assert targets[0].tobytes() == targets[1].tobytes()


@pytest.mark.skipif(not jit.COMPILED, reason="numba is switched off")
def test_cells_of_another_type_are_not_copied() -> None:
    @jit.calling_kernel
    def mixed(target: NDArray[Any], source: NDArray[Any]) -> None:
        jit.copy_cells(target, 0, source, 0, 1)

    with pytest.raises(Exception, match="cells of float64 do not fit into float32"):
        mixed(np.zeros(2, np.float32), np.zeros(2))


def test_an_entry_is_the_kernel_itself_for_one_kind_of_arguments() -> None:
    kernel = walk_serial
    env = TradingEnv(SMOOTH)
    env.reset(seed=1)
    episodes, step = env.episodes, env.episodes.fresh_step()
    arrays: list[NDArray[Any]] = list(episodes.running)
    before = [array.copy() for array in arrays]
    arguments = (episodes.world, episodes.running, episodes.witness, np.array([0.5]), step)
    jit.entry_of(kernel, *arguments)(*arguments)
    after = [array.copy() for array in arrays]
    for array, old in zip(arrays, before, strict=True):
        array[:] = old
    kernel(*arguments)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(arrays, after, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(before, after, strict=True))


def test_a_kernel_is_entered_the_same_way_every_time() -> None:
    first, second = jit.entered(normal, np.zeros(3, np.int64)), jit.entered(normal, np.ones(3, np.int64))
    assert first is second
    one, other = np.array([5, 7, 0]), np.array([5, 7, 0])
    assert first(one) == normal(other)
    assert one.tolist() == other.tolist() == [5, 7, 2]
