"""``glasshouse explain``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from ..terminal import bars, explained_table, shown, told
from .options import Device, Imports, sentences
from .reading import device_from, explainers_from, model_from, names_in

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from torch import Tensor, nn

    from ..report.explanations import Explanations
    from ..types import Architecture, Data, Explainer


def explain(
    model: Annotated[str, typer.Option(help="A network: SmallCNN, ResNet18, \"TorchVision(name='resnet50')\", ...")],
    data: Annotated[
        str, typer.Option(help="An image, a folder of images, parquet files, or a data set such as Digits.")
    ],
    weights: Annotated[str, typer.Option(help="Weights (.safetensors, .pth) of the model.")] = "",
    explainer: Annotated[
        list[str] | None,
        typer.Option(help="An explainer, such as 'LIME(samples=512)'; repeatable. See: glasshouse list explainers."),
    ] = None,
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; all if there are fewer.")] = 8,
    target: Annotated[str, typer.Option(help="Explain this class: predicted, true, a name or a number.")] = "predicted",
    split: Annotated[str, typer.Option(help="Where the images come from: train, validation or test.")] = "test",
    classes: Annotated[Path | None, typer.Option(help="Names of the model's classes: a JSON list, or lines.")] = None,
    batch_size: Annotated[int, typer.Option(help="How many images to explain at once.", min=1)] = 4,
    out: Annotated[Path, typer.Option(help="Folder of what comes out: new or empty.")] = Path("runs/explain"),
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random, and of which images.", min=0)] = 0,
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
    from ..report.words import brief

    with sentences("nothing was written"):
        vacant(out)
        known = names(*(imports or []))
        chosen = explainers_from(explainer or [], known)
        architecture = weighted(model_from(model, known), weights)
        seen = some(images_of(data, known), split, images, seed)
        called = (names_in(classes) if classes else seen.classes) or numbered(architecture, data)
        network = built(architecture, called, seed).to(device_from(device))
        found = looked_at(network, seen, called, chosen, target, batch_size, seed)
        page = replace(found, model=brief(architecture), data=f"{data} ({split})").save(out)
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


@contextmanager
def warnings_told() -> Iterator[None]:
    """What explainers warn of, as notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        yield
    for text in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning)):
        told.print(f"note: {escape(text)}", soft_wrap=True, highlight=False)


def images_of(text: str, known: Mapping[str, type]) -> Data:
    """Images from what a person types; they need no classes."""
    from ..data.shorthand import images_from

    return images_from(text, known)


class Seen(NamedTuple):
    """The images to explain, and what is known about them."""

    x: Tensor
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # position in the split
    titles: tuple[str, ...]
    classes: tuple[str, ...]  # of the data, none where they are not known


def some(data: Data, split: str, count: int, seed: int) -> Seen:
    """So many images of a split, in order."""
    import torch

    from ..data.samples import limited, title_of

    if count < 1:
        raise ValueError(f"--images is at least 1, not {count}")
    samples = data(split)
    positions = limited(torch.arange(len(samples)), count, seed)
    batch = samples[positions.tolist()]
    titles = tuple(title_of(samples, i) for i in positions.tolist())
    return Seen(batch.x, batch.y, positions, titles, samples.classes)


def weighted(architecture: Any, weights: str) -> Architecture:
    """A network with the weights of a file; without any, a word that it knows nothing."""
    from ..spec import override

    if weights:
        architecture = override(architecture, "weights", weights)
    if getattr(architecture, "weights", None) == "":
        told.print("note: without --weights the network is random, and its explanations mean nothing")
    return architecture


def numbered(architecture: Any, data: str) -> tuple[str, ...]:
    """Numbers for names, as many as the weights are for."""
    from ..models.weights import classes_in

    path = getattr(architecture, "weights", "")
    if not path:
        raise ValueError(f"{data} has no classes, and no --weights tell how many there are; give --classes FILE")
    return tuple(map(str, range(classes_in(path, replace(architecture, weights="")))))


def built(architecture: Architecture, classes: Sequence[str], seed: int) -> nn.Module:
    """The network for these classes, the same each time."""
    from ..models.weights import classes_in
    from ..train import seeded_globally

    path = getattr(architecture, "weights", "")
    if path and not getattr(architecture, "new_head", False):
        own: Any = architecture
        number = classes_in(path, replace(own, weights=""))
        if number != len(classes):
            told_names = f"{len(classes)} are named ({', '.join(classes[:3])}, ...)"
            raise ValueError(
                f"weights {path} are for {number} classes, but {told_names}; name them with --classes FILE"
            )
    with seeded_globally(seed, 0):
        return architecture(len(classes))


def renumbered(y: Tensor, own: Sequence[str], called: Sequence[str]) -> Tensor:
    """Labels of the data as classes of the model: by name where the numbers of classes differ, -1 for no such class."""
    if len(own) == len(called):
        return y
    places = {name: i for i, name in enumerate(called)}
    return y.new_tensor([places.get(own[k], -1) if k >= 0 else -1 for k in y.tolist()])
