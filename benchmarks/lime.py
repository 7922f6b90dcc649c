"""LIME's time for N maskings against N bare forward passes, next to ``lime`` and captum.

python benchmarks/lime.py [--repetitions 5]        about five minutes on two cores; make bench installs the peers
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import Tensor, nn

from glasshouse.explainers import LIME, Slic
from glasshouse.models import ResNet20, TorchVision

# This file is called lime as well, and would be found before the package.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

SETTINGS = (
    ("ResNet-20, 32 x 32", ResNet20(), 10, 32, 8, 256, 256),
    ("MobileNetV2, 224 x 224", TorchVision(name="mobilenet_v2"), 1000, 224, 1, 128, 32),
)


def forwards(model: nn.Module, x: Tensor, samples: int, batch_size: int) -> Callable[[], object]:
    """As many forward passes as LIME makes, in batches of the same size, and nothing else."""
    whole, rest = divmod(len(x) * samples, batch_size)
    sizes = [batch_size] * whole + ([rest] if rest else [])
    batches = {size: x[:1].expand(size, -1, -1, -1).contiguous() for size in set(sizes)}

    @torch.no_grad()
    def function() -> None:
        for size in sizes:
            model(batches[size])

    return function


def by_lime(model: nn.Module, x: Tensor, segments: Tensor, samples: int, batch_size: int) -> Callable[[], object]:
    """The ``lime`` package on the same superpixels."""
    from lime.lime_image import LimeImageExplainer

    @torch.no_grad()
    def classifier(images: NDArray[Any]) -> NDArray[Any]:
        pixels = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float()
        result: NDArray[Any] = model(pixels).softmax(1).numpy()
        return result

    def function() -> None:
        for image, labels in zip(x, segments, strict=True):
            LimeImageExplainer(random_state=0).explain_instance(
                image.permute(1, 2, 0).double().numpy(),
                classifier,
                top_labels=1,
                num_samples=samples,
                batch_size=batch_size,
                segmentation_fn=lambda _, labels=labels: labels.numpy(),
            )

    return function


def by_captum(model: nn.Module, x: Tensor, segments: Tensor, samples: int, batch_size: int) -> Callable[[], object]:
    """Captum's Lime with the superpixels as its feature mask."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    lime = Lime(lambda pixels: model(pixels).softmax(1), interpretable_model=SkLearnRidge(alpha=1.0))

    def function() -> None:
        for image, labels in zip(x, segments, strict=True):
            with torch.no_grad():
                lime.attribute(
                    image[None], target=0, feature_mask=labels[None, None], n_samples=samples,
                    perturbations_per_eval=batch_size,
                )  # fmt: skip

    return function


def measure(repetitions: int) -> tuple[Table, dict[str, float]]:
    """Ratios to bare forward passes on every network."""
    table = Table("network", "maskings", "forwards, s", "glasshouse", "lime", "captum", title="time over bare forwards")
    ratios: dict[str, list[float]] = {
        "lime_over_forwards": [],
        "peer_lime_over_forwards": [],
        "captum_over_forwards": [],
    }
    for name, architecture, classes, side, images, samples, batch_size in SETTINGS:
        torch.manual_seed(0)
        model = architecture(classes).eval()
        x = smooth(images, side)
        target = torch.zeros(images, dtype=torch.int64)
        segments = Slic()(x)
        ours = LIME(samples=samples, batch_size=batch_size)
        seconds = interleaved(
            {
                "forwards": forwards(model, x, samples, batch_size),
                "lime_over_forwards": partial(ours.surrogate, model, x, target, segments),
                "peer_lime_over_forwards": by_lime(model, x, segments, samples, batch_size),
                "captum_over_forwards": by_captum(model, x, segments, samples, batch_size),
            },
            repetitions,
        )
        row = {figure: ratio(seconds, figure, "forwards") for figure in ratios}
        for figure, value in row.items():
            ratios[figure].append(value)
        table.add_row(
            name,
            f"{images} x {samples}",
            f"{min(seconds['forwards']):.2f}",
            *(f"{value:.2f}" for value in row.values()),
        )
    return table, {figure: max(values) for figure, values in ratios.items()}


def smooth(images: int, side: int) -> Tensor:
    """Images with superpixels to be found: smooth random colours."""
    coarse = torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    table, figures = measure(repetitions)
    Console().print(table)
    last_line(figures, setup(lime=version("lime"), captum=version("captum"), repetitions=repetitions))


if __name__ == "__main__":
    main()
