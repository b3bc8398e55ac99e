"""Months of the calendar in UTC milliseconds: the pieces in which history is published and taken."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Month(NamedTuple):
    """One calendar month; as text `2021-01`."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def begin_ms(self) -> int:
        return (datetime(self.year, self.month, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND

    @property
    def end_ms(self) -> int:
        """The first millisecond of the month after."""
        return self.next().begin_ms

    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @classmethod
    def of(cls, at_ms: int) -> "Month":
        moment = _EPOCH + at_ms * _MILLISECOND
        return cls(moment.year, moment.month)


def months_between(start_ms: int, end_ms: int) -> list[Month]:
    """Every month that has a millisecond in [start, end), in order."""
    months, month = [], Month.of(start_ms)
    while month.begin_ms < end_ms:
        months.append(month)
        month = month.next()
    return months
