"""The adapter gives what captum gives when it is called by hand, for every method of captum that it takes."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import Captum, Grid
from glasshouse.explainers.captum_method import UNFIT, methods
from glasshouse.spec import parse
from glasshouse.types import Batch
from nets import Net, full_batch, seeded_net, state

attr: Any = pytest.importorskip("captum.attr")
FEW: dict[str, tuple[tuple[str, Any], ...]] = {
    "Lime": (("n_samples", 30),),
    "KernelShap": (("n_samples", 30),),
    "ShapleyValueSampling": (("n_samples", 2),),
}


@pytest.fixture(scope="module")
def small() -> tuple[Net, Batch]:
    """A network whose feature map is 4 x 4, and three images."""
    batch = full_batch(3)
    return seeded_net(activation=nn.ReLU, stride=4).eval(), batch


@pytest.mark.parametrize("method", methods())
def test_every_method_gives_a_map_the_same_each_time_and_each_image_alone(
    method: str, small: tuple[Net, Batch]
) -> None:
    net, batch = small
    explainer = Captum(method=method, options=FEW.get(method, ()), segmenter=Grid(cells=3))
    before, drawn = state(net), torch.random.get_rng_state()
    attributes = [set(vars(module)) for module in net.modules()]
    others = random.getstate(), np.random.get_state()[1].tolist()
    whole = explainer(net, batch.x, batch.y)
    assert whole.shape == (3, 16, 16) and whole.isfinite().all() and whole.any() and not whole.requires_grad
    assert state(net) == before and torch.equal(torch.random.get_rng_state(), drawn)
    assert [set(vars(module)) for module in net.modules()] == attributes
    assert random.getstate() == others[0] and np.random.get_state()[1].tolist() == others[1]
    torch.manual_seed(99)
    alone = torch.cat([explainer(net, batch.x[i : i + 1], batch.y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, whole, atol=1e-5, rtol=1e-3)


def by_hand(net: Net, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """captum as its own documentation calls it."""
    x = x.clone().requires_grad_()
    mask = Grid(cells=3)(x)[:, None]
    cam = attr.LayerGradCam(net, net.features).attribute(x, target=y, relu_attributions=True)
    ablation = [
        attr.FeatureAblation(net).attribute(x[i : i + 1], target=y[i : i + 1], feature_mask=mask[i : i + 1])
        for i in range(len(x))
    ]
    window = {"sliding_window_shapes": (3, 4, 4), "strides": (3, 2, 2)}
    return {
        "IntegratedGradients": attr.IntegratedGradients(net).attribute(x, target=y, n_steps=20, baselines=0.5).sum(1),
        "Saliency": attr.Saliency(net).attribute(x, target=y, abs=False).sum(1),
        "DeepLift": attr.DeepLift(net).attribute(x, target=y).sum(1),
        "LayerGradCam": F.interpolate(cam, (16, 16), mode="bilinear", align_corners=False)[:, 0],
        "FeatureAblation": torch.cat(ablation)[:, 0],
        "Occlusion": attr.Occlusion(net).attribute(x, target=y, **window).sum(1),
    }


OPTIONS: dict[str, tuple[tuple[str, Any], ...]] = {
    "IntegratedGradients": (("n_steps", 20), ("baselines", 0.5)),
    "Saliency": (("abs", False),),
    "LayerGradCam": (("relu_attributions", True),),
    "Occlusion": (("sliding_window_shapes", (3, 4, 4)), ("strides", (3, 2, 2))),
}


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("method", ["DeepLift", "FeatureAblation", *OPTIONS])
def test_options_reach_captum_and_the_map_is_its_own(method: str, small: tuple[Net, Batch]) -> None:
    net, batch = small
    layer = "features" if method.startswith("Layer") else ""
    explainer = Captum(method=method, layer=layer, options=OPTIONS.get(method, ()), segmenter=Grid(cells=3))
    expected = by_hand(net, batch.x, batch.y)[method].detach()
    torch.testing.assert_close(explainer(net, batch.x, batch.y), expected, atol=1e-6, rtol=1e-4)


def test_a_superpixel_has_one_value_and_weighs_what_switching_it_off_costs(small: tuple[Net, Batch]) -> None:
    net, batch = small
    found = Captum(method="FeatureAblation", segmenter=Grid(cells=2))(net, batch.x, batch.y)
    segments = Grid(cells=2)(batch.x)
    for s in range(4):
        off = torch.where((segments == s)[:, None], 0.0, batch.x)
        with torch.no_grad():
            cost = (net(batch.x) - net(off)).gather(1, batch.y[:, None])[:, 0]
        torch.testing.assert_close(found[segments == s].view(3, -1), cost[:, None].expand(-1, 64), atol=1e-6, rtol=1e-4)


def test_its_text_is_read_back_with_nested_options() -> None:
    explainer = Captum(method="Occlusion", options=(("strides", (3, 2, 2)), ("show_progress", False)))
    assert parse(repr(explainer), {"Captum": Captum, "Slic": type(explainer.segmenter)}) == explainer


BAD = [
    (Captum(method="Nope"), r"captum has no method 'Nope' .*known: .*DeepLift.*Saliency"),
    (Captum(method="LRP"), r"no method 'LRP' .*skip connections; take glasshouse's LRP"),
    (Captum(method="NeuronGradient"), r"no method 'NeuronGradient'"),
    (Captum(method="Saliency", options=(("abss", True),)), r"captum's Saliency has no option 'abss'; it has: abs"),
    (Captum(method="Saliency", layer="features"), r"captum's Saliency takes no layer, not 'features'"),
    (Captum(layer="nope"), r"the model has no layer 'nope'; it has"),
    (Captum(layer="head"), r"layer 'head' gives \(3, 1\)"),
    (Captum(method="IntegratedGradients", options=(("method", "x"),)), r"captum's IntegratedGradients cannot explain"),
]


@pytest.mark.parametrize(("explainer", "sentence"), BAD, ids=[s[:30] for _, s in BAD])
def test_what_cannot_be_is_one_sentence(explainer: Captum, sentence: str, small: tuple[Net, Batch]) -> None:
    net, batch = small
    before = state(net)
    with pytest.raises(ValueError, match=sentence):
        explainer(net, batch.x, batch.y)
    assert state(net) == before


def test_a_network_that_uses_a_relu_twice_is_refused_by_deeplift_and_given_back() -> None:
    class Twice(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.features[2](self.features(x)).mean((2, 3)))

    net, batch = Twice(nn.ReLU), full_batch(2)
    before = state(net)
    with pytest.raises(ValueError, match="captum's DeepLift cannot explain this model: A Module ReLU"):
        Captum(method="DeepLift")(net, batch.x, batch.y)
    assert state(net) == before and not any("input" in vars(m) for m in net.modules())


def test_a_target_that_is_no_class_and_an_option_twice_are_refused(small: tuple[Net, Batch]) -> None:
    net, batch = small
    with pytest.raises(ValueError, match="the model has 4 classes, 0 to 3"):
        Captum()(net, batch.x, batch.y + 4)
    with pytest.raises(ValueError, match="options names one twice"):
        Captum(options=(("a", 1), ("a", 2)))


def test_every_class_of_captum_is_taken_or_left_for_a_reason() -> None:
    every = {n for n in attr.__all__ if isinstance(getattr(attr, n), type) and hasattr(getattr(attr, n), "attribute")}
    left = every - set(methods())
    assert {n for n in left if not n.startswith("Neuron") and "LLM" not in n} == set(UNFIT)


def test_without_captum_a_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, small: tuple[Net, Batch]
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r"pip install 'glasshouse\[captum\]'"):
        Captum()(small[0], small[1].x, small[1].y)
