"""Spoofers to learn from, and honest traders who look like them: market makers, hurried markets, and outsiders who
move their large orders after the price, quote both sides, or change their mind.

A spoofer's layers, their size and life, its place in the book and its pace are drawn from ranges around those of
facts/simulators.md 8; the evasive one mimics a market maker. The readers whom it deceives are those of
`conf/scenario/spoofing.yaml`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..simulators.population import Population
from ..simulators.storms import Change, Scenario, Setting
from ..simulators.world import Knob, Part
from .plays import Play, Sent, Spot, calm_crowd, scenario_of, spot_of, staged, timed

PLAIN, EVASIVE = "plain spoofer", "evasive spoofer"
SHOWS = {PLAIN: 1.0, EVASIVE: 2.0}  # the knob
LAYER_TIMES, LIFE_STEPS, LAYERS = (5.0, 20.0), (2.0, 20.0), (2, 5)  # of a level near the touch; facts/simulators.md 8
EVASIVE_SHARE, DISGUISE = (0.15, 0.6), (0.05, 0.3)  # of the size: layers of the evasive one, and its other side
QUIET_BARS, SPOOF_BARS = 10, (20, 40)  # before it begins, and how long it goes on
TOUCH_LOTS = 400.0  # of a level near the touch, about: what an outsider's sizes are multiples of


@dataclass(frozen=True, slots=True)
class Scene:
    """Whoever else is at work: the storm's changes, an outside trader's orders, and the market's profile."""

    changes: tuple[Change, ...] = ()
    sent: tuple[Sent, ...] = ()
    profile: tuple[Setting, ...] = ()


def spoof_play(seed: int, rng: np.random.Generator, family: str, group: int) -> Play:
    """A spoofer at work in a market of readers, or in a plain one, calm or hurried."""
    spot, bars, crowd = spot_of(rng, group), int(rng.integers(*SPOOF_BARS, endpoint=True)), _crowd(rng)
    spoofer = crowd.spoofer._replace(
        layers=int(rng.integers(*LAYERS, endpoint=True)),
        size=float(np.exp(spot.between(*np.log(LAYER_TIMES)))),
        life=round(spot.between(*LIFE_STEPS, second=True)),
        first_level=int(rng.integers(1, 5)),
        cycle=int(rng.integers(20, 121)),
        evasive=float(rng.uniform(*EVASIVE_SHARE)),
        disguise=float(rng.uniform(*DISGUISE)),
    )
    changes = [timed(Part.SPOOFER, Knob.SHOW, 0, bars, SHOWS[family])]
    if rng.random() < 0.5:
        changes.append(timed(Part.SPOOFER, Knob.BIAS, 0, bars, float(rng.choice([-1.0, 1.0]))))
    changes += _hurry(rng, bars)
    scenario, storm = staged(family, changes, QUIET_BARS, profile=_readers(rng))
    return Play(
        f"{family} {seed}", family, str(group), scenario, storm, seed, QUIET_BARS, bars, QUIET_BARS + bars + 3,
        crowd=replace(crowd, spoofer=spoofer),
    )  # fmt: skip


def honest_play(seed: int, rng: np.random.Generator, family: str, group: int) -> Play:
    """A market in which nobody spoofs, of one family and group of parameters."""
    spot, bars = spot_of(rng, group), int(rng.integers(*SPOOF_BARS, endpoint=True))
    scene = HONEST[family](rng, spot, bars)
    scenario, storm = Scenario(family, profile=scene.profile), None
    if scene.changes:
        scenario, storm = staged(family, scene.changes, QUIET_BARS, profile=scene.profile)
    sent = tuple(replace(each, step=each.step + QUIET_BARS * 60) for each in scene.sent)
    bars += QUIET_BARS
    crowd = _crowd(rng)
    return Play(f"{family} {seed}", family, str(group), scenario, storm, seed, QUIET_BARS, bars, bars + 3, sent, crowd)


def _crowd(rng: np.random.Generator) -> Population:
    """The calm crowd with other market makers: as many as four, sooner or later with a new quote, larger or smaller."""
    crowd = calm_crowd()
    makers = crowd.makers._replace(
        traders=int(rng.integers(1, 5)),
        every=int(rng.integers(2, 21)),
        quote_levels=int(rng.integers(1, 7)),
        size=crowd.makers.size * float(np.exp(rng.uniform(-1.0, 1.0))),
        half_spread=crowd.makers.half_spread * float(np.exp(rng.uniform(-0.7, 0.7))),
    )
    return replace(crowd, makers=makers)


def _readers(rng: np.random.Generator) -> tuple[Setting, ...]:
    return scenario_of("spoofing").profile if rng.random() < 0.5 else ()


def _hurry(rng: np.random.Generator, bars: int) -> tuple[Change, ...]:
    """In every third market the value moves more than usual, and everybody with it."""
    if rng.random() < 2 / 3:
        return ()
    return (timed(Part.VALUE, Knob.RATE, 0, bars, float(rng.uniform(1.5, 3.0))),)


def _calm(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    return Scene(profile=_readers(rng))


def _hurried(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    """A lively market with a jump in the middle: makers cancel and quote anew all the time."""
    rate = timed(Part.VALUE, Knob.RATE, 0, bars, spot.between(1.5, 3.75))
    jump = timed(Part.VALUE, Knob.DRIFT, bars / 2, bars / 2 + 1, spot.between(0.002, 0.05, second=True))
    return Scene((rate, jump), profile=_readers(rng))


def _withdrawal(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    """Market makers cancel everything, again and again."""
    off, gap = spot.between(0.5, 3.0), spot.between(1.0, 5.0, second=True)
    starts = np.arange(1.0, bars - off, off + gap)[:30]
    changes = tuple(timed(Part.MAKERS, Knob.SIZE, float(at), float(at) + off, 0.0) for at in starts)
    return Scene(changes, profile=_readers(rng))


def _pegger(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    """A patient trader with a large order on one side, which it moves after the price, layer upon layer."""
    lots, life = _lots(spot), round(spot.between(4, 60, second=True))
    side, layers = int(rng.choice([-1, 1])), int(rng.integers(1, 4))
    sent = [
        Sent(step, side * lots, layer * int(rng.integers(1, 4)), life)
        for step in range(0, bars * 60 - life, life + int(rng.integers(0, 10)))
        for layer in range(layers)
    ]
    return Scene(_hurry(rng, bars), tuple(sent), _readers(rng))


def _quoter(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    """Somebody's market-making policy: both sides in several levels, anew every few seconds, of unequal sizes."""
    lots, life = _lots(spot), round(spot.between(2, 20, second=True))
    layers, leaning = int(rng.integers(1, 4)), float(rng.uniform(-0.7, 0.7))
    sent = [
        Sent(step, side * max(1, round(lots * (1.0 + side * leaning))), layer * 2 + 1, life)
        for step in range(0, bars * 60 - life, life + 1)
        for side in (-1, 1)
        for layer in range(layers)
    ]
    return Scene(_hurry(rng, bars), tuple(sent), _readers(rng))


def _turncoat(rng: np.random.Generator, spot: Spot, bars: int) -> Scene:
    """Somebody's policy that waits on one side, gives up, and takes the other: each once in a few minutes."""
    lots, wait = _lots(spot), round(spot.between(20, 120, second=True))
    sent = list[Sent]()
    for step in range(0, bars * 60 - wait - 1, wait + int(rng.integers(30, 180))):
        side = int(rng.choice([-1, 1]))
        sent += [Sent(step, side * lots, int(rng.integers(0, 4)), wait), Sent(step + wait, -side * max(1, lots // 2))]
    return Scene(_hurry(rng, bars), tuple(sent), _readers(rng))


def _lots(spot: Spot) -> int:
    """From an ordinary order to one as large as a spoofer's layer."""
    return round(TOUCH_LOTS * float(np.exp(spot.between(np.log(0.5), np.log(10.0)))))


HONEST: dict[str, Callable[[np.random.Generator, Spot, int], Scene]] = {
    "calm": _calm,
    "hurried": _hurried,
    "withdrawal": _withdrawal,
    "pegger": _pegger,
    "quoter": _quoter,
    "turncoat": _turncoat,
}
