"""A hierarchy as part of a component's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..hierarchy import Hierarchy, grouped
from ..spec import require


@dataclass(frozen=True)
class ClassGroups:
    """Superclasses and the numbers of their classes, from 0: ``ClassGroups((("odd", (1, 3)), ("even", (0, 2))))``.

    ``partial`` allows classes that are in no superclass.

    Raises:
        ValueError: when called, if a class does not exist, or is in no superclass (unless ``partial``) or in several.
    """

    groups: tuple[tuple[str, tuple[int, ...]], ...]
    partial: bool = False

    def __post_init__(self) -> None:
        require(self, len({name for name, _ in self.groups}) == len(self.groups), "groups has a name twice")

    def __call__(self, names: Sequence[str]) -> Hierarchy:
        return grouped(dict(self.groups), names, partial=self.partial)
