"""Checks on attacks: that they stay where they may, do harm, and do more the more they may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from ..attacks import FGSM, PGD, Limited
from ..attacks.regions import attacked, searched
from ..metrics.verdicts import at, ball_of, correct, family_of, with_eps
from ..types import Attack, Batch
from .check import Check, decided, graded

SLACK = 0.05  # share of the images by which a stronger attack may do less: attacks are searches, not proofs


def on_harm(model: nn.Module, batch: Batch, attack: Attack, name: str) -> Iterator[Check]:
    """Whether an attack keeps to its ball and the pixel range, and leaves fewer images right than there were."""
    x_adv = attacked(attack, model, batch)
    ball = ball_of(attack)
    worst = 0.0 if ball is None else float(ball.norm(x_adv - batch.x).max())
    low, high = float(x_adv.min()), float(x_adv.max())
    inside = ball is None or worst <= ball.eps * (1 + 1e-4) + 1e-6
    allowed = f"the largest norm is {worst:.4g}, and eps {ball.eps:.4g}; " if ball else ""
    seen = f"{allowed}pixels go from {low:g} to {high:g}"
    yield decided(
        inside and low >= 0 and high <= 1, f"{name}: stays in its ball and in [0, 1]", seen, "it does more than it may"
    )
    before, after = (int(correct(model, x, batch.y).sum()) for x in (batch.x, x_adv))
    yield decided(
        after <= before + 1,
        f"{name}: accuracy under attack is not above clean accuracy",
        f"of the same {len(batch.x)} images, all of them attacked, {before} are right before and {after} after",
        "it helps the model, so it is no attack",
    )


def on_strength(model: nn.Module, batch: Batch, settings: Sequence[tuple[str, Attack]], title: str) -> Check:
    """Whether each setting, weakest first, breaks as many as the one before; every image anew for each of them."""
    broken = [broken_by(model, batch, attack) for _, attack in settings]
    told = ", ".join(f"{name} {count}" for (name, _), count in zip(settings, broken, strict=True))
    lost = max(max(a - b for a, b in pairwise(broken)), 0)
    seen = f"broken of {len(batch.x)} images: {told}"
    meaning = "the attack does not use what it is given, a sign of masked gradients or of an error in it"
    return graded(title, lost - 1, len(batch.x), seen, meaning, warn=SLACK, fail=2 * SLACK)


def broken_by(model: nn.Module, batch: Batch, attack: Attack) -> int:
    """How many images an attack breaks on its own."""
    return int((~correct(model, searched(attack, model, batch), batch.y)).sum())


def growing(attack: Attack) -> tuple[tuple[str, Attack], ...]:
    """The attack with half its eps, as it is, and with twice its eps; none without a ball of finite size.

    None either for a single step: that overshoots with a larger eps on the most honest of models.
    """
    ball = ball_of(attack)
    inner = attack.attack if isinstance(attack, Limited) else attack
    single = isinstance(inner, FGSM) or getattr(inner, "steps", 2) == 1
    if single or ball is None or not 0 < ball.eps < float("inf"):
        return ()
    return tuple((f"eps {ball.eps * k:.3g}", with_eps(attack, ball.eps * k)) for k in (0.5, 1.0, 2.0))


def longer(attack: Attack) -> tuple[tuple[str, Attack], ...]:
    """The attack with a quarter of its steps (each as long as all of them together would allow), and as it is."""
    if not isinstance(attack, PGD) or attack.steps < 4:
        return ()
    few = attack.steps // 4
    share = min(1.0, attack.step_size * attack.steps / few)
    return ((f"{few} steps", replace(attack, steps=few, step_size=share)), (f"{attack.steps} steps", attack))


def on_values(values: Mapping[Attack | None, Tensor], names: Mapping[Attack, str]) -> Iterator[Check]:
    """Checks on what was measured: nobody right under attack who was wrong before, and the ensemble strongest."""
    clean = values.get(None)
    for attack, right in values.items():
        if clean is not None and attack is not None:
            risen = int(((right > clean) & right.isfinite()).sum())
            title = f"{names[attack]}: no image is right under attack that was wrong before"
            yield decided(risen == 0, title, f"{risen} of {len(right)} images", "the two are not of the same images")
    for strong, right in values.items():
        if strong is None or type(strong).__name__ != "StandardEnsemble":
            continue
        for weak, other in values.items():
            if weak is not None and weak != strong and ball_of(weak) == ball_of(strong):
                missed = int(((right > other) & right.isfinite()).sum())
                seen = f"it leaves standing {missed} of {len(right)} images that {names[weak]} breaks"
                meaning = "an ensemble that a single attack outdoes is not to be relied on"
                title = f"{names[strong]} finds what {names[weak]} finds"
                yield graded(title, missed - 1, len(right), seen, meaning, warn=0.01, fail=0.03)


def families(attacks: Sequence[Attack]) -> list[Attack]:
    """Of attacks that differ in eps alone, the one with the largest."""
    largest: dict[object, Attack] = {}
    for attack in sorted(attacks, key=lambda a: family_of(a)[1]):
        largest[family_of(attack)[0]] = attack
    return list(largest.values())


def right_ones(model: nn.Module, batch: Batch) -> Batch:
    """The samples that the model gets right."""
    return at(batch, correct(model, batch.x, batch.y))
