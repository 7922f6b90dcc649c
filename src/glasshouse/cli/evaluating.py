"""``glasshouse evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ..terminal import bars, evaluation_tables, shown
from .levels import by_levels, hierarchy_from, nameable, with_levels
from .options import (
    Attacks,
    Classes,
    Compared,
    Corruptions,
    Device,
    Drawn,
    Explainers,
    Hierarchy,
    Imports,
    Labelled,
    ManyWeights,
    Metrics,
    Models,
    Reference,
    Split,
    sentences,
)
from .reading import device_from, explainers_from, metrics_from, model_from
from .subjects import About, labelled, network_for, training_images, warnings_told, weighted
from .surveying import Several, compare, inapplicable

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..report.evaluation import Evaluation


def evaluate(
    context: typer.Context,
    model: Models,
    data: Labelled,
    weights: ManyWeights = None,
    metric: Metrics = None,
    attack: Attacks = None,
    corruption: Corruptions = None,
    attack_corrupted: Annotated[bool, typer.Option(help="Measure everything on the corrupted images, too.")] = False,
    reference: Reference = None,
    explainer: Explainers = None,
    baselines: Annotated[bool, typer.Option(help="Compare with maps that explain nothing, too.")] = True,
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; 0: all.", min=0)] = 1000,
    split: Split = "test",
    classes: Classes = None,
    hierarchy: Hierarchy = "",
    checks: Annotated[int, typer.Option(help="Images that the self-checks attack; 0: no self-checks.", min=0)] = 64,
    keep: Annotated[bool, typer.Option(help="Keep every perturbation in perturbations.npz.")] = False,
    batch_size: Annotated[int, typer.Option(help="How many images at once; it changes no result.", min=1)] = 128,
    shard: Annotated[str, typer.Option(help="2/8 is the second of 8 processes that share a comparison.")] = "",
    out: Compared = Path("runs/evaluate"),
    device: Device = "auto",
    seed: Drawn = 0,
    imports: Imports = None,
) -> None:
    """Measure how right a classifier is, clean, under attack and under corruption, and check the measurement itself.

    Leaves index.html to look at, values.npz with a verdict on every image, evaluation.json with means, intervals and
    self-checks. Nothing is overwritten. Without --metric and --attack: PGD-40 at 2, 4 and 8/255. Exit status 1 says
    that a self-check failed.

    Several models, or several explainers, are compared by their explanations, on the images that all models get right:
    how concise, stable, faithful, sane and (on data with masks) well placed these are, next to maps that explain
    nothing. Leaves index.html, values.npz and results.json. Cut off at any moment, the same command goes on; several
    processes share the work if each has a --shard.

    Examples: [bold]glasshouse evaluate --model ResNet20 --weights r20.safetensors --data cifar10/[/bold]

    [bold]glasshouse evaluate --model resnet50 --weights r50.pth --data photos/ --classes names.json --attack
    "StandardEnsemble(ball=Linf(eps=4/255))" --images 200[/bold]

    [bold]glasshouse evaluate --model ResNet20 --weights r20.safetensors --data cifar10/ --corruption all --reference
    runs/baseline/evaluation.json[/bold]

    [bold]glasshouse evaluate --model ResNet18 --weights checkpoints/ --data cifar10/ --explainer InputGradient
    --explainer GradCAM --images 500 --out runs/compared[/bold]
    """
    found = [*(explainer or []), ""]
    asked = Asked(metric or [], attack or [], corruption or [], attack_corrupted, reference, found[0], checks, keep)
    first = [*(weights or []), ""][0]
    about = About(model[0], first, data, split, classes, hierarchy, images, device, batch_size, seed)
    several = Several(model, weights or [], explainer or [], baselines, shard, inapplicable(context))
    if several.needed:
        compare(several, asked, about, out, imports or [])
    else:
        measure_one(asked, about, out, imports or [])


class Asked(NamedTuple):
    """What to measure."""

    metrics: Sequence[str]
    attacks: Sequence[str]
    corruptions: Sequence[str]
    attack_corrupted: bool
    reference: Path | None
    explainer: str
    checks: int
    keep: bool


def measure_one(asked: Asked, about: About, out: Path, imports: Sequence[Path]) -> None:
    """One model by at most one explainer."""
    from ..registry import names
    from ..report.explanations import vacant

    with sentences("nothing was written"):
        vacant(out)
        found = evaluated(asked, about, names(*imports))
        page = found.save(out)
    for table in evaluation_tables(found):
        shown.print(table)
    shown.print(f"Report: {page}", soft_wrap=True, highlight=False)
    raise typer.Exit(0 if found.trustworthy else 1)


def evaluated(asked: Asked, about: About, known: Mapping[str, type]) -> Evaluation:
    """The evaluation, with progress bars; everything is read before anything is measured."""
    from ..corruptions import corruptions_named
    from ..evaluate import USUAL, evaluate
    from ..report.evaluation import reference_from
    from ..titles import brief

    metrics = metrics_from(asked.metrics, asked.attacks, known) or USUAL
    corruptions = [corruption for text in asked.corruptions for corruption in corruptions_named(text)]
    reference = reference_from(asked.reference) if asked.reference else None
    explainer = explainers_from([asked.explainer], known)[0] if asked.explainer else None
    architecture = weighted(model_from(about.model, known), about.weights)
    levels = hierarchy_from(about.hierarchy, known)
    samples = labelled(about.data, known, about.split, about.images, about.seed)
    network, samples = network_for(architecture, samples, about.classes, about.seed)
    train = training_images(about.data, known, about.split) if asked.checks else None
    with warnings_told(), bars() as progress:
        network = by_levels(network, levels, samples.classes)
        samples = nameable(samples, network)
        found = evaluate(
            network.to(device_from(about.device)),
            samples,
            metrics,
            corruptions=corruptions,
            attack_corrupted=asked.attack_corrupted,
            reference=reference,
            train=train,
            checks=asked.checks,
            keep=asked.keep,
            explainer=explainer,
            batch_size=about.batch_size,
            seed=about.seed,
            progress=progress,
        )
    return replace(found, model=brief(with_levels(architecture, levels)), data=f"{about.data} ({about.split})")
