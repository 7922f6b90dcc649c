"""LRP next to zennit: the same rules give the same relevance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import LRP, AlphaBeta, Composite, Epsilon, Flat, Gamma, OneHot, ZBeta, ZPlus
from glasshouse.models import TorchVision

pytest.importorskip("zennit", reason="zennit is no part of the library; pip install -e .[dev]")

from zennit import rules as theirs
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base
from zennit.torchvision import ResNetCanonizer
from zennit.types import Convolution, Linear

STABILISER = 1e-6
PAIRS: list[tuple[Any, Any]] = [
    (ZPlus(stabiliser=STABILISER), theirs.ZPlus(STABILISER, zero_params="bias")),
    (ZPlus(stabiliser=STABILISER, absorb_bias=True), theirs.ZPlus(STABILISER)),
    (Epsilon(epsilon=1e-2), theirs.Epsilon(1e-2)),
    (Epsilon(epsilon=1e-2, absorb_bias=False), theirs.Epsilon(1e-2, zero_params="bias")),
    (Gamma(stabiliser=STABILISER), theirs.Gamma(0.25, STABILISER)),
    (AlphaBeta(stabiliser=STABILISER), theirs.AlphaBeta(2, 1, STABILISER, zero_params="bias")),
    (AlphaBeta(stabiliser=STABILISER, absorb_bias=True), theirs.AlphaBeta(2, 1, STABILISER)),
]
IDS = [repr(ours) for ours, _ in PAIRS]


class VGGLike(nn.Module):
    """Convolutions, BatchNorm, pooling and dense layers in a row, on pixels in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(16 * 3 * 3, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


def ready(model: nn.Module, x: Tensor) -> nn.Module:
    """Statistics of some images in every BatchNorm, and next to no eps.

    zennit 0.5.1 merges BatchNorm but leaves its eps behind: its network is 5e-6 smaller after each.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-15
    with torch.no_grad():
        for _ in range(3):
            model.train()(x)
    return model.eval()


def by_zennit(model: nn.Module, x: Tensor, targets: Tensor, first: Any, rule: Any, canonizer: Any) -> Tensor:
    base = [(kind, theirs.Norm(STABILISER) if isinstance(r, theirs.Norm) else r) for kind, r in layer_map_base()]
    composite = SpecialFirstLayerMapComposite(
        [*base, (Linear, rule.copy())], [(Convolution, first.copy())], canonizers=[canonizer]
    )
    x = x.clone().requires_grad_()
    start = nn.functional.one_hot(targets, model(x).shape[1]).to(x)
    with Gradient(model=model, composite=composite) as attributor:
        return attributor(x, start)[1].detach()


def close(ours: Tensor, zennits: Tensor, tolerance: float) -> None:
    scale = zennits.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
    assert ((ours - zennits).abs() / scale).max() < tolerance


@pytest.mark.parametrize(("ours", "zennits"), PAIRS, ids=IDS)
def test_a_network_in_a_row_is_explained_as_by_zennit(ours: Any, zennits: Any) -> None:
    torch.manual_seed(0)
    x, targets = torch.rand(4, 3, 28, 28, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    model = ready(VGGLike().double(), x)
    for first, box in ((ZBeta(stabiliser=STABILISER), True), (Flat(), False)):
        composite = Composite(first=first, convolution=ours, dense=ours, stabiliser=STABILISER)
        found = LRP(composite=composite, start=OneHot()).relevance(model, x, targets[:, None]).map[:, 0]
        other = theirs.ZBox(0.0, 1.0, STABILISER, zero_params="bias") if box else theirs.Flat(1e-12)
        close(found, by_zennit(model, x, targets, other, zennits, SequentialMergeBatchNorm()), 1e-6)


@pytest.mark.parametrize(("ours", "zennits"), PAIRS[::2], ids=IDS[::2])
def test_a_resnet_is_explained_as_by_zennit_with_its_canonizer(ours: Any, zennits: Any) -> None:
    torch.manual_seed(0)
    x, targets = torch.rand(2, 3, 40, 40, dtype=torch.float64), torch.tensor([0, 1])
    model = ready(TorchVision(name="resnet18")(10).double(), x)
    network = model.get_submodule("network")
    pixels = (x - model.mean) / model.std
    low, high = ((end - model.mean) / model.std for end in (0, 1))
    composite = Composite(first=ZBeta(stabiliser=STABILISER), convolution=ours, dense=ours, stabiliser=STABILISER)
    found = LRP(composite=composite, start=OneHot()).relevance(model, x, targets[:, None]).map[:, 0]
    box = theirs.ZBox(low, high, STABILISER, zero_params="bias")
    close(found, by_zennit(network, pixels, targets, box, zennits, ResNetCanonizer()), 1e-6)
