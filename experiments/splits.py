"""Which bars train, which select, which judge: splits in time with a gap, so that nothing a policy was fitted on
touches what judges it.

A sample at bar t looks back over its warm-up and forward over its label's horizon. Slices are therefore held apart by
`purge` = max(horizon, warm-up) bars, plus an embargo where wanted. Knows indices only, no prices.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fold:
    """One window: half-open index ranges [start, stop) in time order; validation may be empty (start == stop)."""

    index: int
    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]

    def to_json(self) -> dict[str, object]:
        return {
            "index": self.index,
            "train": list(self.train),
            "validation": list(self.validation),
            "test": list(self.test),
        }


def purge_of(horizon: int, warm_up: int) -> int:
    """Bars to leave unused between two slices, so that neither labels nor features of one reach into the other."""
    if horizon < 0 or warm_up < 0:
        raise ValueError(f"horizon {horizon} and warm-up {warm_up} must be 0 or more")
    return max(horizon, warm_up)


def walk_forward(
    n: int,
    windows: int,
    *,
    train: int,
    validation: int,
    test: int,
    purge: int,
    embargo: int = 0,
    anchored: bool = False,
) -> list[Fold]:
    """Windows that walk through `n` bars; the test slices adjoin and end at bar n, so they stitch to one track.

    Each window is train, gap, validation, gap, test, where a gap is `purge + embargo` bars; `anchored` lets every
    train slice begin at bar 0. Raises ValueError where the bars do not suffice.
    """
    _positive(windows=windows, train=train, test=test)
    _not_negative(validation=validation, purge=purge, embargo=embargo)
    gap = purge + embargo
    length = train + gap + (validation + gap if validation else 0)
    needed = length + windows * test
    if n < needed:
        raise ValueError(
            f"{windows} windows of {train} train, {validation} validation and {test} test bars with gaps of {gap} "
            f"need {needed} bars; there are {n}"
        )
    return [_window(i, n - (windows - i) * test, train, validation, test, gap, anchored) for i in range(windows)]


def holdout(n: int, *, validation: float, test: float, purge: int, embargo: int = 0) -> Fold:
    """One split by shares of `n` bars: the last `test`, before it `validation`, the rest trains."""
    for name, share in (("validation", validation), ("test", test)):
        if not 0.0 <= share < 1.0:
            raise ValueError(f"{name} {share} is not a share in [0, 1)")
    test_bars, validation_bars = round(n * test), round(n * validation)
    gap = purge + embargo
    gaps = gap * ((test_bars > 0) + (validation_bars > 0))
    train = n - test_bars - validation_bars - gaps
    if train <= purge or (validation > 0 and validation_bars < 2):
        raise ValueError(f"{n} bars are too few for validation {validation}, test {test} and gaps of {gap} bars")
    stop = train
    ranges = []
    for bars in (validation_bars, test_bars):
        start = stop + gap if bars else stop
        stop = start + bars
        ranges.append((start, stop))
    return Fold(0, (0, train), ranges[0], ranges[1])


def _window(index: int, test_start: int, train: int, validation: int, test: int, gap: int, anchored: bool) -> Fold:
    validation_stop = test_start - gap
    validation_start = validation_stop - validation
    train_stop = validation_start - gap if validation else validation_stop
    return Fold(
        index,
        (0 if anchored else train_stop - train, train_stop),
        (validation_start, validation_stop),
        (test_start, test_start + test),
    )


def _positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} {count} must be 1 or more")


def _not_negative(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} {count} must be 0 or more")
