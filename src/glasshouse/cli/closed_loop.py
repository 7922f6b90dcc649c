"""``glasshouse run`` and ``glasshouse refine``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..terminal import bars, claims_table, outcome_table, shown
from .options import Device, Imports, Out, Seed, Settings, sentences
from .reading import chosen_recipe, device_from, model_from, overridden
from .subjects import warnings_told

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..recipe import Recipe
    from ..study import Study


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe by name (see: glasshouse list recipes), file or text.")],
    settings: Settings = None,
    out: Out = Path("runs/run"),
    device: Device = "auto",
    seed: Seed = None,
    imports: Imports = None,
) -> None:
    """Carry out a recipe; cut off at any moment, the same command goes on where it stopped.

    Examples: [bold]glasshouse run demo --out runs/demo[/bold]

    [bold]glasshouse run cifar10 data=cifar10/ scale=paper --device cuda --out runs/cifar10[/bold]
    """
    from ..registry import names

    with sentences():
        known = names(*(imports or []))
        carry_out(chosen_recipe(recipe, settings or [], known), out, device, seed, known)


def refine(
    model: Annotated[str, typer.Option(help="A network: SmallCNN, ResNet18, \"TorchVision(name='resnet50')\", ...")],
    data: Annotated[str, typer.Option(help="A folder of images, parquet files, or a data set such as Digits.")],
    settings: Settings = None,
    weights: Annotated[str, typer.Option(help="Weights (.safetensors, .pth) of the model to refine.")] = "",
    epochs: Annotated[int, typer.Option(help="Epochs of the baseline (none with weights) and of each round.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds of detecting and training at most.")] = 2,
    images: Annotated[int, typer.Option(help="Training images to detect on; 0: all.")] = 512,
    test_images: Annotated[int, typer.Option(help="Test images to measure on; 0: all.")] = 1000,
    out: Out = Path("runs/refine"),
    device: Device = "auto",
    seed: Seed = None,
    imports: Imports = None,
) -> None:
    """Refine a classifier of your own on data of your own, next to its controls.

    Examples: [bold]glasshouse refine --model ResNet20 --weights resnet20.th --data cifar10/ --out runs/mine[/bold]

    [bold]glasshouse refine --model SmallCNN --data "ImageFolder(root='photos', size=64)" --out runs/photos[/bold]
    """
    from ..data.shorthand import data_from
    from ..recipes import refinement
    from ..registry import names
    from ..spec import override

    with sentences():
        known = names(*(imports or []))
        architecture = model_from(model, known)
        if weights:
            architecture = override(architecture, "weights", weights)
        pretrained = bool(getattr(architecture, "weights", ""))
        recipe = refinement(
            data_from(data, known),
            architecture,
            epochs=epochs,
            pretrained=pretrained,
            rounds=rounds,
            images=images,
            test_images=test_images,
        )
        carry_out(overridden(recipe, settings or [], known), out, device, seed, known)


def carry_out(recipe: Recipe | Study, out: Path, device: str, seed: int | None, known: Mapping[str, type]) -> None:
    """Run a recipe or a study with progress bars, write its report and say what came out."""
    from ..recipe import Recipe
    from ..spec import override

    if seed is not None:
        recipe = override(recipe, "seed", seed)
    if isinstance(recipe, Recipe):
        refine_by(recipe, out, device_from(device), known)
    else:
        study_by(recipe, out, device_from(device), known)


def refine_by(recipe: Recipe, out: Path, where: str, known: Mapping[str, type]) -> None:
    """The closed loop."""
    from ..report import write_report
    from ..run import run as run_recipe

    with warnings_told(), bars() as progress:
        outcome = run_recipe(recipe, out, known, device=where, progress=progress)
        summary = write_report(outcome, progress)
    shown.print(outcome_table(summary))
    shown.print(summary["verdict"], soft_wrap=True)
    shown.print(f"Report: {summary['report']}", soft_wrap=True, highlight=False)


def study_by(study: Study, out: Path, where: str, known: Mapping[str, type]) -> None:
    """An experiment of another kind."""
    from ..report import write_document
    from ..study import conduct

    with warnings_told(), bars() as progress:
        document = conduct(study, out, known, device=where, progress=progress)
        page = write_document(document, study, out)
    shown.print(claims_table(document))
    shown.print(document.verdict, soft_wrap=True, highlight=False)
    shown.print(f"Report: {page}", soft_wrap=True, highlight=False)
