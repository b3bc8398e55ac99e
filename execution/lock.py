"""One process at a time: an advisory lock beside a file, let go by the system when its holder dies."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """Hold `FILE.lock` from now until `release`. Raises BlockingIOError, naming the process, where another holds it."""

    def __init__(self, path: Path) -> None:
        resolved = path.resolve()  # one lock for all names of a file
        self._path = resolved.with_name(resolved.name + ".lock")
        while True:
            self._file = self._path.open("a+")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._file.seek(0)
                holder = self._file.read().strip() or "unknown"
                self._file.close()
                raise BlockingIOError(f"{path} is in use by another runner (process {holder})") from error
            if self._is_still_there():
                break
            self._file.close()  # its last holder has just removed it: lock the new one
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let go, and remove the lock's file."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False
