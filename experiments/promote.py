"""Champion or not: three gates over the evidence in a run's folder, and the verdict with its reasons.

1. `out_of_sample`: the deflated Sharpe ratio of the stitched walk-forward, with every run in the store as a
trial. 2. `stress`: no liquidation, bounded drawdown and bounded loss in every scenario of the matrix. 3.
`parity`: the paper venue made of this passport, bar for bar, what the environment made of it, to the last
bit.

A gate whose evidence is missing, stale or unreadable is closed. Reads files and decides; the paper replay
and the registry belong to the door.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agents.seal import SEAL, file_digest
from .evaluate import Track
from .runs import RECORD, RunError, read_json, write_json
from .seeds import role_rng
from .statistics import (
    deflated_sharpe,
    expected_max_sharpe,
    mean_difference,
    moments_of,
    probabilistic_sharpe,
    sharpe_difference,
    trial_variance,
)

WALK, STRESS, PARITY, PROMOTION = "walkforward.json", "stress.json", "parity.json", "promotion.json"
MAKERS = {WALK: "walkforward", STRESS: "stress", PARITY: "promote"}  # the verb that makes each evidence
GATES = ("out_of_sample", "stress", "parity")
WALK_TRACK, WALK_HOLD = "tracks/oos_policy.npz", "tracks/oos_hold.npz"

BOOKED = ("equity", "fees", "funding", "borrow", "turnover", "trades", "state")  # what parity compares

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Standard:
    """How far the evidence must reach. `drawdown` and `mean_loss` are positive shares of equity."""

    deflated_sharpe: float
    walk_bars: int
    scenarios: tuple[str, ...]
    pairs: int
    drawdown: float
    mean_loss: float
    parity_bars: int


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: open or closed, a sentence for each reason it is closed, and the figures it looked at."""

    name: str
    passed: bool
    reasons: tuple[str, ...]
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Promoted if every gate is open. `passport` is the sha256 of the passport's seal."""

    passport: str
    gates: tuple[Gate, ...]

    @property
    def promoted(self) -> bool:
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not: empty where promoted."""
        return tuple(f"{gate.name}: {reason}" for gate in self.gates for reason in gate.reasons)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": "promoted" if self.promoted else "refused",
            "passport_sha256": self.passport,
            "gates": [asdict(gate) for gate in self.gates],
        }


def weigh(run: Path, passport: Path, *, trials: int, standard: Standard, seed: int) -> Verdict:
    """Put the evidence in a run's folder before the gates. `trials`: how many runs the tracking store remembers."""
    seal = seal_digest(passport)
    gates = (
        _guarded("out_of_sample", lambda: _out_of_sample(run, trials, standard, seed)),
        _guarded("stress", lambda: stress_gate(_evidence(run / STRESS, seal), standard)),
        _guarded("parity", lambda: parity_gate(_evidence(run / PARITY, seal), standard)),
    )
    return Verdict(seal, gates)


def out_of_sample_gate(track: Track, hold: Track | None, trials: int, standard: Standard, seed: int) -> Gate:
    """Open if the stitched walk-forward beats the luckiest of `trials` skill-less ones with the wanted probability."""
    moments = moments_of(track.returns)
    variance = trial_variance([], moments.size)
    probability = deflated_sharpe(moments, trials, variance)
    figures: dict[str, Figure] = {
        "bars": moments.size,
        "trials": trials,
        "sharpe_per_bar": moments.sharpe,
        "luckiest_sharpe_per_bar": expected_max_sharpe(trials, variance),
        "probabilistic_sharpe": probabilistic_sharpe(moments),
        "deflated_sharpe": probability,
        "total_return": float(track.equity[-1] / track.equity[0] - 1.0),
    }
    reasons = []
    if moments.size < standard.walk_bars:
        reasons.append(f"{moments.size} out-of-sample bars are fewer than {standard.walk_bars}")
    if not probability >= standard.deflated_sharpe:
        reasons.append(
            f"the deflated Sharpe ratio is {probability:.3f}, below {standard.deflated_sharpe:g}: "
            f"the best of {trials} lucky runs would look as good"
        )
    if hold is not None and len(hold) == len(track):
        for name, difference in (("mean", mean_difference), ("sharpe", sharpe_difference)):
            edge = difference(track.returns, hold.returns, rng=role_rng(seed, "promote"))
            told = {"": edge.estimate, "_low": edge.low, "_high": edge.high}
            figures |= {f"{name}_over_hold{end}": value for end, value in told.items()}
    return Gate("out_of_sample", not reasons, tuple(reasons), figures)


def stress_gate(evidence: Mapping[str, Any], standard: Standard) -> Gate:
    """Open if every wanted scenario was driven often enough, without liquidation, deep drawdown or heavy mean loss."""
    policy, reasons = evidence["policy"], []
    figures: dict[str, Figure] = {"pairs": len(evidence["seeds"])}
    for scenario in standard.scenarios:
        cells = [c for c in evidence["cells"] if (c["policy"], c["scenario"]) == (policy, scenario)]
        if len(cells) < standard.pairs:
            why = evidence["absent"].get(scenario, f"{len(cells)} seeds were driven, {standard.pairs} are wanted")
            reasons.append(f"{scenario} is not covered: {why}")
            continue
        drawdown = float(np.max([cell["max_drawdown"] for cell in cells]))  # NaN stays NaN, and closes the gate
        mean = float(np.mean([cell["total_return"] for cell in cells]))
        liquidated = sum(bool(cell["liquidated"]) for cell in cells)
        figures |= {
            f"{scenario}_worst_drawdown": drawdown,
            f"{scenario}_mean_return": mean,
            f"{scenario}_liquidated": liquidated,
        }
        if liquidated:
            reasons.append(f"{scenario}: liquidated in {liquidated} of {len(cells)} seeds")
        if not drawdown <= standard.drawdown:
            reasons.append(f"{scenario}: the worst drawdown is {drawdown:.1%}, above {standard.drawdown:.0%}")
        if not mean >= -standard.mean_loss:
            reasons.append(f"{scenario}: it loses {-mean:.1%} on average, more than {standard.mean_loss:.0%}")
    return Gate("stress", not reasons, tuple(reasons), figures)


def parity_gate(evidence: Mapping[str, Any], standard: Standard) -> Gate:
    """Open if paper and environment booked the same on every one of enough bars."""
    if absent := evidence.get("absent"):
        return Gate("parity", False, (f"it could not be rehearsed on paper: {absent}",), {"bars": 0})
    reasons = []
    if evidence["bars"] < standard.parity_bars:
        reasons.append(f"{evidence['bars']} bars were compared, {standard.parity_bars} are wanted")
    if evidence["differing"]:
        first = evidence["first_difference"]
        reasons.append(f"paper and environment differ on {evidence['differing']} bars, first {first}")
    figures = {key: evidence[key] for key in ("bars", "differing", "trades", "first_difference")}
    for key in ("actions_apart", "lots_apart"):  # by the graph of a large memory, which paper would be asked by
        if key in evidence.get("graph", {}):
            figures[f"graph_{key}"] = evidence["graph"][key]
    return Gate("parity", not reasons, tuple(reasons), figures)


def parity_evidence(
    track: Track, closed_at: NDArray[np.int64], booked: Mapping[str, NDArray[Any]], passport: Path
) -> dict[str, Any]:
    """Compare the environment's track with what was booked on paper (columns `BOOKED`), bar for bar, bit for bit."""
    rows = {int(at): row for row, at in enumerate(closed_at)}
    differing, first = 0, None
    for ours, at in enumerate(track.closed_at.tolist()):
        told = _difference(track, ours, booked, rows.get(at))
        if told is not None:
            differing += 1
            first = first or f"at {at}: {told}"
    return {
        "passport_sha256": seal_digest(passport),
        "bars": len(track),
        "differing": differing,
        "first_difference": first,
        "trades": int(track.trades[-1]),
    }


def no_parity(why: str, passport: Path) -> dict[str, Any]:
    """What stands in parity.json where paper could not trade the passport at all."""
    return {"passport_sha256": seal_digest(passport), "absent": why}


def seal_digest(passport: Path) -> str:
    """sha256 of a passport's seal, which covers every byte of it."""
    seal = passport / SEAL
    if not seal.is_file():
        raise RunError(f"{passport} is not a sealed passport: it has no {SEAL}")
    return file_digest(seal)


def write_verdict(run: Path, verdict: Verdict) -> Path:
    """Write promotion.json into a run's folder."""
    return write_json(run / PROMOTION, verdict.to_json())


def _out_of_sample(run: Path, trials: int, standard: Standard, seed: int) -> Gate:
    told, record = _read(run / WALK), read_json(run / RECORD)
    if told.get("config_digest") != record.get("config_digest"):
        raise RunError(f"{WALK} is of another config than this run's")
    if trials < 1:
        raise RunError("the tracking store remembers no run, so its trials cannot be counted")
    hold = Track.load(run / WALK_HOLD) if (run / WALK_HOLD).is_file() else None
    return out_of_sample_gate(Track.load(run / WALK_TRACK), hold, trials, standard, seed)


def _evidence(path: Path, seal: str) -> dict[str, Any]:
    told = _read(path)
    if told.get("passport_sha256") != seal:
        raise RunError(f"{path.name} is of another passport than this run's")
    return told


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RunError(f"{path.name} is missing: wavetank {MAKERS[path.name]} makes it")
    return read_json(path)


def _guarded(name: str, gate: Callable[[], Gate]) -> Gate:
    """Fail closed: evidence that cannot be read, or says nothing, is a reason and not an error."""
    try:
        return gate()
    except (RunError, OSError, ValueError, KeyError, TypeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return Gate(name, False, (f"no usable evidence: {what}",), {})


def _difference(track: Track, row: int, booked: Mapping[str, NDArray[Any]], there: int | None) -> str | None:
    if there is None:
        return "paper has no such bar"
    for name in BOOKED:
        ours, theirs = getattr(track, name)[row].item(), booked[name][there].item()
        if ours != theirs:
            return f"{name} {ours!r} in the environment, {theirs!r} on paper"
    return None
