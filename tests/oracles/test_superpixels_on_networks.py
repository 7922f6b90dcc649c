"""Explanations by superpixels of networks as they come: in-place activations, reused modules, dense links, tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from glasshouse.explainers import ELIME, LIME, ConstantFill, FastLIME, Grid, KernelSHAP
from nets import SIDE, state

GRID = Grid(cells=4)
TINY = [
    LIME(GRID, samples=6, batch_size=4),
    FastLIME(GRID, samples=8, gradients=2, batch_size=4),
    KernelSHAP(GRID, samples=6, batch_size=4),
    ELIME(GRID, population=3, generations=1, batch_size=4),
]
NETWORKS: list[tuple[Callable[..., nn.Module], int]] = [
    (models.resnet18, 64),
    (models.vgg11, 64),
    (models.mobilenet_v2, 64),
    (models.densenet121, 64),
    (models.vit_b_16, 224),
]


def fed(model: nn.Module, side: int) -> nn.Module:
    """With the statistics of some noise in its BatchNorms: without any, a deep one gives the same for every image."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(4, 3, side, side)) if norms else None
    return model


@pytest.mark.parametrize(("make", "side"), NETWORKS, ids=lambda value: getattr(value, "__name__", value))
def test_networks_of_torchvision_are_explained_and_given_back(make: Callable[..., nn.Module], side: int) -> None:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"num_classes": 5}
    if make is models.vit_b_16:  # as deep as it takes to have tokens and attention
        model: nn.Module = models.VisionTransformer(side, 16, 2, 4, 64, 128, num_classes=5)
        nn.init.normal_(model.heads.head.weight)  # type: ignore[union-attr]
    else:
        model = fed(make(weights=None, **arguments), side)
    x = torch.rand(1, 3, side, side)
    modes = [m.training for m in model.modules()]
    wanted = [p.requires_grad for p in model.parameters()]
    statistics = [b.clone() for b in model.buffers()]
    for explainer in TINY:
        attribution = explainer(model, x, torch.tensor([3]))
        assert attribution.shape == (1, side, side) and attribution.isfinite().all() and attribution.any()
        assert len(attribution.unique()) > 1 and not attribution.requires_grad
    assert [m.training for m in model.modules()] == modes and [p.requires_grad for p in model.parameters()] == wanted
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), statistics, strict=True))


class Reused(nn.Module):
    """One activation, in place or not, and one convolution, each used three times."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem, self.conv, self.relu = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        for _ in range(2):
            x = x + self.relu(self.conv(x))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("explainer", TINY[:3], ids=lambda explainer: type(explainer).__name__)
def test_activations_in_place_and_modules_used_again_change_nothing(explainer: LIME, create_graph: bool) -> None:
    x, y, found = torch.rand(2, 3, SIDE, SIDE), torch.tensor([0, 2]), []
    for inplace in (False, True):
        torch.manual_seed(1)
        model = Reused(inplace)
        before = state(model)
        found.append(explainer(model, x, y, create_graph=create_graph))
        assert state(model) == before
        if create_graph:
            found[-1].square().sum().backward()
            found.append(model.conv.weight.grad)  # type: ignore[arg-type]
    for plain, in_place in zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True):
        assert torch.equal(plain, in_place) and plain.any()


def test_pixels_themselves_are_not_overwritten_by_an_activation_in_place() -> None:
    """An in-place activation first of all works on what it is given."""
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3))
    x = torch.rand(2, 3, SIDE, SIDE)
    before = x.clone()
    for explainer in TINY:
        assert explainer(model, x, torch.tensor([0, 1])).isfinite().all()
    assert torch.equal(x, before)
    filled = ConstantFill(value=0.5)(x, GRID(x))
    assert filled.eq(0.5).all()
