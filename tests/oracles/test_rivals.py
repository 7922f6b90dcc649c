"""Focal losses and saliency-guided training against closed forms, slow loops and their own formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.data.samples import Memory, Subset, Wrapped
from glasshouse.labels import indicators, losses
from glasshouse.objectives import CrossEntropy, EqualizedFocal, Focal, SaliencyGuided, Sum, equalized_focal
from glasshouse.objectives.combine import looked
from glasshouse.objectives.equalized_focal import equalized_focal_losses
from glasshouse.objectives.focal import binary_focal, focal_losses
from glasshouse.objectives.saliency_guided import binary_divergence, lowest, noise_like
from glasshouse.registry import names
from glasshouse.spec import parse
from glasshouse.train import Training, fit
from glasshouse.types import Batch, Samples
from nets import CLASSES, SIDE, Linear, Net, full_batch, seeded_net, state

RIVALS = [Focal(), EqualizedFocal(), EqualizedFocal(ratios=(0.2, 0.5, 0.0, 1.0)), SaliencyGuided(random=False)]


def several_batch(count: int = 6) -> Batch:
    """A batch whose images have several classes, one of them none."""
    y = (torch.rand(count, CLASSES, generator=torch.Generator().manual_seed(5)) < 0.5).float()
    y[0], y[1] = 0, 1
    return full_batch(count)._replace(y=y)


def images(y: Tensor) -> Memory:
    pixels = torch.randint(256, (len(y), 3, SIDE, SIDE), generator=torch.Generator().manual_seed(3)).byte()
    return Memory(pixels, y, ("a", "b", "c", "d"))


@dataclass(frozen=True, eq=False)
class Weighted(Wrapped):
    """Samples with weights."""

    weight: Tensor

    def __getitem__(self, index: Any) -> Batch:
        return self.samples[index]._replace(weight=self.weight[torch.as_tensor(index)])


class Even(nn.Module):
    """All logits 0, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.mean((1, 2, 3))[:, None].expand(-1, CLASSES)


# focal loss


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_loss_of_one_class_is_cross_entropy_times_what_is_missing(gamma: float) -> None:
    p = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], dtype=torch.float64)
    y = torch.tensor([2, 1])
    expected = [(1 - q) ** gamma * -log(q) for q in (0.7, 0.3)]
    assert focal_losses(p.log() + 7, y, gamma, 0.25).tolist() == pytest.approx(expected)


def test_focal_loss_of_several_classes_is_the_sum_over_them() -> None:
    p = torch.tensor([[0.9, 0.2], [0.5, 0.6]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # A class that is there counts a quarter, one that is not three quarters.
    expected = [
        0.25 * 0.1**2 * -log(0.9) + 0.75 * 0.2**2 * -log(0.8),
        0.75 * 0.5**2 * -log(0.5) + 0.25 * 0.4**2 * -log(0.6),
    ]
    assert focal_losses(p.logit(), y, 2.0, 0.25).tolist() == pytest.approx(expected)


def test_without_gamma_focal_loss_is_cross_entropy() -> None:
    logits = 3 * torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(1))
    one, many = torch.arange(8) % CLASSES, several_batch(8).y
    torch.testing.assert_close(focal_losses(logits, one, 0.0, 0.25), losses(logits, one))
    torch.testing.assert_close(focal_losses(logits, many, 0.0, 0.5), 0.5 * losses(logits, many))
    batch = full_batch()
    net = seeded_net().eval()
    torch.testing.assert_close(Focal(gamma=0.0, weight=3.0)(net, batch), CrossEntropy(weight=3.0)(net, batch))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [20.0, 200.0, 1e4])
def test_focal_losses_are_finite_far_out(gamma: float, size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0], [-size, size, size]], requires_grad=True)
    many = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    for y in (torch.tensor([0, 0]), many):
        loss = focal_losses(logits, y, gamma, 0.25)
        (slope,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isfinite().all() and slope.isfinite().all()
        assert loss[1] > 0.2 * size and slope[1, 0] < -0.2  # what is wrong for certain is not forgotten
    loss = equalized_focal_losses(logits, many, torch.tensor([0.0, 0.5, 1.0]), max(gamma, 0.1), 0.25, 8.0)
    assert loss.isfinite().all() and torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


def test_focal_loss_keeps_its_digits_where_a_probability_is_1_in_single_precision() -> None:
    logits = torch.tensor([[20.0, 0.0]])
    expected = pytest.approx(exp(-60), rel=1e-4)  # (1 - p)^2 -log p with p = 1 - e^-20
    assert float(focal_losses(logits, torch.tensor([0]), 2.0, 0.25)) == expected
    assert float(binary_focal(torch.tensor([20.0]), torch.ones(1), 2.0, 0.5)) * 2 == expected


def test_focal_losses_have_the_slopes_of_their_formulas() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    one, many = torch.arange(5) % 3, (torch.rand(5, 3, generator=torch.Generator().manual_seed(4)) < 0.5).double()
    for y in (one, many):
        assert torch.autograd.gradcheck(lambda z, y=y: focal_losses(z, y, 1.5, 0.3), logits)
    ratios = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: equalized_focal_losses(z, many, ratios, 2.0, 0.25, 8.0), logits)


@pytest.mark.parametrize("kind", ["one class", "several"])
@pytest.mark.parametrize("rival", RIVALS, ids=repr)
def test_an_image_without_weight_counts_for_nothing(rival: Any, kind: str) -> None:
    net, batch = seeded_net().eval(), full_batch() if kind == "one class" else several_batch()
    alone = Batch(batch.x[2:3], batch.y[2:3])
    weight = torch.tensor([0.0, 0.0, 0.3, 0.0, 0.0, 0.0])
    torch.testing.assert_close(rival(net, batch._replace(weight=weight)), rival(net, alone))
    parts = [rival(net, Batch(batch.x[i : i + 1], batch.y[i : i + 1])) for i in range(len(batch.x))]
    for name, term in rival(net, batch._replace(weight=None)).items():
        torch.testing.assert_close(term, torch.stack([part[name] for part in parts]).mean())


# equalized focal loss


def test_equalized_focal_loss_of_a_rare_class() -> None:
    p = torch.tensor([[0.6, 0.3]], dtype=torch.float64)
    ratios = torch.tensor([0.5, 1.0], dtype=torch.float64)
    there = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    # gamma 2 + 8 * 0.5 = 6, and so a factor of 3; the other class is as in focal loss
    expected = 0.25 * 3 * 0.4**6 * -log(0.6) + 0.75 * 0.3**2 * -log(0.7)
    assert float(equalized_focal_losses(p.logit(), there, ratios, 2.0, 0.25, 8.0)) == pytest.approx(expected)


@pytest.mark.parametrize("batch", [full_batch(), several_batch()], ids=["one class", "several"])
def test_without_ratios_it_is_the_focal_loss_of_each_class(batch: Batch) -> None:
    net = seeded_net().eval()
    there = indicators(batch.y, CLASSES)
    expected = Focal()(net, batch._replace(y=there))
    torch.testing.assert_close(EqualizedFocal()(net, batch), expected)
    torch.testing.assert_close(EqualizedFocal(ratios=(1.0,) * CLASSES)(net, batch), expected)
    torch.testing.assert_close(EqualizedFocal(scale=0.0, ratios=(0.3,) * CLASSES)(net, batch), expected)


def test_the_ratios_of_an_even_prediction_are_those_of_the_counts() -> None:
    # Slopes are equal but for alpha: 1 to 3 for each image that has the class against each that has not.
    y = torch.tensor([[1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).float()
    found = EqualizedFocal().look(Even(), images(y), 0)
    assert found.ratios == pytest.approx((1 / 3, 0.0, 1.0, 1 / 15))
    assert replace(found, ratios=()) == EqualizedFocal()
    weighted = Weighted(images(y), torch.tensor([0.5, 0.5, 2.0, 1.0, 1.0, 1.0]))
    assert EqualizedFocal().look(Even(), weighted, 0).ratios == pytest.approx((1 / 3, 0.0, 1.0, 2 / 12))


def ratios_one_by_one(objective: EqualizedFocal, net: Net, samples: Samples) -> list[float]:
    """Slopes by automatic differentiation of the written formula, image by image and class by class."""
    there_sum, else_sum = [0.0] * CLASSES, [0.0] * CLASSES
    ratios = objective.ratios or (1.0,) * CLASSES
    for i in range(len(samples)):
        batch = samples[[i]]
        there = indicators(batch.y, CLASSES)[0]
        for j in range(CLASSES):
            z = net(batch.x)[0, j].detach().double().requires_grad_()
            p = z.sigmoid() if there[j] else 1 - z.sigmoid()
            focus = objective.gamma + objective.scale * (1 - ratios[j])
            share = objective.alpha if there[j] else 1 - objective.alpha
            loss = -share * focus / objective.gamma * (1 - p) ** focus * p.log()
            slope = abs(float(torch.autograd.grad(loss, z)[0]))
            (there_sum if there[j] else else_sum)[j] += slope
    return [min(1.0, a / b) for a, b in zip(there_sum, else_sum, strict=True)]


@pytest.mark.parametrize("objective", [EqualizedFocal(), EqualizedFocal(ratios=(0.9, 0.1, 0.0, 0.5))], ids=repr)
@pytest.mark.parametrize("kind", ["one class", "several"])
def test_ratios_are_sums_of_slopes_of_the_loss_as_it_is(
    objective: EqualizedFocal, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equalized_focal, "_AT_ONCE", 4)
    net, count = seeded_net(), 10
    samples = images(torch.arange(count) % CLASSES if kind == "one class" else several_batch(count).y)
    expected = ratios_one_by_one(objective, net.eval(), samples)
    before = state(net.train())
    assert objective.look(net, samples, 0).ratios == pytest.approx(expected, rel=1e-4)
    assert state(net) == before
    with torch.no_grad():
        assert objective.look(net, samples, 0).ratios == pytest.approx(expected, rel=1e-4)


def test_a_look_takes_so_many_samples_others_each_epoch_and_no_random_numbers() -> None:
    net, samples = seeded_net(), images(torch.arange(30) % CLASSES)
    objective = EqualizedFocal(images=12)
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    first = objective.look(net, samples, 0)
    assert torch.equal(torch.rand(3), expected)
    assert objective.look(net, samples, 0) == first != objective.look(net, samples, 1)
    assert objective.look(net, Subset(samples, tuple(range(12))), 0) == objective.look(
        net, Subset(samples, tuple(range(12))), 1
    )
    everything = replace(objective, images=0).look(net, samples, 0)
    assert everything.ratios == pytest.approx(ratios_one_by_one(objective, net.eval(), samples), rel=1e-4)


def test_training_looks_before_every_epoch() -> None:
    samples = images(torch.arange(16) % CLASSES)
    after = fit(seeded_net(), Sum(terms=(EqualizedFocal(images=8),)), samples, Training(epochs=2, batch_size=8))
    assert isinstance(after, Sum) and len(after.terms[0].ratios) == CLASSES
    assert parse(repr(after), names()) == after
    assert looked(Focal(), seeded_net(), samples, 0) == Focal()


def test_ratios_are_for_the_classes_that_there_are() -> None:
    with pytest.raises(ValueError, match="2 ratios, and the model 4 classes"):
        EqualizedFocal(ratios=(0.5, 0.5))(seeded_net(), full_batch())


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (Focal, "gamma", -0.1),
        (Focal, "alpha", 0.0),
        (Focal, "alpha", 1.0),
        (EqualizedFocal, "gamma", 0.0),
        (EqualizedFocal, "alpha", 1.0),
        (EqualizedFocal, "scale", -1.0),
        (EqualizedFocal, "images", -1),
        (EqualizedFocal, "ratios", (1.1,)),
        (SaliencyGuided, "drop", 0.0),
        (SaliencyGuided, "drop", 1.1),
        (SaliencyGuided, "weight", -1.0),
    ],
)
def test_a_field_out_of_range_is_refused(cls: type, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        cls(**{field: value})


# saliency-guided training


def linear_batch(y: Tensor) -> Batch:
    return Batch(torch.rand(len(y), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6)), y)


@pytest.mark.parametrize("absolute", [False, True])
def test_the_pixels_with_the_lowest_slope_of_the_true_class_go(linear: Any, absolute: bool) -> None:
    model, batch = linear(), linear_batch(torch.tensor([0, 1]))
    mean = model.weight.detach().mean(0)
    for share, count in ((0.5, 128), (0.1, 26), (1e-4, 1), (1.0, 256)):
        left = SaliencyGuided(drop=share, random=False, absolute=absolute).without(model, batch)
        for i, slope in enumerate((mean, -mean)):
            value = slope.abs() if absolute else slope
            gone = value <= value.flatten().sort().values[count - 1]
            expected = torch.where(gone, batch.x[i].mean((1, 2), keepdim=True), batch.x[i])
            torch.testing.assert_close(left[i], expected)


def test_with_several_classes_the_slope_is_that_of_their_sum(linear: Any) -> None:
    model = linear()
    one, many = torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    guided = SaliencyGuided(random=False)
    assert torch.equal(guided.without(model, linear_batch(one)), guided.without(model, linear_batch(many)))


def test_noise_is_uniform_within_each_channel_of_each_image(linear: Any) -> None:
    scale = torch.tensor([[0.1, 0.5, 1.0], [0.4, 0.2, 0.3]]).view(2, 3, 1, 1)
    batch = linear_batch(torch.tensor([0, 1]))._replace(x=0.0)
    batch = batch._replace(x=scale * linear_batch(batch.y).x + 0.001)
    low, high = batch.x.amin((2, 3), keepdim=True), batch.x.amax((2, 3), keepdim=True)
    torch.manual_seed(0)
    noise = (noise_like(batch.x) - low) / (high - low)
    assert noise.min() >= 0 and noise.max() <= 1
    assert (noise.amin((2, 3)) < 0.05).all() and (noise.amax((2, 3)) > 0.95).all()
    assert (noise.mean((2, 3)) - 0.5).abs().max() < 0.07 and len(noise.unique()) > 1500
    torch.manual_seed(0)
    without = SaliencyGuided().without(linear(), batch)
    torch.manual_seed(0)
    assert torch.equal(without, SaliencyGuided().without(linear(), batch))
    assert not torch.equal(without, SaliencyGuided().without(linear(), batch))
    changed = (without != batch.x).any(1)
    assert changed.sum((1, 2)).tolist() == [128, 128]
    assert (without >= low - 1e-6).all() and (without <= high + 1e-6).all()


def test_as_many_pixels_go_where_all_are_equal() -> None:
    assert lowest(torch.zeros(2, 4, 4), 0.25).sum((1, 2)).tolist() == [4, 4]


def test_the_divergence_of_there_or_not() -> None:
    p, q = torch.tensor([[0.9, 0.4]], dtype=torch.float64), torch.tensor([[0.7, 0.4]], dtype=torch.float64)
    expected = 0.9 * log(0.9 / 0.7) + 0.1 * log(0.1 / 0.3)
    assert float(binary_divergence(p.logit(), q.logit())) == pytest.approx(expected)
    far = torch.tensor([[1e4, -1e4]], requires_grad=True)
    value = binary_divergence(far, -far).sum()
    assert value.isfinite() and torch.autograd.grad(value, far)[0].isfinite().all()


@pytest.mark.parametrize("kind", ["one class", "several"])
def test_terms_and_slopes_are_those_of_the_formula(kind: str) -> None:
    net, batch = seeded_net().double().eval(), full_batch() if kind == "one class" else several_batch()
    batch = batch._replace(x=batch.x.double(), y=batch.y if kind == "one class" else batch.y.double(), weight=None)
    guided = SaliencyGuided(random=False, weight=0.7)
    terms = guided(net, batch)
    logits, left = net(batch.x), net(guided.without(net, batch))
    if kind == "one class":
        p, q = logits.softmax(1), left.softmax(1)
        divergence = (p * (p / q).log()).sum(1)
    else:
        p, q = logits.sigmoid(), left.sigmoid()
        divergence = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1)
    expected = {"task": losses(logits, batch.y).mean(), "saliency": 0.7 * divergence.mean()}
    torch.testing.assert_close(terms, expected)
    for name, term in terms.items():
        found, wanted = (
            torch.autograd.grad(t, list(net.parameters()), retain_graph=True) for t in (term, expected[name])
        )
        torch.testing.assert_close(found, wanted)


def test_the_mask_is_that_of_the_model_in_evaluation_mode() -> None:
    net, batch = seeded_net(), full_batch()
    guided = SaliencyGuided(random=False)
    expected = guided.without(net.eval(), batch)
    before = state(net.train())
    assert torch.equal(guided.without(net, batch), expected)
    assert state(net) == before
    guided(net, batch)
    assert int(net.features[1].num_batches_tracked) == 2  # both predictions are in training mode


def test_nothing_is_lost_where_the_prediction_ignores_what_goes() -> None:
    weight = torch.zeros(3, SIDE, SIDE)
    weight[:, :8] = 0.01
    batch = Batch(torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9)), torch.tensor([0, 0]))
    assert SaliencyGuided()(Linear(weight), batch)["saliency"] == 0
    wrong = SaliencyGuided()(Linear(weight), batch._replace(y=torch.tensor([1, 1])))["saliency"]
    assert wrong > 0  # against the prediction, what speaks for it is lowest
    assert F.cross_entropy(Linear(weight)(batch.x), batch.y) == SaliencyGuided()(Linear(weight), batch)["task"]
