"""LIME, designs of maskings, FastLIME and the regression under it: closed forms, brute force, planted models."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard as sylvester
from torch import Tensor, nn

from glasshouse.explainers import LIME, ConstantFill, FastLIME, Grid, KernelSHAP, MeanFill
from glasshouse.explainers import kriging as kr
from glasshouse.explainers.designs import bernoulli, existing, fold_over, hadamard
from glasshouse.explainers.fast_lime import strongest_of
from glasshouse.explainers.lime import cosine_kernel, weighted_ridge
from glasshouse.explainers.masked import Maskable, masked_scores, probability_of_target
from glasshouse.explainers.superpixels import counts
from glasshouse.types import Batch, Surrogate
from nets import SIDE, Net, seeded_net

FAST = FastLIME(segmenter=Grid(cells=4))
NO_GRADIENTS = FastLIME(segmenter=Grid(cells=4), samples=100, gradients=0)
FAMILY = [LIME(segmenter=Grid(cells=4), samples=60), FAST, NO_GRADIENTS, KernelSHAP(Grid(cells=4), samples=60)]
BLACK = ConstantFill(value=0.0)


class Planted(nn.Module):
    """Log-odds of class 0 against class 1, known in every cell: linear, with products of neighbours, and bent."""

    def __init__(self, cells: int = 4, seed: int = 0, pairs: float = 1.0, size: float = 2.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.cells = cells
        self.single = nn.Parameter(size * torch.randn(cells**2, generator=generator) / cells)
        self.across = pairs * torch.randn(cells, cells - 1, generator=generator) / cells
        self.down = pairs * torch.randn(cells - 1, cells, generator=generator) / cells

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x.mean(1), self.cells)
        odds = (c.flatten(1) - 0.5) @ self.single.to(x.dtype)
        s = 2 * c - 1
        odds = odds + (s[:, :, 1:] * s[:, :, :-1] * self.across).sum((1, 2)).to(x.dtype)
        odds = odds + (s[:, 1:] * s[:, :-1] * self.down).sum((1, 2)).to(x.dtype)
        return torch.stack([odds, torch.zeros_like(odds)], 1)


def white(cells: int = 4) -> Tensor:
    """An image in which a cell is 1 where it is shown, and, with a black fill, 0 where not."""
    return torch.ones(1, 3, 2 * cells, 2 * cells)


def two_segmentations(x: Tensor) -> Tensor:
    """4 superpixels in every other image, 64 in the others."""
    coarse, fine = Grid(cells=2)(x), Grid(cells=8)(x)
    return torch.where(torch.arange(len(x))[:, None, None] % 2 == 0, coarse, fine)


def first(surrogate: Surrogate, i: int, size: int) -> tuple[Tensor, ...]:
    return surrogate.beta[i, :size], surrogate.error[i, :size], surrogate.intercept[i]


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def counted(model: nn.Module) -> list[int]:
    """The number of images of every forward pass from now on."""
    passes: list[int] = []
    model.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    return passes


# designs


@pytest.mark.parametrize("order", [2, 4, 16, 64])
def test_hadamard_is_sylvesters_matrix_in_another_order_and_with_other_signs(order: int) -> None:
    ours = hadamard(order, order, order - 1, seed=3)
    assert torch.equal(ours.T @ ours, order * torch.eye(order - 1))
    for column in ours.T:  # each is a column of scipy's, with rows in the one order that all share
        assert set(column.tolist()) == {-1.0, 1.0}
    generator = torch.Generator().manual_seed(3)
    row = torch.randperm(order, generator=generator)
    scipys = torch.from_numpy(sylvester(order)).float()[row]
    same = (ours.T @ scipys).abs() == order  # [ours, scipy's]
    assert (same.sum(1) == 1).all() and not same[:, 0].any() and same.sum(0).max() == 1


def test_a_full_fold_over_design_confounds_nothing() -> None:
    s = fold_over(32, torch.tensor([15]), 15, seed=0)[0]
    assert torch.equal(s.T @ s, 32 * torch.eye(15))  # one superpixel is not mistaken for another
    assert torch.equal(s.sum(0), torch.zeros(15))  # on in half of the maskings
    assert torch.equal(s[::2], -s[1::2])
    together = ((s[:, :, None] > 0) & (s[:, None] > 0)).float().mean(0)
    off_diagonal = together[~torch.eye(15, dtype=torch.bool)]
    assert off_diagonal.eq(0.25).all()
    products = torch.stack([s[:, i] * s[:, j] for i, j in combinations(range(15), 2)], 1)
    assert not (s.T @ products).any()  # nor for the product of two


@pytest.mark.parametrize("samples", [8, 21, 40, 100])
def test_any_fold_over_design_is_balanced_by_opposites(samples: int) -> None:
    count = torch.tensor([3, 15, 16, 60, 64])
    s = fold_over(samples, count, 64, seed=1)
    assert s.shape == (5, samples, 64)
    even = samples - samples % 2
    assert torch.equal(s[:, :even:2], -s[:, 1:even:2])
    for i, n in enumerate(count):
        assert s[i, :, :n].abs().eq(1).all() and not s[i, :, n:].any()
    assert len({tuple(row) for row in s[4].tolist()}) == samples  # no masking twice
    assert not torch.equal(fold_over(samples, count, 64, seed=2), s)


def test_a_design_depends_on_no_neighbour() -> None:
    """An image alone, among smaller ones and among larger ones."""
    for n in (2, 15, 16, 31, 64):
        alone = fold_over(40, torch.tensor([n]), n, seed=0)[0]
        for others in ([2], [200], [3, 70]):
            count = torch.tensor([*others, n])
            assert torch.equal(fold_over(40, count, int(count.max()), seed=0)[-1, :, :n], alone)
        assert torch.equal(bernoulli(40, torch.tensor([200, n]), 0)[1, :, :n], bernoulli(40, torch.tensor([n]), 0)[0])


def test_zeros_stand_where_an_image_has_no_superpixel() -> None:
    assert existing(torch.ones(2, 3), torch.tensor([1, 3])).tolist() == [[[1, 0, 0]] * 2, [[1, 1, 1]] * 2]


# what is regressed


def test_a_masking_shows_and_replaces_the_pixels_of_its_superpixels(batch: object) -> None:
    x = torch.rand(2, 3, 4, 4)
    segments = Grid(cells=2)(x)
    images = Maskable(x, torch.full_like(x, 0.5), segments, counts(segments), torch.tensor([0, 0]))
    shown = images.under(torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0.25]]), torch.tensor([1, 0]))
    assert torch.equal(shown[0, :, :2, :2], x[1, :, :2, :2]) and torch.equal(shown[0, :, 2:, 2:], x[1, :, 2:, 2:])
    assert shown[0, :, :2, 2:].eq(0.5).all() and shown[0, :, 2:, :2].eq(0.5).all()
    assert torch.equal(shown[1, :, :2, 2:], x[0, :, :2, 2:])
    torch.testing.assert_close(shown[1, :, 2:, 2:], 0.25 * x[0, :, 2:, 2:] + 0.75 * 0.5)


def test_scores_come_back_in_order_whatever_the_batch_size(net: Net) -> None:
    x = torch.rand(3, 3, SIDE, SIDE)
    segments = Grid(cells=2)(x)
    images = Maskable(x, torch.zeros_like(x), segments, counts(segments), torch.tensor([0, 1, 2]))
    on = bernoulli(5, images.count, 0)
    net.eval()
    with torch.no_grad():
        expected = torch.stack(
            [
                torch.stack([net(images.under(on[i, n][None], torch.tensor([i]))).softmax(1)[0, i] for n in range(5)])
                for i in range(3)
            ]
        )
        for batch_size in (1, 4, 100):
            torch.testing.assert_close(masked_scores(net, images, on, batch_size, probability_of_target), expected)


def test_the_error_of_a_weighted_ridge_is_the_spread_over_repetitions() -> None:
    generator = torch.Generator().manual_seed(0)
    on = bernoulli(120, torch.tensor([8]), 0).expand(400, -1, -1)
    weight = cosine_kernel(on, torch.full((400,), 8), 0.25)
    values = on @ torch.linspace(-1, 1, 8) + 0.3 * torch.randn(400, 120, generator=generator)
    fit = weighted_ridge(on, values, weight, 1e-3)
    ratio = fit.error.mean(0) / fit.beta.std(0)
    assert ratio.min() > 0.85 and ratio.max() < 1.15


# the Bayesian regression under FastLIME


def random_images(number: int = 2, side: int = 12) -> Maskable:
    """Noise with superpixels of two kinds, and targets."""
    x = torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    segments = Grid(cells=3)(x)
    segments[1] = Grid(cells=2)(x)[1]
    return Maskable(x, MeanFill()(x, segments), segments, counts(segments), torch.zeros(number, dtype=torch.int64))


def test_superpixels_touch_where_two_pixels_side_by_side_say_so() -> None:
    segments = torch.randint(6, (3, 7, 9), generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0, 1]).view(
        3, 1, 1
    )
    segments[1, 2:4, 3:5] = 5
    segments[2] = Grid(cells=2)(segments[2:, None].expand(-1, 3, -1, -1))[0]
    pairs, real = kr.touching(segments, 6)
    for labels, found, kept in zip(segments.tolist(), pairs, real, strict=True):
        expected = set()
        for i in range(7):
            for j in range(9):
                near = ([labels[i + 1][j]] if i < 6 else []) + ([labels[i][j + 1]] if j < 8 else [])
                expected |= {(min(labels[i][j], k), max(labels[i][j], k)) for k in near if k != labels[i][j]}
        told = [tuple(p) for p in found[kept].tolist()]
        assert set(told) == expected and len(told) == len(expected)
    assert {tuple(p) for p in pairs[2][real[2]].tolist()} == {(0, 1), (0, 2), (1, 3), (2, 3)}


def test_what_only_fills_up_the_list_of_pairs_has_no_weight() -> None:
    """Nine strips have 8 borders, nine squares beside them 12."""
    images = random_images()
    segments = torch.stack([Grid(cells=3)(images.x)[0], (torch.arange(12) * 9 // 12).expand(12, 12)])
    prior = kr.prior_of(images._replace(segments=segments, count=counts(segments)))
    assert (prior.variance > 0).sum(1).tolist() == [12, 8]
    torch.testing.assert_close(prior.variance.sum(1), torch.full((2,), kr.PAIRS, dtype=torch.float64))


def test_products_are_those_of_the_pairs() -> None:
    signs, pairs = torch.randn(2, 5, 4), torch.tensor([[[0, 1], [2, 3]], [[1, 1], [0, 3]]])
    found = kr.products(signs, pairs)
    for i in range(2):
        for p, (j, k) in enumerate(pairs[i].tolist()):
            torch.testing.assert_close(found[i, :, p], signs[i, :, j] * signs[i, :, k])


def test_before_the_model_is_asked_superpixels_that_change_little_have_little_weight() -> None:
    images = random_images()
    x = images.x.clone()
    x[0, :, :4, :4] = images.filled[0, :, :4, :4]  # superpixel 0 of image 0 is what would replace it
    prior = kr.prior_of(images._replace(x=x))
    variance = prior.covariance.diagonal(dim1=1, dim2=2)
    assert variance[0, 0] < 0.05 * variance[0, 1:].min()
    torch.testing.assert_close(variance.sum(1), torch.ones(2, dtype=torch.float64))
    assert not prior.covariance[1, 4:].any() and not prior.covariance[1, :, 4:].any()
    assert prior.covariance[0, 1, 2] > prior.covariance[0, 3, 8] > 0  # neighbours resemble each other
    assert torch.linalg.eigvalsh(prior.covariance).min() > -1e-12
    torch.testing.assert_close(prior.variance.sum(1), torch.full((2,), kr.PAIRS, dtype=torch.float64))
    assert (prior.variance[0] > 0).sum() == 12 and (prior.variance[1] > 0).sum() == 4


def conditioned(prior: kr.Prior, i: int, signs: Tensor, odds: Tensor, slopes: Tensor) -> dict[str, np.ndarray]:
    """The posterior of image ``i`` by the textbook, with dense matrices; the left-out errors one by one.

    y = A theta + noise, theta = (singles, pairs, intercept): mean and covariance of theta given y.
    """
    s, y = signs[i].numpy(), odds[i].clamp(-kr.CEILING, kr.CEILING).numpy()
    size, pairs = s.shape[1], prior.pairs[i].numpy()
    p = 1 / (1 + np.exp(-y))
    weight = (p * (1 - p) + 1e-3) ** 0.25
    weight /= weight.mean()
    centre, spread = np.average(y, weights=weight), y.std(ddof=1)
    rows = np.concatenate([s, s[:, pairs[:, 0]] * s[:, pairs[:, 1]], np.ones((len(s), 1))], 1)
    values, noise, covariance = (y - centre) / spread, kr.NOISE / weight, prior.covariance[i].numpy()
    if slopes.shape[1]:
        gradients = slopes[i].numpy() / spread
        mean = gradients.mean(0)
        direction = mean / np.linalg.norm(mean)
        covariance = covariance + kr.DIRECTION * np.outer(direction, direction)
        exists = np.diag(prior.covariance[i].numpy()) > 0
        loose = kr.LOOSENESS * gradients.var(0, ddof=1)[exists].mean() / len(gradients)
        rows = np.concatenate([rows, np.eye(size, rows.shape[1])])
        values, noise = np.concatenate([values, mean]), np.concatenate([noise, np.full(size, loose)])
    theta = np.zeros((rows.shape[1], rows.shape[1]))
    theta[:size, :size] = covariance
    theta[size:-1, size:-1] = np.diag(prior.variance[i].numpy())
    theta[-1, -1] = 10.0

    def given(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = rows[kept]
        gain = theta @ a.T @ np.linalg.inv(a @ theta @ a.T + np.diag(noise[kept]))
        return gain @ values[kept], theta - gain @ a @ theta

    squared = []
    for n in range(len(s)):
        mean_without, without = given(np.arange(len(rows)) != n)
        expected = rows[n] @ without @ rows[n] + noise[n]
        squared.append((values[n] - rows[n] @ mean_without) ** 2 / expected)
    after, left = given(np.ones(len(rows), bool))
    scale = np.mean(squared)
    return {
        "single": after[:size] * spread,
        "pair": after[size:-1] * spread,
        "intercept": centre + spread * after[-1],
        "covariance": left[:-1, :-1] * scale * spread**2,
        "unexplained": kr.NOISE * scale * spread**2,
    }


@pytest.mark.parametrize("gradients", [0, 6])
def test_the_posterior_is_gaussian_conditioning(gradients: int) -> None:
    images, generator = random_images(), torch.Generator().manual_seed(1)
    prior = kr.prior_of(images)
    signs = fold_over(24, images.count, 9, 0).double()
    odds = 3 * torch.randn(2, 24, generator=generator, dtype=torch.float64)
    odds[0, 3] = 40.0  # saturated
    slopes = existing(torch.randn(2, gradients, 9, generator=generator, dtype=torch.float64), images.count)
    posterior = kr.posterior_of(prior, signs, odds, slopes)
    for i in range(2):
        for name, value in conditioned(prior, i, signs, odds, slopes).items():
            found = getattr(posterior, name)[i]
            torch.testing.assert_close(found, torch.from_numpy(np.asarray(value)), atol=1e-8, rtol=1e-6)


def test_what_an_image_has_not_says_nothing_about_what_it_has() -> None:
    """The same image alone and beside one with more superpixels: the posterior is the same."""
    images = random_images()
    signs = fold_over(24, images.count, 9, 0).double()
    odds = torch.randn(2, 24, dtype=torch.float64)
    slopes = existing(torch.randn(2, 6, 9, dtype=torch.float64), images.count)
    both = kr.posterior_of(kr.prior_of(images), signs, odds, slopes)
    alone = kr.posterior_of(kr.prior_of(images.of(torch.tensor([1]))), signs[1:, :, :4], odds[1:], slopes[1:, :, :4])
    torch.testing.assert_close(both.single[1, :4], alone.single[0])
    torch.testing.assert_close(both.covariance[1, :4, :4], alone.covariance[0, :4, :4])
    assert not both.single[1, 4:].any()


def test_what_is_projected_is_limes_ridge_on_what_is_predicted() -> None:
    images = random_images()
    prior = kr.prior_of(images)
    signs = fold_over(24, images.count, 9, 0).double()
    posterior = kr.posterior_of(prior, signs, 2 * torch.randn(2, 24, dtype=torch.float64), signs[:, :0])
    virtual = fold_over(64, images.count, 9, 5)
    found = kr.projected(posterior, prior, images.count, virtual, 0.25, 1.0)
    s = virtual.double()
    odds = posterior.intercept[:, None] + torch.einsum("bns,bs->bn", s, posterior.single)
    odds = odds + torch.einsum("bnp,bp->bn", kr.products(s, prior.pairs), posterior.pair)
    damped = odds / (1 + torch.pi / 8 * posterior.unexplained[:, None]).sqrt()
    on = (virtual > 0).double()
    expected = weighted_ridge(on, damped.sigmoid(), cosine_kernel(on, images.count, 0.25), 1.0)
    torch.testing.assert_close(found.beta, expected.beta)
    torch.testing.assert_close(found.intercept, expected.intercept)


def test_the_error_that_is_projected_is_the_posteriors_to_first_order() -> None:
    images = random_images()
    prior = kr.prior_of(images)
    signs = fold_over(24, images.count, 9, 0).double()
    posterior = kr.posterior_of(prior, signs, 2 * torch.randn(2, 24, dtype=torch.float64), signs[:, :0])
    virtual = fold_over(64, images.count, 9, 5)
    found = kr.projected(posterior, prior, images.count, virtual, 0.25, 1.0)
    weights = torch.cat([posterior.single, posterior.pair], 1)

    def beta(weights: Tensor) -> Tensor:
        moved = posterior._replace(single=weights[:, :9], pair=weights[:, 9:])
        return kr.projected(moved, prior, images.count, virtual, 0.25, 1.0).beta

    step = 1e-5
    slope = torch.stack(
        [(beta(weights + step * e) - beta(weights - step * e)) / (2 * step) for e in torch.eye(weights.shape[1])], 2
    )
    expected = ((slope @ posterior.covariance) * slope).sum(2).clamp_min(0).sqrt()
    torch.testing.assert_close(found.error, expected, atol=1e-7, rtol=1e-4)


# FastLIME


def exact(model: nn.Module, cells: int, x: Tensor, target: Tensor) -> Tensor:
    """LIME's answer to 2,048 maskings without their scatter: from ten times as many, ridge in proportion."""
    lime = LIME(segmenter=Grid(cells=cells), samples=20480, fill=BLACK, ridge=10.0, batch_size=4096, seed=77)
    return lime.surrogate(model, x, target).beta[0]


class Rough(Planted):
    """With something on top that no regression explains: the same at opposite maskings, its negative, or neither."""

    def __init__(self, cells: int, seed: int, rough: float, phase: float) -> None:
        super().__init__(cells, seed)
        self.rough, self.phase = rough, phase
        self.wave = 20 * torch.randn(cells**2, generator=torch.Generator().manual_seed(5))

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x.mean(1), self.cells).flatten(1)
        noise = self.rough * 2**0.5 * torch.sin((2 * c - 1) @ self.wave + self.phase)
        return super().forward(x) + torch.stack([noise, torch.zeros_like(noise)], 1)


@pytest.mark.parametrize(
    ("gradients", "rough", "phase", "least", "largest"),
    [
        (0, 0.0, 0.0, 0.95, 3.5),
        (0, 2.0, torch.pi / 4, 0.93, 2.2),
        (0, 2.0, torch.pi / 2, 0.95, 5.0),  # opposites cancel it: the truth is closer than told
        (0, 2.0, 0.0, 0.8, 1.5),  # opposites say it twice: the worst case
        (20, 0.0, 0.0, 0.95, 7.0),
    ],
)
def test_the_error_covers_the_truth(gradients: int, rough: float, phase: float, least: float, largest: float) -> None:
    """It is rather too large: products cancel between opposites, and gradients are not believed blindly."""
    fast = FastLIME(segmenter=Grid(cells=6), samples=100 - 2 * gradients, gradients=gradients, fill=BLACK)
    distances, errors = [], []
    for seed in range(6):
        model, x, target = Rough(6, seed, rough, phase), white(6), torch.tensor([0])
        found = fast.surrogate(model, x, target)
        distances.append(found.beta[0] - exact(model, 6, x, target))
        errors.append(found.error[0])
    distance, error = torch.stack(distances), torch.stack(errors)
    covered, ratio = (distance.abs() < 1.96 * error).float().mean(), error.norm() / distance.norm()
    assert covered > least and 0.7 < ratio < largest, (covered, ratio)


@pytest.mark.parametrize(("samples", "gradients"), [(128, 0), (60, 20)])
def test_fast_lime_comes_closer_to_limes_own_limit_than_lime(samples: int, gradients: int) -> None:
    passes = samples + 2 * gradients
    fast = FastLIME(segmenter=Grid(cells=8), samples=samples, gradients=gradients, fill=BLACK)
    lime = LIME(segmenter=Grid(cells=8), samples=passes, fill=BLACK)
    for seed in range(3):
        model, x, target = Planted(8, seed), white(8), torch.tensor([1])
        truth = exact(model, 8, x, target)
        found, plain = (e.surrogate(model, x, target) for e in (fast, lime))
        assert found.evaluations.tolist() == plain.evaluations.tolist() == [passes]
        assert correlation(found.beta[0], truth) > max(0.85, correlation(plain.beta[0], truth) + 0.1)
        assert (found.beta[0] - truth).norm() < 0.6 * (plain.beta[0] - truth).norm()


def test_fast_lime_is_exact_where_the_log_odds_are_linear() -> None:
    model, x = Planted(4, 0, pairs=0.0, size=1.0), white()
    truth = exact(model, 4, x, torch.tensor([0]))
    found = FastLIME(segmenter=Grid(cells=4), fill=BLACK).surrogate(model, x, torch.tensor([0]))
    assert correlation(found.beta[0], truth) > 0.99
    assert (found.beta[0] - truth).norm() < 0.1 * truth.norm()
    assert abs(float(found.intercept[0] + found.beta[0].sum()) - float(model(x).softmax(1)[0, 0].detach())) < 0.05


def test_evaluations_are_the_passes_that_the_model_saw(net: Net, batch: object) -> None:
    x, y = torch.rand(2, 3, SIDE, SIDE), torch.tensor([0, 1])
    for samples, gradients in ((20, 0), (12, 6)):
        passes = counted(net)
        found = FastLIME(Grid(cells=4), samples, gradients, batch_size=7).surrogate(net, x, y)
        assert sum(passes) == 2 * (samples + gradients) and max(passes) <= 7
        assert found.evaluations.tolist() == [samples + 2 * gradients] * 2  # a backward pass counts as one


class OneCell(nn.Module):
    """Sure at once for images whose first pixel is bright, hardly anything but noise for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]).view(1, 4, 4))
        self.noise = nn.Parameter(torch.randn(16, generator=torch.Generator().manual_seed(0)) * 40)

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x, 4)
        clear = (c[:, 0] * self.weight).sum((1, 2))
        noise = torch.sin(c[:, 1].flatten(1) @ self.noise)
        return torch.stack([clear + noise, torch.zeros_like(clear)], 1)


def test_settled_images_stop_early_and_others_do_not_notice() -> None:
    x = torch.zeros(4, 3, SIDE, SIDE)
    x[::2, 0], x[1::2, 1] = 1, 1
    model, target = OneCell(), torch.zeros(4, dtype=torch.int64)
    fast = FastLIME(segmenter=Grid(cells=4), samples=80, gradients=0, fill=BLACK, settled=3)
    passes = counted(model)
    together = fast.surrogate(model, x, target)
    assert sum(passes) == int(together.evaluations.sum())
    assert together.evaluations[0] == together.evaluations[2] < together.evaluations[1] <= 80
    for i in range(4):
        alone = fast.surrogate(model, x[i : i + 1], target[:1])
        assert alone.evaluations[0] == together.evaluations[i]
        for a, b in zip(first(alone, 0, 16), first(together, i, 16), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
    assert correlation(together.beta[0], exact(model, 4, x[:1], target[:1])) > 0.97


@pytest.mark.parametrize("settled", [0, 3, 100])
@pytest.mark.parametrize(("samples", "gradients"), [(8, 0), (9, 2), (8, 3), (30, 7)])
def test_any_number_of_passes_is_spent_in_rounds(settled: int, samples: int, gradients: int, net: Net) -> None:
    fast = FastLIME(Grid(cells=2), samples, gradients, settled=settled)
    starts = fast.rounds()
    assert [s.start for pair in zip(*starts, strict=True) for s in pair[:1]] == [0, 0]
    for number, slices in zip((samples, gradients), zip(*starts, strict=True), strict=True):
        assert [i for s in slices for i in range(s.start, s.stop)] == list(range(number))
        assert all(s.start % 2 == 0 for s in slices if s.start < s.stop)  # opposites stay together
    found = fast.surrogate(net, torch.rand(2, 3, SIDE, SIDE), torch.tensor([0, 1]))
    assert all(t.isfinite().all() for t in (found.beta, found.intercept, found.error))


def test_the_strongest_are_told_by_index_and_the_first_among_equals() -> None:
    weight = torch.tensor([[0.0, 3, 0, 2, 0], [1, 1, 1, 1, 1]])
    assert strongest_of(weight, 2).tolist() == [[1, 3], [0, 1]]
    assert strongest_of(weight, 3).tolist() == [[0, 1, 3], [0, 1, 2]]
    assert strongest_of(weight, 9).tolist() == [[0, 1, 2, 3, 4]] * 2


# the whole family


@pytest.mark.parametrize("explainer", [*FAMILY, FastLIME(settled=5), FastLIME(settled=3)], ids=repr)
def test_images_with_few_and_many_superpixels_do_not_see_each_other(explainer: LIME, net: Net) -> None:
    x, y = torch.rand(4, 3, SIDE, SIDE), torch.tensor([0, 1, 2, 3])
    segments = two_segmentations(x)
    together = explainer.surrogate(net, x, y, segments)
    assert not together.beta[::2, 4:].any() and not together.error[::2, 4:].any()
    for i in range(4):
        one = slice(i, i + 1)
        alone = explainer.surrogate(net, x[one], y[one], segments[one])
        for a, b in zip(first(alone, 0, 64), first(together, i, alone.beta.shape[1]), strict=True):
            torch.testing.assert_close(a, b, atol=1e-7, rtol=2e-3)


@pytest.mark.parametrize("explainer", FAMILY, ids=repr)
def test_the_batch_size_changes_nothing(explainer: LIME, net: Net) -> None:
    x, y = torch.rand(3, 3, SIDE, SIDE), torch.tensor([0, 1, 2])
    found = [type(explainer)(**(vars(explainer) | {"batch_size": n})).surrogate(net, x, y) for n in (1, 7, 1000)]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-3)


def test_more_images_than_are_regressed_at_once_come_back_in_order(net: Net) -> None:
    x, y = torch.rand(40, 3, SIDE, SIDE), torch.arange(40) % 4
    for settled in (0, 2):
        fast = FastLIME(Grid(cells=4), samples=16, gradients=4, settled=settled)
        together = fast(net, x, y)
        torch.testing.assert_close(together[[0, 17, 39]], fast(net, x[[0, 17, 39]], y[[0, 17, 39]]))


@pytest.mark.parametrize("explainer", FAMILY, ids=repr)
def test_another_seed_is_another_draw(explainer: LIME, net: Net) -> None:
    x, y = torch.rand(1, 3, SIDE, SIDE), torch.tensor([0])
    other = type(explainer)(**(vars(explainer) | {"seed": 1}))
    assert not torch.equal(explainer(net, x, y), other(net, x, y))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("explainer", FAMILY, ids=repr)
def test_an_image_that_is_its_own_replacement_has_no_weights(explainer: LIME, create_graph: bool, net: Net) -> None:
    x, y = torch.full((2, 3, SIDE, SIDE), 0.3), torch.tensor([0, 1])
    x[1] = torch.rand(3, SIDE, SIDE)  # beside one that is not
    found = explainer.surrogate(net, x, y, create_graph=create_graph)
    assert found.beta[0].abs().max() < 1e-6 < found.beta[1].abs().max()
    assert all(t.isfinite().all() for t in (found.beta, found.intercept, found.error))
    net.eval()
    assert abs(float(found.intercept[0].detach()) - float(net(x[:1]).softmax(1)[0, 0].detach())) < 1e-5
    if create_graph:
        found.beta.square().sum().backward()
        assert net.head.weight.grad is not None and net.head.weight.grad.isfinite().all()


@pytest.mark.parametrize("explainer", FAMILY, ids=repr)
def test_a_graph_leads_to_the_right_derivative(explainer: LIME) -> None:
    """Against finite differences along a random direction of all parameters, in float64."""
    net, generator = seeded_net().double(), torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in net.parameters()]
    weight = torch.randn(2, 16, generator=generator, dtype=torch.float64)

    def value(step: float, create_graph: bool = False) -> Tensor:
        moved = deepcopy(net)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), direction, strict=True):
                p += step * d
        found = explainer.surrogate(net if create_graph else moved, x, torch.tensor([0, 1]), create_graph=create_graph)
        return 1e3 * ((found.beta * weight).sum() + 10 * (found.beta.square() * weight).sum())

    gradients = torch.autograd.grad(value(0.0, create_graph=True), list(net.parameters()), allow_unused=True)
    along = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)
    step = 1e-4
    expected = (value(step) - value(-step)) / (2 * step)
    assert abs(float(expected)) > 1e-3
    torch.testing.assert_close(torch.as_tensor(along), expected, rtol=5e-3, atol=0)


@pytest.mark.parametrize("explainer", FAMILY, ids=repr)
def test_what_cannot_be_explained_is_said(explainer: LIME, net: Net) -> None:
    x = torch.rand(2, 3, SIDE, SIDE)
    probabilities = nn.Sequential(net, nn.Softmax(1))
    with pytest.raises(ValueError, match="returns probabilities"):
        explainer(probabilities, x, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"4 classes, 0 to 3; target holds .*4"):
        explainer(net, x, torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="whole number"):
        explainer(net, x, torch.tensor([0.0, 1.0]))
    for target in ([0], [0, 1, 2]):
        with pytest.raises(ValueError, match="whole number for each of 2 images"):
            explainer(net, x, torch.tensor(target))
    with pytest.raises(ValueError, match="no 4 x 4 cells"):
        explainer(net, torch.rand(2, 3, 3, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="at least 2 of them"):
        explainer.surrogate(net, x, torch.tensor([0, 1]), torch.zeros(2, SIDE, SIDE, dtype=torch.int64))


class Steps(nn.Module):
    """Counts the bright cells: its answers differ, its gradient is 0."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (nn.functional.adaptive_avg_pool2d(x.mean(1), 4).flatten(1) > 0.4).float().sum(1) + 0 * x.sum()
        return torch.stack([bright, -bright], 1)


class Detached(nn.Module):
    """A model of which the input is no part, for autograd."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.detach())


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("make", [lambda net: Detached(net), lambda net: Steps()], ids=["detached", "steps"])
def test_fast_lime_says_where_there_is_no_gradient(
    make: Callable[[nn.Module], nn.Module], create_graph: bool, net: Net
) -> None:
    x, y, model = torch.rand(2, 3, SIDE, SIDE), torch.tensor([0, 1]), make(net)
    with pytest.raises(ValueError, match="gradients=0"):
        FastLIME(segmenter=Grid(cells=4), fill=BLACK)(model, x, y, create_graph=create_graph)
    assert FastLIME(segmenter=Grid(cells=4), gradients=0, fill=BLACK)(model, x, y).any()


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"samples": 7}, "samples"),
        ({"gradients": 1}, "gradients"),
        ({"gradients": -1}, "gradients"),
        ({"kernel_width": 0.0}, "kernel_width"),
        ({"ridge": 0.0}, "ridge"),
        ({"settled": -1}, "settled"),
        ({"batch_size": -1}, "batch_size"),
    ],
)
def test_fast_lime_refuses_what_makes_no_sense(fields: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=f"FastLIME: {rule} is"):
        FastLIME(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("explainer", [LIME(samples=8), FastLIME(samples=8, gradients=2), KernelSHAP(samples=8)])
def test_the_target_of_every_image_is_looked_at_before_its_turn(explainer: LIME, net: Net, batch: Batch) -> None:
    target = batch.y[:2].clone()
    target[1] = 99
    with pytest.raises(ValueError, match="target holds"):
        replace(explainer, segmenter=Grid(cells=4), batch_size=4)(net, batch.x[:2], target)
