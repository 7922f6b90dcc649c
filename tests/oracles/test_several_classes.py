"""Images with several classes each: what is measured of them, and what attacks make of their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from glasshouse.attacks import (
    APGD,
    CE,
    DLR,
    FAB,
    FGSM,
    PGD,
    DeepFool,
    Explained,
    KeepingExplanation,
    Label,
    Limited,
    Linf,
    Margin,
    OutsideMask,
    Ranked,
    Square,
    StandardEnsemble,
)
from glasshouse.checks import FAIL
from glasshouse.checks.model import on_gradients
from glasshouse.data.samples import Memory
from glasshouse.evaluate import evaluate
from glasshouse.labels import right
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy, ExactMatch
from glasshouse.metrics.multilabel import average_precision, scores_of
from glasshouse.types import Batch
from nets import CLASSES, SIDE, full_batch, seeded_net, steep_net

EPS = Linf(eps=0.1)


class Means(nn.Module):
    """A logit for each channel: its mean above a half."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) - 0.5


def flat(*rows: tuple[float, float, float]) -> Tensor:
    """Images of one colour each."""
    return torch.tensor(rows)[:, :, None, None].expand(-1, 3, 2, 2).contiguous()


def labelled(net: nn.Module) -> Batch:
    """Images of which half of the classes are there; on each but the last the net is right."""
    batch = full_batch()
    order = net.eval()(batch.x).argsort(1, descending=True)
    y = torch.zeros(6, CLASSES).scatter_(1, order[:, [0, 3]], 1.0)
    y[5] = 1 - y[5]
    return batch._replace(y=y)


def samples_of(batch: Batch) -> Memory:
    """A split of these images."""
    return Memory((batch.x * 255).round().byte(), batch.y, tuple("abcd"), batch.mask)


def test_every_class_has_to_be_right() -> None:
    x = flat((0.9, 0.1, 0.2), (0.9, 0.8, 0.2), (0.1, 0.2, 0.3), (0.5, 0.6, 0.4))
    y = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert ExactMatch()(Means(), Batch(x, y)).tolist() == [1, 0, 1, 1]  # at log-odds 0 a class is not there
    assert ExactMatch()(Means(), Batch(x, 1 - y)).tolist() == [0, 0, 0, 0]
    single = Batch(x, torch.tensor([0, 1, 2, 1]))
    assert torch.equal(ExactMatch()(Means(), single), Accuracy()(Means(), single))


@pytest.mark.parametrize("levels", [3, 1000])
def test_average_precision_is_that_of_scikit_learn(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(0, levels, (60, 7), generator=generator).float() - levels / 2  # few levels: many ties
    truth = (torch.rand(60, 7, generator=generator) < torch.linspace(0.02, 0.9, 7)).float()
    truth[:, 2] = 1
    truth[0] = 1
    expected = [average_precision_score(truth[:, k].numpy(), scores[:, k].numpy()) for k in range(7)]
    np.testing.assert_allclose(average_precision(scores, truth).numpy(), expected, rtol=1e-12)


def test_average_precision_by_hand() -> None:
    scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    truth = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 0]])
    found = average_precision(scores, truth)
    assert found[:2].tolist() == [pytest.approx((1 + 2 / 3) / 2), pytest.approx(2 / 3)] and found[2].isnan()
    with pytest.raises(ValueError, match="NaN"):
        average_precision(scores * torch.nan, truth)
    with pytest.raises(ValueError, match=r"not \[3, 3\] and \[3, 2\]"):
        average_precision(scores, truth[:, :2])


def test_scores_are_logits_in_the_order_of_the_samples() -> None:
    net = seeded_net()
    samples = samples_of(labelled(net))
    net.train()
    found = [scores_of(net, samples, batch_size=size) for size in (2, 6)]
    assert net.training
    for logits, y in found:
        torch.testing.assert_close(logits, net.eval()(samples[list(range(6))].x))
        assert torch.equal(y, samples.labels) and not logits.requires_grad


def test_the_margin_is_above_0_exactly_where_no_class_of_the_image_is_predicted() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    y = torch.tensor([[1.0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 1, 1]])
    assert Margin()(logits, y).tolist() == [-1, 1, 2, -torch.inf]
    assert torch.equal(Margin()(logits, y) > 0, ~right(logits.argmax(1), y))
    one = torch.tensor([1, 0, 2, 1])
    assert torch.equal(Margin()(logits, one), Margin()(logits, torch.eye(3)[one]))


ABLE = [
    FGSM(ball=EPS),
    PGD(ball=EPS, steps=5, step_size=0.3),
    PGD(ball=EPS, steps=5, step_size=0.3, restarts=2, momentum=1.0, loss=Margin()),
    APGD(ball=EPS, steps=5),
    Square(ball=EPS, queries=30),
    KeepingExplanation(ball=EPS, steps=5, step_size=0.3),
    Limited(attack=PGD(ball=EPS, steps=5), region=OutsideMask()),
]


@pytest.mark.parametrize("attack", ABLE, ids=lambda attack: type(attack).__name__)
def test_an_attack_breaks_an_image_once_none_of_its_classes_is_predicted(attack: Any) -> None:
    net = steep_net().eval()
    batch = labelled(net)
    samples = samples_of(batch)
    metrics = (Accuracy(), Accuracy(attack=attack))
    clean, robust = (measure(net, samples, metrics, batch_size=6)[repr(m)] for m in metrics)
    assert clean.tolist() == [1, 1, 1, 1, 1, 0] and (robust <= clean).all()
    if not isinstance(attack, Limited):
        assert robust.sum() < 5
    alone = measure(net, samples, metrics, batch_size=1)[repr(metrics[1])]
    assert torch.equal(alone, robust)


def test_images_go_on_until_all_their_classes_are_gone() -> None:
    x, y = flat((0.6, 0.58, 0.1)), torch.tensor([[1.0, 1.0, 0.0]])
    for eps, broken in ((0.24, False), (0.3, True)):  # a quarter is what it takes
        for attack in (PGD(Linf(eps), 20, 0.3, loss=Margin()), PGD(Linf(eps), 20, 0.3), APGD(Linf(eps), 20)):
            x_adv = getattr(attack, "search", attack)(Means(), x, y)
            assert bool(right(Means()(x_adv).argmax(1), y)) is not broken


def test_auto_pgd_goes_on_while_a_class_of_the_image_is_predicted() -> None:
    net, x = steep_net(), torch.rand(40, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    y = torch.zeros(40, CLASSES).scatter_(1, net(x).argsort(1, descending=True)[:, [0, 3]], 1.0)
    attacks = [APGD(Linf(0.03), steps, loss=Margin()) for steps in (1, 20)]
    few, many = (int(right(net(attack(net, x, y)).argmax(1), y).sum()) for attack in attacks)
    assert many < few


UNABLE = [
    DeepFool(),
    FAB(steps=2),
    StandardEnsemble(budget=0.02),
    APGD(steps=2, targets=1),
    PGD(steps=1, loss=DLR()),
    PGD(steps=1, target=Ranked()),
    FGSM(target=Label(label=1), loss=CE()),
    Limited(attack=FGSM(), region=Explained()),
]


@pytest.mark.parametrize("attack", UNABLE, ids=lambda attack: type(attack).__name__)
def test_an_attack_that_knows_one_class_an_image_says_so(attack: Any) -> None:
    net = steep_net().eval()
    with pytest.raises(ValueError, match=r"^\w+\(.*\) is for images of one class each, and these labels name several$"):
        measure(net, samples_of(labelled(net)), (Accuracy(attack=attack),))


def test_an_evaluation_of_images_with_several_classes(tmp_path: Any) -> None:
    net = steep_net().eval()
    samples = samples_of(labelled(net))
    metrics = (Accuracy(attack=FGSM(ball=EPS)), Accuracy(attack=PGD(ball=EPS, steps=4)), ExactMatch())
    found = evaluate(net, samples, metrics, checks=6)
    assert found.estimate(Accuracy()).mean == pytest.approx(5 / 6)
    assert found.y.shape == (6, CLASSES)
    titles = {check.title for check in found.checks}
    assert "an attack without bounds breaks every image" in titles
    page = found.save(tmp_path / "found").read_text()
    for k, name in enumerate("abcd"):
        there = samples.labels[:, k] > 0
        assert f"<td>{name}</td>" in page.replace("\n", "") or not there.any()
    assert "all classes right" in page


def test_no_gradient_of_labels_with_several_classes_is_noticed() -> None:
    class Stuck(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) * 0 + torch.tensor([1.0, -1.0, 2.0])

    x, y = torch.rand(4, 3, SIDE, SIDE), torch.tensor([[1.0, 0.0, 1.0]]).expand(4, 3)
    assert on_gradients(Stuck(), x, y).status == FAIL
    assert on_gradients(Means(), x, y).status != FAIL
    # Two classes that are both there are no shares of one: logits that are alike still have somewhere to go.
    assert on_gradients(Means(), torch.full((4, 2, 2, 2), 0.5), torch.ones(4, 2)).status != FAIL
