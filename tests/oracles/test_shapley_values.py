"""KernelSHAP: Shapley values by brute force, and the axioms that define them."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, factorial

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import ConstantFill, Grid, KernelSHAP, MeanFill
from glasshouse.explainers.kernel_shap import coalitions, enumerated, sampled, shapley_regression
from glasshouse.explainers.masked import Maskable
from glasshouse.explainers.superpixels import counts
from glasshouse.types import Surrogate
from nets import SIDE, steep_net


def values_of(model: nn.Module, images: Maskable, i: int) -> dict[tuple[int, ...], float]:
    """The probability of the target under every coalition of image ``i``."""
    count = int(images.count[i])
    on = torch.tensor(list(product((0.0, 1.0), repeat=count)))
    padded = torch.zeros(len(on), int(images.count.max()))
    padded[:, :count] = on
    with torch.no_grad():
        p = model(images.under(padded, torch.full((len(on),), i))).double().softmax(1)[:, images.target[i]]
    return {tuple(row.nonzero()[:, 0].tolist()): float(v) for row, v in zip(on, p, strict=True)}


def shapley(values: dict[tuple[int, ...], float], count: int) -> Tensor:
    """The definition: what a superpixel adds, averaged over all orders of arrival."""
    found = torch.zeros(count, dtype=torch.float64)
    for j in range(count):
        others = [k for k in range(count) if k != j]
        for size in range(count):
            share = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                found[j] += share * (values[tuple(sorted((*chosen, j)))] - values[chosen])
    return found


def nine_and_four(number: int = 2) -> Maskable:
    """Noise in 9 superpixels, and in 4."""
    x = torch.rand(number, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    segments = Grid(cells=3)(x)
    segments[1] = Grid(cells=2)(x)[1]
    return Maskable(x, MeanFill()(x, segments), segments, counts(segments), torch.tensor([0, 1]))


def ask(explainer: KernelSHAP, model: nn.Module, images: Maskable) -> Surrogate:
    return explainer.surrogate(model, images.x, images.target, images.segments)


class Brightness(nn.Module):
    """The probability of class 0 from 3 x 3 cells: two alike, one without any effect, and products."""

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x.mean(1), 3).flatten(1)
        odds = 2 * c[:, 0] + 2 * c[:, 1] + 3 * c[:, 0] * c[:, 1] * c[:, 2] - 4 * c[:, 3] * c[:, 4] + c[:, 6] * c[:, 7]
        return torch.stack([odds - 1 + c[:, 5], torch.zeros_like(odds)], 1)


WHITE = torch.ones(1, 3, 9, 9)
PLANTED = KernelSHAP(segmenter=Grid(cells=3), fill=ConstantFill(value=0.0))


def test_shapley_values_are_those_of_the_definition() -> None:
    net, images = steep_net(), nine_and_four()
    found = ask(KernelSHAP(samples=512), net, images)
    for i, count in enumerate((9, 4)):
        expected = shapley(values_of(net, images, i), count)
        torch.testing.assert_close(found.beta[i, :count].double(), expected, atol=3e-6, rtol=1e-4)
        assert not found.beta[i, count:].any() and not found.error[i].any()
    assert found.evaluations.tolist() == [512, 512]


def test_there_are_no_more_passes_than_coalitions() -> None:
    net, images = steep_net(), nine_and_four().of(torch.tensor([1]))
    passes: list[int] = []
    net.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    found = ask(KernelSHAP(samples=500), net, images._replace(segments=images.segments))
    assert sum(passes) == 16 and found.evaluations.tolist() == [16]


@pytest.mark.parametrize("samples", [4, 5, 8, 17, 60, 300, 600])
def test_values_add_up_whatever_the_number_of_samples(samples: int) -> None:
    """Also with fewer samples than superpixels."""
    net, images = steep_net(), nine_and_four()
    found = ask(KernelSHAP(samples=samples), net, images)
    with torch.no_grad():
        everything, nothing = (
            net(shown).softmax(1).gather(1, images.target[:, None])[:, 0] for shown in (images.x, images.filled)
        )
    torch.testing.assert_close(found.intercept, nothing)
    torch.testing.assert_close(found.beta.sum(1), everything - nothing, atol=1e-6, rtol=1e-4)
    assert found.beta.isfinite().all() and found.error.isfinite().all() and not found.beta[1, 4:].any()
    assert found.beta.abs().max() < 2


def test_alike_is_rewarded_alike_and_nothing_for_nothing() -> None:
    phi = PLANTED.surrogate(Brightness(), WHITE, torch.tensor([0])).beta[0]
    assert abs(phi[0] - phi[1]) < 1e-5 and abs(phi[3] - phi[4]) < 1e-5 and abs(phi[6] - phi[7]) < 1e-5
    assert abs(phi[8]) < 1e-5 < 0.01 < phi[:3].min() and phi[3] < -0.01
    other = PLANTED.surrogate(Brightness(), WHITE, torch.tensor([1])).beta[0]
    torch.testing.assert_close(other, -phi, atol=1e-5, rtol=0)


def test_sampled_values_scatter_around_the_exact_ones_as_told() -> None:
    truth = PLANTED.surrogate(Brightness(), WHITE, torch.tensor([0])).beta[0]
    draws = [KernelSHAP(Grid(cells=3), 130, ConstantFill(value=0.0), seed=s) for s in range(40)]
    found = [d.surrogate(Brightness(), WHITE, torch.tensor([0])) for d in draws]
    distance = torch.stack([f.beta[0] - truth for f in found])
    error = torch.stack([f.error[0] for f in found])
    assert distance.mean(0).abs().max() < 0.025
    assert 0.9 < (distance.abs() < 1.96 * error).float().mean() < 0.98
    assert 0.85 < error.square().mean().sqrt() / distance.square().mean().sqrt() < 1.2


def test_more_samples_come_closer() -> None:
    truth = PLANTED.surrogate(Brightness(), WHITE, torch.tensor([0])).beta[0]

    def distance(samples: int) -> float:
        draws = [KernelSHAP(Grid(cells=3), samples, ConstantFill(value=0.0), seed=s) for s in range(8)]
        found = torch.stack([d.surrogate(Brightness(), WHITE, torch.tensor([0])).beta[0] for d in draws])
        return float((found - truth).norm(dim=1).mean())

    assert distance(400) < 0.6 * distance(100) < 0.6 * distance(25)


def test_every_coalition_comes_once_with_shapleys_kernel() -> None:
    on, kernel = enumerated(40, torch.tensor([5, 3]), 5)
    for i, n in enumerate((5, 3)):
        proper = 2**n - 2
        assert len({tuple(row) for row in on[i, :proper].tolist()}) == proper
        assert not kernel[i, proper:].any()
        for row, weight in zip(on[i, :proper], kernel[i, :proper], strict=True):
            size = int(row.sum())
            assert 0 < size < n and not row[n:].any()
            assert float(weight) == pytest.approx((n - 1) / (comb(n, size) * size * (n - size)))


@pytest.mark.parametrize("count", [2, 5, 40])
def test_sampled_sizes_follow_the_kernel_and_each_coalition_has_its_complement(count: int) -> None:
    on = sampled(2000, torch.tensor([count, 3]), max(count, 3), seed=0)
    assert on.shape == (2, 2000, max(count, 3)) and set(on.unique().tolist()) == {0, 1}
    mine = on[0, :, :count]
    assert not on[0, :, count:].any() and torch.equal(mine[::2], 1 - mine[1::2])
    sizes = mine.sum(1)
    assert sizes.min() >= 1 and sizes.max() <= count - 1
    chance = torch.tensor([1 / (k * (count - k)) for k in range(1, count)])
    expected = chance / chance.sum()
    observed = torch.tensor([(sizes == k).float().mean() for k in range(1, count)])
    assert (observed - expected).abs().max() < 0.01
    assert (mine.mean(0) - 0.5).abs().max() < 1e-6
    # within a size each superpixel is as likely as any other
    assert (mine[::2][sizes[::2] == 1].mean(0) - 1 / count).abs().max() < 0.1


def test_coalitions_depend_on_no_neighbour() -> None:
    for samples in (20, 100):
        alone, weight = coalitions(samples, torch.tensor([5]), 5, seed=0)
        for other in (3, 70):
            size = max(5, other)
            on, weights = coalitions(samples, torch.tensor([5, other]), size, seed=0)
            assert torch.equal(on[0, :, :5], alone[0]) and torch.equal(weights[0], weight[0])
            assert not on[0, :, 5:].any()


def test_the_regression_is_least_squares_under_its_constraint() -> None:
    """Against the KKT system, solved in full."""
    generator = torch.Generator().manual_seed(0)
    on = torch.randint(2, (1, 60, 6), generator=generator).double()
    values, weight = (torch.rand(1, 60, generator=generator, dtype=torch.float64) for _ in range(2))
    nothing, everything = torch.tensor([0.2]), torch.tensor([0.9])
    phi, _ = shapley_regression(on, values, weight, torch.tensor([6]), nothing, everything)
    z, w = on[0], weight[0]
    kkt = torch.ones(7, 7, dtype=torch.float64)
    kkt[:6, :6], kkt[6, 6] = 2 * z.T @ (w[:, None] * z), 0
    right = torch.cat([2 * z.T @ (w * (values[0] - 0.2)), torch.tensor([0.7], dtype=torch.float64)])
    torch.testing.assert_close(phi[0], torch.linalg.solve(kkt, right)[:6], atol=1e-5, rtol=0)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples is at least 4"):
        KernelSHAP(samples=3)
