"""A small trader for the tests: the real desk, and a policy of ten lines with a memory of its own.

As a program it runs sessions in processes of their own, which are killed:

    python toy.py BARS JOURNAL                     # one session, to be killed from outside
    python toy.py BARS JOURNAL:PLACE …             # a process each, which kills itself at the PLACE-th journal or venue
                                                   # call (0: runs to the end); prints how each of them ended
"""

import os
import signal
import sys

if __name__ == "__main__":
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # as the doors of the trading loop do

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavetank.envs.desk import Desk
from wavetank.envs.observation import ObservationSpec
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.journal import Journal
from wavetank.execution.parts import Step
from wavetank.execution.runner import Runner
from wavetank.execution.session import Settings, Trader, begin
from wavetank.execution.venue import PaperVenue
from wavetank.market.bars import INTERVALS, Bar, Bars
from wavetank.market.contract import terms_of
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.market.terms import Terms

HOUR_MS = INTERVALS["1h"]
SPEC = ObservationSpec("toy", 1, ("return_5", "volatility_20", "rsi_14", "donchian_20"))
INSTRUMENT = Instrument(max_leverage=2.0)
COSTS = Costs()


class Decision(NamedTuple):
    action: NDArray[np.float32]
    confidence: NDArray[np.float32]
    value: NDArray[np.float32]
    state: NDArray[np.float32] | None


class ToyPolicy:
    """Mean reversion by RSI and place in the range, smoothed by a state of its own."""

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        row = np.atleast_2d(observations)
        want = np.tanh(-2.0 * (row[:, 2:3] + row[:, 3:4]))
        after = want if state is None else (0.5 * state + 0.5 * want).astype(np.float32)
        ones = np.ones(len(row), np.float32)
        return Decision(np.clip(after, -1, 1).astype(np.float32), ones * np.float32(0.5), ones * 0, after)


class Says:
    """A policy that says what it is told to, bar by bar; the last word is repeated."""

    def __init__(self, *actions: float) -> None:
        self._actions = list(actions)

    def act(
        self,
        observations: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> Decision:
        action = self._actions.pop(0) if len(self._actions) > 1 else self._actions[0]
        one = np.ones(1, np.float32)
        return Decision(np.array([[action]], np.float32), one, one, None)


WIDE = Limits(mode="live", daily_loss=0.5, drawdown=0.95)  # hardly ever in the way


def terms(limits: Limits = WIDE) -> Terms:
    return terms_of(INSTRUMENT, COSTS, limits)


def trader(policy: Any = None, digest: str = "5ea1ed00", limits: Limits = WIDE) -> Trader:
    used = terms(limits)
    return Trader(
        name="toy",
        digest=digest,
        folder="toy",
        interval="1h",
        policy=policy or ToyPolicy(),
        desk=Desk(SPEC, used, HOUR_MS),
        terms=used,
        funding_bps_per_8h=COSTS.funding_bps_per_8h,
    )


def made_bars(count: int, seed: int = 3, gap_at: int = 0, start: int = 0, volume: float = 1e5) -> Bars:
    """A random walk of hourly bars; `gap_at` leaves a hole of ten hours before that bar.

    With the usual volume every order of the tests fills whole at the next open; with 1e3 it takes several bars.
    """
    rng = np.random.default_rng(seed)
    rows, close, opened_at = list[Bar](), 100.0, start
    for i in range(count):
        opened_at += 10 * HOUR_MS if gap_at and i == gap_at else 0
        steps = close * np.exp(np.cumsum(rng.normal(0.0, 0.004, 4)))
        low, high = min(close, *steps), max(close, *steps)
        rows.append(Bar(opened_at, close, high, low, float(steps[-1]), float(rng.uniform(0.5, 1.5) * volume)))
        close, opened_at = float(steps[-1]), opened_at + HOUR_MS
    return Bars.from_rows("1h", rows, "TOY")


def session(
    path: Path,
    bars: Bars,
    used: Trader | None = None,
    settings: Settings | None = None,
    watch: Callable[[Step], None] | None = None,
) -> tuple[Journal, Runner, ReplayFeed]:
    """Open a journal and a runner at its end, with a feed of `bars`."""
    clock = BarClock()
    journal = Journal(path)
    try:
        runner = begin(journal, used or trader(), settings or Settings(), clock, source="toy", watch=watch)
    except BaseException:
        journal.close()
        raise
    return journal, runner, ReplayFeed(bars, "toy", clock)


def run_session(path: Path, bars: Bars, used: Trader | None = None, settings: Settings | None = None) -> Runner:
    """Trade `bars` to their end."""
    journal, runner, feed = session(path, bars, used, settings)
    try:
        runner.run(feed)
    finally:
        journal.close()
    return runner


class Reaper:
    """Counts the places where a crash could hurt, and dies (SIGKILL) at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, thing: Any, name: str) -> None:
        inner = getattr(thing, name)

        def reaped(*given: Any, **named: Any) -> Any:
            self()
            result = inner(*given, **named)
            self()
            return result

        setattr(thing, name, reaped)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def trade(path: Path, count: int, place: int) -> None:
    bars = made_bars(count, gap_at=count // 2)
    clock, journal = BarClock(), Journal(path)
    if place:
        reaper = Reaper(place)
        reaper.around(journal, "append")
        reaper.around(journal, "commit")
        reaper.around(PaperVenue, "submit")
    runner = begin(journal, trader(), Settings(snapshot_every=50), clock, source="toy")
    say("ready")
    runner.run(ReplayFeed(bars, "toy", clock))
    journal.close()
    say("done")


def main() -> None:
    count = int(sys.argv[1])
    for word in sys.argv[2:]:
        path, _, place = word.partition(":")
        child = os.fork()  # everything is imported: a process costs 0.1 s instead of 1 s
        if child == 0:
            trade(Path(path), count, int(place or "0"))
            os._exit(0)
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


if __name__ == "__main__":
    main()
