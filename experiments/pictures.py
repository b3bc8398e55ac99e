"""From tracks to pictures: equity, drawdown, a storm with its trades, the training curve. Says what each one shows.

Knows what a track means and how a picture is drawn; reads no file and judges nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluate import Track
from .figures import max_drawdown
from .plots import Line, Marks, Panel, Range, Span, bars, chart, intervals

NAMES = {"policy": "policy", "hold": "buy & hold", "ma_cross": "MA cross", "flat": "flat"}
ALL = "all_s"  # the timing of everything together
BARS_BEFORE, BARS_AFTER = 60, 150  # what a storm's picture shows around it
MOST_MARKS = 40  # more triangles than this hide the line they stand on

Floats = NDArray[np.float64]


def name_of(policy: str) -> str:
    """How a policy is called on the page."""
    return NAMES.get(policy, policy)


def equity_picture(tracks: Mapping[str, Track], seams: Sequence[int], what: str) -> str:
    """Growth of one unit of money, the policy's beside the baselines'; `seams` are the windows' first closes."""
    lines = [_line(name, track, track.equity / track.equity[0] - 1.0) for name, track in tracks.items()]
    spans = [
        Span(a, b, f"window {i + 1}", "window") for i, (a, b) in enumerate(_stretches(seams, tracks)) if i % 2 == 0
    ]
    ends = ", ".join(f"{name_of(n)} {t.equity[-1] / t.equity[0] - 1.0:+.2%}" for n, t in tracks.items())
    return chart(
        [Panel(lines, "return", 280, percent=True, zero=True, spans=spans)],
        title="Equity against buy-and-hold.",
        caption=what,
        alt=f"Lines of the return over time, {what} At the end: {ends}.",
    )


def drawdown_picture(tracks: Mapping[str, Track]) -> str:
    """How far each equity stands below its highest value so far."""
    lines = [
        _line(name, track, track.equity / np.maximum.accumulate(track.equity) - 1.0, filled=name == "policy")
        for name, track in tracks.items()
        if name != "flat"
    ]
    worst = ", ".join(f"{name_of(n)} {max_drawdown(t.equity):.2%}" for n, t in tracks.items() if n != "flat")
    return chart(
        [Panel(lines, "below peak", 170, percent=True, zero=True)],
        title="Drawdown.",
        caption="Distance of each equity from its own peak, over the same bars.",
        alt=f"Lines of the drawdown over time. Deepest: {worst}.",
    )


def storm_picture(tracks: Mapping[str, Track], weather: Mapping[str, int] | None, *, title: str, caption: str) -> str:
    """Price with the policy's trades, what it held, and what that was worth, around one storm."""
    if weather is not None:
        tracks = _around(tracks, weather)
    track = tracks["policy"]
    spans, unnamed = _storm_spans(weather, "storm"), _storm_spans(weather, "")
    x = track.closed_at.astype(np.float64)
    marks, told = trade_marks(track)
    price = Panel([Line("price", "market", x, track.close)], "price", 230, marks=marks, spans=spans)
    held = Panel(
        [Line("held", "policy", x, track.exposure, step=True, filled=True)],
        "exposure",
        100,
        percent=True,
        zero=True,
        limits=(-1.15, 1.15),
        spans=unnamed,
    )
    worth = Panel(
        [_line(n, t, t.equity / t.equity[0] - 1.0) for n, t in tracks.items() if n != "flat"],
        "return",
        130,
        percent=True,
        zero=True,
        spans=unnamed,
    )
    traded = int(track.trades[-1] - track.trades[0])
    fall = float(track.close.min() / track.close[0] - 1.0)
    return chart(
        [price, held, worth],
        title=title,
        caption=f"{caption} {told}",
        alt=f"The price, at its lowest {fall:+.2%} from where it began, and the policy's {traded} trades; "
        f"below it the exposure, and the returns: policy {track.equity[-1] / track.equity[0] - 1.0:+.2%}.",
    )


def trade_marks(track: Track) -> tuple[Marks, str]:
    """Where the policy traded, and the sentence that says so; of many trades the largest are marked."""
    held = track.exposure * track.equity / track.close
    size = np.diff(held)
    rows = np.flatnonzero(np.diff(track.trades) > 0)
    told = "Triangles are its trades: up bought, down sold."
    if len(rows) > MOST_MARKS:
        told = f"Triangles are the {MOST_MARKS} largest of its {len(rows)} trades: up bought, down sold."
        rows = np.sort(rows[np.argsort(-np.abs(size[rows]), kind="stable")[:MOST_MARKS]])
    at = rows + 1
    marks = Marks(track.closed_at[at].astype(np.float64), track.close[at], size[rows] > 0.0)
    return marks, told if len(rows) else "It did not trade."


def training_picture(points: Sequence[Mapping[str, float]]) -> str:
    """The mean return of training episodes over environment steps; empty where no episode has ended."""
    seen = [point for point in points if "rollout/return" in point]
    if len(seen) < 2:
        return ""
    x = np.array([point["step"] for point in seen], np.float64)
    y = np.array([point["rollout/return"] for point in seen], np.float64)
    spread = [p for p in points if "train/explained_variance" in p]
    panels = [Panel([Line("return", "policy", x, y)], "per episode", 190, zero=True)]
    if len(spread) >= 2:
        steps = np.array([p["step"] for p in spread], np.float64)
        explained = np.clip([p["train/explained_variance"] for p in spread], -1.0, 1.0)
        panels.append(Panel([Line("value", "hold", steps, explained)], "explained variance", 90, limits=(-1.1, 1.1)))
    return chart(
        panels,
        title="Learning curve.",
        caption="Mean reward of the episodes that ended, as the trainer saw it; below, how well values are foretold.",
        alt=f"The mean episode reward goes from {y[0]:.4g} to {y[-1]:.4g} over {int(x[-1]):,} steps.",
        time=False,
        x_label="steps",
    )


def stress_picture(against: Sequence[Mapping[str, Any]], figure: str) -> str:
    """Paired differences to each baseline, by scenario, with their confidence intervals."""
    rows = [
        Range(
            f"{row['scenario'].replace('_', ' ')} · {name_of(row['baseline'])}",
            row["comparison"]["difference"]["low"],
            row["comparison"]["difference"]["estimate"],
            row["comparison"]["difference"]["high"],
            row["baseline"] if row["baseline"] in NAMES else "policy",
        )
        for row in against
        if row["figure"] == figure
    ]
    if not rows:
        return ""
    what = "Return" if figure == "total_return" else "Drawdown"
    told = "; ".join(f"{r.label} {r.estimate:+.2%} ({r.low:+.2%} to {r.high:+.2%})" for r in rows)
    return intervals(
        rows,
        title=f"{what} beside each baseline's, on the same seeds.",
        caption="Mean of the paired differences and its 95 % bootstrap interval; right of the line: better.",
        alt=f"Differences with intervals: {told}.",
    )


def timing_picture(timings: Mapping[str, float]) -> str:
    """Where the time went, in seconds."""
    rows = [
        (name.removesuffix("_s").replace("_", " "), float(value))
        for name, value in timings.items()
        if name.endswith("_s") and not name.endswith("per_s") and name != ALL
    ]
    if not rows:
        return ""
    told = ", ".join(f"{label} {value:.1f} s" for label, value in rows)
    whole = f" {timings[ALL]:.0f} s in all." if ALL in timings else ""
    caption = f"Seconds by the wall clock.{whole}"
    return bars(rows, title="Where the time went.", caption=caption, alt=f"Bars: {told}.", unit="s")


def _line(name: str, track: Track, values: Floats, filled: bool = False) -> Line:
    role = name if name in NAMES else "market"
    return Line(name_of(name), role, track.closed_at.astype(np.float64), values, filled=filled)


def _stretches(seams: Sequence[int], tracks: Mapping[str, Track]) -> list[tuple[float, float]]:
    if len(seams) < 2:
        return []
    last = max(int(track.closed_at[-1]) for track in tracks.values())
    ends = [*seams[1:], last]
    return [(float(a), float(b)) for a, b in zip(seams, ends, strict=True)]


def _around(tracks: Mapping[str, Track], weather: Mapping[str, int]) -> dict[str, Track]:
    """The tracks from an hour's worth of bars before the onset to two and a half behind the end."""
    cut = {}
    for name, track in tracks.items():
        begin = weather["onset"] - BARS_BEFORE * track.interval_ms
        end = weather["end"] + BARS_AFTER * track.interval_ms
        shown = (track.closed_at >= begin) & (track.closed_at <= end)
        if shown.sum() >= 2:
            columns = {f.name: getattr(track, f.name)[shown] for f in fields(Track)[2:]}
            cut[name] = replace(track, **columns)
    return cut if "policy" in cut else dict(tracks)


def _storm_spans(weather: Mapping[str, int] | None, label: str) -> list[Span]:
    if weather is None:
        return []
    return [
        Span(weather["onset"], weather["end"], label),
        Span(weather["end"], weather["calm_again"], "", "after"),
    ]
