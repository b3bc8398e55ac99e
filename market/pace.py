"""Pace: how much of a venue's weight may be spent now, so that no minute sees more than its limit.

A token bucket, and for weights above the burst a tally of the last minute, on a monotonic clock that comes in as an
argument. Knows no venue and no request.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MINUTE_S = 60.0
STEADY, AT_ONCE = 0.8, 0.2  # shares of a limit spent evenly and in a burst: together, the limit of a minute


@dataclass(frozen=True, slots=True)
class Lane:
    """A limit that several addresses share: its name, and the weight that one minute allows."""

    name: str
    weight_per_minute: float

    def __post_init__(self) -> None:
        if not self.weight_per_minute > 0:
            raise ValueError(
                f"lane {self.name} allows a weight of {self.weight_per_minute} a minute, which is not above 0"
            )


class Pace:
    """Spends the weight of one lane: never more than its limit in any minute.

    A weight above the burst waits for a full bucket and leaves a debt; one above the limit has a minute for itself.
    """

    def __init__(self, lane: Lane, *, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._sleep, self._monotonic = sleep, monotonic
        self._rate = STEADY * lane.weight_per_minute / MINUTE_S
        self._limit, self._burst = lane.weight_per_minute, AT_ONCE * lane.weight_per_minute
        self._full = STEADY * lane.weight_per_minute
        self._tokens, self._counted_at = self._burst, monotonic()
        self._free_at = self._counted_at
        self._spent, self._of_minute = deque[tuple[float, float]](), 0.0  # when and what, in the minute before now

    def spend(self, weight: float) -> None:
        """Sleep until `weight` may be spent, and spend it."""
        closed_s = self._free_at - self._monotonic()
        if closed_s > 0:
            self._sleep(closed_s)
        self._refill()
        missing = min(weight, self._burst) - self._tokens
        if missing > 0:
            self._sleep(missing / self._rate)
            self._refill()
        self._make_room(weight)
        self._tokens -= weight
        self._spent.append((self._counted_at, weight))
        self._of_minute += weight

    def heed(self, used: float) -> None:
        """Take the venue's own count of this minute: where little is left, spend nothing until the minute is over.

        Others behind the same address spend from the same limit, so the venue's count may exceed ours.
        """
        if used >= self._full:
            self._free_at = self._monotonic() + MINUTE_S

    def _make_room(self, weight: float) -> None:
        """Forget what is a minute old; sleep until `weight` fits beside the rest, or is alone."""
        while self._spent:
            over_s = self._spent[0][0] + MINUTE_S - self._counted_at
            if over_s > 0 and self._of_minute + weight <= self._limit:
                return
            if over_s > 0:
                self._sleep(over_s)
                self._refill()
            self._of_minute -= self._spent.popleft()[1]
        self._of_minute = 0.0  # sums of floats do not come back to it

    def _refill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
