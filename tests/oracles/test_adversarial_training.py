"""Objectives of adversarial training against their formulas in float64, and against what they promise on digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, KLPGD, L2, PGD, Limited, Linf
from glasshouse.data import Digits
from glasshouse.data.samples import at_most
from glasshouse.draws import draws
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy
from glasshouse.models import SmallCNN
from glasshouse.objectives import (
    MART,
    TRADES,
    Adversarial,
    Changed,
    CrossEntropy,
    Lagrangian,
    Mask,
    Ramp,
    Sensitivity,
    Sum,
    Transplant,
    WeightPerturbed,
)
from glasshouse.objectives.mart import boosted_cross_entropy
from glasshouse.registry import names
from glasshouse.spec import parse
from glasshouse.train import Adam, Training, fit, seeded_globally
from glasshouse.types import Batch
from nets import Boom, exploding, full_batch, mixed_net, seeded_net, state

BALL = Linf(eps=0.05)
HIT = PGD(ball=BALL, steps=3, step_size=0.5)


def double(net: nn.Module) -> nn.Module:
    return net.double()


def double_batch(weighted: bool = True) -> Batch:
    batch = full_batch()
    return batch._replace(x=batch.x.double(), weight=batch.weight.double() if weighted else None)


def mean(losses: Tensor, batch: Batch) -> Tensor:
    """The weighted mean, written out."""
    weights = [1.0] * len(losses) if batch.weight is None else batch.weight.tolist()
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)


def gradients(net: nn.Module, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a caller finds in ``.grad``."""
    net.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in net.named_parameters()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert list(found) == list(expected)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], **tolerance)


def kl_by_hand(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum(1)


def trades_by_hand(net: nn.Module, batch: Batch, x_adv: Tensor, beta: float) -> dict[str, Tensor]:
    p, q = net(batch.x).softmax(1), net(x_adv).softmax(1)
    own = torch.stack([row[y] for row, y in zip(p, batch.y, strict=True)])
    return {"clean": mean(-own.log(), batch), "robust": beta * mean(kl_by_hand(p, q), batch)}


def mart_by_hand(net: nn.Module, batch: Batch, x_adv: Tensor, beta: float) -> dict[str, Tensor]:
    q, p = net(x_adv).softmax(1), net(batch.x).softmax(1)
    boosted, robust = [], []
    for i, y in enumerate(batch.y.tolist()):
        others = [q[i, k] for k in range(q.shape[1]) if k != y]
        boosted.append(-q[i, y].log() - (1 - max(others)).log())
        robust.append(kl_by_hand(p, q)[i] * (1 - p[i, y]))
    return {"boosted": mean(torch.stack(boosted), batch), "robust": beta * mean(torch.stack(robust), batch)}


FORMULAS = [
    pytest.param(TRADES(attack=KLPGD(ball=BALL), beta=3.5), trades_by_hand, id="TRADES"),
    pytest.param(MART(attack=HIT, beta=2.5), mart_by_hand, id="MART"),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("objective", "by_hand"), FORMULAS)
def test_the_terms_and_their_gradient_are_the_formula(objective: Any, by_hand: Any, weighted: bool) -> None:
    net, batch = seeded_net().double().eval(), double_batch(weighted)
    torch.manual_seed(1)
    terms = objective(net, batch)
    torch.manual_seed(1)
    x_adv = objective.attack(net, batch.x, batch.y)
    expected = by_hand(net, batch, x_adv, objective.beta)
    assert list(terms) == list(expected) and all(term > 0 for term in terms.values())
    assert_same(terms, expected, rtol=1e-10, atol=1e-12)
    assert_same(gradients(net, terms), gradients(net, expected), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("objective", "by_hand"), FORMULAS)
def test_the_attack_sees_evaluation_mode_and_the_loss_training_mode(objective: Any, by_hand: Any) -> None:
    net, batch = seeded_net().double(), double_batch()
    torch.manual_seed(1)
    x_adv = objective.attack(net.eval(), batch.x, batch.y)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    expected = by_hand(net.train(), batch, x_adv, objective.beta)
    net.load_state_dict(before)
    seen = int(net.features[1].num_batches_tracked)
    torch.manual_seed(1)
    assert_same(objective(net, batch), expected, rtol=1e-10, atol=1e-12)
    assert int(net.features[1].num_batches_tracked) == seen + 2  # the clean images and the attacked ones


@pytest.mark.parametrize("objective", [TRADES(), MART(), Adversarial()], ids=repr)
def test_an_attack_within_a_region_sees_the_mask(objective: Any) -> None:
    net, batch = seeded_net().eval(), full_batch()
    limited = Limited(attack=replace(objective.attack, ball=BALL))
    torch.manual_seed(2)
    x_adv = limited.on(net, batch)
    assert torch.equal(x_adv.movedim(1, 3)[batch.mask], batch.x.movedim(1, 3)[batch.mask])
    assert not torch.equal(x_adv, batch.x)
    torch.manual_seed(2)
    found = replace(objective, attack=limited)(net, batch)
    assert_same(found, objective.given(net, batch, x_adv))


def test_the_boosted_cross_entropy_of_a_sure_mistake_is_finite_and_has_a_slope() -> None:
    logits = torch.tensor([[60.0, 0.0, -5.0], [0.0, 60.0, 0.0]], requires_grad=True)
    y = torch.tensor([1, 1])
    losses = boosted_cross_entropy(logits, y)
    torch.testing.assert_close(losses[0].detach(), 120 - torch.tensor([0.0, -5.0]).logsumexp(0))
    assert losses[1].abs() < 1e-6
    losses.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad[0, 0] == pytest.approx(2)


def test_with_two_classes_the_boosted_cross_entropy_is_twice_the_plain_one() -> None:
    logits, y = torch.randn(5, 2).double(), torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(
        boosted_cross_entropy(logits, y), 2 * nn.functional.cross_entropy(logits, y, reduction="none")
    )


@pytest.mark.parametrize("ball", [BALL, L2(eps=0.4)], ids=repr)
def test_kl_pgd_is_its_loop_written_out(ball: Any) -> None:
    net, batch = seeded_net().double().eval(), double_batch()
    clean = net(batch.x).softmax(1).detach()
    torch.manual_seed(3)
    x_adv = KLPGD(ball=ball, steps=4, step_size=0.3, noise=0.01)(net, batch.x, batch.y)
    torch.manual_seed(3)
    expected = (batch.x + 0.01 * draws(batch.x).normal(*batch.x.shape[1:]).double()).clamp(0, 1)
    for _ in range(4):
        expected = expected.detach().requires_grad_()
        loss = sum(kl_by_hand(clean[i : i + 1], net(expected[i : i + 1]).softmax(1)) for i in range(6))
        (slope,) = torch.autograd.grad(loss, expected)
        delta = ball.project(expected + 0.3 * ball.eps * ball.ascent(slope) - batch.x)
        expected = (batch.x + delta).clamp(0, 1)
    torch.testing.assert_close(x_adv, expected.detach(), atol=1e-7, rtol=0)


def test_kl_pgd_is_that_of_torchattacks_from_the_same_start(monkeypatch: pytest.MonkeyPatch) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    net, batch = seeded_net().double().eval(), double_batch()
    torch.manual_seed(4)
    found = KLPGD(ball=BALL, steps=5)(net, batch.x, batch.y)
    torch.manual_seed(4)
    noise = draws(batch.x).normal(*batch.x.shape[1:]).double()
    monkeypatch.setattr(torch, "randn_like", lambda x: noise)
    peer = torchattacks.TPGD(net, eps=0.05, alpha=0.0125, steps=5)(batch.x, batch.y)
    torch.testing.assert_close(found, peer)


# Adversarial weight perturbation


def steps_by_hand(net: nn.Module, loss: Tensor, gamma: float) -> dict[str, Tensor]:
    wanted = {n: p for n, p in net.named_parameters() if p.ndim > 1 and p.requires_grad}
    slopes = torch.autograd.grad(loss, list(wanted.values()))
    return {
        n: gamma * p.detach().norm() / slope.norm() * slope
        for (n, p), slope in zip(wanted.items(), slopes, strict=True)
    }


PERTURBED: dict[str, Any] = {
    "task": CrossEntropy(),
    "adversarial": Adversarial(attack=HIT),
    "trades": TRADES(attack=KLPGD(ball=BALL, steps=3)),
    "mart": MART(attack=HIT),
    "second order": Sum(terms=(CrossEntropy(), Sensitivity(weight=100.0))),
    "changed": Changed(change=Transplant(), objective=CrossEntropy()),
}


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", PERTURBED)
def test_gradients_are_those_at_the_perturbed_weights_and_reach_the_unperturbed_ones(name: str, mode: bool) -> None:
    objective, gamma = PERTURBED[name], 0.3  # far, so that a wrong place shows
    net, batch = seeded_net().double().train(mode), double_batch()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    torch.manual_seed(5)
    found_terms = WeightPerturbed(objective=objective, gamma=gamma)(net, batch)
    weights = {k: v.clone() for k, v in net.named_parameters()}
    found = gradients(net, found_terms)
    buffers = {k: v.clone() for k, v in net.named_buffers()}
    assert all(torch.equal(v, before[k]) for k, v in weights.items())

    net.load_state_dict(before)
    torch.manual_seed(5)
    given = None
    if hasattr(objective, "given"):
        given = objective.attack(net, batch.x, batch.y)
    terms: Callable[[], dict[str, Tensor]] = (
        (lambda: objective(net, batch)) if given is None else (lambda: objective.given(net, batch, given))
    )
    generator = torch.get_rng_state()
    steps = steps_by_hand(net, torch.stack(list(terms().values())).sum(), gamma)
    net.load_state_dict(before)  # also what BatchNorm saw
    with torch.no_grad():
        for n, step in steps.items():
            net.get_parameter(n).add_(step)
    torch.set_rng_state(generator)
    expected_terms = terms()
    assert_same(found_terms, expected_terms, rtol=1e-9, atol=1e-12)
    assert_same(found, gradients(net, expected_terms), rtol=1e-8, atol=1e-12)
    assert_same(buffers, dict(net.named_buffers()), rtol=1e-10, atol=1e-12)


def test_perturbed_weights_raise_the_loss_by_steps_of_the_length_that_gamma_says() -> None:
    net, batch = seeded_net().double().train(), double_batch()
    plain = CrossEntropy()(net, batch)["task"]

    def value(gamma: float) -> float:
        return float(WeightPerturbed(objective=CrossEntropy(), gamma=gamma)(net, batch)["task"].detach())

    values = [value(gamma) for gamma in (0, 0.01, 0.02)]
    assert values[0] == pytest.approx(float(plain.detach()), rel=1e-12)
    assert values[0] < values[1] < values[2]
    slopes = torch.autograd.grad(plain, [p for p in net.parameters() if p.ndim > 1])
    wanted = [p for p in net.parameters() if p.ndim > 1]
    rise = sum(float(s.norm() * p.detach().norm()) for s, p in zip(slopes, wanted, strict=True)) * 1e-5
    assert value(1e-5) - values[0] == pytest.approx(rise, rel=1e-3)


def test_weights_under_perturbation_are_as_before_also_after_an_error() -> None:
    for call in (1, 2, 3, 4):
        net, batch = mixed_net(), full_batch()
        parameters = list(net.parameters())
        before = state(exploding(net, call))
        with pytest.raises(Boom):
            WeightPerturbed(objective=TRADES(attack=KLPGD(steps=1)))(net, batch)
        after = state(net)
        assert all(after[k] == before[k] for k in ("modes", "requires_grad", "grads", "hooks"))
        assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))


def test_a_weight_that_two_layers_share_moves_in_both() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x.mean((2, 3))).tanh())

    torch.manual_seed(0)
    net, batch = Tied().double(), double_batch()
    batch = batch._replace(y=batch.y % 3)
    weight = net.first.weight
    found = WeightPerturbed(objective=CrossEntropy(), gamma=0.2)(net, batch)["task"]
    (slope,) = torch.autograd.grad(CrossEntropy()(net, batch)["task"], weight)
    with torch.no_grad():
        weight += 0.2 * weight.norm() / slope.norm() * slope
    torch.testing.assert_close(found, CrossEntropy()(net, batch)["task"])
    assert net.second.weight is net.first.weight is weight


def test_frozen_weights_are_not_perturbed() -> None:
    net, batch = seeded_net().double().eval().requires_grad_(False), double_batch()
    net.head.bias.requires_grad_(True)
    terms = WeightPerturbed(objective=CrossEntropy(), gamma=0.5)(net, batch)
    assert_same(terms, CrossEntropy()(net, batch))


def test_the_attack_inside_is_carried_out_once() -> None:
    calls: list[int] = []

    class Counted(PGD):
        def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            calls.append(1)
            return super().__call__(model, x, y)

    for objective in (Adversarial(attack=Counted(steps=1)), TRADES(attack=Counted(steps=1))):
        calls.clear()
        WeightPerturbed(objective=objective)(seeded_net(), full_batch())
        assert len(calls) == 1


def test_a_perturbed_term_stands_next_to_others() -> None:
    net, batch = seeded_net().train(), full_batch()
    terms = Sum(terms=(CrossEntropy(), Sensitivity(), WeightPerturbed(objective=TRADES())))(net, batch)
    assert all(g.isfinite().all() for g in gradients(net, terms).values())


def test_perturbation_begins_after_its_warmup_and_lets_the_inner_objective_advance() -> None:
    net, batch = seeded_net().eval(), full_batch()
    objective: Any = WeightPerturbed(objective=Sum(terms=(CrossEntropy(), Lagrangian())), gamma=0.5, warmup=2)
    plain = CrossEntropy()(net, batch)["task"]
    for done in range(4):
        assert objective.done == min(done, 2)
        assert (objective(net, batch)["task"] == plain) == (done < 2)
        objective = parse(repr(objective.advance({"task": 1.0, "constraint": 1.0})), names())
    assert objective.objective.terms[1].multiplier > 1


# The ramp


def test_eps_rises_in_a_straight_line_and_stays() -> None:
    ramp: Any = Ramp(objective=Adversarial(attack=PGD(ball=Linf(eps=0.08))), epochs=4)
    seen = []
    for _ in range(7):
        seen.append(ramp.now().attack.ball.eps)
        ramp = parse(repr(ramp.advance({"adversarial": 1.0})), names())  # as a resumed run reads it
    assert seen[:4] == pytest.approx([0, 0.02, 0.04, 0.06], abs=1e-15) and seen[4:] == [0.08, 0.08, 0.08]
    assert ramp.done == 4


def test_a_ramp_begins_where_it_is_told_and_reaches_any_number() -> None:
    nested = Changed(change=Mask(), objective=Sum(terms=(CrossEntropy(), TRADES())))
    ramp = Ramp(objective=nested, field="objective.terms.1.beta", epochs=2, start=1.0)
    assert ramp.now().objective.terms[1].beta == 1.0
    ramp = ramp.advance({"clean": 1.0, "robust": 1.0, "task": 1.0})
    assert ramp.now().objective.terms[1].beta == 3.5 and ramp.objective == nested
    assert ramp.advance({"clean": 1.0, "robust": 1.0, "task": 1.0}).now() == nested


def test_a_ramp_is_its_objective_of_the_moment() -> None:
    net, batch = seeded_net().eval(), full_batch()
    ramp = Ramp(objective=Adversarial(attack=FGSM(ball=Linf(eps=0.2))), epochs=4, done=1)
    now = Adversarial(attack=FGSM(ball=Linf(eps=0.05)))
    assert ramp.now() == now
    assert_same(ramp(net, batch), now(net, batch))
    first = replace(ramp, done=0)
    torch.testing.assert_close(first(net, batch)["adversarial"], CrossEntropy()(net, batch)["task"])


def test_what_is_ramped_advances_by_itself_as_well() -> None:
    objective = Sum(terms=(Adversarial(), Lagrangian()))
    ramp = Ramp(objective=objective, field="terms.0.attack.ball.eps")
    assert ramp.advance({"adversarial": 1.0, "constraint": 1.0}).objective.terms[1].multiplier > 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ramp(objective=CrossEntropy()), "CrossEntropy has no field 'attack'"),
        (lambda: Ramp(field="attack.ball.size"), "Linf has no field 'size'"),
        (lambda: Ramp(field="attack"), "field leads to a number, not 'attack'"),
        (lambda: Ramp(field="attack.random_start"), "field leads to a number"),
        (lambda: Ramp(objective=MART(), field="attack.steps"), "attack.steps takes a whole number"),
        (lambda: Ramp(start=-1.0), "eps is at least 0"),
        (lambda: Ramp(epochs=0), "epochs is at least 1"),
        (lambda: WeightPerturbed(gamma=-0.1), "gamma is at least 0"),
        (lambda: WeightPerturbed(warmup=-1), "warmup is at least 0"),
        (lambda: TRADES(beta=-1.0), "beta is at least 0"),
        (lambda: MART(beta=-1.0), "beta is at least 0"),
        (lambda: KLPGD(noise=0.0), "noise is above 0"),
        (lambda: KLPGD(steps=0), "steps is at least 1"),
    ],
)
def test_objectives_that_cannot_be_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# What it is for


def hardened(objective: Any) -> list[float]:
    """Accuracy on digits, clean and under PGD-40, after a training of seconds."""
    data = Digits(decoy=None, size=12)
    with seeded_globally(0, 0):
        net = SmallCNN(width=6)(10)
    fit(net, objective, data("train"), Training(epochs=8, batch_size=32, optimizer=Adam(lr=1e-2)))
    found = measure(net, at_most(data("test"), 200), (Accuracy(), Accuracy(attack=PGD(ball=TENTH))))
    return [float(values.mean()) for values in found.values()]


TENTH = Linf(eps=0.1)


def test_trained_without_attacks_a_network_withstands_none() -> None:
    clean, broken = hardened(CrossEntropy())
    assert clean > 0.95 and broken < 0.05


@pytest.mark.parametrize(
    "objective",
    [
        Adversarial(attack=FGSM(ball=TENTH, random_start=True)),
        TRADES(attack=KLPGD(ball=TENTH, steps=2, step_size=0.7)),
        MART(attack=PGD(ball=TENTH, steps=2, step_size=0.7)),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_trained_against_attacks_a_network_withstands_most(objective: Any) -> None:
    clean, robust = hardened(objective)
    assert clean > 0.85 and robust > 0.45
