"""``glasshouse explain``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..terminal import bars, explained_table, shown
from .levels import by_levels, hierarchy_from, with_levels
from .options import Classes, Device, Drawn, Hierarchy, Images, Imports, Model, NewFolder, Split, Weights, sentences
from .reading import device_from, explainers_from, model_from
from .subjects import Seen, built, called_in, images_of, renumbered, some, warnings_told, weighted

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from torch import nn

    from ..report.explanations import Explanations
    from ..types import Explainer


def explain(
    model: Model,
    data: Images,
    weights: Weights = "",
    explainer: Annotated[
        list[str] | None,
        typer.Option(help="An explainer, such as 'LIME(samples=512)'; repeatable. See: glasshouse list explainers."),
    ] = None,
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; all if there are fewer.")] = 8,
    target: Annotated[str, typer.Option(help="Explain this class: predicted, true, a name or a number.")] = "predicted",
    split: Split = "test",
    classes: Classes = None,
    hierarchy: Hierarchy = "",
    batch_size: Annotated[int, typer.Option(help="How many images to explain at once.", min=1)] = 4,
    out: NewFolder = Path("runs/explain"),
    device: Device = "auto",
    seed: Drawn = 0,
    imports: Imports = None,
) -> None:
    """Show which parts of images a classifier's decisions rest on, by several explainers next to each other.

    Leaves index.html to look at, explanations.npz with every map, explanations.json with what was done and what it
    cost. Nothing is overwritten. Without --explainer, three usual ones explain.

    Examples: [bold]glasshouse explain --model resnet18 --weights mine.safetensors --data photos/[/bold]

    [bold]glasshouse explain --model resnet50 --weights r50.pth --classes names.json --data cat.jpg --target tabby
    --explainer "LIME(samples=1000)" --explainer GradCAM --out runs/cat[/bold]

    [bold]glasshouse explain --model SmallCNN --weights w.safetensors --data "Photos(root='scans', size=64)"[/bold]
    """
    from ..registry import names
    from ..report.explanations import vacant
    from ..titles import brief

    with sentences("nothing was written"):
        vacant(out)
        known = names(*(imports or []))
        chosen = explainers_from(explainer or [], known)
        architecture = weighted(model_from(model, known), weights)
        levels = hierarchy_from(hierarchy, known)
        seen = some(images_of(data, known), split, images, seed)
        called = called_in(classes, seen.classes, architecture, data)
        with warnings_told():
            network = by_levels(built(architecture, called, seed), levels, called).to(device_from(device))
        found = looked_at(network, seen, called, chosen, target, batch_size, seed)
        model = brief(with_levels(architecture, levels))
        page = replace(found, model=model, data=f"{data} ({split})").save(out)
    shown.print(explained_table(found))
    shown.print(f"Gallery: {page}", soft_wrap=True, highlight=False)


def looked_at(
    network: nn.Module,
    seen: Seen,
    called: tuple[str, ...],
    explainers: Sequence[Explainer],
    target: str,
    batch_size: int,
    seed: int,
) -> Explanations:
    """The explanations, with progress bars."""
    from ..explain import USUAL, explain

    with warnings_told(), bars() as progress:
        found = explain(
            network,
            seen.x,
            explainers or USUAL,
            target,
            y=renumbered(seen.y, seen.classes, called),
            classes=called,
            titles=seen.titles,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
    return replace(found, index=seen.index)
