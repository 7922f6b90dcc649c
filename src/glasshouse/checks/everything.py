"""All self-checks of a model, the attacks it was measured with, and the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from torch import Tensor, nn

from ..attacks import FGSM, PGD, Limited, Linf
from ..data.samples import at_most
from ..draws import seeded_globally
from ..metrics.verdicts import ball_of
from ..modes import device_of, frozen
from ..types import Attack, Batch, Progress, Samples, silent
from . import attack as of_attacks
from . import data as of_data
from . import model as of_model
from .check import OPEN, Check

EPS = 8 / 255


def self_checks(
    model: nn.Module,
    samples: Samples,
    attacks: Mapping[Attack, str],
    values: Mapping[Attack | None, Tensor] | None = None,
    *,
    train: Samples | None = None,
    images: int = 64,
    seed: int = 0,
    progress: Progress = silent,
    label: str = "check",
) -> list[Check]:
    """Look for what would make the numbers of a robustness evaluation mean less than they say.

    ``attacks`` are those of the evaluation with their names for people, ``values`` what was measured under each
    (None: clean). Checks attack ``images`` of the samples, drawn by ``seed``; training images are compared with all.

    Cost: some 500 forward and backward passes an image, fewer the more images break.
    """
    # The last of a family is audited, by up to four checks; some ten are of the model.
    done, expected = count(1), 11 + 4 * len(audited(attacks))
    found: list[Check] = []
    with frozen(model), seeded_globally(seed, 0):
        batch = drawn(samples, images, seed).to(device_of(model))
        for check in every(model, batch, attacks, values or {}):
            found.append(check)
            progress(label, next(done), expected)
        found.append(of_data.on_leakage(samples, train, seed=seed, progress=progress))
    progress(label, expected, expected)
    return found


def every(
    model: nn.Module, batch: Batch, attacks: Mapping[Attack, str], values: Mapping[Attack | None, Tensor]
) -> Iterator[Check]:
    """Each check in turn."""
    yield of_data.on_pixels(batch.x)
    yield from of_model.on_answers(model, batch.x)
    yield from of_attacks.on_values(values, attacks)
    right = of_attacks.right_ones(model, batch)
    if not len(right.x):
        yield Check(OPEN, "attacks do harm", f"the model is right on none of {len(batch.x)} images")
        return
    if not of_model.differentiable(model, right.x):
        yield of_model.cut_off()
        return
    yield of_model.on_gradients(model, right.x, right.y)
    for attack in audited(attacks):
        yield from on_attack(model, batch, right, attack, attacks[attack])
    balls = [b for b in map(ball_of, attacks) if b is not None and 0 < b.eps < 1]
    ball = max(balls, key=lambda b: b.eps, default=Linf(EPS))
    yield of_model.on_the_way_up(model, right.x, right.y, EPS)
    yield of_model.on_restarts(model, right.x, right.y, EPS)
    yield of_model.on_random_search(model, right.x, right.y, ball)
    yield of_model.on_the_unbounded(model, right.x, right.y)


def on_attack(model: nn.Module, batch: Batch, right: Batch, attack: Attack, name: str) -> Iterator[Check]:
    """The checks on one attack."""
    yield from of_attacks.on_harm(model, batch, attack, name)
    for what, settings in (("a larger eps", of_attacks.growing(attack)), ("more steps", of_attacks.longer(attack))):
        if settings:
            yield of_attacks.on_strength(model, right, settings, f"{name}: {what} does not do less")


def audited(attacks: Mapping[Attack, str]) -> list[Attack]:
    """The largest eps of each family that may be carried out again."""
    return of_attacks.families([attack for attack in attacks if cheap(attack)])


def cheap(attack: Attack) -> bool:
    """Whether an attack may be carried out several times only to check it."""
    inner = attack.attack if isinstance(attack, Limited) else attack
    known = isinstance(inner, PGD | FGSM)
    return known or not type(inner).__module__.startswith("glasshouse.")


def drawn(samples: Samples, images: int, seed: int) -> Batch:
    """Some samples as one batch."""
    some = at_most(samples, images, seed)
    return some[list(range(len(some)))]
