"""Each self-check catches its own fault, and none finds any in an honest model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, L2, PGD, Limited, Linf, StandardEnsemble
from glasshouse.attacks.pgd import PGD as Honest
from glasshouse.checks import FAIL, OPEN, PASS, WARN, Check, self_checks, worst
from glasshouse.checks.attack import growing, longer, on_values
from glasshouse.checks.data import on_leakage
from glasshouse.data import Digits
from glasshouse.data.samples import Memory, Subset, at_most
from glasshouse.metrics.verdicts import correct
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial, CrossEntropy
from glasshouse.train import Adam, Training, fit
from glasshouse.types import Attack, Samples

EPS = 8 / 255
ATTACKS: dict[Attack, str] = {PGD(ball=Linf(eps=e), steps=20): f"PGD {e:g}" for e in (EPS / 2, EPS)}
PLAIN = Digits(size=16, decoy=None)
ANSWERS = "an image gets the same answer alone as in a batch"
TWICE = "the same image gets the same answer twice"
GRADIENTS = "gradients of the loss are not zero"
RISES = "the loss rises along the attack"
UNBOUNDED = "an attack without bounds breaks every image"
SEARCH = "attacks by gradients find what random search finds"
MOVES = "logits move when the pixels do"
LEAK = "no test image is a training image"


def trained(robust: bool) -> nn.Module:
    torch.manual_seed(0)
    model = SmallCNN(width=6)(10)
    objective = Adversarial(attack=FGSM(Linf(eps=0.1), random_start=True)) if robust else CrossEntropy()
    fit(model, objective, PLAIN("train"), Training(epochs=6, optimizer=Adam(lr=5e-3)))
    return model.eval()


@pytest.fixture(scope="module")
def robust() -> nn.Module:
    return trained(robust=True)


@pytest.fixture(scope="module")
def standard() -> nn.Module:
    return trained(robust=False)


class Around(nn.Module):
    """A model with something done to its pixels or to its logits."""

    def __init__(self, model: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.model(self.before(x)))


def same(x: Tensor) -> Tensor:
    return x


def found(
    model: nn.Module,
    samples: Samples | None = None,
    attacks: dict[Attack, str] = ATTACKS,
    train: Samples | None = None,
    images: int = 32,
) -> dict[str, Check]:
    given = PLAIN("test") if samples is None else samples
    checks = self_checks(model, given, attacks, train=PLAIN("train") if train is None else train, images=images)
    assert len({check.title for check in checks}) == len(checks)
    return {check.title: check for check in checks}


def statuses(checks: dict[str, Check]) -> dict[str, str]:
    return {title: check.status for title, check in checks.items() if check.status != PASS}


@pytest.mark.parametrize("kind", ["standard", "robust", "untrained"])
def test_an_honest_model_has_nothing_to_hide(kind: str, request: pytest.FixtureRequest) -> None:
    model = SmallCNN(width=6)(10) if kind == "untrained" else request.getfixturevalue(kind)
    checks = found(model)
    assert statuses(checks) == {} and len(checks) >= 15
    assert worst(checks.values()) == PASS
    assert all(check.reason and check.title for check in checks.values())


def test_the_checks_leave_the_model_as_it_was_and_follow_the_seed(robust: nn.Module) -> None:
    robust.train()
    before = {k: v.clone() for k, v in robust.state_dict().items()}
    stream = torch.get_rng_state()
    first, second = found(robust, images=16), found(robust, images=16)
    assert torch.equal(torch.get_rng_state(), stream)  # the caller's random numbers go on as if nothing had been
    assert first == second and all(m.training for m in robust.modules())
    assert all(torch.equal(before[k], v) for k, v in robust.state_dict().items())
    assert all(p.requires_grad for p in robust.parameters())
    robust.eval()


def test_masked_gradients_are_seen(standard: nn.Module) -> None:
    masked = statuses(found(Around(standard, same, lambda logits: 1e4 * logits)))
    assert masked[GRADIENTS] == masked[RISES] == FAIL
    rounded = statuses(found(Around(standard, lambda x: (x * 8).round() / 8, same)))
    assert rounded[GRADIENTS] == rounded[RISES] == FAIL and rounded[MOVES] == WARN and SEARCH in rounded
    assert masked.get(MOVES, PASS) == masked.get(ANSWERS, PASS) == masked.get(TWICE, PASS) == PASS


def test_a_gradient_that_is_not_the_models_own_is_seen(standard: nn.Module) -> None:
    def turned(logits: Tensor) -> Tensor:
        return 2 * logits.detach() - logits

    wrong = statuses(found(Around(standard, same, turned)))
    assert wrong[RISES] == FAIL
    cut = found(Around(standard, torch.detach, same))
    assert statuses(cut) == {GRADIENTS: FAIL} and "no gradient reaches" in cut[GRADIENTS].reason


def test_rounding_that_claims_a_gradient_is_seen(standard: nn.Module) -> None:
    def straight_through(x: Tensor) -> Tensor:
        return x + ((x * 32).round() / 32 - x).detach()

    assert statuses(found(Around(standard, straight_through, same)))[MOVES] == WARN


def test_a_randomised_model_is_seen(standard: nn.Module) -> None:
    noisy = statuses(found(Around(standard, lambda x: x + 0.05 * torch.randn_like(x), same)))
    assert noisy[TWICE] == FAIL and ANSWERS not in noisy


def test_luck_of_the_start_is_seen(standard: nn.Module) -> None:
    """A model that is wrong where a pixel happens to end in certain digits, which no gradient tells."""

    class Lottery(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = standard(x.detach().mul(4).round().div(4)) + 0 * x.sum()
            lucky = (1e3 * x[:, 0, 0, 0]) % 1 < 0.15
            return torch.where((lucky & (x[:, 0, 0, 0] > 0))[:, None], logits.roll(1, 1), logits)

    assert "random restarts agree" in statuses(found(Lottery(), attacks={}))


def test_batch_normalisation_by_the_batch_at_hand_is_seen(standard: nn.Module) -> None:
    coupled = trained(robust=False)
    for module in coupled.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    assert statuses(found(coupled))[ANSWERS] == FAIL
    assert ANSWERS not in statuses(found(standard.train()))  # checks borrow it in evaluation mode
    standard.eval()


def test_a_model_without_numbers_is_seen() -> None:
    def spoilt(logits: Tensor) -> Tensor:
        return torch.where(logits > 0.5, torch.nan, logits)

    checks = found(Around(trained(robust=False), same, spoilt), attacks={})
    assert checks["logits are finite"].status == FAIL


def test_what_no_pixel_can_turn_is_seen() -> None:
    """Dark or bright: every pixel may be anything, and yet an attack that follows this gradient turns no image."""

    class Backwards(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            score = x.mean((1, 2, 3)) - 0.5
            score = 2 * score.detach() - score
            return torch.stack([-score, score], 1)

    labels = torch.arange(32) % 2
    pixels = (labels * 200 + 25).byte().view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    noise = torch.randint(10, (32, 3, 16, 16), dtype=torch.uint8, generator=torch.manual_seed(0))
    seen = statuses(found(Backwards(), Memory(pixels + noise, labels, ("dark", "bright")), {}))
    assert seen[UNBOUNDED] == FAIL


# attacks


@dataclass(frozen=True)
class Downhill:
    """PGD with the wrong sign of its step."""

    ball: Linf = Linf(eps=EPS)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        def helping(logits: Tensor) -> Tensor:
            return 2 * logits.detach() - logits

        return Honest(ball=self.ball, steps=20)(Around(model, same, helping), x, y)


@dataclass(frozen=True)
class Wandering:
    """PGD that projects around the point it came from, and not around the image."""

    ball: Linf = Linf(eps=EPS)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        for _ in range(4):
            x = Honest(ball=self.ball, steps=5, random_start=False)(model, x, y)
        return x


@dataclass(frozen=True)
class Shy:
    """An attack that gives up where it might do most."""

    ball: Linf = Linf(eps=EPS)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        eps = self.ball.eps if self.ball.eps < 0.02 else 0.001
        return Honest(ball=Linf(eps=eps), steps=20)(model, x, y)


@dataclass(frozen=True)
class Glaring:
    """An attack that forgets that pixels end at 1."""

    ball: Linf = Linf(eps=EPS)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return Honest(ball=self.ball, steps=20)(model, x, y) + (x == 1) * self.ball.eps


def test_an_attack_that_helps_is_seen(robust: nn.Module) -> None:
    samples = at_most(PLAIN("test"), 64)
    seen = statuses(found(robust, samples, {Downhill(): "downhill"}, images=64))
    assert seen == {"downhill: accuracy under attack is not above clean accuracy": FAIL}


@pytest.mark.parametrize("attack", [Wandering(), Glaring()], ids=repr)
def test_an_attack_that_leaves_its_ball_or_the_pixels_is_seen(attack: Attack, robust: nn.Module) -> None:
    assert statuses(found(robust, attacks={attack: "it"})) == {"it: stays in its ball and in [0, 1]": FAIL}


def test_an_attack_that_does_less_with_more_is_seen(standard: nn.Module) -> None:
    assert statuses(found(standard, attacks={Shy(): "shy"})) == {"shy: a larger eps does not do less": FAIL}


def test_settings_from_weak_to_strong() -> None:
    assert [a.ball.eps for _, a in growing(PGD(ball=L2(eps=0.5)))] == [0.25, 0.5, 1.0]  # type: ignore[attr-defined]
    assert growing(PGD(ball=Linf(eps=0.0))) == growing(FGSM()) == growing(Limited(attack=PGD(steps=1))) == ()
    assert longer(FGSM()) == longer(PGD(steps=3)) == ()
    (_, few), (_, many) = longer(PGD(steps=40, step_size=0.1))
    assert few == PGD(steps=10, step_size=0.4) and many == PGD(steps=40, step_size=0.1)


def test_values_that_cannot_be_are_seen() -> None:
    pgd, ensemble = PGD(), StandardEnsemble()
    names: dict[Attack, str] = {pgd: "PGD", ensemble: "ensemble"}
    clean = torch.tensor([1.0] * 60 + [0.0] * 40)
    fine = {None: clean, pgd: clean * (torch.arange(100) < 30), ensemble: clean * (torch.arange(100) < 20)}
    assert all(check.status == PASS for check in on_values(fine, names))
    above = {None: clean, pgd: torch.ones(100)}
    assert [c.status for c in on_values(above, names)] == [FAIL]
    outdone = {None: clean, pgd: clean * (torch.arange(100) < 20), ensemble: clean * (torch.arange(100) < 30)}
    assert [c.status for c in on_values(outdone, names)] == [PASS, PASS, FAIL]
    other = {ensemble: outdone[ensemble], PGD(ball=Linf(eps=0.1)): outdone[pgd]}
    assert list(on_values(other, names | {PGD(ball=Linf(eps=0.1)): "stronger"})) == []


# images


def test_images_on_another_scale_are_seen(standard: nn.Module) -> None:
    @dataclass(frozen=True, eq=False)
    class Bright:
        samples: Samples

        @property
        def classes(self) -> tuple[str, ...]:
            return self.samples.classes

        def __len__(self) -> int:
            return len(self.samples)

        def __getitem__(self, index: object) -> object:
            batch = self.samples[index]  # type: ignore[index]
            return batch._replace(x=batch.x * 255)

    checks = found(standard, Bright(PLAIN("test")), attacks={}, train=PLAIN("train"))  # type: ignore[arg-type]
    assert checks["images are in [0, 1]"].status == FAIL


def test_test_images_among_training_images_are_seen(standard: nn.Module) -> None:
    train, test = PLAIN("train"), PLAIN("test")
    assert on_leakage(test, train).status == PASS
    assert on_leakage(test, None).status == OPEN
    assert on_leakage(test, Digits(size=20, decoy=None)("train")).status == OPEN
    assert isinstance(train, Memory) and isinstance(test, Memory)
    for count, status in ((2, WARN), (40, FAIL)):
        pixels, labels = (
            torch.cat([a, b[:count]]) for a, b in ((train.pixels, test.pixels), (train.labels, test.labels))
        )
        told = on_leakage(test, Memory(pixels, labels, train.classes))
        assert told.status == status and told.reason.startswith(f"{count} of {len(test)} test images")
    assert found(standard, test, {}, train=Subset(test, tuple(range(100))))[LEAK].status == FAIL


def test_a_model_that_is_never_right_is_not_called_robust() -> None:
    wrong = Around(trained(robust=False), same, lambda logits: -logits)
    checks = found(wrong)
    assert checks["attacks do harm"].status == OPEN and GRADIENTS not in checks


def test_the_worst_of_all() -> None:
    def of(*statuses: str) -> str:
        return worst(Check(status, "", "") for status in statuses)

    assert of(PASS, FAIL, WARN) == FAIL and of(OPEN, PASS, WARN) == WARN and of(OPEN) == OPEN and of() == PASS


def test_random_search_is_left_nothing_where_gradients_break_all(standard: nn.Module) -> None:
    everything = {PGD(ball=Linf(eps=0.5), steps=20): "all"}
    checks = found(standard, attacks=everything)  # type: ignore[arg-type]
    assert checks[SEARCH].status == PASS and "nothing is left" in checks[SEARCH].reason
    batch = PLAIN("test")[list(range(8))]
    assert not correct(standard, PGD(ball=Linf(eps=0.5), steps=20)(standard, batch.x, batch.y), batch.y).any()
