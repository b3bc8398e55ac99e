"""What is refused when a passport is loaded, and in which words."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy, PassportError
from wavetank.agents.manifest import check_stages, write_manifest
from wavetank.agents.seal import write_seal
from wavetank.agents.signing import public_of

from .passports import KINDS

KEY = bytes(range(32))


@pytest.fixture
def copied(passports: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(passports[kind], tmp_path / kind))


def rewrite(folder: Path, **changes: object) -> None:
    """Change the manifest and seal anew, as somebody who knows the format would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    write_seal(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_byte_anywhere_is_refused_with_its_name(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    write_seal(folder, KEY)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["golden.npz", "manifest.json", "manifest.sha256", "manifest.sig", "policy.onnx", "reference.npz"]
    for name in names:
        whole = (folder / name).read_bytes()
        for position in {0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            broken = bytearray(whole)
            broken[position] ^= 1
            (folder / name).write_bytes(broken)
            with pytest.raises(PassportError, match=name):
                FrozenPolicy.load(folder)
        (folder / name).write_bytes(whole)
    FrozenPolicy.load(folder)


def test_a_missing_and_an_added_file_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("box")
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(PassportError, match=r"notes\.txt is not listed"):
        FrozenPolicy.load(folder)
    (folder / "notes.txt").unlink()
    (folder / "reference.npz").unlink()
    with pytest.raises(PassportError, match=r"reference\.npz is listed .* missing"):
        FrozenPolicy.load(folder)


def test_a_folder_that_is_no_passport_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PassportError, match="is not a folder"):
        FrozenPolicy.load(tmp_path / "nowhere")
    with pytest.raises(PassportError, match=r"has no manifest\.sha256"):
        FrozenPolicy.load(tmp_path)


def test_an_expired_passport_is_refused_by_whoever_knows_the_time(passports: dict[str, Path]) -> None:
    FrozenPolicy.load(passports["box"], now=datetime(2029, 12, 31, tzinfo=UTC))
    with pytest.raises(PassportError, match=r"expired at 2030-01-01T00:00:00\+00:00"):
        FrozenPolicy.load(passports["box"], now=datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("told", "sentence"),
    [("soon", "'soon' is not an ISO date"), (7, "7 is not an ISO date"), ("2030-01-01", "names no time zone")],
)
def test_an_expiry_that_is_no_instant_is_refused_even_without_a_clock(
    copied: Callable[[str], Path], told: object, sentence: str
) -> None:
    folder = copied("box")
    rewrite(folder, expires_at=told)
    with pytest.raises(PassportError, match=sentence):
        FrozenPolicy.load(folder)


@pytest.mark.parametrize("form", [1, 3, None, "2"])
def test_another_format_is_refused(copied: Callable[[str], Path], form: object) -> None:
    folder = copied("box")
    rewrite(folder, format=form)
    with pytest.raises(PassportError, match=f"has format {form}, this installation reads 2: export it anew"):
        FrozenPolicy.load(folder)


def test_a_manifest_that_is_no_object_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("box")
    for text, sentence in (("[1, 2]", "has format None"), ("{", "manifest.json cannot be read")):
        (folder / "manifest.json").write_text(text)
        write_seal(folder)
        with pytest.raises(PassportError, match=sentence):
            FrozenPolicy.load(folder)


def test_a_graph_of_another_policy_is_refused_even_under_a_fresh_seal(
    copied: Callable[[str], Path], passports: dict[str, Path]
) -> None:
    folder = copied("box")
    shutil.copy(passports["discrete"] / "policy.onnx", folder / "policy.onnx")
    write_seal(folder)
    with pytest.raises(PassportError, match=r"manifest\.json names another graph"):
        FrozenPolicy.load(folder)


def test_something_that_is_no_graph_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("box")
    (folder / "policy.onnx").write_bytes(b"not a graph")
    with pytest.raises(PassportError, match=r"policy\.onnx cannot be read"):
        FrozenPolicy.from_graph(folder / "policy.onnx")
    write_seal(folder)
    with pytest.raises(PassportError, match=rf"passport {folder}: policy\.onnx cannot be read"):
        FrozenPolicy.load(folder)


@pytest.mark.parametrize(
    ("kind", "observation", "sentence"),
    [
        ("box", {"columns": ["a", "b"]}, r"lists 2 columns, policy\.onnx takes 5"),
        ("box", {"columns": [*"abcde"], "window": 6}, r"shows 6 bars at once, policy\.onnx takes 1"),
        ("windowed", {"columns": [*"abcde"]}, r"shows 1 bars at once, policy\.onnx takes 6"),
        ("windowed", {"columns": [*"abcde"], "window": 7}, r"shows 7 bars at once, policy\.onnx takes 6"),
    ],
)
def test_another_observation_is_refused(
    copied: Callable[[str], Path], kind: str, observation: dict[str, object], sentence: str
) -> None:
    folder = copied(kind)
    rewrite(folder, observation=observation)
    with pytest.raises(PassportError, match=sentence):
        FrozenPolicy.load(folder)


def test_a_manifest_that_forgets_the_state_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("recurrent")
    graph = json.loads((folder / "manifest.json").read_text())["graph"]
    assert graph["inputs"] == {"obs": ["batch", 5], "state": ["batch", 24], "starts": ["batch"]}
    rewrite(folder, graph={**graph, "inputs": {"obs": ["batch", 5]}})
    with pytest.raises(PassportError, match=r"says inputs \{'obs': \['batch', 5\]\}, policy\.onnx has .*'state'"):
        FrozenPolicy.load(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_rows_that_are_answered_otherwise_are_refused(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    with np.load(folder / "golden.npz") as file:
        columns, action = file["columns"], file["action"]
    action[7] += 1e-3
    np.savez(folder / "golden.npz", columns=columns, action=action)
    write_seal(folder)
    with pytest.raises(PassportError, match="golden row 7 is answered"):
        FrozenPolicy.load(folder)


def test_golden_rows_of_a_recurrent_policy_are_answered_in_their_order(copied: Callable[[str], Path]) -> None:
    folder = copied("recurrent")
    with np.load(folder / "golden.npz") as file:
        columns, action = file["columns"], file["action"]
    np.savez(folder / "golden.npz", columns=columns[::-1], action=action[::-1])
    write_seal(folder)
    with pytest.raises(PassportError, match=r"golden row \d+ is answered"):
        FrozenPolicy.load(folder)


def test_golden_rows_of_another_shape_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("windowed")
    for columns in (np.zeros((300, 5), np.float32), np.zeros((0, 6, 5), np.float32)):
        np.savez(folder / "golden.npz", columns=columns, action=np.zeros((len(columns), 1), np.float32))
        write_seal(folder)
        with pytest.raises(PassportError, match=r"golden\.npz has columns .*, not those of 6 bars of 5 columns"):
            FrozenPolicy.load(folder)


def test_a_trusted_key_demands_its_signature(copied: Callable[[str], Path], passports: dict[str, Path]) -> None:
    folder = copied("box")
    write_seal(folder, KEY)
    FrozenPolicy.load(folder, public_key=public_of(KEY))
    with pytest.raises(PassportError, match="is not signed"):
        FrozenPolicy.load(passports["box"], public_key=public_of(KEY))
    with pytest.raises(PassportError, match="not by the trusted key"):
        FrozenPolicy.load(folder, public_key=public_of(bytes(32)))


def test_a_folder_without_a_graph_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(PassportError, match=r"holds no policy\.onnx"):
        write_manifest(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stages", [("moon",), ("paper", "moon"), ()])
def test_a_stage_that_there_is_not_is_refused(stages: tuple[str, ...]) -> None:
    with pytest.raises(PassportError, match="known are paper"):
        check_stages(stages)
