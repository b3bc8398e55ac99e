"""Pumps to learn from, and what resembles them: news, lively days, crashes that rebound, one large order, a patient
buyer, a rush of small traders, market makers who step back, an outage, a cascade, and somebody's trading bot.

The pump is that of `conf/scenario/pump_and_dump.yaml` with its numbers drawn from ranges; the others happen on an asset
as thin as a pump's or on the crowd's own, and each has no more to do with a pump than that it moves price or volume.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..simulators.storms import Change, Scenario, Setting, Storm
from ..simulators.world import Knob, Part
from .plays import (
    AFTER_BARS,
    CELLS,
    Play,
    Sent,
    Spot,
    begin_bar,
    calm_crowd,
    retimed,
    scaled,
    scenario_of,
    spot_of,
    staged,
    timed,
)

PUMP, CALM = "pump", "calm"
RAMP_BARS = tuple(range(1, CELLS + 1))  # bars that a rush lasts: facts/simulators.md 10
RISES = (0.2, 1.5)  # of the price, from the last close before the rush to the furthest trade within `RISE_BARS`
RISE_BARS = 10
RETRACE_BARS = 60  # after the rush began: until then an alert belongs to the pump
LEAST_VOLUME = 20.0  # × the usual bar's, in the busiest bar of those: less is no pump (facts/simulators.md 8)
MEMBERS, GROUP = (20, 200), 21  # of a group, and how many the scenario's numbers are made for
FORCE, URGE = (0.3, 60.0), (0.6, 6.0)  # × the scenario's own budgets of the group, and × how often a member buys
CROWD = (1.0, 12.0)  # × the noise that comes to watch
SELLERS = (1.0, 15.0)  # × those who sell to the group: informed traders and contrarians
GATHERING_BARS, FOLLOWING_BARS = (30, 60), 15
THIN, SPARSE = (0.7, 1.4), (0.5, 2.5)  # of a thin asset: × the scenario's sizes of orders, × their distances
QUIET = (0.03, 0.5)  # × how often anybody trades: assets that are pumped see 1,000 … 3,000 trades a day
SLEEPY = (Part.NOISE, Part.FUNDAMENTAL, Part.TREND, Part.CONTRARIAN, Part.READERS)
LONGEST_LIFE = 10.0  # ×: who comes seldom leaves orders for long


@dataclass(frozen=True, slots=True)
class Asset:
    """What kind of asset a play is about; `volume` is a usual bar's in lots."""

    name: str
    profile: tuple[Setting, ...]
    volume: float


@dataclass(frozen=True, slots=True)
class Happening:
    """What happens in a play, in bars from its beginning; `up` is its storm's direction."""

    changes: tuple[Change, ...]
    lasts: int
    up: bool = True
    sent: tuple[Sent, ...] = ()
    profile: tuple[Setting, ...] | None = None  # in place of the asset's


def pump_play(seed: int, rng: np.random.Generator, ramp: int, reach: int) -> Play:
    """A pump whose rush lasts `ramp` bars; `reach`, 0 … `CELLS` − 1, says how strong a group to draw.

    How far it rises is seen when it has been raised; its group of parameters is told then.
    """
    base = scenario_of("pump_and_dump")
    assert base.ranges is not None  # a house scenario with changes has ranges
    rush = next(change for change in base.changes if change.knob == Knob.RUSH and change.cohort == Part.PUMPERS)
    bars = sum(base.ranges["train"].duration) / 2
    gathering = int(rng.integers(*GATHERING_BARS, endpoint=True))
    ramped = (rush.end - rush.start) * bars

    def at(bar: float) -> float:
        """Where a bar of the base lies: gathering and rush are stretched, what follows is moved."""
        begun = rush.start * bars
        if bar <= begun:
            return bar / begun * gathering
        return gathering + min(1.0, (bar - begun) / ramped) * ramp + max(0.0, bar - begun - ramped)

    members, severity = round(_between(rng, *MEMBERS)), sum(base.ranges["train"].severity) / 2
    times = _times(rng, reach, members)
    changes = [
        replace(change, value=(change.value or 0.0) * times.get((change.cohort, change.knob), 1.0))
        for change in retimed(base.changes, severity, bars, at)
    ]
    watching = timed(Part.NOISE, Knob.RATE, gathering, gathering + ramp + FOLLOWING_BARS, _between(rng, *CROWD))
    onset = begin_bar(rng)
    profile = _thin(rng).profile
    scenario, storm = staged(PUMP, [*changes, watching], onset, profile=profile)
    crowd = calm_crowd()
    crowd = replace(crowd, pumpers=crowd.pumpers._replace(traders=members))
    begins = onset + gathering
    return Play(
        f"pump {seed}", PUMP, "", scenario, storm, seed, begins, RETRACE_BARS, begins + AFTER_BARS, crowd=crowd
    )  # fmt: skip


def _times(rng: np.random.Generator, reach: int, members: int) -> dict[tuple[Part, Knob], float]:
    """What the scenario's own numbers are multiplied by."""
    low, high = np.log(FORCE)
    force = float(np.exp(low + (high - low) * (reach + 2.0 * rng.random()) / (CELLS + 1)))
    sellers = _between(rng, *SELLERS)
    return {
        (Part.PUMPERS, Knob.SIZE): force * GROUP / members,
        (Part.PUMPERS, Knob.RUSH): _between(rng, *URGE),
        (Part.PUMPERS, Knob.PARTICIPATION): float(rng.uniform(0.5, 1.5)),
        (Part.PUMPERS, Knob.DUMP): _between(rng, 0.5, 2.0),
        (Part.FOLLOWERS, Knob.RUSH): float(rng.uniform(0.5, 1.5)),
        (Part.FOLLOWERS, Knob.SIZE): _between(rng, 0.35, 1.35),
        (Part.FUNDAMENTAL, Knob.RATE): sellers,
        (Part.CONTRARIAN, Knob.RATE): min(2.0, sellers),
    }


def look_alike(seed: int, rng: np.random.Generator, family: str, group: int) -> Play:
    """Something that is no pump, of one family and group of parameters."""
    spot, asset = spot_of(rng, group), ASSETS[int(rng.integers(len(ASSETS)))](rng)
    happening = FAMILIES[family](rng, spot, asset)
    begins = begin_bar(rng)
    name, profile = f"{family} {asset.name}", asset.profile if happening.profile is None else happening.profile
    scenario, storm = _scene(name, happening, begins, profile)
    bars = begins + happening.lasts + AFTER_BARS
    sent = tuple(Sent(begins * 60 + each.step, each.lots, each.behind, each.life) for each in happening.sent)
    return Play(
        f"{family} {seed}", family, str(group), scenario, storm, seed, begins, happening.lasts, bars, sent
    )  # fmt: skip


def _scene(name: str, happening: Happening, onset: int, profile: tuple[Setting, ...]) -> tuple[Scenario, Storm | None]:
    if not happening.changes:
        return Scenario(name, profile=profile), None
    return staged(name, happening.changes, onset, profile=profile, up=happening.up)


def _thin(rng: np.random.Generator) -> Asset:
    """An asset as thin as a pump's: the scenario's profile with its sizes and distances drawn, where few ever trade."""
    profile = scenario_of("pump_and_dump").profile
    noise = {setting.knob: setting.value for setting in profile if setting.cohort == Part.NOISE}
    thin, quiet = _between(rng, *THIN), _between(rng, *QUIET)
    drawn = scaled(scaled(profile, Knob.SIZE, thin), Knob.DISTANCE, _between(rng, *SPARSE))
    rates = tuple(Setting(part, Knob.RATE, quiet) for part in SLEEPY)
    lives = tuple(Setting(part, Knob.LIFE, min(1.0 / quiet, LONGEST_LIFE)) for part in SLEEPY if part != Part.TREND)
    usual = thin * quiet * noise.get(Knob.SIZE, 1.0) * noise.get(Knob.RATE, 1.0)
    return Asset("thin", (*drawn, *rates, *lives), USUAL_LOTS * usual)


def _deep(rng: np.random.Generator) -> Asset:
    return Asset("deep", (), USUAL_LOTS)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Log-uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


ASSETS: tuple[Callable[[np.random.Generator], Asset], ...] = (_thin, _deep)
USUAL_LOTS = 27_000.0  # a calm bar's volume, conf/crowd/1m.yaml


def _calm(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    return Happening((), int(rng.integers(1, 120)))


def _news(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """The value itself jumps by 1 … 30 %, within a minute or two, and stays there."""
    size, span = float(np.exp(spot.between(np.log(0.01), np.log(0.3)))), spot.between(1.0, 2.0, second=True)
    return Happening((timed(Part.VALUE, Knob.DRIFT, 0, span, size),), 30, bool(rng.random() < 0.6))


def _lively(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    times, bars = spot.between(1.5, 3.75), spot.between(30, 180, second=True)
    return Happening((timed(Part.VALUE, Knob.RATE, 0, bars, times),), round(bars))


def _rebound(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """A flash crash, and the way back."""
    base, bars = scenario_of("flash_crash"), round(spot.between(6, 15, second=True))
    changes = retimed(base.changes, spot.between(0.2, 0.33), bars, lambda bar: bar)
    return Happening(tuple(changes), bars + 60, up=False)


def _one_order(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """One market order of 3 … 90 usual bars, of a buyer or of a seller."""
    bars = float(np.exp(spot.between(np.log(3.0), np.log(90.0)))) * asset.volume / USUAL_LOTS
    at = spot.between(0.0, 0.9, second=True)
    own = scenario_of("fat_finger").profile if asset.profile == () and rng.random() < 0.5 else None
    change = timed(Part.EXECUTOR, Knob.SHOT, at, at + 0.05, bars)
    return Happening((change,), 10, bool(rng.random() < 0.6), profile=own)


def _buyer(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    share, bars = spot.between(0.05, 0.4), spot.between(5, 60, second=True)
    return Happening((timed(Part.EXECUTOR, Knob.PARTICIPATION, 0, bars, share),), round(bars), bool(rng.random() < 0.7))


def _frenzy(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """Small traders crowd in, without a view."""
    times, bars = float(np.exp(spot.between(np.log(2.0), np.log(12.0)))), spot.between(1, 20, second=True)
    return Happening((timed(Part.NOISE, Knob.RATE, 0, bars, times),), round(bars))


def _withdrawal(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """Market makers cancel what they quote and stay away; informed traders hesitate."""
    share, bars = spot.between(0.0, 0.3), spot.between(3, 40, second=True)
    makers = timed(Part.MAKERS, Knob.SIZE, 0, bars, share)
    return Happening((makers, timed(Part.FUNDAMENTAL, Knob.RATE, 0, bars, 0.3)), round(bars))


def _reopening(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """The venue stops matching while the value moves, and opens again."""
    size, bars = spot.between(0.005, 0.05), spot.between(3, 30, second=True)
    base = scenario_of("outage")
    changes = retimed(base.changes, size, 1, lambda share: share * bars)
    return Happening(tuple(changes), round(bars) + 20, bool(rng.random() < 0.6))


def _cascade(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """Positions on margin are closed out, one after the other; upwards it is a squeeze."""
    base, bars = scenario_of("liquidation_cascade"), round(spot.between(60, 90, second=True))
    changes = retimed(base.changes, spot.between(0.04, 0.075), bars, lambda bar: bar)
    return Happening(tuple(changes), round(bars * 1.3), bool(rng.random() < 0.6), profile=())


def _bot(rng: np.random.Generator, spot: Spot, asset: Asset) -> Happening:
    """Somebody's policy: each bar a target position, each change of it a burst of ordinary market orders."""
    share, bars = float(np.exp(spot.between(np.log(0.03), np.log(1.0)))), round(spot.between(5, 60, second=True))
    held, sent = 0.0, list[Sent]()
    for bar in range(bars):
        if rng.random() < 0.5:
            continue
        target = float(rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0]))
        children = int(rng.integers(1, 11))
        lots = round((target - held) * share * asset.volume / children)
        steps = np.sort(rng.integers(0, 58, children)) if rng.random() < 0.5 else np.full(children, rng.integers(0, 58))
        sent += [Sent(bar * 60 + int(step), lots) for step in steps if lots]
        held = target
    return Happening((), bars, sent=tuple(sent))


FAMILIES: dict[str, Callable[[np.random.Generator, Spot, Asset], Happening]] = {
    CALM: _calm,
    "news": _news,
    "lively": _lively,
    "rebound": _rebound,
    "one order": _one_order,
    "buyer": _buyer,
    "frenzy": _frenzy,
    "withdrawal": _withdrawal,
    "reopening": _reopening,
    "cascade": _cascade,
    "bot": _bot,
}
BEYOND: Sequence[str] = ("reopening",)  # what no bar asks for: a queue of orders that meets the book at once
HARD: Sequence[str] = tuple(family for family in FAMILIES if family not in (CALM, *BEYOND))
