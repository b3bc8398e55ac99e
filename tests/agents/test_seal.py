import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wavetank.agents.seal import SealError, check_seal, whole_folder, write_seal

KEY = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()


def sealed(folder: Path, key: bytes | None = None) -> Path:
    with whole_folder(folder) as draft:
        (draft / "a.txt").write_text("one\n")
        (draft / "inner").mkdir()
        (draft / "inner" / "b.bin").write_bytes(bytes(range(256)))
        write_seal(draft, key)
    return folder


def test_a_folder_as_sealed_passes_and_sha256sum_agrees(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    check_seal(folder)
    assert subprocess.run(["sha256sum", "-c", "--quiet", "manifest.sha256"], cwd=folder, check=False).returncode == 0


@pytest.mark.parametrize("name", ["a.txt", "inner/b.bin", "manifest.sha256"])
def test_every_flipped_bit_of_every_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = sealed(tmp_path / "x")
    whole = (folder / name).read_bytes()
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 1 << position % 8
        (folder / name).write_bytes(broken)
        with pytest.raises(SealError, match=r"a\.txt|b\.bin|manifest\.sha256"):
            check_seal(folder)
    (folder / name).write_bytes(whole)
    check_seal(folder)


def test_the_file_that_differs_is_named(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    (folder / "inner" / "b.bin").write_bytes(b"other")
    with pytest.raises(SealError, match=r"inner/b\.bin differs from its hash"):
        check_seal(folder)


def test_a_missing_and_an_added_file_are_named(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    (folder / "new").write_text("")
    with pytest.raises(SealError, match="new is not listed"):
        check_seal(folder)
    (folder / "new").unlink()
    (folder / "a.txt").unlink()
    with pytest.raises(SealError, match=r"a\.txt is listed .* and is missing"):
        check_seal(folder)


def test_a_signature_is_checked_and_its_every_flipped_bit_refused(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x", KEY)
    check_seal(folder)
    check_seal(folder, PUBLIC)
    whole = (folder / "manifest.sig").read_bytes()
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 0x20  # turns the case of a hex digit, too
        (folder / "manifest.sig").write_bytes(broken)
        with pytest.raises(SealError, match=r"manifest\.sig"):
            check_seal(folder)


def test_a_stranger_s_signature_and_a_missing_one_are_refused_where_a_key_is_trusted(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="not by the trusted key"):
        check_seal(sealed(tmp_path / "x", bytes(32)), PUBLIC)
    with pytest.raises(SealError, match="is not signed"):
        check_seal(sealed(tmp_path / "y"), PUBLIC)


def fail_half_way(folder: Path, replace: bool = False) -> None:
    with whole_folder(folder, replace) as draft:
        (draft / "a.txt").write_text("half")
        raise RuntimeError("half way")


def test_a_failing_draft_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half"):
        fail_half_way(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_replacement_keeps_what_stood_there(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    with pytest.raises(RuntimeError, match="half"):
        fail_half_way(folder, replace=True)
    check_seal(folder)
    with whole_folder(folder, replace=True) as draft:
        (draft / "only.txt").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["only.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_existing_folder_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "x")
    with pytest.raises(SealError, match="exists already"), whole_folder(folder):
        pass


def test_a_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    """What lies behind a linked folder is walked by nobody, yet Python would import it."""
    folder, elsewhere = sealed(tmp_path / "x"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    for target in (elsewhere, folder / "a.txt", tmp_path / "nowhere"):
        (folder / "inner" / "more").symlink_to(target)
        with pytest.raises(SealError, match="inner/more is a link; a sealed folder holds plain files alone"):
            check_seal(folder)
        (folder / "inner" / "more").unlink()
    check_seal(folder)
