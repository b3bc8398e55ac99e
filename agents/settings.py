"""Which rules there are, and one rule with all its numbers: `Setting`, written as `ma_cross(fast=10, slow=50)`.

Checks names and values once, and lays them out as the row of numbers that the kernels of `signals` read. Decides
nothing.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import signals
from .exits import EXIT_NAMES, Exits
from .indicators import queue_size, window_size

SETTLED = 3  # spans after which an exponential average has forgotten its first value, but for e⁻⁶ of it
LONGEST = 1_000_000  # bars of a window
ZERO_TOO = ("trend", "seed", "shorts")  # whole numbers that may be 0

Values = Mapping[str, float]


class SettingFault(ValueError):
    """Values that are well each by itself, and make no sense together."""


class Definition(NamedTuple):
    """One rule: its kernel's number, its parameters with their defaults (an int wants whole numbers), and, of a set of
    values, the bars until it is warm, the floats of its indicators, and what is wrong with it ("" where nothing is)."""

    kind: int
    defaults: dict[str, int | float]
    warm_up: Callable[[Values], float] = lambda given: 1
    size: Callable[[Values], float] = lambda given: 0
    fault: Callable[[Values], str] = lambda given: ""


def _fast_fault(given: Values) -> str:
    return "" if given["fast"] < given["slow"] else f"fast {given['fast']} is not below slow {given['slow']}"


def _rsi_fault(given: Values) -> str:
    low, leave, high = given["low"], given["exit"], given["high"]
    return "" if 0 <= low <= leave <= high <= 100 else f"low {low}, exit {leave}, high {high} do not rise from 0 to 100"


def _band_fault(given: Values) -> str:
    return "" if given["width"] > 0 else f"width {given['width']} is not above 0 deviations"


def _channel_fault(given: Values) -> str:
    return "" if given["exit"] <= given["entry"] else f"exit {given['exit']} is longer than entry {given['entry']}"


def _share_fault(given: Values) -> str:
    return "" if 0 < given["share"] <= 1 else f"share {given['share']} does not lie in (0, 1]"


def _windows(*names: str) -> Callable[[Values], float]:
    return lambda given: sum(window_size(int(given[name])) for name in names)


RULES: dict[str, Definition] = {
    "flat": Definition(signals.FLAT, {}),
    "hold": Definition(signals.HOLD, {}),
    "random": Definition(signals.RANDOM, {"every": 24, "seed": 0, "shorts": 1}),
    "ma_cross": Definition(
        signals.MA_CROSS,
        {"fast": 10, "slow": 50, "shorts": 1},
        lambda given: given["slow"],
        _windows("fast", "slow"),
        _fast_fault,
    ),
    "ema_cross": Definition(
        signals.EMA_CROSS,
        {"fast": 12, "slow": 26, "shorts": 1},
        lambda given: SETTLED * given["slow"],
        lambda given: 2,
        _fast_fault,
    ),
    "rsi_reversion": Definition(
        signals.RSI_REVERSION,
        {"window": 14, "low": 30.0, "high": 70.0, "exit": 50.0, "trend": 200, "shorts": 1},
        lambda given: max(given["window"] + 1, given["trend"]),
        lambda given: 3 + window_size(int(given["trend"])),
        _rsi_fault,
    ),
    "bollinger": Definition(
        signals.BOLLINGER,
        {"window": 20, "width": 2.0, "shorts": 1},
        lambda given: given["window"],
        _windows("window"),
        _band_fault,
    ),
    "macd": Definition(
        signals.MACD,
        {"fast": 12, "slow": 26, "signal": 9, "shorts": 1},
        lambda given: SETTLED * (given["slow"] + given["signal"]),
        lambda given: 3,
        _fast_fault,
    ),
    "breakout": Definition(
        signals.BREAKOUT,
        {"entry": 20, "exit": 10, "shorts": 1},
        lambda given: given["entry"] + 1,
        lambda given: 2 * queue_size(int(given["entry"])) + 2 * queue_size(int(given["exit"])),
        _channel_fault,
    ),
    "dca": Definition(signals.DCA, {"every": 24, "share": 0.05}, fault=_share_fault),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A rule by name with all its values and its exits; made by `setting_of` or `read_setting`.

    >>> read_setting("ma_cross(fast=5, stop_loss=0.02)").text
    'ma_cross(fast=5, slow=50, shorts=1, stop_loss=0.02)'
    """

    name: str
    values: Values
    exits: Exits

    @property
    def kind(self) -> int:
        return RULES[self.name].kind

    @property
    def warm_up(self) -> int:
        """Bars, the one at hand included, until the rule speaks."""
        return int(RULES[self.name].warm_up(self.values))

    @property
    def size(self) -> int:
        """Floats of its state."""
        return signals.HEAD + int(RULES[self.name].size(self.values))

    @property
    def text(self) -> str:
        """The setting in words that `read_setting` takes back."""
        given = {**self.values, **self.exits.given()}
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in given.items())})" if given else self.name

    def row(self) -> list[float]:
        """N_PARAMS numbers: warm-up, shorts, the rule's own, the exits."""
        own = [float(value) for name, value in self.values.items() if name != "shorts"]
        own += [0.0] * (signals.N_OWN - len(own))
        return [float(self.warm_up), float(self.values.get("shorts", 1)), *own, *self.exits.row()]


def setting_of(name: str, /, **given: Any) -> Setting:
    """The rule `name` with the values given and its defaults for the rest; ValueError says what is wrong."""
    if name not in RULES:
        raise ValueError(f"there is no baseline {name!r}; known are {', '.join(RULES)}")
    defaults = RULES[name].defaults
    unknown = [key for key in given if key not in defaults and key not in EXIT_NAMES]
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]!r}; it has {', '.join((*defaults, *EXIT_NAMES))}")
    values = {key: _number(name, key, given.get(key, default), default) for key, default in defaults.items()}
    if fault := RULES[name].fault(values):
        raise SettingFault(f"{name}: {fault}")
    return Setting(name, values, _exits_of(name, {key: given[key] for key in EXIT_NAMES if key in given}))


def read_setting(text: str) -> Setting:
    """A setting from its text: a name, or a call of it with literal keywords. Nothing is evaluated."""
    name, given = _parsed(text)
    return setting_of(name, **given)


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    fault = ValueError(f"{text!r} is not a rule's name, nor written like ma_cross(fast=10, slow=50)")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            return call.id, {}
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args:
            given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg is not None}
            if len(given) == len(call.keywords):
                return call.func.id, given
    except (SyntaxError, ValueError):
        raise fault from None
    raise fault


def _number(name: str, key: str, value: Any, default: int | float) -> int | float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: {key} {value!r} is not a number")
    if isinstance(default, float):
        return float(value)
    least, most = (0 if key in ZERO_TOO else 1), (1 if key == "shorts" else LONGEST)
    if value != int(value) or not least <= value <= most:
        raise ValueError(f"{name}: {key} {value!r} is not a whole number from {least} to {most}")
    return int(value)


def _exits_of(name: str, given: Mapping[str, Any]) -> Exits:
    try:
        return Exits(**given)
    except (TypeError, ValueError) as error:  # a text compared with a number is a TypeError
        raise ValueError(f"{name}: {error}") from None
