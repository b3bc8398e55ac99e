"""One flipped byte anywhere in a passport of any class is refused with the name of the file that differs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wavetank.agents.frozen import PassportError
from wavetank.agents.seal import write_seal
from wavetank.agents.signing import public_of
from wavetank.envs.passport import load_passport

from .passports import CLASSES, KEY, SOURCES

EVERYWHERE = {"policy.onnx", "golden.npz", "reference.npz", "manifest.json", "manifest.sha256"}
BESIDE = {
    "signed": {"manifest.sig"},
    "own": {"rewards/sealed_desk/__init__.py", "rewards/sealed_desk/rewards.py"}
    | {f"own/{place}" for place in SOURCES if not place.endswith("rewards.py")},
    "memory": {"memory/embedder.npz"},
}

QUICK = ("box", "recurrent", "signed")  # the others are as sure and take a second each
EACH = [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in CLASSES]

Maker = Callable[[str], Path]


@pytest.fixture
def copied(passport_of: Maker, tmp_path: Path) -> Maker:
    return lambda kind: Path(shutil.copytree(passport_of(kind), tmp_path / kind))


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", EACH)
def test_one_flipped_byte_of_any_file_is_refused_by_its_name(copied: Maker, kind: str) -> None:
    folder = copied(kind)
    load_passport(folder)
    names = names_in(folder)
    archive = {name for name in names if name.startswith("memory/archive/")}
    assert names - archive == EVERYWHERE | BESIDE.get(kind, set())
    assert bool(archive) == (kind == "memory")
    for name in sorted(names):
        whole = (folder / name).read_bytes()
        broken = bytearray(whole or b"\0")  # an empty file has no byte to flip: it is given one
        size = len(broken)
        for position in {0, min(1, size - 1), size // 4, size // 2, 3 * size // 4, size - 1}:
            broken[:] = whole or b"\0"
            broken[position] ^= 1 << position % 8
            (folder / name).write_bytes(broken)
            with pytest.raises(PassportError, match=name) as caught:
                load_passport(folder)
            assert "\n" not in str(caught.value)
        (folder / name).write_bytes(whole)
    load_passport(folder)


@pytest.mark.parametrize("kind", EACH)
def test_a_file_that_is_missing_or_added_is_refused_by_its_name(copied: Maker, kind: str) -> None:
    folder = copied(kind)
    for name in sorted(names_in(folder) - {"manifest.sig"}):
        whole = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(PassportError, match=name):
            load_passport(folder)
        (folder / name).write_bytes(whole)
    for name in ("new", "own/late.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
        with pytest.raises(PassportError, match=f"{name} is not listed"):
            load_passport(folder)
        (folder / name).unlink()
    load_passport(folder)


def test_a_signature_that_is_taken_away_is_missed_by_whoever_demands_it(copied: Maker) -> None:
    folder, public = copied("signed"), public_of(KEY)
    load_passport(folder, public_key=public)
    with pytest.raises(PassportError, match="not by the trusted key"):
        load_passport(folder, public_key=public_of(bytes(32)))
    (folder / "manifest.sig").unlink()
    with pytest.raises(PassportError, match="is not signed"):
        load_passport(folder, public_key=public)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["rewards.py", "more.py"])
def test_a_reward_s_source_that_is_not_the_manifest_s_is_refused_even_under_a_fresh_seal(
    copied: Maker, place: str
) -> None:
    folder = copied("own")
    with (folder / "rewards" / "sealed_desk" / place).open("a") as file:
        file.write("\n")
    write_seal(folder)
    with pytest.raises(PassportError, match=f"rewards/sealed_desk/{place} is not what its manifest says"):
        load_passport(folder)


@pytest.mark.slow
def test_the_reward_is_told_by_its_weights_and_the_source_of_its_own_parts(passport_of: Maker) -> None:
    folder = passport_of("own")
    told = json.loads((folder / "manifest.json").read_text())["rewards"]
    assert told["weights"] == {"log_growth": 1.0, "sealed_desk.rewards:calm": 0.1}
    assert set(told["own"]) == {"sealed_desk/__init__.py", "sealed_desk/rewards.py"}
    assert (folder / "rewards" / "sealed_desk" / "rewards.py").read_text() == SOURCES["sealed_desk/rewards.py"]
