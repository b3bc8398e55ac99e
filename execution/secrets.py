"""The secret that signs the API's tokens: from the environment, or from a file that nobody else may read.

There is no default secret. Knows no tokens.
"""

import os
import secrets
import stat
from pathlib import Path

VARIABLE = "WAVETANK_API_SECRET"
LEAST_BYTES = 32  # of an HS256 key: RFC 7518, section 3.2


class SecretError(ValueError):
    """A secret that is too short, or that others can read."""


def api_secret(path: str | Path) -> str:
    """The secret in `WAVETANK_API_SECRET`, else in the file, which is made (mode 0600) where there is none."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _long_enough(given, VARIABLE)
    path = Path(path)
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return _long_enough(read_private(path), str(path))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    half.replace(path)


def read_private(path: Path) -> str:
    """A private file's text. Raises SecretError where others may read or write it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SecretError(f"{path} has mode {mode:04o}: others can read it; make it 0600")
    return path.read_text().strip()


def _long_enough(secret: str, where: str) -> str:
    if len(secret.encode()) < LEAST_BYTES:
        raise SecretError(f"the secret in {where} has {len(secret.encode())} bytes, it needs {LEAST_BYTES} or more")
    return secret
