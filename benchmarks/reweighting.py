"""What weighing samples by explanation consistency costs, as a pass of its own and within training.

python benchmarks/reweighting.py [--images 64] [--repetitions 5]     about ten minutes on two cores

A pass is timed next to one of hard negative mining, which takes the loss of every image in one forward pass, and next
to the same steps put together from captum's Grad-CAM. All labels are what the network predicts, so that every image is
looked at twice: the dearest case. Online, an epoch that gathers scores is timed next to one of plain training. The
data are noise: what is in the images costs nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import torch
from captum.attr import LayerGradCam
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.data.samples import Memory, batches
from glasshouse.explainers.layers import last_spatial_layer
from glasshouse.metrics import Inconsistency, Loss
from glasshouse.metrics.inconsistency import unit
from glasshouse.models import ResNet18, TorchVision
from glasshouse.objectives import CrossEntropy
from glasshouse.train import SGD, Training, fit, fresh
from glasshouse.types import Architecture
from glasshouse.weighting import Reweighting
from glasshouse.weighting.reweighting import scored

PASS_GOAL, ONLINE_GOAL = 3.4, 1.5


class Setting(NamedTuple):
    """A network and images of its size."""

    name: str
    architecture: Architecture
    side: int
    batch: int


SETTINGS = (
    Setting("MobileNetV2, 224 pixels", TorchVision(name="mobilenet_v2"), 224, 16),
    Setting("ResNet-18, 32 pixels", ResNet18(), 32, 64),
)


def noise(model: nn.Module, side: int, count: int) -> Memory:
    """Images that the network is right about."""
    pixels = torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        labels = torch.cat([model.eval()(part.float() / 255).argmax(1) for part in torch.split(pixels, 16)])
    return Memory(pixels, labels, tuple(map(str, range(10))))


def by_captum(model: nn.Module, samples: Memory, size: int) -> Tensor:
    """The same scores, step by step."""
    cam = LayerGradCam(model, dict(model.named_modules())[last_spatial_layer(model, samples[[0]].x)])

    def look(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            predicted = model(x).argmax(1)
        return predicted, unit(cam.attribute(x, predicted).detach()[:, 0])

    found = []
    for batch in batches(samples, size):
        first, maps = look(batch.x)
        x = batch.x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), batch.y, reduction="sum"), x)
        shield = 1 - F.interpolate(maps[:, None], x.shape[2:], mode="bilinear")
        second, moved = look((batch.x + 0.1 * torch.where(gradient < 0, -1.0, 1.0) * shield).clamp(0, 1))
        found.append(torch.where(first == second, (maps - moved).square().sum((1, 2)).tanh(), 1.0))
    return torch.cat(found)


def passes(setting: Setting, images: int, repetitions: int) -> dict[str, list[float]]:
    """Seconds of a pass over the images."""
    model = fresh(setting.architecture, 10, 0).eval()
    samples = noise(model, setting.side, images)
    return interleaved(
        {
            "hard negative mining": partial(scored, Loss(), model, samples, setting.batch, 0),
            "consistency": partial(scored, Inconsistency(), model, samples, setting.batch, 0),
            "captum": partial(by_captum, model, samples, setting.batch),
        },
        repetitions,
    )


def epochs(setting: Setting, images: int, repetitions: int) -> dict[str, list[float]]:
    """Seconds of the first of two epochs, which gathers scores for the second where they are taken online."""
    model = fresh(setting.architecture, 10, 0)
    samples = noise(model, setting.side, images)

    def first(weighting: Reweighting | None) -> float:
        training = Training(epochs=2, batch_size=setting.batch, optimizer=SGD(lr=1e-6), weighting=weighting)
        start, ends = time.perf_counter(), []

        class Enough(Exception):
            """One epoch is over."""

        def after(state: object) -> None:
            ends.append(time.perf_counter())
            raise Enough

        with suppress(Enough):
            fit(model, CrossEntropy(), samples, training, after_epoch=after)
        return ends[0] - start

    kinds: dict[str, Callable[[], float]] = {
        "plain": partial(first, None),
        "online": partial(first, Reweighting(every=1, online=True)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for repetition in range(repetitions + 1):
        for name, kind in kinds.items():
            took = kind()
            if repetition:
                seconds[name].append(took)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    chosen = parser.parse_args()
    titles = ("network", "pass over hard negative mining", "captum over the same", "online over plain training")
    table, figures = Table(*titles, title="Reweighting by explanation consistency"), []
    for setting in SETTINGS:
        images = chosen.images * (1 if setting.side > 100 else 8)
        seconds, steps = passes(setting, images, chosen.repetitions), epochs(setting, images, chosen.repetitions)
        own, captum = (ratio(seconds, name, "hard negative mining") for name in ("consistency", "captum"))
        figures.append((own, captum, ratio(steps, "online", "plain")))
        table.add_row(setting.name, *(f"{value:.2f}" for value in figures[-1]))
    Console().print(table)
    names = ("reweighting_over_hard_negative_mining", "captum_over_hard_negative_mining", "online_training_over_plain")
    worst = dict(zip(names, map(max, zip(*figures, strict=True)), strict=True))
    last_line(worst | {"goal_pass": PASS_GOAL, "goal_online": ONLINE_GOAL}, setup(**vars(chosen)))


if __name__ == "__main__":
    main()
