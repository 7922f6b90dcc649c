"""Class activation maps: the published formulas by hand, identities between them, layers of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer

from glasshouse.explainers import AblationCAM, EigenCAM, GradCAM, GradCAMPlusPlus, ScoreCAM, XGradCAM
from glasshouse.explainers.ablation_cam import ablated_scores
from glasshouse.explainers.cam import grad_cam_plus_plus
from glasshouse.explainers.eigen_cam import eigen_cam
from glasshouse.explainers.layers import feature_map, last_spatial_layer
from glasshouse.types import Batch
from nets import CLASSES, SIDE, seeded_net

CAMS: list[Any] = [GradCAM, GradCAMPlusPlus, XGradCAM, EigenCAM, AblationCAM, ScoreCAM]
Y = torch.tensor([0, 3, 1])


def images(side: int = SIDE, count: int = 3) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(6))


def relu_net(stride: int = 2) -> nn.Module:
    """Activations >= 0, some of them 0, then a mean and a linear head."""
    return seeded_net(activation=nn.ReLU, stride=stride).eval()


def enlarged(cam: Tensor) -> Tensor:
    return F.interpolate(cam[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]


def seen_at(net: nn.Module, x: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Activation and gradient of the last feature map, in float64."""
    activation = net.double().features(x.double())
    score = net.head(activation.mean((2, 3))).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, activation)
    return activation.detach().numpy(), gradient.numpy()


def test_x_grad_cam_is_grad_cam_before_a_mean_and_a_linear_head() -> None:
    net, x = relu_net(), images()
    torch.testing.assert_close(XGradCAM()(net, x, Y), GradCAM()(net, x, Y))
    assert GradCAM()(net, x, Y).any()
    early = [cam(layer="features.2")(net, x, Y) for cam in (XGradCAM, GradCAM)]
    assert not torch.allclose(*early, rtol=0.1)


def test_x_grad_cam_is_not_drowned_where_activations_are_small() -> None:
    net, x = relu_net(), images()
    net.features[3].bias.data *= 0
    net.features[3].weight.data *= 1e-9
    torch.testing.assert_close(XGradCAM()(net, x, Y), GradCAM()(net, x, Y), atol=0, rtol=1e-3)


def test_grad_cam_plus_plus_is_the_published_formula() -> None:
    net, x = relu_net(), images()
    a, g = seen_at(net, x, Y)
    total = a.sum((2, 3), keepdims=True)
    with np.errstate(invalid="ignore"):
        alpha = np.where(g != 0, g**2 / (2 * g**2 + total * g**3), 0)
    weight = (alpha * np.maximum(g, 0)).sum((2, 3), keepdims=True)
    expected = enlarged(torch.from_numpy(np.maximum((weight * a).sum(1), 0)))
    torch.testing.assert_close(GradCAMPlusPlus()(net.float(), x, Y).double(), expected, atol=1e-7, rtol=1e-4)
    assert expected.any() and not torch.allclose(GradCAM()(net, x, Y).double(), expected, rtol=0.1)


def test_grad_cam_plus_plus_has_no_pole() -> None:
    found = grad_cam_plus_plus(torch.full((1, 1, 2, 2), -1.0), torch.full((1, 1, 2, 2), 0.5))
    assert found.isfinite().all() and not found.any()  # 2 + g sum A = 0
    assert torch.equal(grad_cam_plus_plus(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)), torch.zeros(1, 2, 2))


def first_component(a: np.ndarray) -> np.ndarray:
    """The centred features of one image along their first component, of a sign that numpy chooses."""
    features = a.reshape(len(a), -1).T
    centred = features - features.mean(0)
    return (centred @ np.linalg.svd(centred)[2][0]).reshape(a.shape[1:])


def test_eigen_cam_is_the_first_component_and_points_to_the_stronger_features() -> None:
    net, x = relu_net(), images()
    a, _ = seen_at(net, x, Y)
    found = eigen_cam(torch.from_numpy(a))
    for activation, cam in zip(a, found.numpy(), strict=True):
        projection, strength = first_component(activation), (activation**2).sum(0)
        signed = projection * np.sign(np.corrcoef(projection.ravel(), strength.ravel())[0, 1])
        assert np.allclose(cam, np.maximum(signed, 0), atol=1e-10) and cam.any()
    torch.testing.assert_close(EigenCAM()(net.float(), x, Y).double(), enlarged(found), atol=1e-5, rtol=1e-4)
    assert torch.equal(EigenCAM()(net, x, Y), EigenCAM()(net, x, (Y + 1) % CLASSES))


def test_eigen_cam_finds_the_one_place_where_features_fire() -> None:
    activation = 0.01 * torch.rand(2, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    activation[:, :, 1:3, 2] += torch.tensor([1.0, 0.5, 2.0, 0.0, 0.3])[:, None]
    cam = eigen_cam(activation)
    inside = torch.zeros(6, 6, dtype=torch.bool)
    inside[1:3, 2] = True
    assert (cam[:, inside] > 1).all() and (cam[:, ~inside] < 0.1).all()


def test_the_gradient_of_eigen_cam_survives_dead_and_equal_channels() -> None:
    activation = torch.rand(1, 6, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    activation[:, 3:] = 0
    activation[:, 1] = activation[:, 2]
    activation.requires_grad_()
    assert torch.autograd.gradcheck(eigen_cam, activation, atol=1e-6)
    flat = torch.ones(1, 6, 4, 4, requires_grad=True)
    eigen_cam(flat).sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all() and not eigen_cam(flat).any()


def ablated_by_hand(net: nn.Module, activation: Tensor, y: Tensor) -> Tensor:
    """One channel at a time, one image at a time."""
    whole = net.head(activation.mean((2, 3)))
    weight = torch.zeros(activation.shape[:2])
    for k in range(activation.shape[1]):
        less = activation.clone()
        less[:, k] = 0
        weight[:, k] = (whole - net.head(less.mean((2, 3)))).gather(1, y[:, None])[:, 0]
    return enlarged((weight[:, :, None, None] * activation).sum(1).relu())


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_ablation_cam_takes_out_one_channel_at_a_time(batch_size: int) -> None:
    net, x = relu_net(), images()
    with torch.no_grad():
        expected = ablated_by_hand(net, net.features(x), Y)
    found = AblationCAM(batch_size=batch_size)(net, x, Y)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert found.any()


def score_cam_by_hand(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    activation, rows = net.features(x), []
    for image, channels, target in zip(x, activation, y, strict=True):
        large = [enlarged(channel[None])[0] for channel in channels]
        masks = [(m - m.min()) / (m.max() - m.min()) if m.max() > m.min() else 0 * m for m in large]
        rows.append(torch.stack([net((image * mask)[None])[0, target] for mask in masks]))
    weight = torch.stack(rows).softmax(1)
    return enlarged((weight[:, :, None, None] * activation).sum(1).relu())


@pytest.mark.parametrize("batch_size", [1, 5, 256])
def test_score_cam_looks_through_one_channel_at_a_time(batch_size: int) -> None:
    net, x = relu_net(), images()
    with torch.no_grad():
        expected = score_cam_by_hand(net, x, Y)
    found = ScoreCAM(batch_size=batch_size)(net, x, Y)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert found.any()


class Branching(nn.Module):
    """A layer in one branch; what leads around it is added, added in place, or concatenated."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor], width: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.inner = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1)
        self.join, self.head = join, nn.Linear(width, CLASSES)
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        stem = self.stem(x).relu()
        return self.head(self.join(stem, self.inner(stem)).relu().mean((2, 3)))


JOINS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int, list[int]]] = {
    "nothing": (lambda stem, inner: inner, 5, [2]),
    "added": (lambda stem, inner: stem + inner, 5, [2, 8]),
    "added in place": (lambda stem, inner: stem.add_(inner), 5, [2, 8]),
    "concatenated": (lambda stem, inner: torch.cat([stem, inner], 1), 10, [2, 8]),
}


@pytest.mark.parametrize("name", JOINS)
def test_channels_go_whatever_leads_around_their_layer(name: str) -> None:
    join, width, calls = JOINS[name]
    net, x, y = Branching(join, width), images(count=2), torch.tensor([1, 3])
    with torch.no_grad():
        found = ablated_scores(net, "inner", 0, x, y, torch.arange(1, 5))
        assert net.calls == calls
        for row, k in enumerate(range(1, 5)):
            handle = net.inner.register_forward_hook(
                lambda module, inputs, output, k=k: output * (torch.arange(5) != k)[:, None, None]
            )
            torch.testing.assert_close(found[row], net(x)[[0, 1], y])
            handle.remove()


class Reused(nn.Module):
    """One convolution, called three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.again, self.head = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.again(x).relu_()
        return self.head(x.mean((2, 3)))


class Unrolled(nn.Module):
    """The same network, each call a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        whole = Reused()
        parts = [nn.Conv2d(6, 6, 3, padding=1) for _ in range(3)]
        for part in parts:
            part.load_state_dict(whole.again.state_dict())
        self.stem, self.parts, self.head = whole.stem, nn.ModuleList(parts), whole.head

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for part in self.parts:
            x = part(x).relu()
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("cam", CAMS)
def test_the_last_call_of_a_reused_layer_counts(cam: Any) -> None:
    found = cam(layer="again")(Reused(), images(), Y)
    torch.testing.assert_close(found, cam(layer="parts.2")(Unrolled(), images(), Y))
    assert found.any()


def small_transformer(zeros: bool = False) -> nn.Module:
    torch.manual_seed(0)
    net = VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=CLASSES)
    if not zeros:
        nn.init.normal_(net.heads.head.weight)
    return net.eval()


@pytest.mark.parametrize("zeros", [False, True])
def test_a_transformer_is_seen_before_its_tokens_are_mixed_for_the_last_time(zeros: bool) -> None:
    net, x = small_transformer(zeros), images(32)
    assert last_spatial_layer(net, x[:1]) == "encoder.layers.encoder_layer_2.ln_1"


@pytest.mark.parametrize("cam", CAMS)
def test_tokens_become_a_map(cam: Any) -> None:
    net, x = small_transformer(), images(32)
    found = cam()(net, x, Y)
    assert found.shape == (3, 32, 32) and found.isfinite().all() and found.any()
    assert torch.equal(cam(layer="encoder.layers.encoder_layer_2.ln_1")(net, x, Y), found)
    assert cam(layer="encoder.layers.encoder_layer_1")(net, x, Y).any()


def test_what_no_logit_sees_has_an_empty_map() -> None:
    net, x = small_transformer(), images(32)
    assert not GradCAM(layer="encoder.ln")(net, x, Y).any()


def test_tokens_lie_row_by_row_behind_the_class_token() -> None:
    tokens = torch.arange(10.0).view(1, 10, 1).repeat(1, 1, 2)
    found = feature_map(tokens, "layer", torch.zeros(1, 3, 9, 9))
    assert found.shape == (1, 2, 3, 3) and found[0, 1].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert torch.equal(feature_map(tokens[:, 1:], "layer", torch.zeros(1, 3, 9, 9)), found)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 4), (8, 8)),  # no map
        ((1, 5, 1, 1), (8, 8)),  # a single cell
        ((1, 10, 5), (8, 16)),  # tokens of an image that is not square
        ((1, 15, 5), (8, 8)),  # six tokens beyond a square
        ((4, 5, 3, 3), (8, 8)),  # windows instead of images
    ],
)
def test_what_is_no_feature_map_is_refused(shape: tuple[int, ...], image: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"layer 'here' gives .*not a .* feature map"):
        feature_map(torch.zeros(shape), "here", torch.zeros(1, 3, *image))


@pytest.mark.parametrize("cam", CAMS)
def test_every_cam_says_what_is_wrong(cam: Any, batch: Batch) -> None:
    net = small_transformer()
    with pytest.raises(ValueError, match=r"no layer 'nope'.*encoder"):
        cam(layer="nope")(net, images(32), Y)
    with pytest.raises(ValueError, match="gives a tuple"):
        cam(layer="encoder.layers.encoder_layer_2.self_attention")(net, images(32), Y)
    with pytest.raises(ValueError, match=r"not a .* feature map"):
        cam(layer="heads")(net, images(32), Y)
    with pytest.raises(ValueError, match=f"{CLASSES} classes, 0 to {CLASSES - 1}; target holds 0, 1, 9"):
        cam()(net, images(32), torch.tensor([0, 1, 9]))
    with pytest.raises(ValueError, match="never calls its layer 'spare'"):
        spare = seeded_net()
        spare.spare = nn.Conv2d(3, 3, 1)
        cam(layer="spare")(spare, batch.x, batch.y)


@pytest.mark.parametrize("cam", CAMS)
def test_a_flat_image_has_a_finite_map(cam: Any) -> None:
    for value in (0.0, 0.5, 1.0):
        assert cam()(relu_net(), torch.full((2, 3, SIDE, SIDE), value), Y[:2]).isfinite().all()


@pytest.mark.parametrize(("cam", "least"), [(AblationCAM, "at least 1"), (ScoreCAM, "0 ")])
def test_no_batch_has_less_than_no_images(cam: Any, least: str) -> None:
    with pytest.raises(ValueError, match=f"batch_size is {least}.*, not -1"):
        cam(batch_size=-1)
