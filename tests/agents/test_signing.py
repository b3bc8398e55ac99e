"""Keys as openssl and people write them; openssl itself is the oracle where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from wavetank.agents.seal import write_seal
from wavetank.agents.signing import KeyFileError, public_key, public_of, signing_key

KEY = bytes(range(1, 33))
PUBLIC = Ed25519PrivateKey.from_private_bytes(KEY).public_key()


def pem(key: Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def private(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


FORMS = {
    "raw": KEY,
    "hex": KEY.hex().encode(),
    "hex in capitals, with a line's end": KEY.hex().upper().encode() + b"\n",
    "PEM": pem(Ed25519PrivateKey.from_private_bytes(KEY)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_private_key_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    assert signing_key(private(tmp_path / "key", FORMS[form])) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_private_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileError, match=f"has mode {mode:04o}: others can read the key; make it 0600"):
        signing_key(private(tmp_path / "key", KEY, mode))


NO_KEYS = {
    "short": KEY[:31],
    "long": KEY + b"\n",
    "some of the digits": KEY.hex()[:40].encode(),
    "other letters": b"z" * 64,
    "empty": b"",
    "locked": pem(Ed25519PrivateKey.from_private_bytes(KEY), b"password"),
    "damaged": FORMS["PEM"].replace(b"M", b"!"),
    "RSA": generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    "public": PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_private_key_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match=r"holds no Ed25519 key: neither 32 raw bytes, .* nor PEM") as caught:
        signing_key(private(tmp_path / "key", NO_KEYS[name]))
    assert "\n" not in str(caught.value)


def test_a_public_key_is_read_in_every_form(tmp_path: Path) -> None:
    raw = PUBLIC.public_bytes_raw()
    (tmp_path / "raw").write_bytes(raw)
    (tmp_path / "hex").write_text(raw.hex() + "\n")
    (tmp_path / "pem").write_bytes(NO_KEYS["public"])
    told = [public_key(raw.hex()), *(public_key(str(tmp_path / name)) for name in ("raw", "hex", "pem"))]
    assert told == [raw] * 4
    assert public_of(KEY) == raw
    (tmp_path / "private").write_bytes(FORMS["PEM"])
    for name, content in {"private": FORMS["PEM"], "short": raw[:9]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(KeyFileError, match="holds no public Ed25519 key"):
            public_key(str(tmp_path / name))


def openssl(*words: object) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_s_keys_sign_and_openssl_verifies_the_signature(tmp_path: Path) -> None:
    key, folder = tmp_path / "key.pem", tmp_path / "sealed"
    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", tmp_path / "key.pub")
    key.chmod(0o600)
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    write_seal(folder, signing_key(key))
    assert public_key(str(tmp_path / "key.pub")) == public_of(signing_key(key))
    jq = 'import json, sys; sys.stdout.buffer.write(bytes.fromhex(json.load(open(sys.argv[1]))["signature"]))'
    bare = subprocess.run(["python3", "-c", jq, str(folder / "manifest.sig")], capture_output=True, check=True).stdout
    (tmp_path / "bare.sig").write_bytes(bare)
    verify = ("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "key.pub", "-rawin", "-in")
    signature = ("-sigfile", tmp_path / "bare.sig")
    assert "Signature Verified Successfully" in openssl(*verify, folder / "manifest.sha256", *signature)
    (folder / "manifest.sha256").write_text("another\n")
    assert "Signature Verification Failure" in openssl(*verify, folder / "manifest.sha256", *signature)
