"""Sealing a folder: it appears whole or not at all, and one flipped byte anywhere in it is noticed and named.

`manifest.sha256` lists the hash of every other file (`sha256sum -c manifest.sha256` reads it); `manifest.sig` may
hold an Ed25519 signature of its bytes. Knows nothing of what the files mean.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEAL = "manifest.sha256"
SIGNATURE = "manifest.sig"


class SealError(ValueError):
    """A folder is not what it was when it was sealed."""


@contextmanager
def whole_folder(target: Path, replace: bool = False) -> Iterator[Path]:
    """Give a draft folder beside `target`, which takes its place when the block ends well and vanishes when not.

    With `replace`, a folder that stands there is kept until the new one is whole; without, it is an error.
    """
    target = Path(os.path.abspath(target))
    if target.exists() and not replace:
        raise SealError(f"{target} exists already; name a folder that does not")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        draft.chmod(0o755)
        yield draft
        _sync(draft)
        if target.exists():
            old = draft.with_name(draft.name + ".old")
            target.rename(old)
            draft.rename(target)
            shutil.rmtree(old)
        else:
            draft.rename(target)
    finally:
        if draft.exists():
            shutil.rmtree(draft)


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of the folder but the seal and the signature, by relative name, sorted.

    Raises SealError where something is a link, for what it leads to would not be sealed.
    """
    found = sorted(folder.rglob("*"))
    link = next((path for path in found if path.is_symlink()), None)
    if link is not None:
        raise SealError(f"{folder}: {link.relative_to(folder)} is a link; a sealed folder holds plain files alone")
    names = sorted(str(path.relative_to(folder)) for path in found if not path.is_dir())
    return {name: file_digest(folder / name) for name in names if name not in (SEAL, SIGNATURE)}


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_seal(folder: Path, signing_key: bytes | None = None) -> None:
    """Seal the folder as it stands; with a raw 32-byte Ed25519 key, sign the seal as well."""
    (folder / SEAL).write_bytes(_text(file_digests(folder)).encode())
    if signing_key is not None:
        sign_seal(folder, signing_key)


def sign_seal(folder: Path, signing_key: bytes) -> None:
    """Sign the seal that is there; another signature gives way."""
    (folder / SIGNATURE).write_bytes(_signature((folder / SEAL).read_bytes(), signing_key))


def signer_of(folder: Path) -> str | None:
    """The public key, in hex, that a signature names; None where there is none. To be believed after `check_seal`."""
    path = folder / SIGNATURE
    return str(json.loads(path.read_bytes())["public_key"]) if path.exists() else None


def check_seal(folder: Path, public_key: bytes | None = None) -> None:
    """Raise SealError naming what differs; with a public key the signature must be there and be that key's.

    A signature that is there is checked in any case.
    """
    if not folder.is_dir():
        raise SealError(f"{folder} is not a folder")
    if not (folder / SEAL).is_file():
        raise SealError(f"{folder} has no {SEAL}")
    seal, digests = (folder / SEAL).read_bytes(), file_digests(folder)
    if seal != _text(digests).encode():
        raise SealError(f"{folder}: {_difference(seal, digests)}")
    if (folder / SIGNATURE).exists():
        _check_signature(folder, seal, public_key)
    elif public_key is not None:
        raise SealError(f"{folder} is not signed")


def _text(digests: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def _difference(seal: bytes, digests: dict[str, str]) -> str:
    lines = (line.partition("  ") for line in seal.decode(errors="replace").splitlines())
    listed = {name: digest for digest, _, name in lines}
    for name, digest in digests.items():
        if name not in listed:
            return f"{name} is not listed in {SEAL}"
        if listed[name] != digest:
            return f"{name} differs from its hash in {SEAL}"
    for name in listed:
        if name not in digests:
            return f"{name} is listed in {SEAL} and is missing"
    return f"{SEAL} itself is damaged"


def _signature(seal: bytes, signing_key: bytes) -> bytes:
    # cryptography costs import time that an unsigned folder need not pay
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(signing_key)
    return _canonical({"public_key": key.public_key().public_bytes_raw().hex(), "signature": key.sign(seal).hex()})


def _check_signature(folder: Path, seal: bytes, public_key: bytes | None) -> None:
    from cryptography.exceptions import InvalidSignature  # as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw = (folder / SIGNATURE).read_bytes()
    try:
        told = json.loads(raw)
        signer, signature = bytes.fromhex(told["public_key"]), bytes.fromhex(told["signature"])
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, seal)
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise SealError(f"{folder}: {SIGNATURE} does not sign {SEAL}") from error
    if raw != _canonical({"public_key": signer.hex(), "signature": signature.hex()}):
        raise SealError(f"{folder}: {SIGNATURE} is damaged")
    if public_key is not None and signer != public_key:
        raise SealError(f"{folder} is signed by {signer.hex()}, not by the trusted key {public_key.hex()}")


def _canonical(told: dict[str, str]) -> bytes:
    return (json.dumps({"algorithm": "Ed25519", **told}, sort_keys=True) + "\n").encode()


def _sync(folder: Path) -> None:
    """Flush every file to disk before the rename makes it visible."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
