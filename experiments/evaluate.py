"""What a policy did, bar by bar, and the figures that follow from it: `Track`, `run_policy`, and their metrics.

A policy is driven through the same environment as in training, to the end of the bars, acting through `act` alone.
Knows nothing of trainers, runs or registries; what figures mean is decided in `statistics` and `promote`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..agents.policy import Decision, Policy
from ..envs.actions import exposure_of
from ..envs.features import warm_up
from ..envs.observation import ObservationSpec
from ..envs.passport import Terrain
from ..envs.past import Tabled
from ..envs.setup import EnvKeywords
from ..envs.trading import TradingEnv
from ..market.bars import Bars
from ..market.conditions import CONDITION_WARM_UP
from ..market.costs import Costs
from ..market.funding import Funding
from ..market.ledger import Account
from ..market.limits import Limits, State
from ..market.orders import Instrument
from .figures import metrics_of
from .shown import SeesBars, bars_so_far, last_bar

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row: TypeAlias = tuple[int | float, ...]


@dataclass(frozen=True, eq=False)
class Track:
    """An account's way through bars; row 0 is the bar at whose close it opened, with nothing held.

    Every array has length T: `closed_at` int64 ms UTC; `close`; `equity` at the close; `exposure` = signed notional ÷
    equity; `action` the target that led to this row (0 in row 0); `fees`, `funding` (paid positive), `borrow` and
    `turnover` cumulative amounts; `trades` int64 cumulative; `state` int8 of `market.limits.State`.
    """

    name: str
    interval_ms: int
    closed_at: Ints
    close: Floats
    equity: Floats
    exposure: Floats
    action: Floats
    fees: Floats
    funding: Floats
    borrow: Floats
    turnover: Floats
    trades: Ints
    state: NDArray[np.int8]

    def __post_init__(self) -> None:
        for field in fields(self)[2:]:
            values = getattr(self, field.name)
            if len(values) != len(self.closed_at):
                raise ValueError(f"track {self.name}: {field.name} has {len(values)} rows, not {len(self.closed_at)}")
            if not np.all(np.isfinite(values)):
                raise ValueError(f"track {self.name}: {field.name} is not finite everywhere")
        if len(self.closed_at) < 2:
            raise ValueError(f"track {self.name} has {len(self.closed_at)} rows; a track needs two")

    def __len__(self) -> int:
        return len(self.closed_at)

    @property
    def returns(self) -> Floats:
        """(T-1,) float64: simple returns of equity, bar by bar; 0 once nothing is left."""
        before = self.equity[:-1]
        alive = before > 0.0
        return np.where(alive, np.diff(self.equity) / np.where(alive, before, 1.0), 0.0)

    def metrics(self) -> dict[str, float]:
        """The figures named in `METRICS`; see `figures.metrics_of`."""
        return metrics_of(self)

    def save(self, path: str | Path) -> Path:
        """Write one .npz file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Track":
        """Read what `save` wrote; ValueError where a column is missing, for a cost that is not there is not 0."""
        with np.load(path, allow_pickle=False) as file:
            for field in fields(cls):
                if field.name not in file:
                    raise ValueError(f"{path} has no {field.name}: an older version wrote it; make it again")
            values: dict[str, Any] = {field.name: file[field.name] for field in fields(cls)}
        return cls(**values | {"name": str(values["name"]), "interval_ms": int(values["interval_ms"])})


_COLUMNS = tuple(field.name for field in fields(Track)[2:])


class Walk(Protocol):
    """What `follow` needs of an environment: one account walking bar by bar, told by `info`."""

    @property
    def account(self) -> Account: ...
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]: ...
    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]: ...


def stitch(name: str, tracks: list[Track]) -> Track:
    """One track out of several that follow each other in time: equity goes on from where the last one ended."""
    if not tracks:
        raise ValueError(f"track {name}: there is nothing to stitch")
    parts = [tracks[0]]
    for track in tracks[1:]:
        if track.closed_at[0] < parts[-1].closed_at[-1]:
            raise ValueError(f"track {name}: a part opens at {track.closed_at[0]}, before the last one ended")
        parts.append(_continued(parts[-1], track))
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name)[i > 0 :] for i, part in enumerate(parts)])
        for field in fields(Track)[2:]
    }
    return Track(name, tracks[0].interval_ms, **columns)


def _continued(before: Track, track: Track) -> Track:
    scale = float(before.equity[-1] / track.equity[0])
    columns: dict[str, Any] = {field.name: getattr(track, field.name) for field in fields(Track)[2:]}
    columns["equity"] = track.equity * scale
    for name in ("fees", "funding", "borrow", "turnover"):
        columns[name] = (columns[name] - columns[name][0]) * scale + getattr(before, name)[-1]
    columns["trades"] = track.trades - track.trades[0] + before.trades[-1]
    return Track(track.name, track.interval_ms, **columns)


def run_policy(
    policy: Policy,
    bars: Bars,
    *,
    spec: ObservationSpec | str = "default",
    instrument: Instrument | None = None,
    costs: Costs | None = None,
    limits: Limits | None = None,
    past: Tabled | None = None,
    funding: Funding | None = None,
    actions: str = "box",
    dead_band: float = 0.02,
    start: int = 0,
    cash: float = 100_000.0,
    close_out: bool = False,
    name: str = "policy",
) -> Track:
    """Drive `policy` through `bars` to their end, from bar `start` or, where that is not warm yet, the first warm one.

    Limits stand in `live` mode unless given. A gap that ends a segment closes the position; the account goes on in
    the next segment with the money that is left, and stays flat there if it was halted. Ruin ends the track.
    `close_out` sells everything on the last bar, at its usual cost: another policy takes over there.
    """
    keywords = EnvKeywords(
        instrument=instrument,
        costs=costs,
        limits=limits or Limits(mode="live"),
        funding=funding,
        observation=spec,
        past=past,
        random_start=False,
        dead_band=dead_band,
    )
    tracks: list[Track] = []
    for piece, first in _pieces(bars, start, spec):
        halted = bool(tracks) and int(tracks[-1].state[-1]) == State.HALTED
        keywords["cash"] = float(tracks[-1].equity[-1]) if tracks else cash
        env = TradingEnv(piece, **keywords)
        track = follow(
            _Stays() if halted else policy,
            env,
            name=name,
            interval_ms=bars.interval_ms,
            actions="box" if halted else actions,
            options={"start": first},
            flat_from=int(bars.closed_at[-2]) if close_out else None,
        )
        tracks.append(replace(track, state=np.full(len(track), State.HALTED, np.int8)) if halted else track)
        if env.account.ruin:
            break
    return stitch(name, tracks)


def judge(
    policy: Policy,
    bars: Bars,
    terrain: Terrain,
    *,
    past: Tabled | None = None,
    funding: Funding | None = None,
    start: int = 0,
    cash: float = 100_000.0,
    close_out: bool = False,
    name: str = "policy",
) -> Track:
    """`run_policy` on the terrain that a passport names, under its limits."""
    return run_policy(
        policy,
        bars,
        spec=terrain.spec,
        instrument=terrain.instrument,
        costs=terrain.costs,
        limits=terrain.limits,
        past=past,
        funding=funding,
        actions=terrain.action,
        dead_band=terrain.dead_band,
        start=start,
        cash=cash,
        close_out=close_out,
        name=name,
    )


def follow(
    policy: Policy,
    env: Walk,
    *,
    name: str,
    interval_ms: int,
    actions: str = "box",
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    flat_from: int | None = None,
) -> Track:
    """Let `policy`, whose actions are "box" or "discrete", act in `env` for one episode, and write down every bar.

    `env` takes target exposures (box). From the close `flat_from` on (ms UTC) the target is 0. A policy that sees bars
    is shown those up to the first decision, and then each as it closes.
    """
    observation, info = env.reset(seed=seed, options=options)
    rule = policy if isinstance(policy, SeesBars) else None
    if rule is not None:
        rule.begin(bars_so_far(env), env.account)
        actions = "box"
    rows = [row_of(info, env.account, 0.0)]
    state, starts, over = None, np.ones(1, np.bool_), False
    while not over:
        decision = policy.act(observation[None], state, starts)
        state, starts = decision.state, np.zeros(1, np.bool_)
        exposure = exposure_of(float(decision.action[0, 0]), actions)
        if flat_from is not None and int(info["closed_at"]) >= flat_from:
            exposure = 0.0
        observation, _, terminated, truncated, info = env.step(np.array([exposure]))
        if rule is not None:
            rule.see(last_bar(env), env.account)
        rows.append(row_of(info, env.account, exposure))
        over = terminated or truncated
    return track_of(name, interval_ms, rows)


def track_of(name: str, interval_ms: int, rows: Sequence[Row]) -> Track:
    """The track whose rows these are, each from `row_of`."""
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    columns: dict[str, Any] = dict(zip(_COLUMNS, arrays, strict=True))
    return Track(name, interval_ms, **columns | {"state": columns["state"].astype(np.int8)})


def warm_up_bars(spec: ObservationSpec, interval_ms: int | None = None) -> int:
    """Bars up to and with the first one that can be observed and priced."""
    return max(warm_up(spec.market, interval_ms), CONDITION_WARM_UP) + spec.window - 1


def row_of(info: Mapping[str, Any], account: Account, action: float) -> Row:
    """One row of a track: what an env told, the account, and the target that led there."""
    return (
        int(info["closed_at"]),
        float(info["close"]),
        account.equity,
        float(info["exposure"]),
        action,
        account.fees,
        account.funding,
        account.borrow,
        account.turnover,
        account.trades,
        account.state,
    )


def _pieces(bars: Bars, start: int, spec: ObservationSpec | str) -> list[tuple[Bars, int]]:
    """(bars of one segment, its first bar to observe), from the segment of `start` on.

    A piece keeps the first bar after its gap, so that the environment knows that a gap follows.
    """
    named = ObservationSpec.load(spec) if isinstance(spec, str) else spec
    need = warm_up_bars(named, bars.interval_ms)
    pieces = []
    for begin, stop in bars.segments():
        first = max(start - begin, need - 1)
        if first < stop - begin - 1:
            pieces.append((bars.slice(begin, min(stop + 1, len(bars))), first))
    if not pieces:
        raise ValueError(f"{len(bars)} bars are too few: observation {named.name} warms up over {need} of them")
    return pieces


class _Stays:
    """A halted account's policy: flat."""

    def act(self, observations: NDArray[np.float32], state: Any = None, starts: Any = None) -> Decision:
        count = len(observations)
        return Decision(np.zeros((count, 1), np.float32), np.ones(count, np.float32), np.zeros(count, np.float32))
