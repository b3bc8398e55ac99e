"""Binance's public archive: a month of bars or funding as one zip, beside the sha256 that it must have.

Knows where a file lies and whether it is whole; what stands in it is read by `klines`.
"""

import hashlib
import io
import re
import zipfile
import zlib
from typing import NamedTuple
from urllib.parse import quote

from .http import Client, HttpError, Recoverable
from .months import Month
from .pace import Lane

FOLDERS = {"binance": "data/spot/monthly", "binanceusdm": "data/futures/um/monthly"}
LANE = Lane("binance archive", 600.0)  # files carry no published limit: ten a second is polite
LARGEST_CSV = 1 << 30  # bytes unpacked; a month of one-minute bars is 8 MB
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ChecksumError(ValueError):
    """An archive file that is not what its checksum promises."""


class Taken(NamedTuple):
    """One archive file, whole: its name, its sha256, and the CSV inside."""

    name: str
    sha256: str
    text: str


class BinanceArchive:
    """The monthly files of one symbol."""

    def __init__(self, client: Client, base: str, venue: str, symbol: str) -> None:
        self._client, self._base, self._folder, self._symbol = client, base.rstrip("/"), FOLDERS[venue], symbol

    def bars_path(self, interval: str, month: Month) -> str:
        """Where a month of bars lies."""
        return f"{self._folder}/klines/{self._symbol}/{interval}/{self._symbol}-{interval}-{month}.zip"

    def funding_path(self, month: Month) -> str:
        """Where a month of funding lies."""
        return f"{self._folder}/fundingRate/{self._symbol}/{self._symbol}-fundingRate-{month}.zip"

    def take(self, path: str) -> Taken | None:
        """The file at `path`, None where it is not published. A wrong checksum is asked for once more, then refused."""
        promised = found = ""
        for _ in range(2):
            told = self._promised(path)
            if told is None:
                return None
            taken = self._packed(path)
            promised, found = told, taken.sha256
            if found == promised:
                return taken
        raise ChecksumError(f"{self._base}/{path} has sha256 {found}, and {promised} is promised; nothing was written")

    def _promised(self, path: str) -> str | None:
        try:
            return self._client.get(f"{self._base}/{quote(path)}.CHECKSUM", _checksum, lane=LANE)
        except HttpError as error:
            if error.status == 404:
                return None
            raise

    def _packed(self, path: str) -> Taken:
        name = path.rpartition("/")[2]

        def read(body: bytes) -> Taken:
            return Taken(name, hashlib.sha256(body).hexdigest(), _unpacked(body, name))

        return self._client.get(f"{self._base}/{quote(path)}", read, lane=LANE)


def _checksum(body: bytes) -> str:
    word = body.split(maxsplit=1)[:1]
    told = word[0].decode("ascii", "replace") if word else ""
    if not _SHA256.fullmatch(told):
        raise Recoverable(f"{told[:80]!r} is no sha256")
    return told


def _unpacked(body: bytes, name: str) -> str:
    """The one CSV of a zip; Recoverable where the zip is cut short or damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            members = [member for member in packed.infolist() if member.filename.endswith(".csv")]
            if len(members) != 1:
                raise Recoverable(f"{name} holds {len(members)} CSV files, not one")
            if members[0].file_size > LARGEST_CSV:
                raise HttpError(f"{name} unpacks to {members[0].file_size} bytes, more than {LARGEST_CSV}")
            return packed.read(members[0]).decode("utf-8")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise Recoverable(f"a broken zip ({error})") from error
