"""Instants: what people and programs write for one, as milliseconds UTC; and milliseconds as a sentence tells them.

Reads no clock and knows no bar.
"""

import operator
from datetime import UTC, datetime, timedelta
from typing import SupportsIndex

import numpy as np

from .parquet import BarsError

Instant = str | SupportsIndex | datetime  # an ISO date, milliseconds, a moment: UTC unless it says otherwise

LONGEST_DATE = 8  # digits of 20240229; more of them are milliseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def instant(when: Instant) -> int:
    """Milliseconds of an ISO date or a datetime, UTC unless it says otherwise; milliseconds stay what they are.

    A fraction of one is rounded up: no bar opens inside it. Raises BarsError where `when` is no instant.

    >>> instant("1970-01-02")
    86400000
    """
    if isinstance(when, str):
        is_whole = when.removeprefix("-").isdecimal() and len(when) > LONGEST_DATE
        return _whole(int(when)) if is_whole else _milliseconds(_moment(when))
    return _milliseconds(when) if isinstance(when, datetime) else _whole(when)


def iso(at: int) -> str:
    """An instant for a sentence: 2021-01-01T05:00:00Z, with milliseconds where there are any."""
    try:
        moment = datetime.fromtimestamp(at / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # no calendar reaches what some sources tell
        return f"{at} ms"
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds").replace("+00:00", "Z")


def _moment(when: str) -> datetime:
    try:
        return datetime.fromisoformat(when)
    except ValueError:
        raise BarsError(f"{when!r} is not an ISO date") from None


def _whole(when: SupportsIndex) -> int:
    try:
        at = operator.index(when)
    except TypeError:
        at = None
    if at is None or abs(at) >= 2**63 or isinstance(when, bool | np.bool_):
        raise BarsError(f"{when!r} is no instant: neither an ISO date, nor a datetime, nor whole milliseconds")
    return at


def _milliseconds(moment: datetime) -> int:
    """In whole numbers: one float in two hundred falls a millisecond short."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return -((_EPOCH - aware) // _MILLISECOND)
