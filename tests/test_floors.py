"""The floors hold, and the contract notices every way to break them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINTER = Path(sys.executable).with_name("lint-imports")


def _linted(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache", "--config", str(house / "pyproject.toml")],
        cwd=house,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(house / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def _broken(house: Path) -> str:
    """What the contracts say about a house that must not stand."""
    done = _linted(house)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the house: links, rooms and contracts."""
    copy = tmp_path / "house"
    copy.mkdir()
    for name in ("__init__.py", "py.typed", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copytree(ROOT / "src" / "wavetank", copy / "src" / "wavetank", symlinks=True)
    for init in ROOT.glob("*/__init__.py"):
        ignored = shutil.ignore_patterns("__pycache__", "*.nb?")
        shutil.copytree(init.parent, copy / init.parent.name, ignore=ignored)
    return copy


def _plant(house: Path, file: str, line: str) -> None:
    path = house / file
    path.write_text((path.read_text() if path.exists() else '"""Planted."""\n') + f"\n{line}\n")


def test_the_floors_hold_in_this_tree() -> None:
    done = _linted(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_copy_that_the_other_tests_break_stands_by_itself(house: Path) -> None:
    done = _linted(house)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("market/planted.py", "from ..envs import desk", "wavetank.market.planted -> wavetank.envs"),
        ("agents/planted.py", "from ..memory import edge", "wavetank.agents.planted -> wavetank.memory"),
        ("memory/planted.py", "def f():\n    from ..experiments import train", "wavetank.memory.planted"),
        ("conf/planted.py", "from ..market import bars", "wavetank.conf.planted -> wavetank.market"),
        ("execution/planted.py", "from ..experiments import train", "wavetank.execution.planted"),
        ("execution/planted.py", "from ..agents import rules", "wavetank.execution.planted"),
        ("envs/planted.py", "import numba", "wavetank.envs.planted -> numba"),
        ("simulators/planted.py", "def f():\n    import torch", "wavetank.simulators.planted -> torch"),
        ("experiments/planted.py", "import ray", "wavetank.experiments.planted -> ray"),
    ],
)
def test_an_import_that_climbs_crosses_or_carries_weight_is_refused(
    house: Path, file: str, line: str, told: str
) -> None:
    _plant(house, file, line)
    assert told in " ".join(_broken(house).split())


def test_a_circle_of_files_is_refused_even_where_only_types_go_round(house: Path) -> None:
    _plant(house, "market/planted.py", "from . import bars")
    _plant(house, "market/bars.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import planted")
    told = " ".join(_broken(house).split())
    assert "no circle of files in any room BROKEN" in told


def test_a_room_without_a_floor_is_refused(house: Path) -> None:
    (house / "attic").mkdir()
    (house / "attic" / "__init__.py").write_text('"""Planted."""\n')
    (house / "src" / "wavetank" / "attic").symlink_to("../../attic")
    done = _linted(house)
    assert done.returncode == 1
    assert "attic" in done.stdout + done.stderr
