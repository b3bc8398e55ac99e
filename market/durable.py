"""Files that are whole and on disk once written, and a lock that lets one process write at a time.

Knows nothing of what the files hold.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

HALF = ".half"  # a name's end while its content is not yet whole


def write_whole(path: Path, data: bytes) -> None:
    """Write beside, force to disk, rename: a kill leaves the whole file or none. `sync_folders` makes its name last."""
    half = path.with_name(path.name + HALF)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def sync_folders(files: Iterable[Path], under: Path) -> None:
    """Force the names of files to disk, and those of their folders down from `under`; each folder once."""
    folders = {folder for file in files for folder in file.parents if folder == under or under in folder.parents}
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to disk: a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, waiting for whoever has it; the system lets go of it when its holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
