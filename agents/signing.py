"""Ed25519 keys as they lie in files: 32 raw bytes, 64 hex digits, or PEM (PKCS8, SubjectPublicKeyInfo).

Knows no passport; what a signature covers is said in `seal`.
"""

import re
import stat
from pathlib import Path

KEY_BYTES = 32
_HEX = re.compile(rb"[0-9a-fA-F]{64}")


class KeyFileError(ValueError):
    """A file that holds no Ed25519 key, or a private one that others can read."""


def signing_key(path: str | Path) -> bytes:
    """The 32 raw bytes of a private key. Raises KeyFileError where others may read or write the file."""
    path = Path(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path} has mode {mode:04o}: others can read the key; make it 0600")
    content = path.read_bytes()
    key = _plain(content) or _private_pem(content)
    if key is None:
        raise KeyFileError(f"{path} holds no Ed25519 key: neither 32 raw bytes, nor 64 hex digits, nor PEM (PKCS8)")
    return key


def public_key(told: str) -> bytes:
    """The 32 raw bytes of a public key, told in hex or by the path of its file."""
    if _HEX.fullmatch(told.encode()):
        return bytes.fromhex(told)
    content = Path(told).read_bytes()
    key = _public_pem(content) if b"-----BEGIN" in content else _plain(content)
    if key is None:
        raise KeyFileError(f"{told} holds no public Ed25519 key: neither 32 raw bytes, nor 64 hex digits, nor PEM")
    return key


def public_of(private: bytes) -> bytes:
    """The public key that belongs to a private one, 32 raw bytes each."""
    # cryptography costs import time that only signatures need
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _plain(content: bytes) -> bytes | None:
    if len(content) == KEY_BYTES:
        return content
    text = content.strip()
    return bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else None


def _private_pem(content: bytes) -> bytes | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no PEM, damaged, or locked by a password
        return None
    return key.private_bytes_raw() if isinstance(key, Ed25519PrivateKey) else None


def _public_pem(content: bytes) -> bytes | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None
