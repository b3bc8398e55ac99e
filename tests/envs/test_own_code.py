"""Own feature code in a passport: it travels, is used where nothing is installed, and is refused where it differs."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wavetank.agents.frozen import PassportError
from wavetank.envs.features import feature_matrix
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.own_code import write_own
from wavetank.envs.own_trials import drawn_market
from wavetank.envs.passport import Terrain, export_passport, load_passport
from wavetank.execution.history import read_history
from wavetank.market.addresses import load_module, own_sources
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.store import write_bars

from ..market.handmade import drawn_bars
from . import own_modules as users
from .networks import restless_network

# A package, and a folder without __init__.py whose plain feature imports only when it is called.
SOURCES = {
    "carried_desk/__init__.py": '"""Carried along."""\n',
    "carried_desk/rates.py": "FADING = 0.9\n",
    "carried_desk/features.py": users.HEAD + "from .rates import FADING\n" + users.GOOD.replace("0.9 *", "FADING *"),
    "carried_bare/late.py": "SHARE = 0.5\n",
    "carried_bare/features.py": """
from wavetank.envs.own import Feature


def half_body(state, bar):
    from .late import SHARE

    return SHARE * (bar.close - bar.open) / bar.open


body = Feature(half_body)
""",
}
MARKET = ("return_1", "rsi_14@4h", "carried_desk.features:spike", "carried_desk.features:spike@2h",
          "carried_bare.features:body")  # fmt: skip
LOADS = """
import hashlib, sys
from wavetank.envs.features import feature_matrix
from wavetank.envs.own_trials import drawn_market
from wavetank.envs.passport import load_passport

spec = load_passport(sys.argv[1]).terrain.spec
print(hashlib.sha256(feature_matrix(drawn_market(600, 9), spec.market).tobytes()).hexdigest())
print(sys.modules["carried_desk.features"].__file__)
"""


class Carried(NamedTuple):
    """A passport with own columns, where their sources lay, and what they said of a drawn market."""

    passport: Path
    sources: Path
    digest: str


class Done(NamedTuple):
    code: int
    out: str
    error: str


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    folder = tmp_path_factory.mktemp("carried")
    sources = written(folder / "sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(sources))
        patch.setattr(sys, "dont_write_bytecode", True)
        spec = ObservationSpec("carried", 1, MARKET)
        terrain = Terrain(spec, Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h")
        passport = export_passport(
            restless_network(spec.width),
            folder / "passport",
            terrain,
            drawn_bars(np.random.default_rng(4), 700),
            name="carried",
            created_at=datetime(2024, 6, 1, tzinfo=UTC),
            training={},
        )
        digest = hashlib.sha256(feature_matrix(drawn_market(600, 9), MARKET).tobytes()).hexdigest()
        yield Carried(passport, sources, digest)
    for name in [name for name in sys.modules if name.startswith("carried_")]:
        del sys.modules[name]


def written(folder: Path) -> Path:
    for place, source in SOURCES.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def a_process(*words: str | Path, cwd: Path, **variables: str) -> Done:
    """A process that finds no module of ours but through `variables`, and may write bytecode where it likes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-P", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=kept | variables, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def loaded(carried: Carried, cwd: Path, **variables: str) -> list[str]:
    done = a_process("-c", LOADS, carried.passport, cwd=cwd, **variables)
    assert done.code == 0, done.error
    return done.out.split()


def test_the_sources_lie_in_the_passport_and_their_hashes_in_its_manifest(carried: Carried) -> None:
    own = carried.passport / "own"
    found = {str(path.relative_to(own)): path.read_text() for path in own.rglob("*") if path.is_file()}
    assert found == SOURCES
    told = load_passport(carried.passport).manifest["features"]["own"]
    assert told == {place: hashlib.sha256(source.encode()).hexdigest() for place, source in SOURCES.items()}


def test_a_spec_of_the_houses_columns_alone_takes_nothing_along(tmp_path: Path) -> None:
    assert write_own(tmp_path, ObservationSpec.load("spine")) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_where_the_module_is_not_installed_the_passports_own_copy_gives_the_same_columns(
    carried: Carried, tmp_path: Path
) -> None:
    copy = str(carried.passport / "own" / "carried_desk" / "features.py")
    assert loaded(carried, tmp_path) == [carried.digest, copy]
    assert loaded(carried, tmp_path, NUMBA_DISABLE_JIT="1") == [carried.digest, copy]  # loaded again: still sealed
    assert not list(carried.passport.rglob("*.pyc"))


@pytest.mark.slow
def test_where_the_same_module_is_installed_that_one_is_used(carried: Carried, tmp_path: Path) -> None:
    installed = written(tmp_path / "installed")
    told = loaded(carried, tmp_path, NUMBA_DISABLE_JIT="1", PYTHONPATH=str(installed))
    assert told == [carried.digest, str(installed / "carried_desk" / "features.py")]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["carried_desk/rates.py", "carried_bare/late.py"])
def test_where_an_installed_file_differs_by_a_byte_the_passport_is_refused_and_the_file_named(
    carried: Carried, tmp_path: Path, place: str
) -> None:
    installed = written(tmp_path / "installed")
    with (installed / place).open("a") as file:
        file.write("\n")
    words = ["-m", "wavetank.scripts.cli", "paper", f"policy={carried.passport}", "feed.path=bars.parquet"]
    write_bars(tmp_path / "bars.parquet", drawn_bars(np.random.default_rng(5), 100))
    done = a_process(*words, "journal=a.db", cwd=tmp_path, PYTHONPATH=str(installed))
    assert (done.code, done.out) == (2, "")
    assert done.error.count("\n") == 1
    assert f"{place} is not the code that its columns were trained with" in done.error
    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize("place", [place for place in SOURCES if "__init__" not in place])
def test_one_flipped_byte_in_its_own_folder_breaks_the_seal(carried: Carried, tmp_path: Path, place: str) -> None:
    copy = Path(shutil.copytree(carried.passport, tmp_path / "copy"))
    file = copy / "own" / place
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(PassportError, match=f"own/{place} differs from its hash"):
        load_passport(copy)


@pytest.mark.slow
def test_it_trades_on_paper_where_nothing_but_the_passport_is(carried: Carried, tmp_path: Path) -> None:
    for name in ("carried_desk", "carried_bare"):  # folders of these names are not the packages
        (tmp_path / name).mkdir()
    write_bars(tmp_path / "bars.parquet", drawn_bars(np.random.default_rng(5), 300))
    door = ["-m", "wavetank.scripts.cli"]
    done = a_process(
        *door, "paper", f"policy={carried.passport}", "feed.path=bars.parquet", "journal=a.db", cwd=tmp_path
    )
    assert (done.code, done.error) == (0, "")
    assert read_history(tmp_path / "a.db").trades[-1] > 5
    replayed = a_process(*door, "replay", "a.db", cwd=tmp_path)
    assert (replayed.code, replayed.error) == (0, "")


def test_a_module_without_source_cannot_be_pinned() -> None:
    with pytest.raises(ValueError, match=r"module math has no \.py file: its code can be neither pinned nor taken"):
        own_sources(("math:sin",))


def test_a_module_that_python_cannot_read_costs_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carried_slip.py").write_text("spike = = 3\n")
    (tmp_path / "carried_typo.py").write_text("from wavetank.market.jit import kernl\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"asked: invalid syntax \(carried_slip.py, line 1\)"):
        load_module("carried_slip", "asked")
    with pytest.raises(ValueError, match="asked: cannot import name 'kernl' from 'wavetank.market.jit'"):
        load_module("carried_typo", "asked")
