"""What is measured of an attack on a level: whom it is tried on, who counts as fooled, and how degenerate a loss is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glasshouse.attacks import CoarseChanges, Linf, LRPCoarse, LRPFine
from glasshouse.attacks.levels import met
from glasshouse.hierarchy import labels_of, route
from glasshouse.metrics.perturbation import gini, perturbation
from glasshouse.studies.hierarchical_measured import degeneracy, measured, readings
from glasshouse.types import Batch
from nets import SIDE, TwoLevelNet, seeded_net


def subject(count: int = 24) -> tuple[TwoLevelNet, Batch]:
    """A network of two levels, and images: of three one is right, one wrong on the fine level, one on both."""
    net = TwoLevelNet(seeded_net(seed=3, activation=nn.ReLU)).eval()
    x = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    said = route(net, x)
    return net, Batch(x, (said.fine + torch.tensor([2, 1, 0]).repeat(count // 3)) % 4)


def attack(steps: int = 30) -> dict[str, LRPCoarse | LRPFine]:
    ball = Linf(eps=0.2)
    return {"coarse": LRPCoarse(ball=ball, step=0.05, steps=steps), "fine": LRPFine(ball=ball, step=0.05, steps=steps)}


def right(net: TwoLevelNet, batch: Batch, level: str) -> Tensor:
    said, labels = route(net, batch.x), labels_of(batch.y, net.hierarchy)
    coarse = said.coarse == labels.coarse
    return coarse if level == "coarse" else coarse & (said.fine == labels.fine)


def test_only_what_is_right_on_the_level_is_attacked() -> None:
    net, batch = subject()
    for level, chosen in attack().items():
        found = measured(net, batch, chosen, level)
        known = right(net, batch, level)
        assert torch.equal(found["right"] > 0, known)
        still = (found["x_adv"] == batch.x).flatten(1).all(1)
        assert still[~known].all() and not still[known].any()
    assert not torch.equal(right(net, batch, "coarse"), right(net, batch, "fine"))


def test_who_is_fooled_and_how_much_is_changed() -> None:
    net, batch = subject()
    found = measured(net, batch, attack()["coarse"], "coarse")
    assert torch.equal(found["fooled"] > 0, met(CoarseChanges(), net, found["x_adv"], batch.y))
    assert 0 < float(found["fooled"].mean()) <= 1
    delta = (found["x_adv"] - batch.x).flatten(1)
    torch.testing.assert_close(found["rho_2"], delta.norm(dim=1) / batch.x.flatten(1).norm(dim=1))
    torch.testing.assert_close(found["gini"], gini(perturbation(batch.x, found["x_adv"])), equal_nan=True)


def test_the_printed_loss_is_degenerate_and_the_last_reading_is_the_margin() -> None:
    net, batch = subject(6)
    said = route(net, batch.x)
    found = degeneracy(net, batch.x, said.fine)
    names = [(r.start, r.rules, r.p) for r in readings()]
    printed, logit = (names.index((start, "z+, z-beta", 1)) for start in ("1", "logit"))
    assert found["value"][printed].max() < 1e-5 < found["value"][-1].min()
    assert found["slope"][printed].max() < 1e-4 * found["slope"][-1].min()
    assert found["along"][logit].min() > 0.999 and found["off"][logit].max() < 1e-4
    assert found["off"][-1].abs().max() == 0
    coarse = net.coarse(batch.x).topk(2).values
    torch.testing.assert_close(found["value"][-1], (coarse[:, 0] - coarse[:, 1]).detach())
