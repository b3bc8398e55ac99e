"""The market columns by name: `rsi_21` is the family `rsi` with the number 21.

A family says which kernel, which numbers a name may hold, the state it needs and the bars before it speaks. Computes
no column, and knows neither intervals nor specs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from . import kinds
from .rings import block_size, moments_size, ring_size

Numbers = tuple[int, ...]

LONGEST = 2000  # bars in a window
WINDOW = (1, LONGEST)
SPREAD = (2, LONGEST)  # a window of one bar has no spread
_NAME = re.compile(r"([a-z]+(?:_[a-z]+)*)((?:_[0-9]{1,9})*)")


class Column(NamedTuple):
    """A market column: its kernel, the floats of its state, the bars it needs before it speaks, its numbers."""

    kind: int
    size: int
    warm_up: int
    numbers: Numbers = ()
    needs_taker: bool = False


@dataclass(frozen=True)
class Family:
    """Columns of one kernel. `ranges` bound the numbers of a name; `implied` are those that a name leaves out."""

    kind: int
    about: str
    size: Callable[[Numbers], int]
    warm_up: Callable[[Numbers], int]
    ranges: tuple[tuple[int, int], ...] = (WINDOW,)
    implied: Numbers = ()
    needs_taker: bool = False

    def column(self, numbers: Numbers) -> Column:
        """The column of these numbers."""
        return Column(self.kind, self.size(numbers), self.warm_up(numbers), numbers, self.needs_taker)


def wilder_warm_up(window: int) -> int:
    """Bars until about 1 % of the start is left in an average of weight 1 / window."""
    return -(-30 * window // 7)


def ema_warm_up(span: int) -> int:
    """Bars until about 1 % of the start is left in an exponential average of weight 2 / (span + 1)."""
    return -(-60 * span // 26)


def _sums(count: int) -> Callable[[Numbers], int]:
    """State of `count` sums over each window."""
    return lambda numbers: sum(count * block_size(window) for window in numbers)


def _fixed(size: int) -> Callable[[Numbers], int]:
    return lambda _: size


def _full(numbers: Numbers) -> int:
    return max(numbers)


def _full_of_steps(numbers: Numbers) -> int:
    return max(numbers) + 1


FAMILIES: dict[str, Family] = {
    "return": Family(
        kinds.RETURN, "{0}-bar log return of the close", lambda numbers: ring_size(numbers[0] + 1), _full_of_steps
    ),
    "volatility": Family(
        kinds.VOLATILITY,
        "root mean square of {0} one-bar log returns, as the spine adds them up",
        lambda numbers: ring_size(numbers[0]),
        _full_of_steps,
        ((20, 20),),
    ),
    "volatility_ratio": Family(
        kinds.VOLATILITY_RATIO,
        "log of the volatility of 10 bars over that of {0}, as the spine adds them up",
        lambda numbers: ring_size(numbers[0]),
        _full_of_steps,
        (),
        implied=(48,),
    ),
    "atr": Family(
        kinds.ATR,
        "Wilder's average true range over {0} bars, as a share of the close",
        _fixed(2),
        lambda numbers: wilder_warm_up(numbers[0]),
    ),
    "rsi": Family(
        kinds.RSI,
        "Wilder's relative strength over {0} bars, moved to [-1, 1]",
        _fixed(4),
        lambda numbers: wilder_warm_up(numbers[0]),
    ),
    "ema_ratio": Family(
        kinds.EMA_RATIO,
        "log of the {0}-bar over the {1}-bar exponential average of closes",
        _fixed(3),
        lambda numbers: ema_warm_up(numbers[1]),
        (WINDOW, SPREAD),
        implied=(12, 26),
    ),
    "donchian": Family(
        kinds.DONCHIAN,
        "where the close lies between the low (-1) and the high (+1) of {0} bars",
        _sums(2),
        _full,
    ),
    "volume_surge": Family(
        kinds.VOLUME_SURGE,
        "log of (1 + volume / mean of {0} bars) / 2, as the spine adds them up",
        lambda numbers: ring_size(numbers[0]),
        _full,
        ((20, 20),),
    ),
    "realised": Family(
        kinds.REALISED,
        "volatility an interval: root of the squared log returns of {0} bars over the time that they took",
        _sums(2),
        _full_of_steps,
    ),
    "realised_ratio": Family(
        kinds.REALISED_RATIO,
        "log of the volatility of {0} bars over that of {1}, within ±5",
        _sums(2),
        _full_of_steps,
        (WINDOW, SPREAD),
    ),
    "parkinson": Family(kinds.PARKINSON, "Parkinson's volatility of {0} bars, from log(high / low)", _sums(1), _full),
    "macd": Family(
        kinds.MACD,
        "MACD histogram over the close: {0}-bar less {1}-bar exponential average, less its own {2}-bar average",
        _fixed(4),
        lambda numbers: ema_warm_up(numbers[1]) + ema_warm_up(numbers[2]),
        (WINDOW, SPREAD, WINDOW),
    ),
    "bollinger": Family(
        kinds.BOLLINGER,
        "standard deviations that the close lies above the mean close of {0} bars",
        lambda numbers: moments_size(numbers[0]),
        _full,
        (SPREAD,),
    ),
    "vwap": Family(
        kinds.VWAP,
        "log of the close over the volume-weighted typical price of {0} bars; 0 where nothing was traded",
        _sums(2),
        _full,
    ),
    "twpa": Family(
        kinds.TWPA,
        "log of the close over the time-weighted average price of {0} bars (open, high, low and close; the last close "
        "while bars are missing)",
        _sums(2),
        _full,
    ),
    "velocity": Family(
        kinds.VELOCITY,
        "log return an interval over {0} bars, in units of their volatility an interval, within ±1",
        _sums(3),
        _full_of_steps,
        (SPREAD,),
    ),
    "surge": Family(
        kinds.SURGE,
        "log of (1 + mean volume of {0} bars / that of {1}) / 2",
        _sums(1),
        _full,
        (WINDOW, SPREAD),
    ),
    "concentration": Family(
        kinds.CONCENTRATION,
        "Herfindahl index of the volumes of {0} bars: 0 all alike, 1 all in one",
        _sums(2),
        _full,
        (SPREAD,),
    ),
    "taker_imbalance": Family(
        kinds.TAKER_IMBALANCE,
        "volume that takers bought less what they sold in {0} bars, as a share of it",
        _sums(2),
        _full,
        needs_taker=True,
    ),
    "day_sin": Family(kinds.DAY_SIN, "sine of the UTC day's angle at the close", _fixed(0), _fixed(1), ()),
    "day_cos": Family(kinds.DAY_COS, "cosine of the UTC day's angle at the close", _fixed(0), _fixed(1), ()),
    "week_sin": Family(
        kinds.WEEK_SIN, "sine of the week's angle at the close, from Monday 00:00 UTC", _fixed(0), _fixed(1), ()
    ),
    "week_cos": Family(
        kinds.WEEK_COS, "cosine of the week's angle at the close, from Monday 00:00 UTC", _fixed(0), _fixed(1), ()
    ),
}


def column(name: str) -> Column:
    """The column of that name; ValueError where there is none, or where a number is out of its bounds."""
    family, numbers = _parse(name)
    return family.column(numbers)


def about(name: str) -> str:
    """What the column is, in words."""
    family, numbers = _parse(name)
    return family.about.format(*numbers)


def _parse(name: str) -> tuple[Family, Numbers]:
    found = _NAME.fullmatch(name)
    if found is None or found[1] not in FAMILIES:
        raise ValueError(f"there is no market column {name!r}; known are {', '.join(form for form, _ in families())}")
    family, said = FAMILIES[found[1]], found[2].split("_")[1:]
    if not said and family.implied:
        return family, family.implied
    if len(said) != len(family.ranges) or any(number.startswith("0") for number in said):
        raise ValueError(f"market column {name!r} should read {_form(found[1], family)}")
    numbers = tuple(int(number) for number in said)
    for number, (low, high) in zip(numbers, family.ranges, strict=True):
        if not low <= number <= high:
            raise ValueError(f"market column {name!r}: {number} is not within {low} … {high} bars")
    if len(numbers) > 1 and numbers[0] >= numbers[1]:
        raise ValueError(f"market column {name!r}: {numbers[0]} bars are not fewer than {numbers[1]}")
    return family, numbers


def families() -> list[tuple[str, str]]:
    """(the form of its names, as `return_N` or `ema_ratio_N_M`, what it is in words) of every family."""
    return [(_form(name, family), family.about.format(*_free(family))) for name, family in FAMILIES.items()]


def _form(name: str, family: Family) -> str:
    return "_".join([name, *_free(family)[: len(family.ranges)]])


def _free(family: Family) -> list[str]:
    """A letter for every number that a name may choose, the number itself where it may not."""
    fixed = [str(low) if low == high else letter for letter, (low, high) in zip("NMK", family.ranges, strict=False)]
    return fixed or [str(number) for number in family.implied]


# A column of every family that OHLCV can fill, the spine's own first; any other number in a name works as well.
FEATURES: dict[str, Column] = {
    name: column(name)
    for name in (
        "return_1",
        "return_5",
        "return_20",
        "volatility_20",
        "volatility_ratio",
        "atr_14",
        "rsi_14",
        "ema_ratio",
        "donchian_20",
        "volume_surge_20",
        "realised_12",
        "realised_ratio_6_24",
        "parkinson_12",
        "macd_6_13_4",
        "bollinger_20",
        "vwap_24",
        "twpa_24",
        "velocity_12",
        "surge_4_24",
        "concentration_24",
        "day_sin",
        "day_cos",
        "week_sin",
        "week_cos",
    )
}
