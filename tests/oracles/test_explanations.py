"""Explanations whose right answer is known: linear and additive models, hand-written references."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import (
    LIME,
    BlurFill,
    ConstantFill,
    GradCAM,
    Grid,
    ImageMeanFill,
    InputGradient,
    MeanFill,
    Slic,
)
from glasshouse.explainers.designs import bernoulli
from glasshouse.explainers.gradient import input_gradient
from glasshouse.explainers.layers import last_spatial_layer
from glasshouse.explainers.lime import cosine_kernel, weighted_ridge
from glasshouse.explainers.superpixels import averaged, painted, pooled, switched
from glasshouse.metrics import MassInside
from glasshouse.types import Batch
from nets import CLASSES, SIDE, Linear, Net, seeded_net


def test_the_input_gradient_of_a_linear_model_is_its_weight(linear: Callable[[], Linear], batch: Batch) -> None:
    model, y = linear(), batch.y % 2
    weight = model.weight.detach() * torch.where(y == 0, 1.0, -1.0).view(-1, 1, 1, 1)
    torch.testing.assert_close(InputGradient()(model, batch.x, y), weight.sum(1))
    torch.testing.assert_close(InputGradient(times_input=True)(model, batch.x, y), (weight * batch.x).sum(1))


def test_the_gradient_of_a_probability_is_p_times_1_minus_p_times_the_weight(linear: Callable[[], Linear]) -> None:
    model, x = linear(), torch.rand(2, 3, SIDE, SIDE) / 50
    p = model(x).softmax(1)[:, 0].detach().view(-1, 1, 1, 1)
    found = input_gradient(model, x, torch.tensor([0, 0]), probability=True)
    torch.testing.assert_close(found, 2 * p * (1 - p) * model.weight.detach())


class Additive(nn.Module):
    """The probability of class 0 is a weighted sum of the cells' brightness."""

    def __init__(self, beta: Tensor, intercept: float) -> None:
        super().__init__()
        self.beta, self.intercept = nn.Parameter(beta), intercept

    def forward(self, x: Tensor) -> Tensor:
        cells = F.adaptive_avg_pool2d(x.mean(1), 4).flatten(1)
        p = self.intercept + cells @ self.beta
        return torch.stack([p, 1 - p], 1).log()


def additive() -> tuple[Additive, Tensor]:
    beta = torch.linspace(-0.02, 0.05, 16)[torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    return Additive(beta, 0.4), beta


def test_lime_recovers_the_coefficients_of_an_additive_model() -> None:
    model, beta = additive()
    lime = LIME(segmenter=Grid(cells=4), samples=200, fill=ConstantFill(value=0.0), ridge=1e-6)
    target = torch.tensor([0, 1])
    surrogate = lime.surrogate(model, torch.ones(2, 3, SIDE, SIDE), target)
    torch.testing.assert_close(surrogate.beta, torch.stack([beta, -beta]), atol=1e-4, rtol=0)
    torch.testing.assert_close(surrogate.intercept, torch.tensor([0.4, 0.6]), atol=1e-4, rtol=0)
    painted_cells = lime(model, torch.ones(2, 3, SIDE, SIDE), target)[0].reshape(4, 4, 4, 4)
    torch.testing.assert_close(painted_cells.mean((1, 3)).flatten(), beta, atol=1e-4, rtol=0)


def test_lime_ranks_the_cells_of_an_additive_model_with_its_default_ridge_too() -> None:
    model, beta = additive()
    lime = LIME(segmenter=Grid(cells=4), samples=400, fill=ConstantFill(value=0.0))
    found = lime.surrogate(model, torch.ones(1, 3, SIDE, SIDE), torch.tensor([0])).beta[0]
    assert torch.corrcoef(torch.stack([found, beta]))[0, 1] > 0.95


def test_the_weighted_ridge_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    on = generator.integers(0, 2, (3, 90, 7)).astype(float)
    values, weight = generator.normal(size=(3, 90)), generator.uniform(0.01, 1, (3, 90))
    beta, intercept, _ = weighted_ridge(*(torch.from_numpy(a) for a in (on, values, weight)), 1.0)
    for i in range(3):
        peer = Ridge(alpha=1.0, fit_intercept=True).fit(on[i], values[i], sample_weight=weight[i])
        assert np.allclose(beta[i].numpy(), peer.coef_, atol=1e-6)
        assert np.allclose(intercept[i].numpy(), peer.intercept_, atol=1e-6)


def test_the_kernel_is_that_of_the_lime_package() -> None:
    on = torch.randint(0, 2, (1, 60, 9), generator=torch.Generator().manual_seed(0)).float()
    on[0, 0], on[0, 1] = 1, 0
    distance = pairwise_distances(on[0].numpy(), on[0, :1].numpy(), metric="cosine").ravel()
    expected = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    assert np.allclose(cosine_kernel(on, torch.tensor([9]), 0.25)[0].numpy(), expected, atol=1e-6)


def test_maskings_keep_the_whole_image_first_and_nothing_that_an_image_does_not_have() -> None:
    on = bernoulli(2000, torch.tensor([3, 5]), 0)
    assert on.shape == (2, 2000, 5) and set(on.unique().tolist()) == {0, 1}
    assert on[0, 0].tolist() == [1, 1, 1, 0, 0] and on[1, 0].tolist() == [1, 1, 1, 1, 1]
    assert not on[0, :, 3:].any()
    assert torch.allclose(on[1, 1:].mean(0), torch.tensor(0.5), atol=0.05)
    assert not torch.equal(bernoulli(2000, torch.tensor([5]), 1)[0], on[1])


@pytest.mark.parametrize("side", [16, 32, 64])
def test_noise_and_one_colour_have_superpixels_too(side: int) -> None:
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    for x in (noise, torch.full_like(noise, 0.5)):
        segments = Slic()(x)
        assert 16 <= int(segments.max()) + 1 <= 80 and len(segments.unique()) == int(segments.max()) + 1
    assert int(Slic()(torch.rand(1, 3, 3, 3)).max()) + 1 == 9  # fewer pixels than superpixels wanted


def test_lime_refuses_an_image_of_a_single_superpixel(net: Net, batch: Batch) -> None:
    with pytest.raises(ValueError, match="at least 2 of them"):
        LIME(segmenter=Grid(cells=1))(net, batch.x, batch.y)


def test_lime_gives_the_same_whatever_its_batch_size(net: Net, batch: Batch) -> None:
    maps = [LIME(segmenter=Grid(cells=4), samples=30, batch_size=n)(net, batch.x, batch.y) for n in (1, 7, 1000)]
    torch.testing.assert_close(maps[0], maps[2])
    torch.testing.assert_close(maps[1], maps[2])


@pytest.mark.parametrize("stride", [1, 2])
def test_grad_cam_is_the_published_formula(stride: int) -> None:
    net, x, y = seeded_net(stride=stride).eval(), torch.rand(4, 3, SIDE, SIDE), torch.arange(4) % CLASSES
    with torch.no_grad():
        activation = net.features(x).double().numpy()
    weight = net.head.weight.detach().double().numpy()[y] / activation[0, 0].size  # the head sees the mean
    cam = np.maximum((weight[:, :, None, None] * activation).sum(1), 0)
    resized = F.interpolate(torch.from_numpy(cam)[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    found = GradCAM()(net, x, y)
    torch.testing.assert_close(found.double(), resized[:, 0], atol=1e-6, rtol=1e-4)
    assert found.any()


def test_grad_cam_takes_the_last_layer_that_is_still_a_map(net: Net, batch: Batch) -> None:
    assert last_spatial_layer(net, batch.x[:1]) == "features"
    assert torch.equal(GradCAM()(net, batch.x, batch.y), GradCAM(layer="features")(net, batch.x, batch.y))
    assert not torch.equal(GradCAM(layer="features.0")(net, batch.x, batch.y), GradCAM()(net, batch.x, batch.y))


def test_grad_cam_names_the_layers_there_are(net: Net, linear: Callable[[], Linear], batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"no layer 'nope'.*features"):
        GradCAM(layer="nope")(net, batch.x, batch.y)
    with pytest.raises(ValueError, match="no layer of the model gives a feature map"):
        GradCAM()(linear(), batch.x, batch.y % 2)
    with pytest.raises(ValueError, match=r"not a .* feature map"):
        GradCAM(layer="head")(net, batch.x, batch.y)


def test_fills_are_what_they_say(batch: Batch) -> None:
    segments = Grid(cells=2)(batch.x)
    corner = MeanFill()(batch.x, segments)[:, :, :8, :8]
    torch.testing.assert_close(corner, batch.x[:, :, :8, :8].mean((2, 3), keepdim=True).expand_as(corner))
    whole = ImageMeanFill()(batch.x, segments)
    torch.testing.assert_close(whole, batch.x.mean((2, 3), keepdim=True).expand_as(whole))
    assert ConstantFill(value=0.25)(batch.x, segments).eq(0.25).all()
    blurred = BlurFill(sigma=0.1)(batch.x, segments)
    assert blurred.std() < 0.5 * batch.x.std() and abs(float(blurred.mean() - batch.x.mean())) < 0.02


def test_a_point_of_light_blurs_into_a_gaussian() -> None:
    x = torch.zeros(1, 1, 41, 41)
    x[0, 0, 20, 20] = 1
    row = BlurFill(sigma=2 / 41)(x, x[:, 0].long())[0, 0, 20, 14:27]
    expected = torch.exp(-(torch.arange(-6.0, 7.0) ** 2) / 8)
    torch.testing.assert_close(row / row.sum(), expected / expected.sum(), atol=1e-4, rtol=0)


def test_sums_and_means_over_superpixels() -> None:
    segments = torch.tensor([[[0, 0, 1], [2, 1, 1]], [[0, 0, 0], [1, 1, 1]]])
    values = torch.arange(12.0).view(2, 1, 2, 3)
    assert pooled(values, segments, 3).tolist() == [[[1, 11, 3]], [[21, 30, 0]]]
    assert averaged(values, segments, 3)[0, 0].tolist() == [0.5, pytest.approx(11 / 3), 3]
    assert averaged(values, segments, 3)[1, 0].tolist() == [7, 10, 0]
    assert painted(torch.tensor([[5, 6, 7], [8, 9, 0]]), segments).tolist() == [
        [[5, 5, 6], [7, 6, 6]],
        [[8, 8, 8], [9, 9, 9]],
    ]
    assert switched(torch.tensor([[[1, 0, 1]], [[0, 1, 0]]]), segments)[0, 0].tolist() == [[1, 1, 0], [1, 0, 0]]


def test_a_grid_counts_row_by_row() -> None:
    assert Grid(cells=2)(torch.zeros(1, 3, 4, 4))[0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2
    with pytest.raises(ValueError, match="no 8 x 8 cells"):
        Grid(cells=8)(torch.zeros(1, 3, 4, 9))


def test_mass_inside_is_the_share_of_the_positive_attribution(net: Net) -> None:
    mask = torch.zeros(3, 2, 2, dtype=torch.bool)
    mask[:, 0] = True
    maps = torch.tensor([[[3.0, 1.0], [4.0, -9.0]], [[-1.0, -1.0], [0.0, 0.0]], [[0.0, 2.0], [-5.0, 0.0]]])
    batch = Batch(torch.zeros(3, 3, 2, 2), torch.zeros(3).long(), mask, maps)
    assert MassInside()(net, batch).tolist() == [0.5, 0.5, 1.0]
    with pytest.raises(ValueError, match="mask"):
        MassInside()(net, batch._replace(mask=None))
    with pytest.raises(ValueError, match="explainer"):
        MassInside()(net, batch._replace(attribution=None))
