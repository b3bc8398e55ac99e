"""The base wheel in a bare venv: what it brings, what it lacks, and that it trades a passport on paper."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.store import write_bars

from .envs.networks import restless_network
from .market.handmade import drawn_bars

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
BARE = {"pip", "setuptools", "wavetank"}
# Packages of the research loop; any one of them in the base would double the size of a runner.
RESEARCH = {
    "torch",
    "numba",
    "gymnasium",
    "ray",
    "mlflow",
    "mesa",
    "optuna",
    "pandas",
    "scipy",
    "stable-baselines3",
}

IMPORT_ALL = """
import importlib, pkgutil, sys
import wavetank.execution, wavetank.market
names = []
for room in (wavetank.execution, wavetank.market):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
        names.append(module.name)
import wavetank.agents.frozen, wavetank.envs.desk, wavetank.memory.edge, wavetank.scripts.cli
from wavetank.market.detector_table import SHIPPED, shipped_table
assert all(shipped_table(kind).threshold for kind in SHIPPED)  # the wheel brings the files
print(len(names), wavetank.__file__)
"""


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows, so that no build/ folder is left or reused."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = _run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, files):
        origin, copy = ROOT / name, source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_symlink():
            copy.symlink_to(origin.readlink())
        elif origin.is_file():
            shutil.copyfile(origin, copy)
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source)
    return next(folder.glob("wavetank-*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh venv that holds the wheel, base dependencies as locked, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    _run(sys.executable, "-m", "venv", folder)
    pip = folder / "bin" / "pip"
    found = subprocess.run(
        [str(pip), "install", "-q", "--no-compile", "-c", str(ROOT / "requirements.lock"), str(wheel)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode and re.search(r"No matching distribution|Connection|Temporary failure", found.stderr):
        pytest.skip("no package index within reach")
    assert found.returncode == 0, found.stderr
    return folder / "bin" / "python"


def _base() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}


def _closure(names: set[str]) -> set[str]:
    """Everything that the named distributions ask for, in the environment that runs this test."""
    closed: set[str] = set()
    waiting = [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        closed.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                child = canonicalize_name(requirement.name)
                inner = [*requirement.extras, *([] if child in closed else [""])]
                waiting += [(child, wanted) for wanted in inner]
    return closed


def test_the_wheel_holds_rooms_and_configuration_and_no_links_tests_or_caches(wheel: Path) -> None:
    names = _run(sys.executable, "-m", "zipfile", "-l", wheel)
    for part in ("wavetank/market/ledger.py", "wavetank/conf/train.yaml", "wavetank/py.typed"):
        assert part in names
    for part in ("__pycache__", ".nbi", "tests/", "src/", "benchmarks/"):
        assert part not in names


def test_the_base_installs_its_closure_and_nothing_of_research(bare: Path) -> None:
    listed = json.loads(_run(bare, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    installed = {canonicalize_name(package["name"]) for package in listed} - BARE
    assert installed == _closure(_base())
    assert not installed & RESEARCH


def test_execution_and_market_import_in_the_bare_venv(bare: Path) -> None:
    count, origin = _run(bare, "-P", "-c", IMPORT_ALL).split()
    assert int(count) > 8
    assert Path(origin).is_relative_to(bare.parents[1])


def test_the_bare_door_names_the_extra_that_a_verb_lacks(bare: Path) -> None:
    done = subprocess.run(
        [str(bare.with_name("wavetank")), "doctor"],
        capture_output=True,
        text=True,
        check=False,
        cwd=bare.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pip install 'wavetank[research]'" in done.stdout


def test_a_bare_venv_trades_an_exported_passport_on_paper_as_research_does(bare: Path, tmp_path: Path) -> None:
    bars = drawn_bars(np.random.default_rng(4), 700)
    write_bars(tmp_path / "bars.parquet", bars)
    terrain = Terrain(ObservationSpec.load("spine"), Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h")
    network = restless_network(terrain.spec.width)
    made = datetime(2024, 6, 1, tzinfo=UTC)
    export_passport(network, tmp_path / "passport", terrain, bars, name="restless", created_at=made, training={})
    told: list[dict[str, object]] = []
    for python in (bare, Path(sys.executable)):
        journal = tmp_path / f"{len(told)}.db"
        words = ["policy=" + str(tmp_path / "passport"), "feed=replay", f"feed.path={tmp_path / 'bars.parquet'}"]
        wavetank = python.with_name("wavetank")
        _run(wavetank, "paper", *words, f"journal={journal}", "api=off")
        told.append(json.loads(_run(wavetank, "replay", journal, "--json")))
    assert told[0] == told[1]
    assert told[0]["bars"] == len(bars)
    assert int(str(told[0]["fills"])) > 5
