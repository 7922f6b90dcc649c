"""How close to LIME's answer one comes with how many evaluations and seconds, next to ``lime`` and captum.

First LIME's time for N maskings against N bare forward passes. Then fidelity to a reference, LIME on very many other
maskings, on real networks and images: Kendall's tau over the superpixels, the share of the five highest found, and
the relative error. A forward pass is one evaluation and a backward pass to the input another.

python benchmarks/lime.py [--repetitions 5] [--data FOLDER]      about 25 minutes on two cores; make bench installs the peers
"""  # noqa: E501

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pictures import Setting, folder, mobilenet, ones, predicted, resnet20
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau
from timing import interleaved, last_line, ratio, setup
from torch import Tensor, nn

from glasshouse.explainers import LIME, FastLIME, MeanFill, Slic
from glasshouse.models import ResNet20, TorchVision

# This file is called lime as well, and would be found before the package.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

SETTINGS = (
    ("ResNet-20, 32 x 32", ResNet20(), 10, 32, 8, 256, 256),
    ("MobileNetV2, 224 x 224", TorchVision(name="mobilenet_v2"), 1000, 224, 1, 128, 32),
)

BUDGETS = (
    *((30, 10), (45, 15), (60, 20), (90, 30), (120, 40), (200, 24)),
    *((64, 0), (100, 0), (128, 0), (192, 0), (256, 0)),
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


def classifier(model: nn.Module) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A model as ``lime`` wants it."""

    @torch.no_grad()
    def function(images: NDArray[Any]) -> NDArray[Any]:
        pixels = torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float()
        result: NDArray[Any] = model(pixels).softmax(1).numpy()
        return result

    return function


def by_lime(model: nn.Module, x: Tensor, segments: Tensor, samples: int, batch_size: int) -> Callable[[], object]:
    """The ``lime`` package on the same superpixels."""
    from lime.lime_image import LimeImageExplainer

    def function() -> None:
        for image, labels in zip(x, segments, strict=True):
            LimeImageExplainer(random_state=0).explain_instance(
                image.permute(1, 2, 0).double().numpy(),
                classifier(model),
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


class Answer(NamedTuple):
    """The weights of one method on every image, and what they cost each of them."""

    beta: list[Tensor]
    seconds: float
    evaluations: int


def explained(setting: Setting, method: Callable[[Tensor, Tensor, Tensor], Tensor], evaluations: int) -> Answer:
    """A method on one image after the other, as a person explains them; segmentation does not count."""
    target, found, spent = predicted(setting.model, setting.x), [], 0.0
    for x, y in zip(ones(setting.x), ones(target), strict=True):
        segments = Slic()(x)
        start = time.perf_counter()
        found.append(method(x, y, segments).double())
        spent += time.perf_counter() - start
    return Answer(found, spent / len(found), evaluations)


def by_surrogate(setting: Setting, explainer: LIME | FastLIME) -> Answer:
    cost = explainer.samples + (2 * explainer.gradients if isinstance(explainer, FastLIME) else 0)
    return explained(setting, lambda x, y, s: explainer.surrogate(setting.model, x, y, s).beta[0], cost)


def by_package(setting: Setting, samples: int) -> Answer:
    """``lime`` with its defaults but for the superpixels."""

    def method(x: Tensor, y: Tensor, segments: Tensor) -> Tensor:
        from lime.lime_image import LimeImageExplainer

        image = x[0].permute(1, 2, 0).double().numpy()
        options = {"num_samples": samples, "segmentation_fn": lambda _: segments[0].numpy(), "labels": (int(y),)}
        with redirect_stderr(StringIO()):  # its progress bar cannot be switched off
            told = LimeImageExplainer(random_state=0).explain_instance(
                image, classifier(setting.model), top_labels=None, num_features=10_000, **options
            )
        beta = torch.zeros(int(segments.max()) + 1)
        for segment, weight in told.local_exp[int(y)]:
            beta[segment] = weight
        return beta

    return explained(setting, method, samples)


def by_captum_too(setting: Setting, samples: int) -> Answer:
    """Captum's Lime with ``lime``'s ridge, in batches of 10 like ``lime``."""

    def method(x: Tensor, y: Tensor, segments: Tensor) -> Tensor:
        from captum._utils.models.linear_model import SkLearnRidge
        from captum.attr import Lime

        torch.manual_seed(0)
        lime = Lime(lambda pixels: setting.model(pixels).softmax(1), interpretable_model=SkLearnRidge(alpha=1.0))
        with torch.no_grad():
            told = lime.attribute(
                x, MeanFill()(x, segments), y, feature_mask=segments[None], n_samples=samples,
                perturbations_per_eval=10, return_input_shape=False,
            )  # fmt: skip
        return told[0]

    return explained(setting, method, samples)


def fidelity(answer: Answer, reference: list[Tensor]) -> tuple[float, float, float]:
    """Kendall's tau, share of the five highest found, and relative error, each the mean over images."""
    pairs = list(zip(answer.beta, reference, strict=True))
    tau = [float(kendalltau(a.numpy(), r.numpy())[0]) for a, r in pairs]
    top = [len(set(a.topk(5).indices.tolist()) & set(r.topk(5).indices.tolist())) / 5 for a, r in pairs]
    error = [float((a - r).norm() / r.norm()) for a, r in pairs]
    return tuple(statistics.mean(values) for values in (tau, top, error))  # type: ignore[return-value]


def compared(setting: Setting, masks: int, console: Console) -> dict[str, float]:
    """All methods on one network, and where FastLIME gets as close as LIME's estimator does with 1,000 maskings."""
    setting.model.eval().requires_grad_(False)
    reference = by_surrogate(setting, LIME(samples=masks, seed=999)).beta
    package = by_package(setting, 1000)
    answers = {"lime": package, "captum": by_captum_too(setting, 1000)}
    answers["LIME"] = by_surrogate(setting, LIME(samples=1000))
    for samples, gradients in BUDGETS:
        kind = "FastLIME" if gradients else "FastLIME, black box"
        fast = FastLIME(samples=samples, gradients=gradients)
        answers[f"{kind} {samples} + {gradients}"] = by_surrogate(setting, fast)
    title = f"{setting.name}: {len(setting.x)} images, reference {masks} maskings"
    table = Table("method", "evaluations", "tau", "top 5", "error", "s an image", "time over lime", title=title)
    # One estimator with three sets of masks: its tau is what they have in common.
    bar = statistics.mean(fidelity(answers[name], reference)[0] for name in ("lime", "captum", "LIME"))
    reached: dict[str, float] = {}
    for name, answer in answers.items():
        tau, top, error = fidelity(answer, reference)
        over = answer.seconds / package.seconds
        row = (f"{tau:.3f}", f"{top:.2f}", f"{error:.2f}", f"{answer.seconds:.2f}", f"{over:.3f}")
        table.add_row(name, str(answer.evaluations), *row)
        kind = "black_box_" if "black box" in name else ""
        if name.startswith("FastLIME") and tau >= bar and f"{kind}evaluations_to_match_lime_1000" not in reached:
            reached[f"{kind}evaluations_to_match_lime_1000"] = answer.evaluations
            reached[f"{kind}wall_over_lime"] = over
    console.print(table)
    return reached


def smooth(images: int, side: int) -> Tensor:
    """Images with superpixels to be found: smooth random colours."""
    coarse = torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--data", default="", help="a folder with weights and images; see benchmarks/pictures.py")
    parser.add_argument("--images", type=int, default=16, help="CIFAR-10 images; a third as many of ImageNet")
    parser.add_argument("--masks", type=int, default=10_000, help="reference maskings; a quarter as many on ImageNet")
    chosen = parser.parse_args()
    console = Console(width=140)
    table, figures = measure(chosen.repetitions)
    console.print(table)
    root = folder(chosen.data)
    if root is None:
        console.print("no folder with weights and images: fidelity is not measured; name one with --data")
    else:
        each = [
            compared(resnet20(root, chosen.images), chosen.masks, console),
            compared(mobilenet(root, -(-chosen.images // 3)), chosen.masks // 4, console),
        ]
        for name in sorted({name for reached in each for name in reached}):
            figures[name] = max(reached.get(name, math.inf) for reached in each)
    about = setup(lime=version("lime"), captum=version("captum"), repetitions=chosen.repetitions)
    last_line(figures, about)


if __name__ == "__main__":
    main()
