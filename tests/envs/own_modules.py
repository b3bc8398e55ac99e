"""Modules as users write them, good ones and bad: sources that tests put on the path under a fresh name."""

import itertools
import sys
from pathlib import Path

import pytest

_names = (f"users_module_{k}" for k in itertools.count())

HEAD = """
import math

from wavetank.envs.own import Feature
from wavetank.market.jit import kernel
"""
GOOD = """
@kernel
def update(state, bar):
    state[0] = max(0.9 * state[0], bar.volume)
    return bar.volume / state[0] if state[0] > 0.0 else 0.0

spike = Feature(update, size=1, warm_up=20, about="volume over its fading peak")
"""
PLAIN = """
def plainly(state, bar):
    state[0] = max(0.9 * state[0], bar.volume)
    return bar.volume / state[0] if state[0] > 0.0 else 0.0

plain = Feature(plainly, size=1, warm_up=20)
"""
FLOW = """
@kernel
def taken(state, bar):
    return bar.taker_buy_volume / bar.volume if bar.volume > 0.0 else 0.0 * bar.trades

flow = Feature(taken)
"""
PEEKING = """
SEEN = []

def peek(state, bar):
    SEEN.append(bar)
    return max(seen.close for seen in SEEN[-2000:] if seen.opened_at <= bar.opened_at + 3_600_000) / bar.close

peeking = Feature(peek)
"""
HIDING = """
LAST = []

def hide(state, bar):
    LAST.append(bar.close)
    return math.log(LAST[-1] / LAST[-2]) if len(LAST) > 1 else 0.0

hiding = Feature(hide, warm_up=2)
"""
SENSELESS = """
@kernel
def divide(state, bar):
    return math.nan if bar.high == bar.low else (bar.close - bar.low) / (bar.high - bar.low)

senseless = Feature(divide)
"""
PRICED = """
@kernel
def price(state, bar):
    return bar.close

priced = Feature(price)
"""
BEYOND = """
@kernel
def beyond(state, bar):
    return state[3] + bar.close - bar.close

beyond_its_state = Feature(beyond, size=1)
"""
ROUNDING = """
@kernel
def power(state, bar):
    return (bar.close / bar.open) ** 3

rounding = Feature(power)
"""


def module_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *sources: str) -> str:
    """Write a package with a module `features` of these sources; its dotted name."""
    name = next(_names)
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    (folder / name / "features.py").write_text(HEAD + "".join(sources))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return f"{name}.features"
