"""The same numbers as the packages of others, given the same maskings: lime and captum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from glasshouse.explainers import LIME, ConstantFill, Grid, KernelSHAP, MeanFill, Slic
from glasshouse.explainers.designs import bernoulli
from glasshouse.explainers.kernel_shap import shapley_regression
from glasshouse.explainers.superpixels import counts
from nets import SIDE, steep_net

SAMPLES = 80


class Told:
    """A random state that has one answer."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def randint(self, low: int, high: int, size: int = 0) -> object:
        assert (high, size) in ((2, self.answer.size), (1000, 0))
        return self.answer.flatten().copy() if size else 0


def image(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    patches = torch.rand(1, 3, 4, 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return 0.8 * patches + 0.2 * torch.rand(1, 3, SIDE, SIDE, generator=generator)


def probabilities(model: nn.Module) -> object:
    """A model as lime wants it: images [n, H, W, C] to probabilities, in float64 and back."""

    def classify(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(images).permute(0, 3, 1, 2).float()).softmax(1).double().numpy()

    return classify


@pytest.mark.parametrize("fill", [MeanFill(), ConstantFill(value=0.0)], ids=repr)
@pytest.mark.parametrize("segmenter", [Grid(cells=4), Slic(count=20)], ids=repr)
@pytest.mark.parametrize("target", [0, 3])
def test_lime_is_lime_given_its_maskings(segmenter: Slic, fill: MeanFill, target: int) -> None:
    """From the pixels on: maskings, replacement, probabilities, kernel, ridge."""
    lime_image = pytest.importorskip("lime.lime_image")
    net, x = steep_net(), image()
    segments = segmenter(x)
    count = counts(segments)
    assert count[0] > 8
    on = bernoulli(SAMPLES, count, 0)[0].long().numpy()
    peer = lime_image.LimeImageExplainer(feature_selection="none")
    peer.random_state = Told(on)
    found = peer.explain_instance(
        x[0].permute(1, 2, 0).double().numpy(),
        probabilities(net),
        labels=(target,),
        top_labels=None,
        hide_color=None if fill == MeanFill() else 0,
        num_samples=SAMPLES,
        num_features=int(count[0]),
        segmentation_fn=lambda _: segments[0].numpy(),
    )
    theirs = torch.zeros(int(count[0]))
    for superpixel, weight in found.local_exp[target]:
        theirs[superpixel] = weight
    ours = LIME(segmenter, SAMPLES, fill).surrogate(net, x, torch.tensor([target]))
    torch.testing.assert_close(ours.beta[0], theirs, atol=2e-7, rtol=1e-4)
    assert float(ours.intercept[0]) == pytest.approx(found.intercept[target], abs=1e-6)


@pytest.mark.parametrize(("width", "ridge"), [(0.25, 1.0), (0.6, 0.1)])
def test_limes_regression_is_that_of_lime_base(width: float, ridge: float) -> None:
    lime_base = pytest.importorskip("lime.lime_base")
    net, x = steep_net(), image(1)
    segments = Grid(cells=4)(x)
    on = bernoulli(SAMPLES, torch.tensor([16]), 0)[0]
    shown = torch.stack([torch.where(row[segments[0]].bool(), x[0], MeanFill()(x, segments)[0]) for row in on])
    with torch.no_grad():
        p = net(shown).softmax(1).double().numpy()
    distances = 1 - on.sum(1).div(16).sqrt().double().numpy()
    base = lime_base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / width**2)))
    intercept, weights, _, _ = base.explain_instance_with_data(
        on.numpy(), p, distances, 1, 16, "none", Ridge(alpha=ridge, fit_intercept=True)
    )
    ours = LIME(Grid(cells=4), SAMPLES, kernel_width=width, ridge=ridge).surrogate(net, x, torch.tensor([1]))
    theirs = torch.tensor([weight for _, weight in sorted(weights)]).float()
    torch.testing.assert_close(ours.beta[0], theirs, atol=2e-7, rtol=1e-4)
    assert float(ours.intercept[0]) == pytest.approx(intercept, abs=1e-6)


def test_lime_is_captums_given_the_same_maskings() -> None:
    """Captum's weights come from its own kernel; its masking, scores and ridge are compared."""
    captum = pytest.importorskip("captum.attr._core.lime")
    linear = pytest.importorskip("captum._utils.models.linear_model")
    net, x = steep_net(), image(2)
    segments = Grid(cells=4)(x)
    on = bernoulli(SAMPLES, torch.tensor([16]), 0)[0]
    rows = iter(on)

    def similarity(original: Tensor, perturbed: Tensor, interpretable: Tensor, **_: object) -> Tensor:
        distance = 1 - (interpretable.sum() / 16).sqrt()
        return (-(distance**2) / 0.25**2).exp().sqrt()

    peer = captum.Lime(
        lambda x: net(x).softmax(1),
        interpretable_model=linear.SkLearnRidge(alpha=1.0),
        similarity_func=similarity,
        perturb_func=lambda original, **_: next(rows)[None].long(),
    )
    theirs = peer.attribute(
        x,
        target=2,
        baselines=MeanFill()(x, segments),
        feature_mask=segments[:, None],
        n_samples=SAMPLES,
        return_input_shape=False,
    )
    ours = LIME(Grid(cells=4), SAMPLES).surrogate(net, x, torch.tensor([2]))
    torch.testing.assert_close(ours.beta[0], theirs[0].float(), atol=1e-6, rtol=1e-4)


def test_exact_shapley_values_are_captums() -> None:
    attr = pytest.importorskip("captum.attr")
    net, x = steep_net(), image(3)
    segments = Grid(cells=2)(x)
    with torch.no_grad():  # all 24 orders; captum draws none of them
        orders = attr.ShapleyValues(lambda x: net(x).softmax(1)).attribute(
            x, target=1, baselines=MeanFill()(x, segments), feature_mask=segments[:, None]
        )
    ours = KernelSHAP(Grid(cells=2))(net, x, torch.tensor([1]))
    torch.testing.assert_close(ours, orders[:, 0], atol=1e-6, rtol=1e-4)


def test_captums_kernel_shap_is_ours_up_to_its_sampling() -> None:
    """Captum draws coalitions at random; ours, here exact, lies in the middle of what it draws."""
    attr = pytest.importorskip("captum.attr")
    net, x = steep_net(), image(3)
    segments = Grid(cells=2)(x)
    drawn = []
    for seed in range(4):
        torch.manual_seed(seed)
        peer = attr.KernelShap(lambda x: net(x).softmax(1))
        found = peer.attribute(
            x,
            target=1,
            baselines=MeanFill()(x, segments),
            feature_mask=segments[:, None],
            n_samples=200,
            return_input_shape=False,
        )
        drawn.append(found[0])
    ours = KernelSHAP(Grid(cells=2)).surrogate(net, x, torch.tensor([1])).beta[0]
    torch.testing.assert_close(torch.stack(drawn).mean(0), ours, atol=0.02 * float(ours.abs().max()), rtol=0)


def test_the_shapley_regression_is_a_weighted_regression_with_very_heavy_ends() -> None:
    """As captum and shap solve it: the empty and the full coalition with weight 10^6 in an ordinary regression."""
    generator = torch.Generator().manual_seed(0)
    on = torch.randint(2, (1, 50, 7), generator=generator).double()
    values = torch.rand(1, 50, generator=generator, dtype=torch.float64)
    phi, _ = shapley_regression(
        on, values, torch.ones(1, 50), torch.tensor([7]), torch.tensor([0.3]), torch.tensor([0.8])
    )
    rows = np.concatenate([on[0].numpy(), np.zeros((1, 7)), np.ones((1, 7))])
    answers = np.concatenate([values[0].numpy(), [0.3, 0.8]])
    peer = Ridge(alpha=1e-9).fit(rows, answers, sample_weight=np.concatenate([np.ones(50), [1e6, 1e6]]))
    assert np.allclose(phi[0].numpy(), peer.coef_, atol=1e-4)
