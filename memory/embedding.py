"""The seam of embedders: `statistics`, `hybrid`, or a class of one's own by its address, `my_package:Learned`.

Fits one by its name, and reads one back from its file, whichever kind wrote it. Knows nothing of what a vector means.
"""

import io
import zipfile
from pathlib import Path
from typing import Protocol

import numpy as np

from ..market.addresses import is_own
from ..market.bars import Bars
from .embed import WIDTH, WINDOW, Embedder
from .hybrid import Hybrid
from .moments import Embedding, PastError
from .own_embedder import OwnEmbedder

STATISTICS, HYBRID = "statistics", "hybrid"
HOUSE = (STATISTICS, HYBRID)


class Fitted(Embedding, Protocol):
    """An embedding that was fitted on a training slice, and can be kept in a file."""

    @property
    def interval(self) -> str: ...
    @property
    def fitted_until(self) -> int:
        """The close of the last bar that it was fitted on, ms UTC."""

    def save(self, path: str | Path) -> None: ...


def fit_embedder(
    name: str, bars: Bars, stop: int | None = None, *, window: int = WINDOW, width: int | None = None
) -> Fitted:
    """Fit the embedder of that name on bars 0 … stop−1 and on nothing after them; without `width` the kind's own."""
    check_embedder(name)
    stop = len(bars) if stop is None else stop
    if not 0 < stop <= len(bars):
        raise PastError(f"the training slice ends at bar {stop}, the history has {len(bars)}")
    if name == STATISTICS:
        return Embedder.fit(bars, stop, window=window, width=WIDTH if width is None else width)
    if name == HYBRID:
        return Hybrid.fit(bars, stop, window=window, width=width)
    return OwnEmbedder.fit(name, bars, stop, window=window, width=width)


def load_embedder(path: str | Path) -> Fitted:
    """Read back what an embedder of any kind saved; PastError where the file is torn, changed or of no kind known."""
    kind = _kind_in(Path(path))
    if kind == STATISTICS:
        return Embedder.load(path)
    if kind == HYBRID:
        return Hybrid.load(path)
    if is_own(kind):
        return OwnEmbedder.load(path)
    raise PastError(f"embedder {path} is of the kind {kind!r}, which this house does not know")


def kind_of(embedder: Embedding) -> str:
    """The name by which `fit_embedder` makes such an embedder."""
    if isinstance(embedder, OwnEmbedder):
        return embedder.address
    return HYBRID if isinstance(embedder, Hybrid) else STATISTICS


def check_embedder(name: str) -> None:
    """Raise PastError where no embedder has that name; an address is looked up when it is fitted."""
    if name not in HOUSE and not is_own(name):
        raise PastError(f"embedder {name!r} is not one of {', '.join(HOUSE)}, nor an address such as my_package:Mine")


def _kind_in(path: Path) -> str:
    """What a file says of its kind; the house's first one says nothing."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return str(file["kind"]) if "kind" in file.files else STATISTICS
    except FileNotFoundError:
        raise PastError(f"there is no embedder at {path}") from None
    except (AttributeError, OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise PastError(f"embedder {path} cannot be read: {error}") from None
