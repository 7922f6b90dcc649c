"""Masks that make the prediction: seconds and evaluations of the search, next to ``lime`` with its defaults.

``lime`` explains each image with 1,000 samples; its highest superpixels, at a given share, are the mask to beat. The
search then runs on the same superpixels with the same fill, and stops counting where its mask is more probable than
that of ``lime`` at the same share; at a half, also where it is more probable than the whole image. Random masks of the
same size stand beside it, as many as the search may evaluate.

python benchmarks/elime.py [--images 20] [--seeds 5] [--data FOLDER]      about 25 minutes on two cores
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pictures import Setting, folder, mobilenet, ones, predicted
from rich.console import Console
from rich.table import Table
from timing import last_line, setup
from torch import Tensor, nn

from glasshouse.explainers import ConstantFill, EvolvedFront, Slic
from glasshouse.explainers.evolved_front import largest
from glasshouse.explainers.masked import Maskable, maskable, masked_scores
from glasshouse.explainers.targets import log_odds

# A benchmark beside this file is called lime as well, and would be found before the package.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

SHARES = {0.1: 10, 0.25: 10, 0.5: 20}  # share of the superpixels: rounds of five masks


class Picture(NamedTuple):
    """An image cut up, what ``lime`` says of it, and how long that took."""

    images: Maskable
    beta: Tensor
    seconds: float


class Hit(NamedTuple):
    """When a search had won; infinity if it never did."""

    evaluations: float
    seconds: float


def explained(setting: Setting, x: Tensor, y: Tensor) -> Picture:
    """``lime`` on superpixels of ours, black where they are replaced."""
    from lime.lime_image import LimeImageExplainer

    @torch.no_grad()
    def classifier(pictures: NDArray[Any]) -> NDArray[Any]:
        pixels = torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2).float()
        result: NDArray[Any] = setting.model(pixels).softmax(1).numpy()
        return result

    images = maskable(Slic(), ConstantFill(), x, y)
    labels, start = images.segments[0].numpy(), time.perf_counter()
    with redirect_stderr(StringIO()):  # its progress bar cannot be switched off
        told = LimeImageExplainer(random_state=0).explain_instance(
            x[0].permute(1, 2, 0).double().numpy(), classifier, labels=(int(y),), top_labels=None, hide_color=0,
            num_features=10_000, segmentation_fn=lambda _: labels,
        )  # fmt: skip
    seconds = time.perf_counter() - start
    beta = torch.zeros(1, int(images.count))
    for segment, weight in told.local_exp[int(y)]:
        beta[0, segment] = weight
    return Picture(images, beta, seconds)


@contextmanager
def watched(model: nn.Module) -> Iterator[list[tuple[int, float]]]:
    """Images that went through a model so far, and when."""
    seen: list[tuple[int, float]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(((seen[-1][0] if seen else 0) + len(output), time.perf_counter()))

    handle = model.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def searched(setting: Setting, picture: Picture, share: float, seed: int, bars: tuple[float, ...]) -> list[Hit]:
    """When the search passes each of the probabilities."""
    search = EvolvedFront(shares=(share,), rounds=SHARES[share], seed=seed)
    x, _, segments, _, target = picture.images
    with watched(setting.model) as seen:
        start = time.perf_counter()
        front = search.front(setting.model, x, target, segments)
    found = []
    for bar in bars:
        over = front.trace[0, 0] > bar
        if not bool(over.any()):
            found.append(Hit(math.inf, math.inf))
            continue
        evaluations = int(front.asked[0, 0][over.int().argmax()]) + 1
        found.append(Hit(evaluations, next(when for images, when in seen if images >= evaluations) - start))
    return found


def by_chance(setting: Setting, picture: Picture, share: float, seed: int, bar: float) -> float:
    """Random masks of the same size: evaluations until one passes."""
    generator = torch.Generator().manual_seed(seed)
    count, number = picture.images.count, (picture.images.count * share).floor().long().clamp_min(1)
    masks = largest(torch.rand(1, 5 * SHARES[share], int(count), generator=generator), number, count)
    with torch.no_grad():
        odds = masked_scores(setting.model, picture.images, masks.float(), 0, log_odds)[0]
    over = odds.sigmoid() > bar
    return float(over.int().argmax()) + 1 if bool(over.any()) else math.inf


def bars_of(setting: Setting, picture: Picture) -> dict[float, tuple[float, ...]]:
    """What is to be passed at each share: the mask of ``lime``, and at a half the whole image as well."""
    images = picture.images
    numbers = [(images.count * share).floor().long().clamp_min(1) for share in SHARES]
    masks = torch.cat([largest(picture.beta[:, None], n, images.count) for n in numbers], 1).float()
    with torch.no_grad():
        masks = torch.cat([masks, torch.ones_like(masks[:, :1])], 1)
        probability = masked_scores(setting.model, images, masks, 0, log_odds)[0].sigmoid().tolist()
    return {s: (p, probability[-1]) if s == 0.5 else (p,) for s, p in zip(SHARES, probability, strict=False)}


def measure(setting: Setting, seeds: int, console: Console) -> dict[str, float]:
    """All images, shares and seeds."""
    hits: dict[float, list[Hit]] = {share: [] for share in SHARES}
    speed: dict[float, list[float]] = {share: [] for share in SHARES}
    chance: dict[float, list[float]] = {share: [] for share in SHARES}
    halves: list[Hit] = []
    for x, y in zip(ones(setting.x), ones(predicted(setting.model, setting.x)), strict=True):
        picture = explained(setting, x, y)
        for share, bars in bars_of(setting, picture).items():
            for seed in range(seeds):
                first, *rest = searched(setting, picture, share, seed, bars)
                hits[share].append(first)
                speed[share].append(picture.seconds / first.seconds)
                halves += rest
            chance[share].append(by_chance(setting, picture, share, 0, bars[0]))
    title = (
        f"{setting.name}: {len(setting.x)} images x {seeds} seeds, until the mask beats that of lime (1,000 samples)"
    )
    table = Table(
        "share", "evaluations", "won", "lime's time over the search's", "random: evaluations", "won", title=title
    )
    for share in SHARES:
        spent = [h.evaluations for h in hits[share]]
        row = (statistics.median(spent), won(spent), statistics.median(speed[share]), statistics.median(chance[share]))
        table.add_row(
            f"{share:.0%}",
            f"{row[0]:.0f}",
            f"{row[1]:.0%}",
            f"{row[2]:.1f}",
            f"{row[3]:.0f}",
            f"{won(chance[share]):.0%}",
        )
    console.print(table)
    spent = [h.evaluations for h in halves]
    console.print(f"more probable than the whole image with half of it: {won(spent):.0%} of the searches")
    return {
        "speedup_over_lime": statistics.median([s for share in SHARES for s in speed[share]]),
        "evaluations_median": statistics.median([h.evaluations for share in SHARES for h in hits[share]]),
        "half_mask_success": share_of_images(spent, seeds),
        "half_mask_evaluations_median": statistics.median(spent),
    }


def won(evaluations: list[float]) -> float:
    """Share of searches that came to an end."""
    return statistics.mean(map(math.isfinite, evaluations))


def share_of_images(evaluations: list[float], seeds: int) -> float:
    """Share of images on which most seeds won."""
    each = [evaluations[i : i + seeds] for i in range(0, len(evaluations), seeds)]
    return statistics.mean(won(group) > 0.5 for group in each)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="", help="a folder with weights and images; see benchmarks/pictures.py")
    chosen = parser.parse_args()
    root, console = folder(chosen.data), Console(width=140)
    if root is None:
        console.print("no folder with weights and images, nothing is measured; name one with --data")
        return
    setting = mobilenet(root, chosen.images)
    setting.model.eval().requires_grad_(False)
    figures = measure(setting, chosen.seeds, console)
    last_line(figures, setup(lime=version("lime"), images=chosen.images, seeds=chosen.seeds))


if __name__ == "__main__":
    main()
