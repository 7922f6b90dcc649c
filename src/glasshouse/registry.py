"""Every component by its class name: the packages' ``__all__`` are the registry."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType

from . import (
    attacks,
    consistency,
    corruptions,
    data,
    detectors,
    explainers,
    hierarchies,
    metrics,
    models,
    objectives,
    recipe,
    selectors,
    studies,
    train,
    weighting,
)

PACKAGES: dict[str, ModuleType] = {
    "data": data,
    "corruptions": corruptions,
    "hierarchies": hierarchies,
    "models": models,
    "explainers": explainers,
    "attacks": attacks,
    "consistency": consistency,
    "detectors": detectors,
    "objectives": objectives,
    "metrics": metrics,
    "selectors": selectors,
    "weighting": weighting,
    "training": train,
    "recipes": recipe,
    "studies": studies,
}


def names(*files: str | Path) -> dict[str, type]:
    """Every component of the package, and of a user's own files.

    Raises:
        ValueError: if a file cannot be imported, has no component, or has one whose name is taken.
    """
    found = {name: getattr(package, name) for package in PACKAGES.values() for name in package.__all__}
    if len(found) < sum(len(package.__all__) for package in PACKAGES.values()):
        raise ValueError("two components of the package have the same name")
    for file in files:
        for name, component in components_of(Path(file)).items():
            if name in found:
                raise ValueError(f"{file}: the name {name!r} is taken by {found[name].__module__}; choose another")
            found[name] = component
    return found


def components_of(file: Path) -> dict[str, type]:
    """The frozen dataclasses that a Python file defines and does not hide behind an underscore."""
    module = imported(file)
    own = {k: v for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__}
    found = {k: v for k, v in own.items() if not k.startswith("_") and is_frozen(v)}
    if not found:
        raise ValueError(f"{file} defines no component, that is, no @dataclass(frozen=True) class")
    return found


def is_frozen(cls: type) -> bool:
    """Whether a class is a frozen dataclass."""
    return is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


def imported(file: Path) -> ModuleType:
    """The module in a file, imported once; ValueError if that fails."""
    if not file.is_file():
        raise ValueError(f"no such file: {file}")
    name = f"glasshouse_user_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"{file} cannot be imported: {type(error).__name__}: {error}") from None
    return module
