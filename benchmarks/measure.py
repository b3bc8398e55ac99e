"""Take a rate several times and print it: a table row for people, one JSON line for machines.

A benchmark reports and never judges: nothing here fails by the clock.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured quantity: `values` of the repetitions, most useful as median with min and max."""

    name: str
    unit: str
    values: list[float]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def row(self) -> str:
        """`name | median [min–max] unit`."""
        low, high = min(self.values), max(self.values)
        return f"{self.name:<58} {short(self.median)} [{short(low)}–{short(high)}] {self.unit}"

    def to_json(self) -> str:
        """One line with everything, machine and load included."""
        return json.dumps({**asdict(self), "median": self.median, **machine()})


def rate(work: Callable[[], int], repetitions: int = 5, warm_ups: int = 1) -> list[float]:
    """Units per second of `work`, which returns how many it did; warm-ups are not counted."""
    for _ in range(warm_ups):
        work()
    values = []
    for _ in range(repetitions):
        began = time.perf_counter()
        done = work()
        values.append(done / (time.perf_counter() - began))
    return values


def versus(peer: str, values: list[float], theirs: list[float] | None) -> dict[str, Any]:
    """What a JSON line says of a peer timed in the same run: its median, and how often ours goes into it."""
    if theirs is None:
        return {"peer": peer, "peer_median": None, "ratio": None}
    median = statistics.median(theirs)
    print(f"  peer {peer}: {short(median)}, ours is {statistics.median(values) / median:,.1f} times that")
    return {"peer": peer, "peer_median": median, "peer_values": theirs, "ratio": statistics.median(values) / median}


def report(figure: Figure) -> None:
    """Print the row and the JSON line."""
    print(figure.row())
    print(figure.to_json(), flush=True)


def machine() -> dict[str, Any]:
    """Processor, cores and the load while measuring."""
    return {"processor": _processor(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}


def short(value: float) -> str:
    """A number as people read it: 17.2M, 61.5k, 6.39."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
