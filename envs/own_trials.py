"""What a user's feature has to stand before it may be trusted: trials over markets drawn for the purpose.

Another future must not change what was said, a restart must not be felt, a stream must say what the matrix says, and
strange bars must give numbers. Knows no policy, and nothing of what the feature is for.
"""

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..market.bars import INTERVALS, Bar, Bars
from ..market.draws import uniform
from .features import FeatureStream, feature_matrix, warm_up

INTERVAL = "1h"
HOUR = INTERVALS[INTERVAL]
FIRST_BAR = 1_704_067_200_000  # 2024-01-01, a Monday
STRANGE_PRICES, STRANGE_VOLUMES = (1.0, 1e-8, 1.0, 3e7, 1.0, 1.0, 0.5), (0.0, 0.0, 1.0, 1e12, 0.0)


class Verdict(NamedTuple):
    """What one trial found; a failure that is only a warning does not make the feature unfit."""

    trial: str
    seen: str
    passed: bool
    is_warning: bool = False


def try_feature(name: str, interpreted: str) -> list[Verdict]:
    """Every trial of the column `module:feature`; `interpreted` is its digest from a process that compiles nothing."""

    def same(name: str) -> str:
        return "" if digest(name) == interpreted else "another value: docs/kernels.md has the forms that differ"

    return [
        _judge("compiled = interpreted", same, name, "the same to the last bit"),
        _judge("look-ahead", look_ahead, name, "another future changes nothing that was said"),
        _judge("restart", restart, name, "a stream restored from its state goes on to the last bit"),
        _judge("batch = stream", agreement, name, "the matrix and the stream say the same to the last bit"),
        _judge("finite", strange_bars, name, "a number on flat, empty, tiny and huge bars"),
        _judge("scale", scale, name, "prices × 1024 and volumes × 128 change nothing", is_warning=True),
    ]


def digest(name: str) -> str:
    """sha256 of what the column says of a drawn market: the same, compiled or interpreted."""
    bars = drawn_market(_length(name), 1)
    told = hashlib.sha256(feature_matrix(bars, (name,)).tobytes())
    for row in _stream_rows(name, bars):
        told.update(b"" if row is None else row)
    return told.hexdigest()


def look_ahead(name: str) -> str:
    """Where another future changed the past, "" if nowhere."""
    bars = drawn_market(_length(name), 1)
    told = feature_matrix(bars, (name,))
    for part in range(1, 8):
        t = part * len(bars) // 8
        other = feature_matrix(_with_future(bars, t, 10 + part), (name,))
        if told[: t + 1].tobytes() != other[: t + 1].tobytes():
            return f"bars after bar {t} change what was said up to it"
    return ""


def restart(name: str) -> str:
    """Where a restored stream said something else, "" if nowhere; another market is walked in between."""
    bars, stranger = drawn_market(_length(name), 1), drawn_market(_length(name), 2)
    whole = _stream_rows(name, bars)
    for part in range(1, 6):
        at = part * len(bars) // 6
        first, second = FeatureStream((name,), HOUR), FeatureStream((name,), HOUR)
        for bar in list(bars)[:at]:
            first.update(bar)
        _stream_rows(name, stranger)
        second.restore(first.state())
        if _stream_rows(name, bars.slice(at, len(bars)), second) != whole[at:]:
            return f"restored after bar {at} it says something else: what it remembers is not all in its state"
    return ""


def agreement(name: str) -> str:
    """Where matrix and stream differ, "" if nowhere."""
    bars = drawn_market(_length(name), 3)
    matrix = feature_matrix(bars, (name,))[:, 0]
    for t, row in enumerate(_stream_rows(name, bars)):
        said = np.float32(math.nan) if row is None else np.frombuffer(row)[0].astype(np.float32)
        if matrix[t].tobytes() != said.tobytes():
            return f"at bar {t} the matrix says {matrix[t]}, the stream {said}"
    return ""


def strange_bars(name: str) -> str:
    """Never anything: a column that is no number raises ValueError."""
    prices, volumes = STRANGE_PRICES, STRANGE_VOLUMES
    rows = []
    for t in range(_length(name)):
        price = prices[(t // 3) % len(prices)] if t % 100 < 60 else 7.0
        rows.append(Bar(FIRST_BAR + t * HOUR, price, price, price, price, volumes[t % len(volumes)], 0.0, 0))
    feature_matrix(Bars.from_rows(INTERVAL, rows), (name,))
    return ""


def scale(name: str) -> str:
    """Where the column depends on the unit of prices or volumes, "" if nowhere."""
    bars = drawn_market(_length(name), 4)
    open_, high, low, close = (1024.0 * values for values in (bars.open, bars.high, bars.low, bars.close))
    taker = 128.0 * np.asarray(bars.taker_buy_volume)
    scaled = Bars(INTERVAL, bars.opened_at, open_, high, low, close, 128.0 * bars.volume, taker, bars.trades)
    a, b = feature_matrix(bars, (name,)), feature_matrix(scaled, (name,))
    moved = np.flatnonzero(~np.isclose(a, b, rtol=1e-5, atol=1e-7, equal_nan=True)[:, 0])
    if not len(moved):
        return ""
    return f"at bar {moved[0]} it says {a[moved[0], 0]}, and {b[moved[0], 0]} in other units: a policy cannot use that"


def drawn_market(count: int, stream: int) -> Bars:
    """A market with jumps, still bars, bars without volume, a short gap and a long one; the same on every machine."""
    rows, close, at = list[Bar](), 100.0, FIRST_BAR
    for k in range(count):
        at += HOUR * (1 + {count // 5: 2, count // 2: 30}.get(k, 0))
        move, reach, amount, share = (uniform(stream, k, draw) for draw in range(4))
        open_ = close
        close = close if k % 23 == 0 else close * (1.0 + 0.06 * (move - 0.5))
        high, low = max(open_, close) * (1.0 + 0.01 * reach), min(open_, close) * (1.0 - 0.01 * reach)
        volume = 0.0 if k % 17 == 0 else 1e4 * amount
        rows.append(Bar(at, open_, high, low, close, volume, share * volume, int(100 * amount)))
    return Bars.from_rows(INTERVAL, rows)


def _length(name: str) -> int:
    """Two stretches, each more than long enough to warm up."""
    return 300 + 4 * warm_up((name,), HOUR)


def _with_future(bars: Bars, t: int, stream: int) -> Bars:
    """The same bars up to t; behind it another market at the same instants."""
    other = drawn_market(len(bars) - t, stream)
    behind = [bar._replace(opened_at=int(bars.opened_at[t + k])) for k, bar in enumerate(other)]
    return Bars.from_rows(INTERVAL, [*list(bars)[: t + 1], *behind[1:]])


def _stream_rows(name: str, bars: Bars, stream: FeatureStream | None = None) -> list[bytes | None]:
    walked = stream or FeatureStream((name,), HOUR)
    rows = [walked.update(bar) for bar in bars]
    return [None if row is None else row.tobytes() for row in rows]


def _judge(trial: str, find: Callable[[str], str], name: str, well: str, is_warning: bool = False) -> Verdict:
    try:
        fault = find(name)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return Verdict(trial, f"{type(error).__name__}: {error}", False)
    return Verdict(trial, fault or well, not fault, is_warning and bool(fault))
