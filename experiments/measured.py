"""Everything that is measured on tracks over the same bars: figures, tests of their VaR, and each against buy-and-hold.

Computes once and holds; shows and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .evaluate import Track
from .tail_risk import LEVELS, METHODS, Kupiec, var_test
from .versus import versus

BENCHMARK = "hold"


@dataclass(frozen=True, eq=False)
class Measured:
    """Tracks by name, ours ("policy") first, and what was measured on them under the same names.

    `against` is empty where buy-and-hold is not among the tracks. `var_tests` are Kupiec's, by method and level:
    `var_tests["policy"]["historical_95"]`, each VaR from the `var_window` bars before.
    """

    tracks: Mapping[str, Track]
    figures: dict[str, dict[str, float]]
    against: dict[str, dict[str, float]]
    var_tests: dict[str, dict[str, Kupiec]]
    var_window: int

    def told(self) -> dict[str, Any]:
        """All of it but the tracks, as plain values for JSON."""
        return {
            "figures": self.figures,
            "against_hold": self.against,
            "var_window": self.var_window,
            "var_tests": {
                name: {key: test._asdict() for key, test in tests.items()} for name, tests in self.var_tests.items()
            },
        }


def measure(tracks: Mapping[str, Track], *, var_window: int) -> Measured:
    """Measure every track, and each but buy-and-hold against it."""
    hold = tracks.get(BENCHMARK)
    return Measured(
        tracks=tracks,
        figures={name: track.metrics() for name, track in tracks.items()},
        against={} if hold is None else {n: versus(t, hold) for n, t in tracks.items() if n != BENCHMARK},
        var_tests={name: _tests(track, var_window) for name, track in tracks.items()},
        var_window=var_window,
    )


def _tests(track: Track, window: int) -> dict[str, Kupiec]:
    return {
        f"{method}_{level * 100:.0f}": var_test(track.returns, level, window=window, method=method)
        for method in METHODS
        for level in LEVELS
    }
