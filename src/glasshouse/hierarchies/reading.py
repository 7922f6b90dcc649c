"""Small files of text that people write: names of classes, and classes in groups."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LARGEST = 4_000_000  # bytes: a class would have a name of a page


def text_in(file: Path, kind: str) -> str:
    """The text of a file that should be of some kind; ValueError if there is none, or too much."""
    if not file.is_file():
        raise ValueError(f"no such file: {file}")
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{file} cannot be read as {kind}: it is larger than {LARGEST // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")  # what spreadsheets write begins with a mark
    except UnicodeDecodeError:
        raise ValueError(f"{file} cannot be read as {kind}: it is no text in UTF-8") from None


def names_in(file: Path) -> tuple[str, ...]:
    """Names of classes in a file: a JSON list of texts, or one on each line."""
    text = text_in(file, "names of classes")
    try:
        found = json.loads(text) if file.suffix.lower() == ".json" else text.splitlines()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as names of classes: {error}") from None
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(n, str) and n.strip() for n in found):
        raise ValueError(f"{file} holds no names of classes, that is, a JSON list of two texts or more, or lines")
    return tuple(name.strip() for name in found)


def groups_in(file: Path) -> dict[str, list[str | int]]:
    """Superclasses in a file ending in .json or .csv, each with the names or numbers of its classes.

    Raises:
        ValueError: if there is no such file, or it is not as it should be.
    """
    groups = READERS[file.suffix.lower()](file)
    if strange := [name for name in groups if not name.strip() or not name.isprintable()]:
        raise ValueError(f"{file}: {strange[0]!r} is no name of a superclass")
    return groups


def groups_in_json(file: Path) -> dict[str, list[str | int]]:
    """``{"animals": ["cat", "dog"], "vehicles": [3, 5]}``, by itself or as "classes" beside notes."""
    text = text_in(file, "JSON")
    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("classes"), dict):
        found = found["classes"]
    wanted = 'a JSON object of lists, {"superclass": ["class", 5, ...], ...}'
    if not isinstance(found, dict) or not all(isinstance(group, list) for group in found.values()):
        raise ValueError(f"{file} holds no hierarchy, that is, {wanted}")
    for name, group in found.items():
        if strange := [k for k in group if isinstance(k, bool) or not isinstance(k, str | int)]:
            kind = type(strange[0]).__name__
            raise ValueError(f"{file}: classes of {name!r} are names or whole numbers, not of type {kind}")
    return found


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError for a name that is there twice, of which Python would keep the last."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


def groups_in_csv(file: Path) -> dict[str, list[str | int]]:
    """A line ``class,superclass``, and below it one for each class."""
    text = text_in(file, "CSV")
    rows = csv.reader(text.splitlines(), strict=True)
    found: dict[str, list[str | int]] = {}
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if sorted(header) != ["class", "superclass"]:
            raise ValueError(f"the first line of {file} is: class,superclass")
        for row in rows:
            cells = [cell.strip() for cell in row]
            if len(cells) > 0 and (len(cells) != 2 or not all(cells)):
                raise ValueError(f"line {rows.line_num} of {file} is no class,superclass")
            if cells:
                found.setdefault(cells[header.index("superclass")], []).append(cells[header.index("class")])
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} of {file} cannot be read as CSV: {error}") from None
    return found


READERS: Mapping[str, Callable[[Path], dict[str, list[str | int]]]] = {
    ".json": groups_in_json,
    ".csv": groups_in_csv,
}
