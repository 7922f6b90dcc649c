"""The same maps by captum and by grad-cam, where the method is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import (
    AblationCAM,
    ConstantFill,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackprop,
    IntegratedGradients,
    Occlusion,
    ScoreCAM,
    SmoothGrad,
    VarGrad,
    XGradCAM,
)
from glasshouse.explainers.eigen_cam import eigen_cam
from glasshouse.explainers.smooth_grad import noisy, standard_normal
from nets import SIDE, seeded_net

Y = torch.tensor([0, 3, 1])


def peer(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is a development-only oracle; install the extra 'dev'")


def relu_net(stride: int = 2) -> nn.Module:
    """Logits far above 0 and large gradients: the peers divide by both, or by both and an epsilon."""
    net = seeded_net(activation=nn.ReLU, stride=stride).eval()
    net.head.weight.data *= 100
    net.head.bias.data += 1000
    return net


def images() -> Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))


def agree(ours: Tensor, theirs: Tensor, share: float = 1e-4) -> None:
    """Equal up to a share of the largest value."""
    assert ours.any()
    torch.testing.assert_close(ours, theirs.detach().float(), atol=share * float(ours.abs().max()), rtol=0)


def test_integrated_gradients_are_those_of_captum() -> None:
    captum, net, x = peer("captum.attr"), relu_net(), images()
    theirs = captum.IntegratedGradients(net).attribute(x, baselines=0.25, target=Y, n_steps=20, method="gausslegendre")
    agree(IntegratedGradients(steps=20, baseline=ConstantFill(0.25))(net, x, Y), theirs.sum(1))


def test_guided_backpropagation_is_that_of_captum() -> None:
    captum, net, x = peer("captum.attr"), relu_net(), images()
    agree(GuidedBackprop()(net, x, Y), captum.GuidedBackprop(net).attribute(x, target=Y).sum(1))


@pytest.mark.parametrize("stride", [1, 4])
def test_occlusion_is_that_of_captum(stride: int) -> None:
    captum, net, x = peer("captum.attr"), relu_net(), images()
    theirs = captum.Occlusion(net).attribute(
        x, sliding_window_shapes=(3, 4, 4), strides=(3, stride, stride), baselines=0.5, target=Y
    )
    agree(Occlusion(window=4, stride=stride, probability=False)(net, x, Y), theirs[:, 0])


def test_grad_cam_is_that_of_captum() -> None:
    captum, net, x = peer("captum.attr"), relu_net(), images()
    for layer in ("features.0", "features.4"):
        module = net.get_submodule(layer)
        theirs = captum.LayerGradCam(net, module).attribute(x, target=Y, relu_attributions=True)
        theirs = F.interpolate(theirs, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
        agree(GradCAM(layer=layer)(net, x, Y), theirs)


class OneChannel(nn.Module):
    """Grey images: captum squares before our sum over channels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.expand(-1, 3, -1, -1))


NOISE: dict[str, Any] = {
    "smoothgrad": SmoothGrad(samples=6),
    "smoothgrad_sq": SmoothGrad(samples=6, squared=True),
    "vargrad": VarGrad(samples=6),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noisy_maps_are_combined_as_by_captum(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    captum, net, x = peer("captum.attr"), OneChannel(relu_net().double()), images()[:, :1].double()
    copies = noisy(x, standard_normal(6, x, 0), 0.15).transpose(0, 1).flatten(0, 1)  # captum's order: image by image
    monkeypatch.setattr(torch, "normal", lambda mean, std: copies - x.repeat_interleave(6, 0))
    tunnel = captum.NoiseTunnel(captum.Saliency(net))
    theirs = tunnel.attribute(x, target=Y, nt_type=kind, nt_samples=6, abs=False)
    monkeypatch.undo()
    agree(NOISE[kind](net, x, Y).float(), theirs[:, 0])


def by_grad_cam(name: str, net: nn.Module, layer: str, x: Tensor) -> Tensor:
    """The map of the package ``grad-cam``, which is brought to [0, 1]."""
    package = peer("pytorch_grad_cam")
    targets = [package.utils.model_targets.ClassifierOutputTarget(int(y)) for y in Y]
    with getattr(package, name)(model=net, target_layers=[net.get_submodule(layer)]) as cam:
        return torch.from_numpy(cam(input_tensor=x, targets=targets))


def from_0_to_1(cam: Tensor) -> Tensor:
    low, high = cam.amin((1, 2), keepdim=True), cam.amax((1, 2), keepdim=True)
    return (cam - low) / (high - low).clamp_min(1e-7)  # an empty map stays so


CAMS: dict[str, Any] = {
    "GradCAM": GradCAM,
    "GradCAMPlusPlus": GradCAMPlusPlus,
    "XGradCAM": XGradCAM,
    "AblationCAM": AblationCAM,
    "ScoreCAM": ScoreCAM,
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layer", ["features.2", "features.4"])
@pytest.mark.parametrize("name", CAMS)
def test_cams_are_those_of_grad_cam(name: str, layer: str, stride: int) -> None:
    if name == "ScoreCAM" and stride == 2:
        pytest.skip("grad-cam enlarges the masks between corners, we between cell centres")
    net, x = relu_net(stride), images()
    # A softmax of large logits picks one channel; grad-cam adds 1e-6 to squares of gradients.
    net.head.weight.data *= {"ScoreCAM": 0.01, "GradCAMPlusPlus": 100}.get(name, 1)
    ours = from_0_to_1(CAMS[name](layer=layer)(net, x, Y))
    agree(ours, by_grad_cam(name, net, layer, x), 2e-4)


def test_eigen_cam_is_that_of_grad_cam_up_to_its_sign() -> None:
    package, net, x = peer("pytorch_grad_cam"), relu_net(), images()
    with torch.no_grad():
        activation = net.features(x)
    theirs = package.utils.svd_on_activations.get_2d_projection(activation.numpy())
    for cam, projection in zip(eigen_cam(activation).numpy(), theirs, strict=True):
        scale = np.abs(projection).max()
        assert any(np.allclose(cam, np.maximum(sign * projection, 0), atol=1e-4 * scale) for sign in (1, -1))
    agree(from_0_to_1(EigenCAM()(net, x, Y)).amax((1, 2)), torch.ones(3))
