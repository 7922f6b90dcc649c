"""The command line. What it shows on a terminal is here, and nowhere else."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from .terminal import bars, outcome_table, show_component, show_recipe, shown, told

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from .recipe import Recipe

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="See through an image classifier and harden it, in one closed loop: explain, find what it should not rely "
    "on, attack, refine, measure both sides again, report.",
)
Out = Annotated[Path, typer.Option("--out", help="Run directory: new, or one of the same recipe to go on with.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; by default the recipe's.", min=0)]
Imports = Annotated[
    list[Path] | None, typer.Option("--import", help="A Python file with components of your own; repeatable.")
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FIELD=VALUE]...", help="Settings, such as rounds=3 or arms.0.objective.change.share=0.5."),
]


@app.command("list")
def list_components(
    kind: Annotated[str, typer.Argument(help="Only one kind, such as attacks or explainers.")] = "",
    imports: Imports = None,
) -> None:
    """Every component with its fields, and every recipe.

    Example: [bold]glasshouse list attacks[/bold]
    """
    from . import recipes
    from .registry import PACKAGES, names

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


@app.command()
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
    from .registry import names

    with sentences():
        known = names(*(imports or []))
        carry_out(chosen_recipe(recipe, settings or [], known), out, device, seed, known)


@app.command()
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
    from .data.shorthand import data_from
    from .recipes import refinement
    from .registry import names
    from .spec import override

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


def carry_out(recipe: Recipe, out: Path, device: str, seed: int | None, known: Mapping[str, type]) -> None:
    """Run a recipe with progress bars, write its report and say what came out."""
    from .report import write_report
    from .run import run as run_recipe

    if seed is not None:
        recipe = replace(recipe, seed=seed)
    where = device_from(device)
    with bars() as progress:
        outcome = run_recipe(recipe, out, known, device=where, progress=progress)
        summary = write_report(outcome, progress)
    shown.print(outcome_table(summary))
    shown.print(summary["verdict"], soft_wrap=True)
    shown.print(f"Report: {summary['report']}", soft_wrap=True, highlight=False)


def chosen_recipe(text: str, settings: list[str], known: Mapping[str, type]) -> Recipe:
    """A recipe by name, from a file or from its text, with settings."""
    from . import recipes
    from .recipe import Recipe
    from .spec import parse
    from .store import parsed

    if text in recipes.__all__:
        return called(getattr(recipes, text), settings, known)
    if text.lstrip().startswith("Recipe("):
        found = parse(text, known)
    elif Path(text).is_file():
        found = parsed(Path(text), known)
    else:
        there = ", ".join(recipes.__all__)
        raise ValueError(f"no recipe {text!r}; there are {there}, or give a recipe file")
    if not isinstance(found, Recipe):
        raise ValueError(f"{text!r} is a {type(found).__name__}, not a Recipe")
    return overridden(found, settings, known)


def called(function: Callable[..., Recipe], settings: list[str], known: Mapping[str, type]) -> Recipe:
    """The recipe of a function: settings that it has parameters for go there, the others are fields."""
    from .types import Architecture, Data

    hints, parameters = typing.get_type_hints(function), inspect.signature(function).parameters
    given: dict[str, Any] = {}
    rest: list[str] = []
    readers: dict[Any, Callable[[str, Mapping[str, type]], Any]] = {Data: data_of, Architecture: model_from}
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


def overridden(recipe: Recipe, settings: list[str], known: Mapping[str, type]) -> Recipe:
    """A recipe with fields replaced."""
    from .spec import hint_at, override

    for setting in settings:
        name, value = split_setting(setting)
        if name == "data":
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
    from .spec import components, describe, fits, parse

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
    from .data.shorthand import data_from

    return data_from(text, known)


def model_from(text: str, known: Mapping[str, type]) -> Any:
    """A network from what a person types: a component, or a torchvision name such as ``resnet50``."""
    from .models import TorchVision
    from .spec import fits, parse
    from .types import Architecture

    if text.isidentifier() and text not in known:
        return TorchVision(name=text)
    found = parse(text, known)
    if not fits(found, Architecture):
        raise ValueError(f"{text!r} is no network; see: glasshouse list models")
    return found


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


@contextmanager
def sentences() -> Iterator[None]:
    """Errors that a person can mend, as one sentence and exit status 2."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        told.print(f"[bold red]error:[/bold red] {escape(' '.join(str(error).split()))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        told.print("[bold red]error:[/bold red] the device is out of memory; take smaller batches or another --device")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        told.print("interrupted; the same command goes on from the last complete epoch")
        raise typer.Exit(130) from None


def main() -> None:
    """The entry point of the command ``glasshouse``."""
    app()


if __name__ == "__main__":
    main()
