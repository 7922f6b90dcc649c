"""``glasshouse attack``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..terminal import attacked_table, bars, shown
from .levels import by_levels, hierarchy_from, with_levels
from .options import Classes, Device, Drawn, Hierarchy, Images, Imports, Model, NewFolder, Split, Weights, sentences
from .reading import components_from, device_from, model_from
from .subjects import About, built, called_in, images_of, renumbered, some, warnings_told, weighted

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..report.attacked import Attacked


def attack(
    model: Model,
    data: Images,
    weights: Weights = "",
    method: Annotated[
        str, typer.Option("--attack", help="An attack, such as 'PGD(ball=L2(eps=0.5))'. See: glasshouse list attacks.")
    ] = "PGD",
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; all if there are fewer.")] = 16,
    full: Annotated[bool, typer.Option(help="Spend the whole budget on images that are broken already.")] = False,
    split: Split = "test",
    classes: Classes = None,
    hierarchy: Hierarchy = "",
    batch_size: Annotated[int, typer.Option(help="How many images to attack at once.", min=1)] = 64,
    out: NewFolder = Path("runs/attack"),
    device: Device = "auto",
    seed: Drawn = 0,
    imports: Imports = None,
) -> None:
    """Attack images, and keep what becomes of each.

    Leaves index.html to look at, images/ and perturbations/ as pictures of 8 bits, adversarial.npz with the exact
    images, table.csv with a line for each, attack.json with what was done. Nothing is overwritten. Images without a
    known class, or whose class is in no superclass of --hierarchy, are attacked away from the predicted one.

    Examples: [bold]glasshouse attack --model ResNet20 --weights r20.safetensors --data cifar10/[/bold]

    [bold]glasshouse attack --model resnet50 --weights r50.pth --classes names.json --data cat.jpg --attack
    "PGD(ball=Linf(eps=2/255), target=Ranked(rank=-1))" --out runs/cat[/bold]

    [bold]glasshouse attack --model SmallCNN --weights w.safetensors --data Digits --attack DeepFool --images 100[/bold]

    [bold]glasshouse attack --model resnet50 --weights r50.pth --classes names.json --data photos/ --hierarchy
    groups.json --attack "AtLevel(attack=PGD(), criterion=FineChanges())"[/bold]
    """
    from ..registry import names
    from ..report.explanations import vacant

    about = About(model, weights, data, split, classes, hierarchy, images, device, batch_size, seed)
    with sentences("nothing was written"):
        vacant(out)
        found = attacked(method, full, about, names(*(imports or [])))
        page = found.save(out)
    shown.print(attacked_table(found))
    shown.print(f"Gallery: {page}", soft_wrap=True, highlight=False)


def attacked(method: str, full: bool, about: About, known: Mapping[str, type]) -> Attacked:
    """The attack, with progress bars; everything is read before anything is attacked."""
    from ..attack import attack
    from ..titles import brief
    from ..types import Attack

    (chosen,) = components_from([method], known, Attack, "attack")
    architecture = weighted(model_from(about.model, known), about.weights)
    levels = hierarchy_from(about.hierarchy, known)
    seen = some(images_of(about.data, known), about.split, about.images, about.seed)
    called = called_in(about.classes, seen.classes, architecture, about.data)
    with warnings_told(), bars() as progress:
        network = by_levels(built(architecture, called, about.seed), levels, called).to(device_from(about.device))
        found = attack(
            network,
            seen.x,
            chosen,
            y=renumbered(seen.y, seen.classes, called),
            classes=called,
            titles=seen.titles,
            full=full,
            batch_size=about.batch_size,
            seed=about.seed,
            progress=progress,
        )
    return replace(
        found, index=seen.index, model=brief(with_levels(architecture, levels)), data=f"{about.data} ({about.split})"
    )
