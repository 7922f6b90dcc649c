"""What explaining and detecting add to a round of refinement, by the recipe of a scale, arm by arm.

python benchmarks/refinement_cost.py [--scale small] [--images 128] [--device cpu]     about a minute on two cores

A detection of --images images and one step of training are timed in turn; both are carried on to the number of images
and epochs of the scale. On a GPU the peak of memory is that of the tensors, elsewhere it is not told apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import nn

from glasshouse.data.samples import Memory, Subset
from glasshouse.detectors import Spurious
from glasshouse.detectors.findings import Masked
from glasshouse.recipes.lime_refinement import short
from glasshouse.recipes.lime_sizes import SIZES, Size
from glasshouse.studies import lime_arms as arms
from glasshouse.timer import peak_memory
from glasshouse.train import SGD, fit
from glasshouse.train import Training as Steps
from glasshouse.types import Objective, Samples

GOAL = 0.25
CIFAR = 50_000  # training images where a scale takes all


def noise(count: int) -> Memory:
    """Images as large as CIFAR's; what is in them costs nothing."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Memory(pixels, torch.arange(count) % 10, tuple("abcdefghij"))


def detection(detector: Spurious, model: nn.Module, samples: Samples) -> None:
    detector.fit(model, samples)
    synchronised()


def training(objective: Objective, model: nn.Module, samples: Samples) -> None:
    fit(model, objective, samples, Steps(epochs=1, batch_size=128, optimizer=SGD(lr=1e-6)))
    synchronised()


def synchronised() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak(function: Callable[[], object], device: str) -> float:
    """MiB."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    function()
    return peak_memory(device)


def share(size: Size, name: str, images: int, repetitions: int, device: str) -> tuple[float, float, float]:
    """Detection's share of a round's training, and both peaks of memory in MiB."""
    arm = next(arm for arm in short(size) if arm.name == name)
    model = size.model(10).to(memory_format=torch.channels_last).to(device)
    looked_at, trained = noise(images), noise(images)
    if not isinstance(arm.detector, Spurious):
        raise ValueError(f"the arm {name!r} explains nothing")
    detector = replace(arm.detector, images=0)
    # As large a part of the images has masks as in the scale itself: the sensitivity term costs as much as they are.
    part = max(2, round(images * size.looked_at / (size.images or CIFAR)))
    masked = Masked(trained, detector.fit(model, Subset(trained, tuple(range(part)))))
    parts: dict[str, Callable[[], object]] = {
        "detection": partial(detection, detector, model, looked_at),
        "training": partial(training, arm.objective, model, masked),
    }
    seconds = interleaved(parts, repetitions)
    carried_on = size.looked_at / ((size.images or CIFAR) * size.refining)
    found = ratio(seconds, "detection", "training") * carried_on
    return found, *(peak(part, device) for part in parts.values())  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="small", choices=tuple(SIZES))
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    size, figures = SIZES[chosen.scale], {}
    table = Table("arm", "added to a round", "peak MiB: detecting", "training", title=f"scale {chosen.scale}")
    for name in (arms.FULL, arms.LITERAL, arms.BEST):
        added, detecting, trained = share(size, name, chosen.images, chosen.repetitions, chosen.device)
        table.add_row(name, f"{100 * added:.1f} %", f"{detecting:,.0f}", f"{trained:,.0f}")
        figures[f"added_{name.split()[0]}"] = added
    Console().print(table)
    last_line(figures | {"goal": GOAL}, setup(**vars(chosen)))


if __name__ == "__main__":
    main()
