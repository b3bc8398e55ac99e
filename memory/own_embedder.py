"""An embedder of one's own: `my_package.embedders:Learned` names a class, which sees one window of bars at a time.

    class Learned:
        def __init__(self, numbers): self.numbers = numbers       # named arrays: what is saved, hashed and loaded
        @classmethod
        def fit(cls, bars, window, width): ...                    # the training slice, and nothing after it
        def vector(self, window): ...                             # one direction for these bars; its length is nothing

Because a vector is made of its own window alone, it cannot know the future, and a history and a live market give the
same bits. Knows neither what the directions mean nor who searches among them.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..market.addresses import load, own_digests
from ..market.bars import Bars
from ..market.durable import write_whole
from .moments import PastError, Singles

FORMAT = 1
CALM = 2.0 / 3.0  # the share of the training slice that does not count as highly volatile
_NUMBERS = "numbers/"

Numbers = Mapping[str, NDArray[Any]]


class Mind(Protocol):
    """What a user's class makes: it answers with a direction, and all that it has learnt is in `numbers`."""

    numbers: Mapping[str, ArrayLike]

    def vector(self, window: Bars) -> ArrayLike: ...


class MindKind(Protocol):
    """The user's class itself; `width` is None where config leaves it to the class."""

    def __call__(self, numbers: Numbers) -> Mind: ...
    def fit(self, bars: Bars, window: int, width: int | None) -> Mind: ...


@dataclass(frozen=True, eq=False)
class OwnEmbedder:
    """A user's embedder, fitted: where its code stands, the sha256 of that code by file, and its numbers."""

    address: str
    interval: str
    window: int
    fitted_until: int
    high_volatility: float
    width: int
    sources: Mapping[str, str]
    numbers: Numbers
    mind: Mind = field(init=False, repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mind", _kind(self.address)(dict(self.numbers)))
        object.__setattr__(self, "digest", _digest(self))

    @classmethod
    def fit(cls, address: str, bars: Bars, stop: int, *, window: int, width: int | None) -> "OwnEmbedder":
        """Fit the class at `address` on bars 0 … stop−1; what is not in its `numbers` is forgotten here and now."""
        slice_ = bars.slice(0, stop)
        first = next(windows(slice_, window), None)
        if first is None:
            raise PastError(f"{stop} bars hold no whole window of {window} to fit {address} on")
        mind = _kind(address).fit(slice_, window, width)
        numbers = _checked_numbers(address, getattr(mind, "numbers", None))
        found = np.asarray(mind.vector(first))
        if found.ndim != 1 or not len(found):
            raise PastError(f"embedder {address} gives a vector of shape {found.shape}, it must be one row of numbers")
        if width is not None and len(found) != width:
            raise PastError(f"embedder {address} is {len(found)} wide, memory.width asks for {width}")
        until, calm = int(bars.closed_at[stop - 1]), high_volatility(slice_, window)
        return cls(address, bars.interval, window, until, calm, len(found), _sources(address), numbers)

    def vectors(self, bars: Bars) -> Singles:
        """(T, D) float32 of unit norm; row t uses the window that ends with bar t, NaN while that is not whole."""
        out = np.full((len(bars), self.width), np.nan, np.float32)
        if bars.interval != self.interval:
            raise PastError(f"the embedder was fitted on {self.interval} bars, these are {bars.interval}")
        for start, stop in bars.segments():
            for end in range(start + self.window, stop + 1):
                out[end - 1] = self._direction(bars.slice(end - self.window, end))
        return out

    def vector(self, window: Bars) -> Singles:
        """(D,) float32 at the last of these bars: the same bits as that row of `vectors`."""
        row: Singles = self.vectors(window.slice(max(0, len(window) - self.window), len(window)))[-1]
        return row

    def save(self, path: str | Path) -> None:
        """Write an .npz without pickled objects, whole or not at all."""
        told = {**_terms(self), "kind": self.address, "format": FORMAT, "digest": self.digest}
        arrays = {f"{_NUMBERS}{name}": array for name, array in self.numbers.items()}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, kind=np.array(self.address), terms=np.array(json.dumps(told)), **arrays)
        write_whole(Path(path), file.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "OwnEmbedder":
        """Read what `save` wrote; a torn or changed file, and one made with other code, are refused."""
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
                told: dict[str, Any] = json.loads(str(file["terms"]))
                names = [name for name in file.files if name.startswith(_NUMBERS)]
                numbers = {name.removeprefix(_NUMBERS): file[name] for name in names}
            address, sources = str(told["kind"]), dict[str, str](told["sources"])
            rest = {name: told[name] for name in ("interval", "window", "fitted_until", "high_volatility", "width")}
        except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise PastError(f"embedder {path} cannot be read: {error}") from None
        if told.get("format") != FORMAT:
            raise PastError(f"embedder {path} is of format {told.get('format')}, this house reads {FORMAT}")
        found = _sources(address)
        for place in sorted(found.keys() | sources.keys()):
            if found.get(place) != sources.get(place):
                raise PastError(f"embedder {path}: {place} is not the code that {address} was fitted with")
        embedder = cls(address=address, sources=sources, numbers=numbers, **rest)
        if embedder.digest != told.get("digest"):
            raise PastError(f"embedder {path} is not the one that was saved: its digest differs")
        return embedder

    def _direction(self, window: Bars) -> Singles:
        found = np.asarray(self.mind.vector(window), np.float64)
        if found.shape != (self.width,):
            raise PastError(f"embedder {self.address} gives shape {found.shape}, its width is {self.width}")
        if not np.isfinite(found).all():
            at = int(window.closed_at[-1])
            raise PastError(f"embedder {self.address} gives NaN or infinity for the window that closed at {at}")
        norm = float(np.sqrt(np.square(found).sum()))
        direction: Singles = (found / norm if norm > 1e-12 else np.full(self.width, np.nan)).astype(np.float32)
        return direction  # of no length: it points nowhere, so it is no moment


def windows(bars: Bars, window: int) -> Iterator[Bars]:
    """Every whole window of `window` bars, oldest first; none spans a gap of more than three intervals."""
    if window < 2:
        raise PastError(f"window {window} must be at least two bars")
    for start, stop in bars.segments():
        for end in range(start + window, stop + 1):
            yield bars.slice(end - window, end)


def high_volatility(bars: Bars, window: int) -> float:
    """The volatility per bar, over a window, that divides the calm two thirds of these bars from the rest."""
    found = list[NDArray[np.float64]]()
    for start, stop in bars.segments():
        squares = np.square(np.diff(np.log(bars.close[start:stop])))
        if len(squares) >= window - 1:
            found.append(np.sqrt(np.lib.stride_tricks.sliding_window_view(squares, window - 1).mean(axis=1)))
    return float(np.quantile(np.concatenate(found), CALM))


def _kind(address: str) -> MindKind:
    try:
        found = load(address, "embedder")
    except ValueError as error:
        raise PastError(str(error)) from None
    if not (callable(found) and callable(getattr(found, "fit", None)) and callable(getattr(found, "vector", None))):
        module, _, name = address.partition(":")
        raise PastError(f"embedder {address!r}: {module} has no class {name} with fit and vector")
    kind: MindKind = found  # type: ignore[assignment]  # what it takes and gives shows when it is called
    return kind


def _sources(address: str) -> dict[str, str]:
    try:
        return own_digests([address])
    except ValueError as error:
        raise PastError(f"embedder {address}: {error}") from None


def _checked_numbers(address: str, numbers: object) -> dict[str, NDArray[Any]]:
    if not isinstance(numbers, Mapping):
        raise PastError(f"embedder {address} has no numbers: a mapping of names to arrays is what is saved of it")
    checked = {str(name): np.asarray(value) for name, value in numbers.items()}
    for name, array in checked.items():
        if array.dtype.kind not in "biuf":
            raise PastError(f"numbers {name!r} of embedder {address} are {array.dtype}; only numbers can be kept")
        if not np.isfinite(array).all():
            raise PastError(f"numbers {name!r} of embedder {address} hold NaN or infinity")
    return checked


def _terms(embedder: OwnEmbedder) -> dict[str, Any]:
    names = ("interval", "window", "fitted_until", "high_volatility", "width")
    return {**{name: getattr(embedder, name) for name in names}, "sources": dict(sorted(embedder.sources.items()))}


def _digest(embedder: OwnEmbedder) -> str:
    digest = hashlib.sha256(json.dumps([embedder.address, _terms(embedder)]).encode())
    for name, array in sorted(embedder.numbers.items()):
        digest.update(f"|{name}={array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
