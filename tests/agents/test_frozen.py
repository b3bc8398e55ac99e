import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wavetank.agents.frozen import FrozenPolicy, PassportError
from wavetank.agents.policy import Decision
from wavetank.agents.seal import write_seal

from .passports import WIDTH, random_rows

FILES = ("policy.onnx", "golden.npz", "reference.npz", "manifest.json", "manifest.sha256")
KEY = bytes(range(32))


@pytest.fixture
def passport(passports: dict[str, Path]) -> Path:
    return passports["box"]


@pytest.fixture
def copied(passport: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(passport, tmp_path / "copy"))


def rewrite(folder: Path, **changes: object) -> None:
    """Change the manifest and seal anew, as somebody who knows the format would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    write_seal(folder)


def test_passport_loads_and_decides(passport: Path) -> None:
    policy = FrozenPolicy.load(passport)
    decision = policy.act(random_rows(3))
    assert decision.action.shape == (3, 1)
    assert decision.confidence.shape == decision.value.shape == (3,)
    assert policy.folder == passport
    assert policy.width == WIDTH
    assert policy.expires_at == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["box", "discrete"])
def test_a_batch_is_answered_like_its_rows_to_the_last_bit(passports: dict[str, Path], kind: str) -> None:
    policy, rows = FrozenPolicy.load(passports[kind]), random_rows(777)
    singles = [policy.act(row) for row in rows]
    for size in (2, 3, 5, 16, 64, 777):
        batch = policy.act(rows[:size])
        assert np.array_equal(batch.action, np.concatenate([one.action for one in singles[:size]]))
        assert np.array_equal(batch.confidence, np.concatenate([one.confidence for one in singles[:size]]))
        assert np.array_equal(batch.value, np.concatenate([one.value for one in singles[:size]]))


def test_a_machine_whose_batches_differ_runs_rows_singly(passport: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FrozenPolicy._batch

    def nudged(self: FrozenPolicy, rows: np.ndarray) -> Decision:
        return Decision(*(np.nextafter(part, np.float32(9)) for part in whole(self, rows)[:3]))

    monkeypatch.setattr(FrozenPolicy, "_batch", nudged)
    policy, rows = FrozenPolicy.load(passport), random_rows(20)
    assert np.array_equal(policy.act(rows).action, np.concatenate([policy.act(row).action for row in rows]))


def test_decisions_belong_to_the_caller(passport: Path) -> None:
    policy, rows = FrozenPolicy.load(passport), random_rows(2)
    first = policy.act(rows[0])
    kept = first.action.copy()
    policy.act(rows[1])
    assert np.array_equal(first.action, kept)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_anywhere_is_refused_with_its_name(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    for position in {0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        broken = bytearray(whole)
        broken[position] ^= 1
        (copied / name).write_bytes(broken)
        with pytest.raises(PassportError, match=r"manifest\.sha256" if name == "manifest.sha256" else name):
            FrozenPolicy.load(copied)


def test_a_missing_and_an_added_file_are_refused(copied: Path) -> None:
    (copied / "notes.txt").write_text("hello")
    with pytest.raises(PassportError, match=r"notes\.txt is not listed"):
        FrozenPolicy.load(copied)
    (copied / "notes.txt").unlink()
    (copied / "reference.npz").unlink()
    with pytest.raises(PassportError, match=r"reference\.npz is listed"):
        FrozenPolicy.load(copied)


def test_a_folder_that_is_no_passport_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PassportError, match="is not a folder"):
        FrozenPolicy.load(tmp_path / "nowhere")
    with pytest.raises(PassportError, match=r"has no manifest\.sha256"):
        FrozenPolicy.load(tmp_path)


def test_an_expired_passport_is_refused_by_whoever_knows_the_time(passport: Path) -> None:
    FrozenPolicy.load(passport, now=datetime(2029, 12, 31, tzinfo=UTC))
    with pytest.raises(PassportError, match=r"expired at 2030-01-01T00:00:00\+00:00"):
        FrozenPolicy.load(passport, now=datetime(2030, 1, 1, tzinfo=UTC))


def test_an_expiry_that_is_no_date_is_refused_even_without_a_clock(copied: Path) -> None:
    rewrite(copied, expires_at="soon")
    with pytest.raises(PassportError, match="'soon' is not an ISO date"):
        FrozenPolicy.load(copied)


def test_a_newer_format_is_refused(copied: Path) -> None:
    rewrite(copied, format=2)
    with pytest.raises(PassportError, match="has format 2, this installation reads 1"):
        FrozenPolicy.load(copied)


def test_a_graph_of_another_policy_is_refused_even_under_a_fresh_seal(copied: Path, passports: dict[str, Path]) -> None:
    shutil.copy(passports["discrete"] / "policy.onnx", copied / "policy.onnx")
    write_seal(copied)
    with pytest.raises(PassportError, match=r"manifest\.json names another graph"):
        FrozenPolicy.load(copied)


def test_another_list_of_columns_is_refused(copied: Path) -> None:
    rewrite(copied, observation={"columns": ["a", "b"]})
    with pytest.raises(PassportError, match=r"lists 2 columns, policy\.onnx takes 5"):
        FrozenPolicy.load(copied)


def test_golden_rows_that_are_answered_otherwise_are_refused(copied: Path) -> None:
    with np.load(copied / "golden.npz") as file:
        columns, action = file["columns"], file["action"]
    action[7] += 1e-3
    np.savez(copied / "golden.npz", columns=columns, action=action)
    rewrite(copied)
    with pytest.raises(PassportError, match="golden row 7 is answered"):
        FrozenPolicy.load(copied)


def test_a_trusted_key_demands_its_signature(passport: Path, tmp_path: Path) -> None:
    public = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
    signed = Path(shutil.copytree(passport, tmp_path / "signed"))
    write_seal(signed, KEY)
    FrozenPolicy.load(signed, public_key=public)
    with pytest.raises(PassportError, match="is not signed"):
        FrozenPolicy.load(passport, public_key=public)


def test_a_number_that_is_not_finite_is_refused_with_its_place(passport: Path) -> None:
    policy, rows = FrozenPolicy.load(passport), random_rows(3)
    for bad in (np.nan, np.inf):
        rows[1, 2] = bad
        with pytest.raises(ValueError, match=f"observation 1, column 2 is {bad}"):
            policy.act(rows)
        with pytest.raises(ValueError, match=f"observation 0, column 2 is {bad}"):
            policy.act(rows[1])


@pytest.mark.parametrize("shape", [(WIDTH + 1,), (2, WIDTH + 1), (1, 2, WIDTH), (0, WIDTH)])
def test_observations_of_another_shape_are_refused(passport: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit a policy of 5 columns"):
        FrozenPolicy.load(passport).act(np.zeros(shape, np.float32))


def test_a_state_for_a_stateless_policy_is_refused(passport: Path) -> None:
    with pytest.raises(ValueError, match="keeps no state"):
        FrozenPolicy.load(passport).act(random_rows(1), state=np.zeros(3, np.float32))


def test_something_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.onnx").write_bytes(b"not a graph")
    with pytest.raises(PassportError, match=r"policy\.onnx cannot be read"):
        FrozenPolicy.from_graph(tmp_path / "policy.onnx")


def test_loading_and_acting_needs_no_trainer_and_no_exporter(passport: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from wavetank.agents.frozen import FrozenPolicy\n"
        f"print(FrozenPolicy.load({str(passport)!r}).act(np.zeros(({WIDTH}), np.float32)).action.shape)\n"
        "heavy = {'torch', 'onnx', 'stable_baselines3', 'ray', 'gymnasium', 'numba', 'pandas', 'cryptography'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(1, 1)", "[]"]
