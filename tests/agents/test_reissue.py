"""A passport issued anew is the same policy on other terms, whole or not there at all."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wavetank.agents.frozen import FrozenPolicy, PassportError
from wavetank.agents.reissue import reissue
from wavetank.agents.seal import SealError, signer_of, write_seal
from wavetank.agents.signing import public_of

KEY, OTHER = bytes(range(32)), bytes(range(5, 37))
ENDS = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def source(passports: dict[str, Path]) -> Path:
    return passports["recurrent"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_without_changes_it_is_a_copy_to_the_last_byte(source: Path, tmp_path: Path) -> None:
    reissue(source, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(source)


def test_a_signature_is_added_and_the_seal_stays_what_it_was(source: Path, tmp_path: Path) -> None:
    reissue(source, tmp_path / "signed", signing_key=KEY)
    signed = contents(tmp_path / "signed")
    assert signed.pop("manifest.sig")
    assert signed == contents(source)
    FrozenPolicy.load(tmp_path / "signed", public_key=public_of(KEY))
    reissue(tmp_path / "signed", tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(tmp_path / "signed")
    reissue(tmp_path / "signed", tmp_path / "other", signing_key=OTHER)
    assert signer_of(tmp_path / "other") == public_of(OTHER).hex()
    FrozenPolicy.load(tmp_path / "other", public_key=public_of(OTHER))


def test_another_expiry_changes_the_manifest_and_nothing_else(source: Path, tmp_path: Path) -> None:
    told = reissue(source, tmp_path / "new", expires_at=ENDS, stages=["paper"], signing_key=KEY)
    assert told["expires_at"] == ENDS.isoformat()
    policy = FrozenPolicy.load(tmp_path / "new", public_key=public_of(KEY))
    assert policy.manifest == told
    assert policy.expires_at == ENDS
    before, after = contents(source), contents(tmp_path / "new")
    assert {name for name in after if after[name] != before.get(name)} == {
        "manifest.json", "manifest.sha256", "manifest.sig",
    }  # fmt: skip
    was = json.loads(before["manifest.json"])
    assert {name for name in told if told[name] != was.get(name)} == {"expires_at", "stages"}


def test_other_terms_never_drop_a_signature_silently(source: Path, tmp_path: Path) -> None:
    reissue(source, tmp_path / "signed", signing_key=KEY)
    with pytest.raises(PassportError, match="is signed: expires_at cannot change without a key that signs"):
        reissue(tmp_path / "signed", tmp_path / "new", expires_at=ENDS)
    assert not (tmp_path / "new").exists()
    reissue(tmp_path / "signed", tmp_path / "new", expires_at=ENDS, signing_key=OTHER)
    FrozenPolicy.load(tmp_path / "new", public_key=public_of(OTHER))


def test_nothing_is_written_where_something_is_wrong(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PassportError, match="there is no stage 'moon'; known are paper"):
        reissue(source, tmp_path / "new", stages=["moon"])
    broken = tmp_path / "broken"
    reissue(source, broken)
    (broken / "golden.npz").write_bytes(b"other")
    with pytest.raises(PassportError, match=r"golden\.npz differs"):
        reissue(broken, tmp_path / "new")
    (tmp_path / "taken").mkdir()
    with pytest.raises(SealError, match="taken exists already"):
        reissue(source, tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "taken"]
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_file_that_changes_while_it_is_copied_is_noticed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree = shutil.copytree

    def meddled(*given: Any, **named: Any) -> Any:
        draft = copytree(*given, **named)
        (Path(draft) / "reference.npz").write_bytes(b"other")
        return draft

    monkeypatch.setattr(shutil, "copytree", meddled)
    with pytest.raises(SealError, match=r"reference\.npz differs"):
        reissue(source, tmp_path / "new", expires_at=ENDS)
    assert list(tmp_path.iterdir()) == []


def test_a_signed_folder_that_is_sealed_anew_by_hand_needs_its_signer(source: Path, tmp_path: Path) -> None:
    reissue(source, tmp_path / "signed", signing_key=KEY)
    manifest = json.loads((tmp_path / "signed" / "manifest.json").read_text())
    (tmp_path / "signed" / "manifest.json").write_text(json.dumps({**manifest, "expires_at": None}))
    write_seal(tmp_path / "signed")
    with pytest.raises(PassportError, match=r"manifest\.sig does not sign manifest\.sha256"):
        FrozenPolicy.load(tmp_path / "signed")
