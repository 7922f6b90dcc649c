"""What a person types -> components, recipes, devices."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..recipe import Recipe
    from ..study import Study
    from ..types import Explainer, Metric


def chosen_recipe(text: str, settings: list[str], known: Mapping[str, type]) -> Recipe | Study:
    """A recipe or a study by name, from a file or from its text, with settings."""
    from .. import recipes
    from ..recipe import Recipe
    from ..spec import fits, parse
    from ..store import parsed
    from ..study import Study

    if text in recipes.__all__:
        return called(getattr(recipes, text), settings, known)
    if text.partition("(")[0].strip() in known:
        found = parse(text, known)
    elif Path(text).is_file():
        found = parsed(Path(text), known)
    else:
        there = ", ".join(recipes.__all__)
        raise ValueError(f"no recipe {text!r}; there are {there}, or give a recipe file")
    if not isinstance(found, Recipe) and not fits(found, Study):
        raise ValueError(f"{text!r} is a {type(found).__name__}, not a Recipe and no study")
    return overridden(found, settings, known)


def called(function: Callable[..., Any], settings: list[str], known: Mapping[str, type]) -> Any:
    """The recipe of a function: settings that it has parameters for go there, the others are fields."""
    from ..data.shorthand import images_from
    from ..types import Architecture, Data

    hints, parameters = typing.get_type_hints(function), inspect.signature(function).parameters
    given: dict[str, Any] = {}
    rest: list[str] = []
    readers: dict[Any, Callable[[str, Mapping[str, type]], Any]] = {
        Data: data_of,
        Data | None: images_from,
        Architecture: model_from,
        Architecture | None: model_from,
    }
    for setting in settings:
        name, value = split_setting(setting)
        if name not in parameters:
            rest.append(setting)
        elif hints[name] in readers:
            given[name] = readers[hints[name]](value, known)
        else:
            given[name] = literal(name, value, hints[name], known)
    missing = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in given]
    if missing:
        raise ValueError(f"the recipe {function.__name__} needs {missing[0]}=..., as in {missing[0]}=Digits")
    return overridden(function(**given), rest, known)


def overridden(recipe: Any, settings: list[str], known: Mapping[str, type]) -> Any:
    """A recipe or a study with fields replaced."""
    from ..spec import hint_at, override

    for setting in settings:
        name, value = split_setting(setting)
        if name == "data" and hasattr(recipe, "data"):
            recipe = replace(recipe, data=data_of(value, known))
            continue
        recipe = override(recipe, name, literal(name, value, hint_at(recipe, name), known))
    return recipe


def split_setting(text: str) -> tuple[str, str]:
    """``field=value`` in two."""
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise ValueError(f"{text!r} is no setting; write field=value")
    return name, value


def literal(name: str, text: str, hint: Any, known: Mapping[str, type]) -> Any:
    """The value of a setting; texts need no quotes."""
    from ..spec import components, describe, fits, parse

    if hint is str:
        return text.strip("'\"")
    if text.isidentifier() and text not in ("True", "False", "None", "inf") and not components(hint):
        raise ValueError(f"{name} takes {describe(hint)}, not {text!r}")
    value = parse(text, known, hint)
    if not fits(value, hint):
        raise ValueError(f"{name} takes {describe(hint)}, not {text!r}")
    return value


def data_of(text: str, known: Mapping[str, type]) -> Any:
    """A data set from what a person types."""
    from ..data.shorthand import data_from

    return data_from(text, known)


def model_from(text: str, known: Mapping[str, type]) -> Any:
    """A network from what a person types: a component, or a torchvision name such as ``resnet50``."""
    from ..models import TorchVision
    from ..spec import fits, parse
    from ..types import Architecture

    if text.isidentifier() and text not in known:
        return TorchVision(name=text)
    found = parse(text, known)
    if not fits(found, Architecture):
        raise ValueError(f"{text!r} is no network; see: glasshouse list models")
    return found


def explainers_from(texts: Sequence[str], known: Mapping[str, type]) -> list[Explainer]:
    """Explainers from what a person types, one each."""
    from ..types import Explainer

    return components_from(texts, known, Explainer, "explainer")


def components_from(texts: Sequence[str], known: Mapping[str, type], protocol: Any, word: str) -> list[Any]:
    """Components of one kind from what a person types, one each."""
    from ..spec import fits, parse

    found = [parse(text, known, protocol) for text in texts]
    for text, component in zip(texts, found, strict=True):
        if not fits(component, protocol):
            raise ValueError(f"{text!r} is no {word}; see: glasshouse list {word}s")
    return found


def metrics_from(metrics: Sequence[str], attacks: Sequence[str], known: Mapping[str, type]) -> list[Metric]:
    """Metrics, then accuracies under attacks, from what a person types."""
    from ..metrics import Accuracy
    from ..types import Attack, Metric

    found: list[Any] = components_from(metrics, known, Metric, "metric")
    return found + [Accuracy(attack=a) for a in components_from(attacks, known, Attack, "attack")]


def device_from(text: str) -> str:
    """A device that is there; ``auto`` takes an accelerator where there is one."""
    import torch

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=text)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"there is no device {text!r} here; cpu always works") from None
    return text
