"""``glasshouse list``."""

from __future__ import annotations

from typing import Annotated

import typer

from ..terminal import show_component, show_recipe, shown
from .options import Imports, sentences


def list_components(
    kind: Annotated[str, typer.Argument(help="Only one kind, such as attacks or explainers.")] = "",
    imports: Imports = None,
) -> None:
    """Every component with its fields, and every recipe.

    Example: [bold]glasshouse list attacks[/bold]
    """
    from .. import recipes
    from ..registry import PACKAGES, names

    with sentences():
        known = names(*(imports or []))
        kinds = {k: [n for n in package.__all__ if n in known] for k, package in PACKAGES.items()}
        kinds["your own"] = sorted(set(known) - {n for listed in kinds.values() for n in listed})
        if kind and kind not in kinds:
            raise ValueError(f"unknown kind {kind!r}; there are: {', '.join(kinds)}")
        for title, listed in kinds.items():
            if listed and kind in ("", title):
                shown.rule(f"[bold]{title}", align="left")
                for name in listed:
                    show_component(known[name])
        if kind in ("", "recipes"):
            shown.rule("[bold]recipes to run", align="left")
            for name in recipes.__all__:
                show_recipe(getattr(recipes, name))
