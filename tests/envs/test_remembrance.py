"""What a passport carries of a memory: an embedder of one's own with its source, a longer embargo, a made-up past."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wavetank.agents.frozen import PassportError
from wavetank.agents.seal import write_seal
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, check_real_memory, export_passport, load_passport
from wavetank.envs.past import Tabled
from wavetank.envs.remembrance import SHUFFLED, Remembrance
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.parquet import write_bars
from wavetank.memory import sentences
from wavetank.memory.embedding import fit_embedder
from wavetank.memory.moments import PastError

from ..market.handmade import drawn_bars
from .networks import restless_network

HOUR_MS = 3_600_000
ADDRESS, WINDOW, HORIZON, NEIGHBOURS, TRAIN = "lent_desk.embedders:Moves", 32, 12, 8, 420
SOURCES = {
    "lent_desk/__init__.py": '"""Lent."""\n',
    "lent_desk/embedders.py": """
import numpy as np

from .scale import SPREAD


class Moves:
    def __init__(self, numbers):
        self.numbers = numbers

    @classmethod
    def fit(cls, bars, window, width):
        return cls({"mean": np.array([np.diff(np.log(bars.close)).mean()])})

    def vector(self, window):
        moves = np.diff(np.log(window.close)) - self.numbers["mean"]
        return np.array([moves[-k:].sum() for k in (1, 2, 4, 8, 16, 31)]) / SPREAD
""",
    "lent_desk/scale.py": "SPREAD = 0.5\n",
}
LOADS = """
import hashlib, sys
from pathlib import Path
from wavetank.envs.passport import load_passport
from wavetank.market.store import read_bars

memory = load_passport(sys.argv[1]).memory
live, told = memory.live(Path(sys.argv[3])), hashlib.sha256()
for bar in read_bars(sys.argv[2]):
    live.on_bar(bar)
    told.update(live.columns(bar.opened_at + 3_599_999).tobytes())
print(told.hexdigest())
print(sys.modules["lent_desk.embedders"].__file__)
"""


class Lent(NamedTuple):
    """A passport whose embedder is somebody's own, where its source lay, and the bars that it was made of."""

    passport: Path
    sources: Path
    bars: Bars


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lent]:
    folder, bars = tmp_path_factory.mktemp("lent"), drawn_bars(np.random.default_rng(4), 620)
    sources = folder / "sources"
    for place, source in SOURCES.items():
        (sources / place).parent.mkdir(parents=True, exist_ok=True)
        (sources / place).write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(sources))
        patch.setattr(sys, "dont_write_bytecode", True)
        yield Lent(passport_of(folder / "passport", bars, embargo=50), sources, bars)
    for name in [name for name in sys.modules if name.startswith("lent_desk")]:
        del sys.modules[name]


def remembrance_of(bars: Bars, **more: object) -> Remembrance:
    embedder = fit_embedder(ADDRESS, bars, TRAIN, window=WINDOW)
    return Remembrance(embedder, bars.symbol, "1h", NEIGHBOURS, HORIZON, **more)  # type: ignore[arg-type]


def passport_of(folder: Path, bars: Bars, **more: object) -> Path:
    terrain = Terrain(ObservationSpec.load("spine_memory"), Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h")
    memory = remembrance_of(bars, **more)
    return export_passport(
        restless_network(terrain.spec.width),
        folder,
        terrain,
        bars.slice(0, TRAIN),
        name="lent",
        created_at=datetime(2024, 6, 1, tzinfo=UTC),
        training={},
        memory=memory,
        past=Tabled.of(bars, memory.embedder, k=NEIGHBOURS, horizon=HORIZON, embargo=memory.embargo),
    )


def test_an_embedder_s_source_travels_beside_its_numbers(lent: Lent) -> None:
    own = lent.passport / "own"
    assert {str(path.relative_to(own)): path.read_text() for path in own.rglob("*.py")} == SOURCES
    manifest = load_passport(lent.passport).manifest
    digests = {place: hashlib.sha256(source.encode()).hexdigest() for place, source in SOURCES.items()}
    assert manifest["features"]["own"] == digests
    told = manifest["memory"]
    assert (told["kind"], told["width"], told["window"], told["embargo"]) == (ADDRESS, 6, WINDOW, 50)
    assert told["embedder"] == fit_embedder(ADDRESS, lent.bars, TRAIN, window=WINDOW).digest


@pytest.mark.slow
def test_where_nothing_is_installed_the_passport_s_own_copy_remembers_the_same(lent: Lent, tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.parquet", lent.bars)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [
        sys.executable,
        "-P",
        "-c",
        LOADS,
        str(lent.passport),
        str(tmp_path / "bars.parquet"),
        str(tmp_path / "s"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=kept, check=False)
    assert done.returncode == 0, done.stderr
    digest, file = done.stdout.split()
    assert file == str(lent.passport / "own" / "lent_desk" / "embedders.py")
    past = Tabled.of(lent.bars, fit_embedder(ADDRESS, lent.bars, TRAIN, window=WINDOW), k=NEIGHBOURS, horizon=HORIZON,
                     embargo=50)  # fmt: skip
    assert digest == hashlib.sha256(past.matrix_for(lent.bars).tobytes()).hexdigest()


def test_a_longer_embargo_is_kept_and_lived_by(lent: Lent, tmp_path: Path) -> None:
    memory = load_passport(lent.passport).memory
    assert memory is not None
    assert memory.embargo == 50
    live, past = memory.live(tmp_path / "store"), _table(memory, lent.bars)
    for bar in lent.bars.slice(0, 560):
        live.on_bar(bar)
        at = bar.opened_at + HOUR_MS - 1
        assert live.columns(at).tobytes() == past.columns(at).tobytes()
    shorter = _table(replace(memory, embargo=None), lent.bars)
    assert past.matrix_for(lent.bars).tobytes() != shorter.matrix_for(lent.bars).tobytes()
    live.close()


def _table(memory: Remembrance, bars: Bars) -> Tabled:
    return Tabled.of(bars, memory.embedder, k=memory.neighbours, horizon=memory.horizon, embargo=memory.embargo)


def test_an_embargo_within_which_windows_overlap_is_refused(lent: Lent) -> None:
    with pytest.raises(PastError, match="an embargo of 31 bars is too short: .* overlap by up to 32"):
        remembrance_of(lent.bars, embargo=31)


def test_a_passport_whose_embedder_s_source_was_changed_is_refused(lent: Lent, tmp_path: Path) -> None:
    folder = _copied(lent, tmp_path)
    (folder / "own" / "lent_desk" / "scale.py").write_text("SPREAD = 2.0\n")
    with pytest.raises(PassportError, match=r"scale\.py"):
        load_passport(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"]["own"]["lent_desk/scale.py"] = hashlib.sha256(b"SPREAD = 2.0\n").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_seal(folder)
    with pytest.raises(PassportError, match=r"lent_desk/scale\.py is not the code that its columns were trained with"):
        load_passport(folder)


@pytest.mark.parametrize("key, value", [("kind", "statistics"), ("width", 5), ("window", 64), ("mode", "hnsw")])
def test_a_manifest_that_tells_another_embedder_is_refused(lent: Lent, tmp_path: Path, key: str, value: object) -> None:
    folder = _copied(lent, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["memory"][key] = value
    if key == "kind":
        manifest["features"]["own"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_seal(folder)
    with pytest.raises(PassportError, match=f"its memory has {key} .*, its manifest says {value}"):
        load_passport(folder)


def test_a_passport_of_before_there_was_a_choice_still_loads(lent: Lent, tmp_path: Path) -> None:
    embedder = fit_embedder("statistics", lent.bars, TRAIN, window=WINDOW)
    memory = Remembrance(embedder, lent.bars.symbol, "1h", NEIGHBOURS, HORIZON)
    told = memory.write(tmp_path, lent.bars.slice(0, TRAIN))
    older = {name: value for name, value in told.items() if name not in ("kind", "window", "width")}
    assert Remembrance.read(tmp_path, older).embedder.digest == embedder.digest


def test_a_made_up_past_is_told_and_goes_nowhere(lent: Lent, tmp_path: Path) -> None:
    folder = passport_of(tmp_path / "passport", lent.bars, mode=SHUFFLED)
    passport = load_passport(folder)  # an ablation judges it like any other
    assert passport.manifest["memory"]["mode"] == "shuffled"
    assert passport.memory is not None
    with pytest.raises(PastError, match="was trained with memory.outcomes=shuffled"):
        passport.memory.live(tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(PassportError, match="neither promoted, nor exported, nor traded"):
        check_real_memory(folder)
    check_real_memory(lent.passport)


def test_through_sentences_a_live_past_equals_a_tabled_one(
    lent: Lent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """393 columns beside a stand-in encoder: the same words always draw the same direction."""

    def drawn(text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(0.0, 0.05, 384).astype(np.float32)

    monkeypatch.setattr(sentences, "encode", drawn)
    monkeypatch.setattr(sentences, "check", lambda: None)
    embedder = fit_embedder("hybrid", lent.bars, TRAIN, window=WINDOW)
    written = Remembrance(embedder, lent.bars.symbol, "1h", NEIGHBOURS, HORIZON)
    told = written.write(tmp_path, lent.bars.slice(0, TRAIN))
    assert (told["kind"], told["width"]) == ("hybrid", 393)
    memory = Remembrance.read(tmp_path, told)
    live, past = memory.live(tmp_path / "store"), _table(memory, lent.bars)
    known = 0.0
    for bar in lent.bars:
        live.on_bar(bar)
        columns = past.columns(bar.opened_at + HOUR_MS - 1)
        assert live.columns(bar.opened_at + HOUR_MS - 1).tobytes() == columns.tobytes()
        known += columns[-1]
    assert known > 300
    live.close()


def _copied(lent: Lent, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(lent.passport, folder)
    return folder
