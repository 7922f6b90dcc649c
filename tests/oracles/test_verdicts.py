"""Who breaks under what is found out once, and as a loop that takes no short cut would find it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import (
    APGD,
    CE,
    DLR,
    FAB,
    FGSM,
    L2,
    PGD,
    DeepFool,
    Label,
    Limited,
    Linf,
    Margin,
    OutsideMask,
    Ranked,
)
from glasshouse.attacks.regions import attacked, searched
from glasshouse.attacks.standing import Window, due, standing
from glasshouse.data import Digits
from glasshouse.data.samples import Memory, at_most
from glasshouse.draws import Draws, draws
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy
from glasshouse.metrics.verdicts import Verdicts, at, ball_of, correct, family_of, with_eps
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial
from glasshouse.train import Adam, Training, fit
from glasshouse.types import Attack, Batch
from nets import SIDE, Linear

BALLS = [Linf(eps=0.1), L2(eps=1.3)]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network whose images break one after another under attack, exact in float64."""
    torch.manual_seed(0)
    model = SmallCNN(width=6)(10)
    objective = Adversarial(attack=FGSM(Linf(eps=0.1), random_start=True))
    fit(model, objective, Digits(size=16, decoy=None)("train"), Training(epochs=6, optimizer=Adam(lr=5e-3)))
    return model.double().eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    samples = at_most(Digits(size=16, decoy=None)("test"), 40)
    found = samples[list(range(40))]
    return found._replace(x=found.x.double(), mask=torch.rand(40, 16, 16, generator=torch.manual_seed(1)) > 0.5)


class Remembering(nn.Module):
    """A network that remembers what it was shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.model(x)


def naive(model: nn.Module, x: Tensor, y: Tensor, attack: PGD) -> Tensor:
    """Whether any point of the way was misclassified, where nobody leaves."""
    remembering = Remembering(model)
    last = replace(attack, target=None)(remembering, x, y)
    remembering.seen.append(last)
    broken = torch.zeros(len(x), dtype=torch.bool)
    for point in remembering.seen:
        broken |= ~correct(model, point, y)
    return ~broken


@pytest.mark.parametrize("ball", BALLS, ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 1.0])
@pytest.mark.parametrize("loss", [CE(), DLR(), Margin()], ids=repr)
def test_the_verdict_is_that_of_a_loop_where_nobody_leaves(
    ball: Linf | L2, momentum: float, loss: CE, trained: nn.Module, batch: Batch
) -> None:
    attack = PGD(ball=ball, steps=12, step_size=0.2, momentum=momentum, loss=loss)
    torch.manual_seed(3)
    expected = naive(trained, batch.x, batch.y, attack)
    torch.manual_seed(3)
    found = attack.search(trained, batch.x, batch.y)
    stands = correct(trained, found, batch.y)
    right = correct(trained, batch.x, batch.y)
    assert torch.equal(stands, expected) and 3 < int(stands.sum()) < int(right.sum()) - 3
    assert (ball.norm(found - batch.x) <= ball.eps + 1e-9).all() and found.min() >= 0 and found.max() <= 1


def test_where_looking_is_dear_the_verdict_is_the_same(
    trained: nn.Module, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = PGD(ball=Linf(eps=0.1), steps=12, step_size=0.2)
    found = []
    for now in (due, lambda step, x: step % 5 == 4, lambda step, x: False):
        monkeypatch.setattr("glasshouse.attacks.pgd.due", now)
        torch.manual_seed(3)
        found.append(attack.search(trained, batch.x, batch.y))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_a_search_borrows_the_model_and_needs_no_gradients_around_it(trained: nn.Module, batch: Batch) -> None:
    trained.train()
    with torch.no_grad():
        found = PGD(ball=Linf(eps=0.1), steps=3).search(trained, batch.x, batch.y)
    assert not found.requires_grad and all(m.training for m in trained.modules())
    assert all(p.requires_grad for p in trained.parameters())
    trained.eval()
    assert not torch.equal(found, batch.x)


@pytest.mark.parametrize("attack", [PGD(), FGSM(), APGD(), DeepFool(), FAB()], ids=lambda a: type(a).__name__)
def test_a_model_without_a_way_back_to_its_pixels_is_named(attack: Attack, trained: nn.Module, batch: Batch) -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return trained(x.detach())

    with pytest.raises(ValueError, match="no gradient reaches the pixels"):
        attack(Cut(), batch.x[:4], batch.y[:4])


def test_broken_images_cost_nothing_more(trained: nn.Module, batch: Batch) -> None:
    def images(search: bool) -> int:
        remembering = Remembering(trained)
        attack = PGD(ball=Linf(eps=0.3), steps=20)
        (attack.search if search else attack)(remembering, batch.x, batch.y)
        return sum(len(x) for x in remembering.seen)

    assert images(search=True) < 0.4 * images(search=False)


def test_restarts_go_on_with_those_that_stand(trained: nn.Module, batch: Batch) -> None:
    torch.manual_seed(0)
    once = correct(trained, PGD(Linf(eps=0.1), steps=3, step_size=0.3).search(trained, batch.x, batch.y), batch.y)
    torch.manual_seed(0)
    often = correct(
        trained, PGD(Linf(eps=0.1), steps=3, step_size=0.3, restarts=6).search(trained, batch.x, batch.y), batch.y
    )
    assert not (often & ~once).any() and often.sum() < once.sum()


def test_of_several_restarts_the_highest_loss_is_kept(trained: nn.Module, batch: Batch) -> None:
    attack = PGD(Linf(eps=0.05), steps=2, step_size=0.1)

    def height(restarts: int) -> Tensor:
        torch.manual_seed(0)
        x_adv = replace(attack, restarts=restarts)(trained, batch.x, batch.y)
        with torch.no_grad():
            return nn.functional.cross_entropy(trained(x_adv), batch.y, reduction="none")

    assert (height(4) >= height(1)).all() and (height(4) > height(1)).sum() > 10


@pytest.mark.parametrize("target", [Ranked(), Ranked(rank=-1), Label(label=3)], ids=repr)
def test_a_targeted_attack_ends_at_its_target(target: Ranked | Label, trained: nn.Module, batch: Batch) -> None:
    with torch.no_grad():
        wanted = target(trained(batch.x), batch.y)
    assert wanted.shape == batch.y.shape and (isinstance(target, Label) or (wanted != batch.y).all())
    for attack in (PGD(Linf(eps=0.4), steps=60, target=target), PGD(Linf(eps=0.4), 60, target=target, loss=Margin())):
        for x_adv in (attack(trained, batch.x, batch.y), attack.search(trained, batch.x, batch.y)):
            assert (trained(x_adv).argmax(1) == wanted).float().mean() > 0.8


def test_targets_are_ranked_among_the_other_classes() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 1.0, 4.0]])
    y = torch.tensor([0, 3])
    assert Ranked()(logits, y).tolist() == [2, 1] and Ranked(rank=2)(logits, y).tolist() == [1, 2]
    assert Ranked(rank=-1)(logits, y).tolist() == [3, 0] and Ranked(rank=3)(logits, y).tolist() == [3, 0]
    with pytest.raises(ValueError, match="other classes"):
        Ranked(rank=4)(logits, y)
    with pytest.raises(ValueError, match="none of the model's 4 classes"):
        Label(label=4)(logits, y)


def test_losses_of_attacks_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5, 0.0], [0.0, 5.0, 1.0, 4.0]])
    y, target = torch.tensor([0, 3]), torch.tensor([1, 1])
    torch.testing.assert_close(Margin()(logits, y), torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(Margin()(logits, y, target), torch.tensor([-2.0, 1.0]))
    torch.testing.assert_close(Margin()(torch.tensor([[2.0, -1.0, -3.0]]), torch.tensor([0])), torch.tensor([-3.0]))
    torch.testing.assert_close(DLR()(logits, y), torch.tensor([-0.5 / 2, 1.0 / 4]))
    torch.testing.assert_close(DLR()(logits, y, target), torch.tensor([-2.0 / 2.5, 1.0 / 4.5]))
    torch.testing.assert_close(DLR()(1000 * logits, y), DLR()(logits, y))
    torch.testing.assert_close(CE()(logits, y), -logits.log_softmax(1)[[0, 1], y])
    torch.testing.assert_close(CE()(logits, y, target), logits.log_softmax(1)[[0, 1], target])
    few = logits[:, :2]
    torch.testing.assert_close(DLR()(few, torch.tensor([0, 1])), torch.tensor([-2.0, -5.0]))
    three = DLR()(logits[:, :3], torch.tensor([0, 1]), torch.tensor([1, 0]))
    torch.testing.assert_close(three, torch.tensor([-2.0, -5.0]))
    torch.testing.assert_close(DLR()(logits[:, :3], torch.tensor([0, 1])), torch.tensor([-0.5 / 2, -4.0 / 5]))


def test_momentum_goes_on_where_the_gradient_turns(linear: object) -> None:
    class Turning(nn.Module):
        """Its gradient points one way, then, from the second look on, weakly the other."""

        looks = 0

        def forward(self, x: Tensor) -> Tensor:
            self.looks += 1
            slope = 1.0 if self.looks == 1 else -0.1
            score = slope * x.sum((1, 2, 3))
            return torch.stack([-score, score], 1)

    grey, y = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, dtype=torch.int64)

    def moved(momentum: float) -> float:
        attack = PGD(Linf(eps=0.1), steps=3, step_size=0.1, random_start=False, momentum=momentum)
        return float((attack(Turning(), grey, y) - grey).mean())

    assert moved(0.0) == pytest.approx(-0.01) and moved(1.0) == pytest.approx(0.01)


# what is known already


@dataclass(frozen=True)
class Counting:
    """An attack by brightness that counts the images it is asked about."""

    ball: Linf = Linf(eps=0.1)
    asked = [0]  # noqa: RUF012

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        self.asked[0] += len(x)
        return (x - self.ball.eps * (2 * y - 1).view(-1, 1, 1, 1)).clamp(0, 1)


class Threshold(nn.Module):
    """Class 1 from a mean brightness of one half on."""

    def forward(self, x: Tensor) -> Tensor:
        score = x.mean((1, 2, 3)) - 0.5
        return torch.stack([-score, score], 1)


LEVELS = torch.tensor([0.1, 0.45, 0.55, 0.9, 0.3, 0.62, 0.51])
ROOM = Batch(LEVELS.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous(), torch.tensor([0, 0, 1, 1, 1, 1, 1]))


def test_a_sweep_asks_only_about_those_who_stand() -> None:
    Counting.asked[0] = 0
    verdicts = Verdicts(Threshold(), ROOM)
    assert verdicts.standing(Counting(Linf(eps=0.02))).tolist() == [True, True, True, True, False, True, False]
    assert verdicts.standing(Counting(Linf(eps=0.1))).tolist() == [True, False, False, True, False, True, False]
    assert verdicts.standing(Counting(Linf(eps=0.1))).tolist() == [True, False, False, True, False, True, False]
    assert Counting.asked[0] == 6 + 5
    stands, x_adv = verdicts.under(Counting(Linf(eps=0.3)))
    assert stands.tolist() == [True, False, False, True, False, False, False] and Counting.asked[0] == 6 + 5 + 3
    for shown in (ROOM.x, x_adv):
        assert (Linf(eps=0.3).norm(shown - ROOM.x) <= 0.3 + 1e-6).all()
    assert torch.equal(correct(Threshold(), x_adv, ROOM.y), stands)


def test_a_measurement_begins_with_the_smallest_ball() -> None:
    samples = Memory((ROOM.x * 255).round().byte(), ROOM.y, ("dark", "bright"))
    Counting.asked[0] = 0
    measure(Threshold(), samples, [Accuracy(attack=Counting(Linf(eps=e))) for e in (0.3, 0.02, 0.1)])
    assert Counting.asked[0] == 6 + 5 + 3


def test_what_a_larger_ball_broke_says_nothing_of_a_smaller() -> None:
    verdicts = Verdicts(Threshold(), ROOM)
    assert verdicts.standing(Counting(Linf(eps=0.1))).tolist() == [True, False, False, True, False, True, False]
    assert verdicts.standing(Counting(Linf(eps=0.02))).tolist() == [True, True, True, True, False, True, False]


def test_a_sweep_finds_what_each_attack_finds_alone(trained: nn.Module, batch: Batch) -> None:
    sweep = [Accuracy(attack=PGD(ball=Linf(eps=e), steps=15)) for e in (0.15, 0.05, 0.1)]
    samples = at_most(Digits(size=16, decoy=None)("test"), 40)
    model = trained.float()
    together = measure(model, samples, [Accuracy(), *sweep], seed=4)
    alone = {repr(m): measure(model, samples, [m], seed=4)[repr(m)] for m in (Accuracy(), *sweep)}
    trained.double()
    order = [repr(sweep[i]) for i in (1, 2, 0)]
    for weak, strong in pairwise(order):
        assert not (together[strong] > together[weak]).any()
    for name in order:
        assert not (together[name] > alone[name]).any()
        assert (together[name] != alone[name]).float().mean() <= 0.05
    assert list(together) == [repr(m) for m in (Accuracy(), *sweep)]


@pytest.mark.parametrize("size", [3, 7, 40])
def test_how_images_are_batched_changes_no_verdict(size: int, trained: nn.Module) -> None:
    samples, model = at_most(Digits(size=16, decoy=None)("test"), 40), trained.float()
    metrics = [Accuracy(), Accuracy(attack=PGD(ball=Linf(eps=0.05), steps=5, restarts=2))]
    whole = measure(model, samples, metrics, batch_size=40, seed=1)
    parts = measure(model, samples, metrics, batch_size=size, seed=1)
    other = measure(model, samples, metrics, batch_size=40, seed=2)
    trained.double()
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    assert whole.keys() == other.keys()


def test_whoever_wants_to_know_is_told_of_each_batch(trained: nn.Module) -> None:
    samples, model = at_most(Digits(size=16, decoy=None)("test"), 10), trained.float()
    metric, asked = Accuracy(attack=PGD(ball=Linf(eps=0.05), steps=5)), []
    values = measure(model, samples, [Accuracy(), metric], batch_size=4, each=asked.append)
    x, y = samples[list(range(10))].x, samples[list(range(10))].y
    assert torch.equal(torch.cat([v.batch.x for v in asked]), x) and [len(v.right) for v in asked] == [4, 4, 2]
    assert torch.equal(torch.cat([v.predicted for v in asked]) == y, values[repr(Accuracy())].bool())
    x_adv = torch.cat([v.under(metric.attack)[1] for v in asked])
    assert torch.equal(correct(model, x_adv, y).float(), values[repr(metric)])
    trained.double()


def test_a_family_is_an_attack_but_for_its_eps() -> None:
    a, b = PGD(ball=Linf(eps=0.1)), PGD(ball=Linf(eps=0.2))
    assert family_of(a)[0] == family_of(b)[0] and family_of(a)[1] == 0.1
    assert (
        family_of(a)[0] != family_of(replace(a, steps=3))[0] and family_of(PGD(ball=L2(eps=0.1)))[0] != family_of(a)[0]
    )
    inner = Limited(attack=a, region=OutsideMask())
    assert ball_of(inner) == Linf(eps=0.1) and with_eps(inner, 0.3).attack.ball.eps == 0.3

    @dataclass(frozen=True)
    class Own:
        def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return x

    assert ball_of(Own()) is None and family_of(Own()) == (Own(), 0.0)


# limited attacks


@pytest.mark.parametrize("inner", [PGD(Linf(eps=0.1), steps=8), FGSM(Linf(eps=0.1))], ids=repr)
def test_a_limited_search_keeps_to_the_region_of_each_image(inner: Attack, trained: nn.Module, batch: Batch) -> None:
    limited = Limited(attack=inner, region=OutsideMask())
    found = searched(limited, trained, batch)
    assert batch.mask is not None
    assert not ((found != batch.x).any(1) & batch.mask).any() and not torch.equal(found, batch.x)
    torch.manual_seed(0)
    whole = correct(trained, attacked(limited, trained, batch), batch.y)
    torch.manual_seed(0)
    stopped = correct(trained, searched(limited, trained, batch), batch.y)
    assert not (stopped & ~whole).any()


def test_a_window_moves_along_with_its_images(linear: object) -> None:
    region = torch.rand(5, 1, SIDE, SIDE) > 0.5
    x = torch.rand(5, 3, SIDE, SIDE)
    images = standing(Window(Linear(torch.randn(3, SIDE, SIDE)), x, region), x, torch.zeros(5, dtype=torch.int64))
    some = images.of(torch.tensor([False, True, False, True, True]))
    assert some.place.tolist() == [1, 3, 4] and isinstance(some.model, Window)
    assert torch.equal(some.model.region, region[[1, 3, 4]]) and torch.equal(some.model.x, x[[1, 3, 4]])
    again = some.of(torch.tensor([2]))
    assert again.place.tolist() == [4] and torch.equal(again.draws.keys, images.draws.keys[4:])


# numbers by image


def test_what_an_image_draws_does_not_depend_on_its_batch() -> None:
    x = torch.rand(6, 3, 5, 5)
    whole, part = draws(x, 3), draws(x[2:4], 3)
    for draw in (
        lambda d: d.uniform(3, 2),
        lambda d: d.normal(7),
        lambda d: d.integers(-2, 9, 4),
        lambda d: d.signs(2, 2),
    ):
        assert torch.equal(draw(whole)[2:4], draw(part))
    some = whole[torch.tensor([5, 0])]
    assert torch.equal(whole.uniform(4)[[5, 0]], some.uniform(4))
    assert not torch.equal(draws(x, 3).uniform(9), draws(x, 4).uniform(9))
    torch.manual_seed(0)
    first, second = draws(x), draws(x)
    torch.manual_seed(0)
    assert torch.equal(draws(x).keys, first.keys) and not torch.equal(first.keys, second.keys)


def test_draws_are_distributed_as_they_say() -> None:
    d = Draws(torch.arange(200))
    uniform, normal = d.uniform(5000).double(), d.normal(5000).double()
    assert float(uniform.min()) > 0 and float(uniform.max()) < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=2e-3)
    assert uniform.var().item() == pytest.approx(1 / 12, rel=5e-3)
    assert normal.mean().item() == pytest.approx(0, abs=4e-3) and normal.std().item() == pytest.approx(1, abs=4e-3)
    assert normal.pow(4).mean().item() == pytest.approx(3, abs=0.04) and normal.isfinite().all()
    whole = d.integers(3, 10, 5000)
    assert whole.unique().tolist() == list(range(3, 10))
    assert (whole.flatten().bincount()[3:].double() / whole.numel()).allclose(torch.tensor(1 / 7).double(), atol=3e-3)
    assert d.signs(4000).unique().tolist() == [-1, 1]
    assert uniform[:, :-1].flatten().dot(uniform[:, 1:].flatten()).item() / uniform[:, 1:].numel() == pytest.approx(
        0.25, abs=2e-3
    )
    assert torch.corrcoef(uniform[:20]).fill_diagonal_(0).abs().max() < 0.07


@pytest.mark.parametrize("word", [-(2**63), -1, 2**63 - 1])
def test_the_rarest_bits_give_numbers_within_bounds(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    d = Draws(torch.arange(2))
    monkeypatch.setattr(d, "bits", lambda *shape: torch.full((2, *shape), word))
    assert float(d.uniform(4).min()) > 0 and float(d.uniform(4).max()) < 1 and d.normal(4).isfinite().all()


def test_some_samples_of_a_batch_keep_all_their_fields() -> None:
    batch = Batch(torch.rand(3, 3, 4, 4), torch.arange(3), index=torch.arange(3))
    some = at(batch, torch.tensor([True, False, True]))
    assert some.y.tolist() == [0, 2] and some.index.tolist() == [0, 2] and some.mask is None
