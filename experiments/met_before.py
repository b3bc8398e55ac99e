"""How much of some bars a policy has met before: the share that trained it, and the share that it was selected on.

Reads what the run's record and the passport say of their data. Knows times, hashes and names; judges no figure.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..market.bars import Bars
from .runs import bars_digest

SAME, ANOTHER, INVENTED, UNKNOWN = "same", "another", "invented", "unknown"  # whose bars, seen from its training


class Met(NamedTuple):
    """`market` is one of the words above; `trained` and `selected` are the shares of the bars that lie in the time of
    its training and of its validation slice, 0 in an invented market; `selected` is None where no run tells it."""

    market: str
    trained: float
    selected: float | None

    @property
    def sentence(self) -> str:
        """Say it in words."""
        selected = "" if self.selected is None else f" and selected on {self.selected:.1%} of them"
        if self.market == SAME:
            return f"it was trained on {self.trained:.1%} of these bars{selected}"
        if self.market == INVENTED:
            return "it was trained on none of these bars, but in an invented market"
        if self.market == ANOTHER:
            return f"it was trained in another market, over the time of {self.trained:.1%} of these bars"
        return f"its market is not on record; if it is this one, it was trained on {self.trained:.1%} of these bars"


def met_before(bars: Bars, source: str, training: Mapping[str, Any], record: Mapping[str, Any]) -> Met:
    """Compare `bars`, read from `source`, with a passport's `training` and a run's `record`, empty without a run."""
    market = _market_of(bars, source, training, record)
    if market == INVENTED:
        return Met(market, 0.0, 0.0)
    validation = record.get("data", {}).get("validation")
    selected = _share(bars, (validation["from"], validation["until"])) if validation else None
    return Met(market, _share(bars, training["range"]), selected)


def _market_of(bars: Bars, source: str, training: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    rows = np.flatnonzero(_inside(bars, training["range"]))
    if len(rows) and bars_digest(bars.slice(int(rows[0]), int(rows[-1]) + 1)) == training["data_sha256"]:
        return SAME
    config, data = record.get("config", {}), record.get("data", {})
    if config and config["env"]["kind"] != "history":
        return INVENTED
    path = config.get("market", {}).get("path")
    if path is not None and (path == source or Path(path).resolve() == Path(source).resolve()):
        return SAME
    ours, theirs = bars.symbol, data.get("symbol")
    if not ours or not theirs:
        return UNKNOWN
    return SAME if ours == theirs else ANOTHER


def _share(bars: Bars, span: tuple[int, int]) -> float:
    return float(np.mean(_inside(bars, span)))


def _inside(bars: Bars, span: tuple[int, int]) -> NDArray[np.bool_]:
    """(T,) bool: the bars that open between two instants, ms UTC."""
    return (bars.opened_at >= span[0]) & (bars.opened_at <= span[1])
