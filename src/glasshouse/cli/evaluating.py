"""``glasshouse evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..terminal import bars, evaluation_tables, shown
from .options import Device, Imports, sentences
from .reading import components_from, device_from, explainers_from, model_from
from .subjects import labelled, network_for, training_images, warnings_told, weighted

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..types import Metric


def evaluate(
    model: Annotated[str, typer.Option(help="A network: SmallCNN, ResNet18, \"TorchVision(name='resnet50')\", ...")],
    data: Annotated[str, typer.Option(help="A folder of images, parquet files, or a data set such as Digits.")],
    weights: Annotated[str, typer.Option(help="Weights (.safetensors, .pth) of the model.")] = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A metric, such as 'Distortion(attack=PGD())'; repeatable. See: glasshouse list metrics."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="Accuracy under this attack: 'PGD(ball=Linf(eps=4/255))', StandardEnsemble; repeatable."),
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(help="Accuracy under corruption: all, extra, fog, fog:5, ...; repeatable."),
    ] = None,
    attack_corrupted: Annotated[bool, typer.Option(help="Measure everything on the corrupted images, too.")] = False,
    reference: Annotated[
        Path | None, typer.Option(help="evaluation.json of the model whose errors the mCE is relative to.")
    ] = None,
    explainer: Annotated[str, typer.Option(help="What explains predictions, for metrics of explanations.")] = "",
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; 0: all.", min=0)] = 1000,
    split: Annotated[str, typer.Option(help="Where the images come from: train, validation or test.")] = "test",
    classes: Annotated[Path | None, typer.Option(help="Names of the model's classes: a JSON list, or lines.")] = None,
    checks: Annotated[int, typer.Option(help="Images that the self-checks attack; 0: no self-checks.", min=0)] = 64,
    keep: Annotated[bool, typer.Option(help="Keep every perturbation in perturbations.npz.")] = False,
    batch_size: Annotated[int, typer.Option(help="How many images at once; it changes no result.", min=1)] = 128,
    out: Annotated[Path, typer.Option(help="Folder of what comes out: new or empty.")] = Path("runs/evaluate"),
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random, and of which images.", min=0)] = 0,
    imports: Imports = None,
) -> None:
    """Measure how right a classifier is, clean, under attack and under corruption, and check the measurement itself.

    Leaves index.html to look at, values.npz with a verdict on every image, evaluation.json with means, intervals and
    self-checks. Nothing is overwritten. Without --metric and --attack: PGD-40 at 2, 4 and 8/255. Exit status 1 says
    that a self-check failed.

    Examples: [bold]glasshouse evaluate --model ResNet20 --weights r20.safetensors --data cifar10/[/bold]

    [bold]glasshouse evaluate --model resnet50 --weights r50.pth --data photos/ --classes names.json --attack
    "StandardEnsemble(ball=Linf(eps=4/255))" --images 200[/bold]

    [bold]glasshouse evaluate --model ResNet20 --weights r20.safetensors --data cifar10/ --corruption all --reference
    runs/baseline/evaluation.json[/bold]
    """
    from ..corruptions import corruptions_named
    from ..evaluate import USUAL
    from ..evaluate import evaluate as evaluated
    from ..registry import names
    from ..report.evaluation import reference_from
    from ..report.explanations import vacant
    from ..titles import brief

    with sentences("nothing was written"):
        vacant(out)
        known = names(*(imports or []))
        asked = metrics_from(metric or [], attack or [], known)
        worse = [c for text in corruption or [] for c in corruptions_named(text)]
        other = reference_from(reference) if reference else None
        explaining = explainers_from([explainer], known)[0] if explainer else None
        architecture = weighted(model_from(model, known), weights)
        samples = labelled(data, known, split, images, seed)
        network, samples = network_for(architecture, samples, classes, seed)
        train = training_images(data, known, split) if checks else None
        with warnings_told(), bars() as progress:
            found = evaluated(
                network.to(device_from(device)),
                samples,
                asked or USUAL,
                corruptions=worse,
                attack_corrupted=attack_corrupted,
                reference=other,
                train=train,
                checks=checks,
                keep=keep,
                explainer=explaining,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
            )
        page = replace(found, model=brief(architecture), data=f"{data} ({split})").save(out)
    for table in evaluation_tables(found):
        shown.print(table)
    shown.print(f"Report: {page}", soft_wrap=True, highlight=False)
    if not found.trustworthy:
        raise typer.Exit(1)


def metrics_from(metrics: Sequence[str], attacks: Sequence[str], known: Mapping[str, type]) -> list[Metric]:
    """Metrics, then accuracies under attacks, from what a person types."""
    from ..metrics import Accuracy
    from ..types import Attack, Metric

    found: list[Any] = components_from(metrics, known, Metric, "metric")
    return found + [Accuracy(attack=a) for a in components_from(attacks, known, Attack, "attack")]
