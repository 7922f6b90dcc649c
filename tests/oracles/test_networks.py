"""Every explainer on networks that people use: it works, or says in one sentence why not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from glasshouse.explainers import (
    RISE,
    AblationCAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackprop,
    InputGradient,
    IntegratedGradients,
    Occlusion,
    ScoreCAM,
    SmoothGrad,
    VarGrad,
    XGradCAM,
)
from glasshouse.explainers.layers import last_spatial_layer
from glasshouse.models import ResNet20, SmallCNN

Y = torch.tensor([1, 3])
CHEAP: list[Any] = [InputGradient(), GuidedBackprop(), GradCAM(), GradCAMPlusPlus(), XGradCAM(), EigenCAM()]
SEVERAL: list[Any] = [
    IntegratedGradients(steps=2),
    SmoothGrad(samples=2),
    VarGrad(samples=2),
    AblationCAM(),
    Occlusion(window=16, stride=16, probability=False),
    RISE(masks=6),
]
LAYERS = {
    "resnet18": "layer4",
    "vgg11": "avgpool",
    "mobilenet_v2": "features",
    "densenet121": "features",
    "vit_b_16": "encoder.layers.encoder_layer_11.ln_1",
    "ResNet20": "network.layer3",
    "SmallCNN": "network.features",
}
BUILT: dict[str, tuple[nn.Module, Tensor]] = {}


def network(name: str) -> tuple[nn.Module, Tensor]:
    """Random weights, BatchNorm that has seen these images, and two of them; the transformer, which is slow, one."""
    if name not in BUILT:
        torch.manual_seed(0)
        own = {"ResNet20": ResNet20, "SmallCNN": SmallCNN}
        model = own[name]()(10) if name in own else get_model(name, weights=None, num_classes=10)
        side = 224 if name.startswith("vit") else 32 if name in own else 64
        x = torch.rand(1 if name.startswith("vit") else 2, 3, side, side)
        if name.startswith("vit"):
            nn.init.normal_(model.heads.head.weight, std=0.1)  # 0 by default: nothing to explain
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            BUILT[name] = (model(x) is not None and model.eval(), x)  # type: ignore[assignment]
    return BUILT[name]


def checked(explainer: Any, model: nn.Module, x: Tensor) -> None:
    attribution = explainer(model, x, Y[: len(x)])
    assert attribution.shape == x[:, 0].shape and attribution.isfinite().all()
    assert all(image.unique().numel() > 1 for image in attribution)


CONVOLUTIONAL = [name for name in LAYERS if name != "vit_b_16"]


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("explainer", [*CHEAP, *SEVERAL], ids=lambda e: type(e).__name__)
def test_it_works_on_convolutional_networks(explainer: Any, name: str) -> None:
    checked(explainer, *network(name))


# Few channels: each costs a forward pass.
EARLY = {
    "resnet18": "layer1",
    "vgg11": "features.0",
    "mobilenet_v2": "features.1",
    "densenet121": "features.pool0",
    "ResNet20": "",
    "SmallCNN": "",
}


@pytest.mark.parametrize("name", EARLY)
def test_score_cam_works_on_convolutional_networks(name: str) -> None:
    model, x = network(name)
    checked(ScoreCAM(layer=EARLY[name]), model, x[:1])


@pytest.mark.parametrize(
    "explainer",
    [
        *(e for e in CHEAP if e not in (GuidedBackprop(), GradCAMPlusPlus())),
        IntegratedGradients(steps=1),
        SmoothGrad(samples=1),
        Occlusion(window=112, stride=112, probability=False),
        RISE(masks=2),
    ],
    ids=lambda e: type(e).__name__,
)
def test_it_works_on_a_vision_transformer(explainer: Any) -> None:
    checked(explainer, *network("vit_b_16"))


def test_guided_backpropagation_has_nothing_to_guide_in_a_vision_transformer() -> None:
    model, x = network("vit_b_16")
    with pytest.raises(ValueError, match="the model calls none"):
        GuidedBackprop()(model, x, Y[:1])


def test_what_needs_activations_above_0_may_be_empty_behind_a_layer_norm() -> None:
    model, x = network("vit_b_16")
    assert GradCAMPlusPlus()(model, x, Y[:1]).isfinite().all()


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_the_last_that_says_where(name: str) -> None:
    model, x = network(name)
    assert last_spatial_layer(model, x[:1]) == LAYERS[name]


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2"])
def test_the_gradient_through_a_map_reaches_every_convolution(name: str) -> None:
    model, x = network(name)
    IntegratedGradients(steps=1)(model, x, Y, create_graph=True).square().sum().backward()
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.grad is not None and w.grad.isfinite().all() and w.grad.any() for w in weights)
    model.zero_grad(set_to_none=True)
