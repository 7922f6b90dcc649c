"""Gradient explanations whose right answer is known: completeness, finite differences, hand-written references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import (
    RISE,
    AblationCAM,
    BlurFill,
    ConstantFill,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackprop,
    ImageMeanFill,
    InputGradient,
    IntegratedGradients,
    Occlusion,
    ScoreCAM,
    SmoothGrad,
    VarGrad,
    XGradCAM,
)
from glasshouse.explainers.gradient import input_gradient
from glasshouse.explainers.integrated_gradients import gauss_legendre
from glasshouse.explainers.smooth_grad import noisy, standard_normal
from glasshouse.explainers.superpixels import backdrop, blocks
from glasshouse.explainers.targets import checked_target, target_score
from glasshouse.models import SmallCNN
from glasshouse.types import Batch
from nets import CLASSES, SIDE, Linear, Net, seeded_net

FILLS = [ConstantFill(0.0), ConstantFill(0.5), BlurFill(sigma=0.2), ImageMeanFill()]


def logits_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return model(x).gather(1, y[:, None])[:, 0].detach()


@pytest.mark.parametrize("fill", FILLS, ids=repr)
def test_integrated_gradients_add_up_to_what_the_logit_gains(fill: Any, batch: Batch) -> None:
    net = seeded_net().eval()
    gained = logits_of(net, batch.x, batch.y) - logits_of(net, backdrop(fill, batch.x), batch.y)
    attribution = IntegratedGradients(baseline=fill)(net, batch.x, batch.y)
    assert gained.abs().max() > 1e-3
    torch.testing.assert_close(attribution.sum((1, 2)), gained, atol=1e-5, rtol=1e-4)


def test_integrated_gradients_come_close_on_a_network_of_relus() -> None:
    torch.manual_seed(0)
    model, x, y = SmallCNN()(CLASSES), torch.rand(8, 3, 32, 32), torch.arange(8) % CLASSES
    model(x), model.eval()
    gained = logits_of(model, x, y) - logits_of(model, torch.zeros_like(x), y)
    error = [float((IntegratedGradients(steps=n)(model, x, y).sum((1, 2)) - gained).abs().max()) for n in (4, 64)]
    assert error[1] < 0.02 * gained.abs().max() and error[1] < error[0] / 3


def test_the_points_are_exact_for_polynomials() -> None:
    points, weights = gauss_legendre(3, torch.zeros(0, dtype=torch.float64))
    for degree in range(6):
        assert float((weights * points**degree).sum()) == pytest.approx(1 / (degree + 1))
    assert float((weights * points**6).sum()) != pytest.approx(1 / 7)


def test_integrated_gradients_of_a_linear_model_take_a_single_step(linear: Callable[[], Linear], batch: Batch) -> None:
    model, y = linear(), batch.y % 2
    weight = model.weight.detach() * torch.where(y == 0, 1.0, -1.0).view(-1, 1, 1, 1)
    found = IntegratedGradients(steps=1, baseline=ConstantFill(0.25))(model, batch.x, y)
    torch.testing.assert_close(found, (weight * (batch.x - 0.25)).sum(1))


@pytest.mark.parametrize("explainer", [IntegratedGradients(steps=5), SmoothGrad(samples=5), VarGrad(samples=5)])
def test_a_map_does_not_depend_on_how_much_runs_at_once(explainer: Any, net: Net, batch: Batch) -> None:
    maps = [replace(explainer, batch_size=n)(net, batch.x, batch.y) for n in (1, 4, 13, 1000)]
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], atol=1e-6, rtol=1e-4)


def test_blocks_cover_every_copy_of_every_image_once_and_are_no_larger_than_asked() -> None:
    for images, copies, size in ((5, 7, 3), (5, 7, 12), (2, 3, 100), (4, 1, 1)):
        seen = torch.zeros(images, copies)
        for part, groups in blocks(torch.zeros(images, 3, 8, 8), copies, size):
            for group in groups:
                seen[part, group] += 1
                assert seen[part, group].numel() <= size
        assert (seen == 1).all()


def double_batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(3, 3, SIDE, SIDE, generator=generator, dtype=torch.float64), torch.tensor([0, 3, 1])


TRAINED_THROUGH = [
    IntegratedGradients(steps=4, baseline=ConstantFill(0.2), batch_size=5),
    SmoothGrad(samples=3, batch_size=2),
    SmoothGrad(samples=3, squared=True),
    SmoothGrad(explainer=GradCAM(), samples=3),
    VarGrad(samples=3),
    GradCAM(),
    GradCAMPlusPlus(),
    XGradCAM(layer="features.2"),
    EigenCAM(),
    EigenCAM(layer="features.2"),
    AblationCAM(batch_size=3),
    ScoreCAM(batch_size=5),
    Occlusion(window=6),
    Occlusion(window=6, probability=False),
    RISE(masks=6, batch_size=4),
]


@pytest.mark.parametrize(
    ("explainer", "activation"),
    [(e, a) for e in TRAINED_THROUGH for a in (nn.Softplus, nn.ReLU)] + [(GuidedBackprop(), nn.ReLU)],
    ids=lambda value: repr(value) if value in (*TRAINED_THROUGH, GuidedBackprop()) else value.__name__,
)
def test_the_gradient_through_a_map_is_that_of_finite_differences(explainer: Any, activation: Any) -> None:
    net, (x, y) = seeded_net(activation=activation, stride=2).double().eval(), double_batch()
    generator = torch.Generator().manual_seed(7)
    look = torch.randn(3, SIDE, SIDE, generator=generator, dtype=torch.float64)

    def value() -> Tensor:
        return (explainer(net, x, y, create_graph=True) * look).sum()

    value().backward()
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in net.parameters()]
    pairs = zip(net.parameters(), direction, strict=True)
    exact = sum(float((p.grad * d).sum()) for p, d in pairs if p.grad is not None)
    found, h = [], 1e-7
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(net.parameters(), direction, strict=True):
                p += sign * h * d
        found.append(value().item())
    assert abs(exact) > 1e-6
    assert (found[0] - found[1]) / (2 * h) == pytest.approx(exact, rel=1e-4, abs=1e-8)


def test_smooth_grad_is_the_mean_and_var_grad_the_variance_of_noisy_maps(net: Net, batch: Batch) -> None:
    copies = noisy(batch.x, standard_normal(5, batch.x, 3), 0.2)
    maps = torch.stack([InputGradient()(net, copy, batch.y) for copy in copies])
    smooth = SmoothGrad(samples=5, noise=0.2, seed=3)
    torch.testing.assert_close(smooth(net, batch.x, batch.y), maps.mean(0))
    torch.testing.assert_close(replace(smooth, squared=True)(net, batch.x, batch.y), maps.square().mean(0))
    spread = VarGrad(samples=5, noise=0.2, seed=3)(net, batch.x, batch.y)
    torch.testing.assert_close(spread, maps.var(0, correction=0), atol=1e-9, rtol=1e-4)


def test_the_noise_is_a_share_of_each_images_own_range() -> None:
    x = torch.stack([torch.linspace(0, 1, 768).view(3, 16, 16), torch.linspace(0.4, 0.5, 768).view(3, 16, 16)])
    added = noisy(x, standard_normal(200, x, 0), 0.15) - x
    torch.testing.assert_close(added.std((0, 2, 3, 4)), torch.tensor([0.15, 0.015]), rtol=0.02, atol=0)
    torch.testing.assert_close(added[:, 1], added[:, 0] / 10, atol=1e-6, rtol=1e-4)
    assert not torch.equal(standard_normal(2, x, 0), standard_normal(2, x, 1))


def test_noise_leaves_torchs_own_stream_alone(net: Net, batch: Batch) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    SmoothGrad(samples=2)(net, batch.x, batch.y)
    assert torch.equal(torch.get_rng_state(), before)


class Rectified(nn.Module):
    """The same two layers with ReLUs called in every way there is."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.head, self.relu = nn.Linear(6, CLASSES), relu

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.first(x) - 0.1)
        return self.head(self.relu(self.second(inner) + 0.2).mean((2, 3)))


def ignored(x: Tensor) -> Tensor:
    """A ReLU in place whose answer nobody takes."""
    F.relu_(x)
    return x


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),  # reused, as the others
    "module in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "in place and ignored": ignored,
    "module that saturates": nn.ReLU6(),
    "function that saturates": F.relu6,
}


def guided_by_hand(net: Rectified, x: Tensor, y: Tensor) -> Tensor:
    """Backwards through the two layers, step by step, in float64."""
    net, x = net.double(), x.double()
    first = net.first(x) - 0.1
    second = net.second(first.relu()) + 0.2
    gradient = (net.head.weight[y] / second[0, 0].numel())[:, :, None, None].expand_as(second)
    gradient = gradient.relu() * (second > 0)
    gradient = F.conv_transpose2d(gradient, net.second.weight, padding=1).relu() * (first > 0)
    return F.conv_transpose2d(gradient, net.first.weight, padding=1).sum(1).detach()


@pytest.mark.parametrize("name", RELUS)
def test_guided_backpropagation_sees_every_kind_of_relu(name: str) -> None:
    x, y = torch.rand(3, 3, SIDE, SIDE), torch.tensor([0, 2, 1])
    found = GuidedBackprop()(Rectified(RELUS[name]), x, y)
    torch.testing.assert_close(found.double(), guided_by_hand(Rectified(F.relu), x, y), atol=1e-6, rtol=1e-3)
    assert not torch.allclose(found, InputGradient()(Rectified(F.relu), x, y), atol=1e-5)


@pytest.mark.parametrize("activation", [nn.Softplus, nn.GELU, nn.Hardtanh])
def test_guided_backpropagation_refuses_a_model_without_relus(activation: Any, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"about ReLUs.*calls none"):
        GuidedBackprop()(seeded_net(activation=activation), batch.x, batch.y)


def test_a_target_is_a_class_of_the_model() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0], [2.0, 5.0, 1.0]])
    target = torch.tensor([2, 0])
    assert checked_target(logits, target) is target and target_score(logits, target).tolist() == [3, 2]
    torch.testing.assert_close(target_score(logits, target, True), logits.softmax(1)[[0, 1], [2, 0]])
    for wrong, message in (
        (torch.tensor([3, 0]), r"3 classes, 0 to 2; target holds 0, 3"),
        (torch.tensor([-1, 0]), r"3 classes"),
        (torch.tensor([0.0, 1.0]), r"float32"),
        (torch.tensor([1]), r"each of 2 images"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_target(logits, wrong)
    with pytest.raises(ValueError, match="not logits"):
        checked_target(logits[0], target)


def test_the_gradient_refuses_a_class_that_is_none(net: Net, batch: Batch) -> None:
    with pytest.raises(ValueError, match=f"{CLASSES} classes"):
        input_gradient(net, batch.x, batch.y + 1)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: IntegratedGradients(steps=0), "steps is at least 1, not 0"),
        (lambda: IntegratedGradients(batch_size=-1), "batch_size is 0"),
        (lambda: SmoothGrad(samples=0), "samples is at least 1"),
        (lambda: SmoothGrad(noise=-0.1), "noise is at least 0"),
        (lambda: VarGrad(samples=1), "samples is at least 2"),
        (lambda: VarGrad(noise=0.0), "noise is above 0"),
    ],
)
def test_a_field_out_of_range_is_refused(make: Callable[[], Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make()
