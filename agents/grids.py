"""Grids: many settings of one rule, every combination of the values given. Know nothing of markets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from .settings import Setting, SettingFault, setting_of


@dataclass(frozen=True, slots=True)
class Grid:
    """Settings of one rule; `dropped` counts the combinations that make no sense, such as fast >= slow."""

    settings: tuple[Setting, ...]
    dropped: int = 0

    def __post_init__(self) -> None:
        if not self.settings:
            raise ValueError("a grid without a setting has nothing to try")
        if names := {setting.name for setting in self.settings} - {self.name}:
            raise ValueError(f"a grid is of one rule, {self.name}, and not of {', '.join(sorted(names))} as well")

    def __len__(self) -> int:
        return len(self.settings)

    @property
    def name(self) -> str:
        return self.settings[0].name


def grid(name: str, /, **values: Any) -> Grid:
    """Every combination of `values`, each a number or several; those the rule cannot have are dropped and counted.

    >>> len(grid("ma_cross", fast=range(5, 55), slow=range(60, 160, 5)))
    1000
    """
    columns = [list(value) if _is_several(value) else [value] for value in values.values()]
    settings, dropped = [], 0
    for combination in product(*columns):
        try:
            settings.append(setting_of(name, **dict(zip(values, combination, strict=True))))
        except SettingFault:
            dropped += 1
    if not settings:
        raise ValueError(f"none of the {dropped} combinations is a {name} that makes sense")
    return Grid(tuple(settings), dropped)


def _is_several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Mapping)
