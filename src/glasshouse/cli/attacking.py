"""``glasshouse attack``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..terminal import attacked_table, bars, shown
from .options import Device, Imports, sentences
from .reading import components_from, device_from, model_from, names_in
from .subjects import built, images_of, numbered, renumbered, some, warnings_told, weighted


def attack(
    model: Annotated[str, typer.Option(help="A network: SmallCNN, ResNet18, \"TorchVision(name='resnet50')\", ...")],
    data: Annotated[
        str, typer.Option(help="An image, a folder of images, parquet files, or a data set such as Digits.")
    ],
    weights: Annotated[str, typer.Option(help="Weights (.safetensors, .pth) of the model.")] = "",
    method: Annotated[
        str, typer.Option("--attack", help="An attack, such as 'PGD(ball=L2(eps=0.5))'. See: glasshouse list attacks.")
    ] = "PGD",
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; all if there are fewer.")] = 16,
    full: Annotated[bool, typer.Option(help="Spend the whole budget on images that are broken already.")] = False,
    split: Annotated[str, typer.Option(help="Where the images come from: train, validation or test.")] = "test",
    classes: Annotated[Path | None, typer.Option(help="Names of the model's classes: a JSON list, or lines.")] = None,
    batch_size: Annotated[int, typer.Option(help="How many images to attack at once.", min=1)] = 64,
    out: Annotated[Path, typer.Option(help="Folder of what comes out: new or empty.")] = Path("runs/attack"),
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random, and of which images.", min=0)] = 0,
    imports: Imports = None,
) -> None:
    """Attack images, and keep what becomes of each.

    Leaves index.html to look at, images/ and perturbations/ as pictures of 8 bits, adversarial.npz with the exact
    images, table.csv with a line for each, attack.json with what was done. Nothing is overwritten. Images without a
    known class are attacked away from the predicted one.

    Examples: [bold]glasshouse attack --model ResNet20 --weights r20.safetensors --data cifar10/[/bold]

    [bold]glasshouse attack --model resnet50 --weights r50.pth --classes names.json --data cat.jpg --attack
    "PGD(ball=Linf(eps=2/255), target=Ranked(rank=-1))" --out runs/cat[/bold]

    [bold]glasshouse attack --model SmallCNN --weights w.safetensors --data Digits --attack DeepFool --images 100[/bold]
    """
    from ..attack import attack as attacked
    from ..registry import names
    from ..report.explanations import vacant
    from ..titles import brief
    from ..types import Attack

    with sentences("nothing was written"):
        vacant(out)
        known = names(*(imports or []))
        (chosen,) = components_from([method], known, Attack, "attack")
        architecture = weighted(model_from(model, known), weights)
        seen = some(images_of(data, known), split, images, seed)
        called = (names_in(classes) if classes else seen.classes) or numbered(architecture, data)
        network = built(architecture, called, seed).to(device_from(device))
        with warnings_told(), bars() as progress:
            found = attacked(
                network,
                seen.x,
                chosen,
                y=renumbered(seen.y, seen.classes, called),
                classes=called,
                titles=seen.titles,
                full=full,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
            )
        page = replace(found, index=seen.index, model=brief(architecture), data=f"{data} ({split})").save(out)
    shown.print(attacked_table(found))
    shown.print(f"Gallery: {page}", soft_wrap=True, highlight=False)
