"""Alignment of images with gradients that are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from glasshouse.metrics import InputAlignment
from glasshouse.metrics.localisation import on_right
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch
from nets import Linear, full_batch, seeded_net


class Affine(nn.Module):
    """Logits that are linear in the image: their gradients are the weights ``[classes, C, H, W]``."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(weight), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.einsum("bchw,kchw->bk", x, self.weight)


def random_model() -> Affine:
    return Affine(torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("margin", [False, True])
def test_alignment_by_the_formula(margin: bool, cosine: bool, centred: bool) -> None:
    model, batch = random_model(), full_batch()
    found = InputAlignment(margin, cosine, centred)(model, batch)
    weight = model.weight.detach().double()
    for x, logits, value in zip(batch.x.double(), model(batch.x).tolist(), found.tolist(), strict=True):
        order = sorted(range(5), key=lambda k: -logits[k])
        g = weight[order[0]] - weight[order[1]] if margin else weight[order[0]]
        if centred:
            x = x - x.mean((1, 2), keepdim=True)
        expected = abs(float((x * g).sum())) / float(g.square().sum().sqrt())
        assert value == pytest.approx(expected / (float(x.square().sum().sqrt()) if cosine else 1), rel=1e-5)


def test_an_image_of_the_gradient_is_aligned_whatever_the_sign() -> None:
    weight = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    x = weight.expand(2, -1, -1, -1) * torch.tensor([1.0, 0.25]).view(2, 1, 1, 1)
    batch = Batch(x, torch.tensor([0, 0]))
    for sign in (1, -1):
        torch.testing.assert_close(InputAlignment(cosine=True)(Linear(sign * weight), batch), torch.ones(2))
        found = InputAlignment()(Linear(sign * weight), batch)
        torch.testing.assert_close(found, x.flatten(1).norm(dim=1))


def test_any_bright_image_is_aligned_with_a_gradient_of_one_sign_but_for_its_mean() -> None:
    x = 0.8 + 0.02 * torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    model, batch = Linear(torch.ones(3, 16, 16)), Batch(x, torch.zeros(4, dtype=torch.int64))
    assert InputAlignment(cosine=True)(model, batch).min() > 0.99
    assert InputAlignment(cosine=True, centred=True)(model, batch).max() < 1e-3


def test_scale_of_the_logits_does_not_count() -> None:
    net, batch = seeded_net().eval(), full_batch()
    before = InputAlignment()(net, batch)
    with torch.no_grad():
        net.head.weight.mul_(1e-4)
        net.head.bias.mul_(1e-4)
    torch.testing.assert_close(InputAlignment()(net, batch), before, rtol=1e-4, atol=0)


def test_no_gradient_no_value() -> None:
    model, batch = Affine(torch.zeros(3, 3, 16, 16)), full_batch()
    assert InputAlignment()(model, batch).isnan().all()
    black = batch._replace(x=torch.zeros_like(batch.x))
    assert InputAlignment(cosine=True)(random_model(), black).isnan().all()
    assert InputAlignment()(random_model(), black).eq(0).all()


def test_the_gradient_is_found_once_and_judged_where_all_are_right() -> None:
    model = random_model()
    verdicts = Verdicts(model, full_batch())
    for cosine in (False, True):
        InputAlignment(cosine=cosine).given(verdicts)
    assert model.calls == 2 and on_right(InputAlignment())
    logit = InputAlignment(margin=False)
    assert torch.equal(logit.given(verdicts), logit(model, full_batch()))  # not that of the margin
