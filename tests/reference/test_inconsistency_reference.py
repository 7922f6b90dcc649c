"""Scores of explanation consistency against a slow copy, image by image, of the equations as they are printed.

Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600: eq. 1 to 4 and 7, Grad-CAM and its kin written out by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.consistency import (
    Arctan,
    CellDistance,
    FGSMBackground,
    FilledBackground,
    MeanDistance,
    PixelDistance,
    Softsign,
    Tanh,
)
from glasshouse.explainers import (
    LRP,
    AblationCAM,
    ConstantFill,
    EigenCAM,
    GradCAM,
    ImageMeanFill,
    InputGradient,
    IntegratedGradients,
    XGradCAM,
)
from glasshouse.metrics import Inconsistency
from glasshouse.types import Batch

SIDE, CELLS, CLASSES, COUNT, EPS = 16, 4, 5, 12, 0.01
Array = Any


class Quarters(nn.Module):
    """A head that knows where things are, so that Grad-CAM and XGrad-CAM differ."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(32, CLASSES)

    def top(self, features: Tensor) -> Tensor:
        return self.head(F.avg_pool2d(features, 2).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.features(x))


def blotches(count: int, generator: torch.Generator) -> Tensor:
    """Images with large differences and some noise."""
    coarse = torch.rand(count, 3, 4, 4, generator=generator, dtype=torch.float64)
    noise = torch.rand(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return 0.9 * F.interpolate(coarse, SIDE) + 0.1 * noise


@pytest.fixture(scope="module")
def net() -> Quarters:
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(5)
    net = Quarters().double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.35)
    for _ in range(20):
        net(blotches(16, generator))
    with torch.no_grad():  # so that all classes have a chance
        net.head.bias -= net.eval()(blotches(64, generator)).mean(0)
    return net


@pytest.fixture(scope="module")
def batch(net: Quarters) -> Batch:
    """Images that the net gets right but for the last three."""
    x = blotches(COUNT * 8, torch.Generator().manual_seed(2))
    sure = net(x).topk(2).values
    x = x[(sure[:, 0] - sure[:, 1]).argsort(descending=True)[: 2 * COUNT : 2]]
    y = net(x).argmax(1)
    y[-3:] = (y[-3:] + 1) % CLASSES
    return Batch(x, y)


def grad_cam(a: Array, g: Array) -> Array:
    return sum(g[k].mean() * a[k] for k in range(len(a)))


def x_grad_cam(a: Array, g: Array) -> Array:
    return sum((g[k] * a[k]).sum() / a[k].sum() * a[k] for k in range(len(a)) if a[k].sum() > 0)


def eigen_cam(a: Array, g: Array) -> Array:
    rows = a.reshape(len(a), -1).T
    centred = rows - rows.mean(0)
    shown = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return (shown if np.dot(shown, (rows**2).sum(1) - (rows**2).sum(1).mean()) >= 0 else -shown).reshape(a.shape[1:])


def enlarged(a: Array, side: int) -> Array:
    """Bilinear interpolation between the middles of cells, flat beyond the outermost."""
    if len(a) == side:
        return a
    place = np.clip((np.arange(side) + 0.5) * len(a) / side - 0.5, 0, len(a) - 1)
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, len(a) - 1), place - low
    rows = a[low] * (1 - share)[:, None] + a[high] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, high] * share


def unit(a: Array) -> Array:
    a = np.maximum(a, 0)
    return (a - a.min()) / (a.max() - a.min()) if a.max() > a.min() else np.zeros_like(a)


def cam_of(formula: Callable[[Array, Array], Array]) -> Callable[[Quarters, Tensor, int], Array]:
    def explained(net: Quarters, x: Tensor, c: int) -> Array:
        features = net.features(x).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(net.top(features)[0, c], features)
        return formula(features.detach()[0].numpy(), gradient[0].numpy())

    return explained


def map_of(explainer: Any) -> Callable[[Quarters, Tensor, int], Array]:
    return lambda net, x, c: explainer(net, x, torch.tensor([c]))[0].numpy()


def gradient_of(net: Quarters, x: Tensor, y: Tensor) -> Array:
    x = x.clone().requires_grad_()
    p = net(x).softmax(1)[0, y]
    return torch.autograd.grad(-p.log(), x)[0][0].numpy()


def fgsm(x: Array, a: Array, gradient: Array) -> Array:
    sign = np.where(gradient >= 0, 1.0, -1.0)
    return np.clip(x + EPS * sign * (1 - a), 0, 1)


def grey(x: Array, a: Array, gradient: Array) -> Array:
    return x * a + (1 - a) * 0.4


def mean_colour(x: Array, a: Array, gradient: Array) -> Array:
    return x * a + (1 - a) * x.mean((1, 2), keepdims=True)


def cells(a: Array, b: Array) -> float:
    if len(a) == SIDE:
        a, b = (m.reshape(CELLS, SIDE // CELLS, CELLS, SIDE // CELLS).mean((1, 3)) for m in (a, b))
    return float(((a - b) ** 2).sum())


def pixels(a: Array, b: Array) -> float:
    return float(((enlarged(a, SIDE) - enlarged(b, SIDE)) ** 2).sum())


def mean(a: Array, b: Array) -> float:
    return 3.0 * float(((a - b) ** 2).mean())


def reference(
    net: Quarters,
    batch: Batch,
    explained: Callable[[Quarters, Tensor, int], Array],
    moved: Callable[[Array, Array, Array], Array] = fgsm,
    apart: Callable[[Array, Array], float] = cells,
    psi: Callable[[float], float] = math.tanh,
    only_correct: bool = True,
) -> list[float]:
    """The weights v of Algorithm 1."""
    found = []
    for i in range(len(batch.x)):
        x, y = batch.x[i : i + 1], batch.y[i]
        c = int(net(x)[0].argmax())
        first = unit(explained(net, x, c))
        other = moved(x[0].numpy(), enlarged(first, SIDE), gradient_of(net, x, y))
        x_hat = torch.from_numpy(other)[None]
        c_hat = int(net(x_hat)[0].argmax())
        value = psi(apart(first, unit(explained(net, x_hat, c_hat)))) if c_hat == c else 1.0
        found.append(1.0 if only_correct and c != y else value)
    return found


def check(net: Quarters, batch: Batch, score: Inconsistency, expected: list[float]) -> None:
    found = score(net, batch).tolist()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len({round(value, 4) for value in found}) >= 2, "all are alike, which proves little"


CAMS = {
    "grad": (GradCAM(), cam_of(grad_cam)),
    "x-grad": (XGradCAM(layer="features"), cam_of(x_grad_cam)),
    "eigen": (EigenCAM(), cam_of(eigen_cam)),
}
MAPS = [
    InputGradient(),
    IntegratedGradients(steps=3),
    LRP(),
    AblationCAM(layer="features"),
]
BACKGROUNDS = {
    "fgsm": (FGSMBackground(eps=EPS), fgsm),
    "grey": (FilledBackground(ConstantFill(value=0.4)), grey),
    "mean": (FilledBackground(ImageMeanFill()), mean_colour),
}
DISTANCES = {
    "cells": (CellDistance(cells=CELLS), cells),
    "pixels": (PixelDistance(), pixels),
    "mean": (MeanDistance(scale=3.0), mean),
}
SQUASHES = {
    "tanh": (Tanh(), math.tanh),
    "softsign": (Softsign(), lambda d: d / (1 + abs(d))),
    "arctan1": (Arctan(), lambda d: 2 * math.atan(d) / math.pi),
}


@pytest.mark.parametrize("only_correct", [True, False])
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("cam", CAMS)
def test_class_activation_maps_are_compared_as_printed(
    cam: str, background: str, only_correct: bool, net: Quarters, batch: Batch
) -> None:
    (explainer, explained), (behind, moved) = CAMS[cam], BACKGROUNDS[background]
    score = Inconsistency(explainer, behind, CellDistance(cells=2), only_correct=only_correct)
    check(net, batch, score, reference(net, batch, explained, moved, only_correct=only_correct))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("psi", SQUASHES)
def test_distances_and_squashing_are_as_printed(distance: str, psi: str, net: Quarters, batch: Batch) -> None:
    (far, apart), (squash, squashed) = DISTANCES[distance], SQUASHES[psi]
    expected = reference(net, batch, cam_of(grad_cam), apart=apart, psi=squashed)
    check(net, batch, Inconsistency(GradCAM(), FGSMBackground(eps=EPS), far, squash), expected)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.filterwarnings("ignore:LRP did not keep its relevance")
@pytest.mark.parametrize("explainer", MAPS, ids=lambda explainer: type(explainer).__name__)
def test_other_explainers_are_compared_at_the_size_of_the_image(
    explainer: Any, distance: str, net: Quarters, batch: Batch
) -> None:
    far, apart = DISTANCES[distance]
    expected = reference(net, batch, map_of(explainer), apart=apart)
    check(net, batch, Inconsistency(explainer, FGSMBackground(eps=EPS), far), expected)


def test_some_are_right_some_are_wrong_and_some_change_their_class(net: Quarters, batch: Batch) -> None:
    found = torch.tensor(reference(net, batch, cam_of(grad_cam)))
    assert (found[-3:] == 1).all() and 0 < int((found[:-3] == 1).sum()) < COUNT - 5
    left = torch.tensor(reference(net, batch, cam_of(grad_cam), only_correct=False))
    assert (left[-3:] < 1).any()
    assert len(set(net(batch.x).argmax(1).tolist())) >= 3
