"""The LRP attack on two levels: what an iteration costs next to zennit, whom it fools, and whether it explains itself.

python benchmarks/hierarchical.py [--repetitions 5] [--images 48] [--data FOLDER]     about ten minutes on two cores

An iteration is timed on VGG-16 at 224 pixels, read as two levels, on both. What zennit has for the same is the gradient
of one class's map; the attack takes those of two. Whom it fools is measured on SqueezeNet with its ImageNet weights, on
images that both levels are right about, next to PGD and the margin with the same steps, number of steps and budget.
Without the folder of weights and images there is the first part only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean

import torch
from lrp import by_zennit, forward_backward
from pictures import folder
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import Tensor, nn

from glasshouse.attacks import ExplanationActive, LogitMargin
from glasshouse.attacks.relevance import Level, sloped
from glasshouse.attacks.shifting import ShiftLoss
from glasshouse.data import Parquet
from glasshouse.data.superclasses import covered
from glasshouse.explainers.lrp.signs import parts_kept
from glasshouse.explainers.superpixels import chunks
from glasshouse.hierarchies import ImageNetSuperclasses
from glasshouse.hierarchy import labels_of, route
from glasshouse.models import TorchVision
from glasshouse.models.two_levels import GroupedNetwork
from glasshouse.statistics import Comparison, compare
from glasshouse.studies.hierarchical_found import EXPLAINABILITY, LEVELS, LOWER, together
from glasshouse.studies.hierarchical_measured import measured
from glasshouse.studies.hierarchical_ways import ACTIVE, CONTROL, RIVAL, of_eps
from glasshouse.terminal import bars
from glasshouse.types import Batch

CLASSES, SIDE, EPS, BATCH = 1000, 224, 10, 8
GOAL_COST, GOAL_FOOLED = 5, 0.95
HIERARCHY = ImageNetSuperclasses()(tuple(map(str, range(CLASSES))))
Values = dict[str, dict[str, Tensor]]  # by way and measure


def iteration(model: GroupedNetwork, loss: ShiftLoss, fine: bool, x: Tensor, y: Tensor) -> Tensor:
    """One step's slope."""
    return sloped(loss, Level(model, fine, labels_of(y, HIERARCHY)), x).gradient


def cost(repetitions: int, images: int) -> tuple[Table, dict[str, float]]:
    """Ratios to a forward and a backward pass of the same network."""
    torch.manual_seed(0)
    flat = TorchVision(name="vgg16")(CLASSES).eval().requires_grad_(False)
    model = GroupedNetwork(flat, HIERARCHY).eval()
    x = torch.rand(images, 3, SIDE, SIDE)
    y = route(model, x).fine
    functions: dict[str, Callable[[], object]] = {
        "forward_backward": partial(forward_backward, flat, x, y),
        "coarse": partial(iteration, model, ExplanationActive(), False, x, y),
        "fine": partial(iteration, model, ExplanationActive(), True, x, y),
        "margin": partial(iteration, model, LogitMargin(), False, x, y),
        "zennit, one class": partial(by_zennit, flat.get_submodule("network"), 4 * x - 2, y, gradient=True),
    }
    with parts_kept():  # as in an attack, where only the first iteration cuts them
        seconds = interleaved(functions, repetitions)
    table = Table("iteration", "seconds", "over forward + backward", title=f"VGG-16, {images} x {SIDE} x {SIDE}")
    for name, taken in seconds.items():
        table.add_row(name, f"{min(taken):.2f}", f"{ratio(seconds, name, 'forward_backward'):.2f}")
    both = {level: ratio(seconds, level, "forward_backward") for level in LEVELS}
    figures = {"iteration_over_forward_backward": max(both.values())}
    figures["zennit_one_class_over_forward_backward"] = ratio(seconds, "zennit, one class", "forward_backward")
    return table, figures


def subject(root: Path, images: int) -> tuple[GroupedNetwork, Batch]:
    """SqueezeNet read as two levels, and images that it is right about."""
    weights = str(root / "weights" / "squeezenet1_1-imagenet.safetensors")
    model = GroupedNetwork(TorchVision(name="squeezenet1_1", weights=weights)(CLASSES), HIERARCHY).eval()
    (file,) = (root / "imagenet-sample").glob("sample*.parquet")
    samples = covered(Parquet(train=str(file), size=227, classes=CLASSES, validation=0.01)("train"), HIERARCHY)
    batch = samples[list(range(len(samples)))]
    said = [route(model, batch.x[part]).fine for part in chunks(len(batch.y), 32)]
    right = torch.cat(said) == batch.y
    chosen = right.nonzero()[:, 0][:images]
    return model, Batch(batch.x[chosen], batch.y[chosen])


def attacked(model: nn.Module, batch: Batch, level: str) -> Values:
    """All three ways on one level."""
    found = {}
    with bars() as progress:
        for way in of_eps(EPS):
            parts = []
            for start in range(0, len(batch.y), BATCH):
                progress(f"{way.name}, {level}", start, len(batch.y))
                part = Batch(batch.x[start : start + BATCH], batch.y[start : start + BATCH])
                parts.append(measured(model, part, getattr(way, level), level))
            progress(f"{way.name}, {level}", len(batch.y), len(batch.y))
            found[way.name] = {k: torch.cat([p[k] for p in parts]) for k in parts[0] if k != "x_adv"}
    return found


def gain(values: Values, other: str, measure: str) -> Comparison:
    """How much more of a measure the LRP attack has, over images that both fool."""
    both = together(values[ACTIVE], values[other])
    sign = -1 if measure in LOWER else 1
    own, rival = (sign * values[name][measure][both].double().numpy() for name in (ACTIVE, other))
    return compare(own, rival)


def explained(values: Values, level: str) -> Table:
    """Every measure, and how far the LRP attack is above the others."""
    table = Table("measure", ACTIVE, RIVAL, CONTROL, "over PGD", "p", "over the margin", "p", title=f"{level} level")
    for measure in EXPLAINABILITY:
        means = [f"{values[name][measure].nanmean():.3f}" for name in (ACTIVE, RIVAL, CONTROL)]
        gains = [gain(values, other, measure) for other in (RIVAL, CONTROL)]
        table.add_row(measure, *means, *(cell for g in gains for cell in (f"{g.difference:+.3f}", f"{g.p:.4f}")))
    fooled = [f"{values[name]['fooled'].mean():.1%}" for name in (ACTIVE, RIVAL, CONTROL)]
    table.add_row("fooled", *fooled, "", "", "", "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--timed", type=int, default=2, help="images in a timed iteration")
    parser.add_argument("--images", type=int, default=48, help="images that are attacked")
    parser.add_argument("--data", default="", help="a folder with weights and images; see benchmarks/pictures.py")
    chosen = parser.parse_args()
    table, figures = cost(chosen.repetitions, chosen.timed)
    Console().print(table)
    if root := folder(chosen.data):
        model, batch = subject(root, chosen.images)
        gains = []
        for level in LEVELS:
            values = attacked(model, batch, level)
            Console(width=120).print(explained(values, level))
            figures[f"fooling_{level}"] = float(values[ACTIVE]["fooled"].mean())
            gains.append(gain(values, RIVAL, "rank_original").difference)
        figures["explainability_gain_over_pgd"] = mean(gains)
    print(f"goals: an iteration at most {GOAL_COST}, fooled at least {GOAL_FOOLED:.0%} on both levels")
    about = {k: v for k, v in vars(chosen).items() if k != "data"}
    last_line(figures, setup(zennit=version("zennit"), **about))


if __name__ == "__main__":
    main()
