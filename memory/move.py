"""Copy a store of the past into another one, and prove that both hold the same.

A digest over id, vector bits and payload, free of order, is taken of what was read and of what then stands; only where
they are equal does the copy get its name. Knows no engine: whoever calls opens both sides.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .moments import OUTCOMES, Moments, PastError
from .recall import Progress
from .store import BATCH, Listed, Page, Payload, page_of

DIGEST_BYTES = 32
_MODULUS = 1 << 8 * DIGEST_BYTES


class Draft(Listed, Protocol):
    """A store in the making, which nobody takes for whole until `publish` gives it its name."""

    def publish(self) -> None: ...
    def discard(self) -> None: ...


@dataclass(frozen=True)
class Content:
    """What a store holds: how many points, and a digest that their order does not change."""

    count: int
    digest: str


def move(source: Listed, draft: Draft, progress: Progress | None = None) -> Content:
    """Copy all points of `source` into `draft` and publish it; PastError, and no draft, where the two then differ.

    A draft that a killed move left is gone on with: ids rise, so what it holds is the beginning.
    """
    total = source.count()
    held = max((page.ids[-1] for page in draft.pages()), default=-1) if draft.count() else -1
    tally = _Tally()
    for page in source.pages():
        tally.add(page)
        if page.ids[-1] > held:
            draft.upsert(*page)
        if progress is not None:
            progress(tally.count, total)
    expected, found = tally.content(), content_of(draft.pages())
    if expected != found:
        draft.discard()
        raise PastError(
            f"the copy differs and was dropped: {found.count} points of digest {found.digest[:12]} stand where "
            f"{expected.count} of {expected.digest[:12]} were read"
        )
    draft.publish()
    return expected


def content_of(pages: Iterable[Page], progress: Progress | None = None, total: int = 0) -> Content:
    """Count and digest of all these points."""
    tally = _Tally()
    for page in pages:
        tally.add(page)
        if progress is not None:
            progress(tally.count, total)
    return tally.content()


def pages_of(moments: Moments, size: int = BATCH) -> Iterator[Page]:
    """Moments as the pages that a store of them would list, in their own order."""
    for start in range(0, len(moments), size):
        yield page_of(moments, range(start, min(start + size, len(moments))))


class _Tally:
    """Adds up points: the sum of their sha256s, which no order changes."""

    def __init__(self) -> None:
        self.count, self._sum = 0, 0

    def add(self, page: Page) -> None:
        vectors = np.ascontiguousarray(page.vectors, "<f4")
        for identity, vector, payload in zip(page.ids, vectors, page.payloads, strict=True):
            point = hashlib.sha256(f"{identity}|{_canonical(payload)}|".encode())
            point.update(vector.tobytes())
            self._sum = (self._sum + int.from_bytes(point.digest(), "big")) % _MODULUS
        self.count += len(page.ids)

    def content(self) -> Content:
        return Content(self.count, self._sum.to_bytes(DIGEST_BYTES, "big").hex())


def _canonical(payload: Payload) -> str:
    """JSON of one form; outcomes as the float32 that they are: an engine's JSON may lose the last bit of a float64."""
    plain = {
        name: float(np.float32(value)).hex() if name in OUTCOMES and isinstance(value, float | int) else value
        for name, value in payload.items()
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
