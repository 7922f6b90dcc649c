"""A hierarchy that a user has written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..hierarchy import Hierarchy, grouped
from ..spec import require
from .reading import READERS, groups_in, names_in


@dataclass(frozen=True)
class HierarchyFile:
    """Superclasses from a file: JSON such as ``{"animals": ["cat", "dog"], "vehicles": [3, 5]}``, or CSV with the line
    ``class,superclass`` and below it one for each class.

    A class is given by its name or its number, from 0; a name that is a number goes before the number. ``partial``
    allows classes that are in no superclass. ``classes`` is a file with the names of all classes in the model's order,
    a JSON list or lines, for a model of which only the number of classes is known.

    Raises:
        ValueError: when called, if a file is not as it should be, or names a class that does not exist or is not the
            only one of its name, or a class is in no superclass (unless ``partial``) or in several.
    """

    path: str
    partial: bool = False
    classes: str = ""

    def __post_init__(self) -> None:
        require(self, Path(self.path).suffix.lower() in READERS, "path ends in .json or .csv")

    def __call__(self, names: Sequence[str]) -> Hierarchy:
        called = self.named(names)
        groups = groups_in(Path(self.path))
        try:
            places = places_of(called)
            numbers = {name: [number_of(k, called, places) for k in group] for name, group in groups.items()}
            return grouped(numbers, called, partial=self.partial)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def named(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of classes, from the file of names where they are only numbered."""
        if not self.classes or list(names) != list(map(str, range(len(names)))):
            return tuple(names)
        called = names_in(Path(self.classes))
        if len(called) != len(names):
            raise ValueError(f"{self.classes} names {len(called)} classes, and there are {len(names)}")
        return called


def places_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Where each name stands."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return found


def number_of(wanted: str | int, names: Sequence[str], places: Mapping[str, Sequence[int]]) -> int:
    """The number of a class that is given by name or number; ValueError if a name is that of none or of several."""
    if isinstance(wanted, int):
        return wanted
    at = places.get(wanted.strip(), ())
    if len(at) > 1:
        numbers = ", ".join(map(str, at))
        raise ValueError(f"several classes are called {wanted!r}, so give the number of one: {numbers}")
    if at:
        return at[0]
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10:
        return int(wanted)
    near = get_close_matches(wanted[:100], list(places), cutoff=0.5) or names[:5]
    raise ValueError(f"there is no class {wanted[:100]!r}; there are, among others: {', '.join(near)}")
