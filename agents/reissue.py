"""A passport issued anew: copied whole, under another expiry, for other stages, or with a signature.

The policy stays what it was: graph, golden bars and all that was fitted are copied byte for byte. Knows no desk, and
reads no clock.
"""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from .manifest import PassportError, check_stages, read_manifest, write_manifest
from .seal import SIGNATURE, check_seal, sign_seal, whole_folder


def reissue(
    source: str | Path,
    target: str | Path,
    *,
    expires_at: datetime | None = None,
    stages: Sequence[str] | None = None,
    signing_key: bytes | None = None,
) -> dict[str, Any]:
    """Copy a sealed passport to a folder that does not exist yet, whole or not at all; return its manifest.

    Where nothing changes, seal and signature stay as they are. Raises PassportError where the source is not what its
    seal says, or where other terms would break a signature and no key is there to sign them.
    """
    source, changes = Path(source), dict[str, Any]()
    manifest = read_manifest(source)
    if expires_at is not None:
        changes["expires_at"] = expires_at.isoformat()
    if stages is not None:
        check_stages(stages)
        changes["stages"] = list(stages)
    if changes and signing_key is None and (source / SIGNATURE).exists():
        raise PassportError(f"passport {source} is signed: {', '.join(changes)} cannot change without a key that signs")
    with whole_folder(Path(target)) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)
        check_seal(draft)  # what was copied is what was read
        if changes:
            write_manifest(draft, {**manifest, **changes}, signing_key)
        elif signing_key is not None:
            sign_seal(draft, signing_key)
    return {**manifest, **changes}
