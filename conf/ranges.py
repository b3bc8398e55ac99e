"""Range checks of config values: one sentence that names key and value. Imports nothing of the house."""

import re

LARGEST_SEED = 2**32 - 1  # one word of a SeedSequence


def at_least(key: str, value: float, least: float) -> None:
    """Refuse a number below `least`."""
    if value < least:
        raise ValueError(f"{key}: {value} must be {least} or more")


def above(key: str, value: float, bound: float) -> None:
    """Refuse a number that is not above `bound`."""
    if not value > bound:
        raise ValueError(f"{key}: {value} must be above {bound}")


def share(key: str, value: float) -> None:
    """Refuse what is not a share in [0, 1)."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{key}: {value} is not a share in [0, 1)")


def one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not known."""
    if value not in known:
        raise ValueError(f"{key}: {value!r} is not one of {', '.join(known)}")


def seed_in_range(key: str, value: int) -> None:
    """Refuse a seed that is not one 32-bit word."""
    if not 0 <= value <= LARGEST_SEED:
        raise ValueError(f"{key}: {value} must lie in 0 … {LARGEST_SEED}")


def given(key: str, value: str) -> None:
    """Refuse an empty path."""
    if not value:
        raise ValueError(f"{key}: it is empty; name a folder")


def shaped(key: str, value: str, pattern: str, words: str) -> None:
    """Refuse a word that has not the form of `pattern`, told to people as `words`."""
    if not re.fullmatch(pattern, value):
        raise ValueError(f"{key}: {value!r} is not {words}")
