"""What the paper on LIME-guided refinement claims, and what has to hold besides."""

from __future__ import annotations

from collections.abc import Sequence

from ..statistics import holm
from ..study import Claim
from . import lime_arms as arms
from .gains import MISSING, Judged, decided
from .lime_found import Found
from .lime_published import CORRUPTED_CLEAN, PUBLISHED
from .lime_verdicts import (
    above_clean,
    as_published,
    better,
    both,
    cheap,
    cost_in_clean,
    everywhere,
    leaked,
    lower_loss,
    over_corruptions,
    pair,
    settles,
    sound,
    steadier,
)


def claims(found: Sequence[Found]) -> tuple[Claim, ...]:
    """The paper's claims on the first trial of each of its data sets, then the controls on every trial."""
    told: list[Claim] = []
    for data in PUBLISHED:
        own = next((f for f in found if f.trial.published == data and f.refined), None)
        told += [] if own is None else [*of_the_paper(own), *on_corrupted(own)]
    return (*told, *(claim for f in found for claim in controls(f)))


def of_the_paper(f: Found) -> list[Claim]:
    """The claims on one data set, about the arm that stands for the refined model."""
    where, numbers = f.trial.published, PUBLISHED[f.trial.published]

    def claim(text: str, published: str, judged: Judged) -> Claim:
        return Claim(f"{where}: {text}", "paper", judged.verdict, published, judged.measured)

    fgsm, pgd = (", ".join(f"{pair(p)} at {eps}" for eps, p in known.items()) for known in (numbers.fgsm, numbers.pgd))
    return [
        claim("Refinement costs little clean accuracy", pair(numbers.clean), cost_in_clean(f)),
        claim("The refined model is the more accurate one (caption)", "yes; text: no", better(f, [arms.CLEAN])),
        claim("The refined model reaches a lower loss (caption)", "yes; text: later", lower_loss(f)),
        claim("FGSM: refined holds more at 0.01 and 0.03", fgsm, both(f, arms.fgsm, (0.01, 0.03))),
        claim("PGD: refined holds more at 0.01 and 0.03", pgd, both(f, arms.pgd, (0.01, 0.03))),
        claim("FGSM: and also at 0.1 and 0.3", "yes", both(f, arms.fgsm, (0.1, 0.3))),
        claim("PGD: and also at 0.1 and 0.3", "yes, near 0", both(f, arms.pgd, (0.1, 0.3))),
        claim("Under PGD 0.03 refined holds as much as published", pair(numbers.pgd[0.03]), as_published(f)),
        claim("Attributions become more stable", "claimed, not measured", better(f, f.stabilities[:1])),
    ]


def on_corrupted(f: Found) -> list[Claim]:
    """The claims about CIFAR-10-C, on a trial with corruptions."""
    if not f.trial.corruptions:
        return []

    def claim(text: str, published: str, judged: Judged) -> Claim:
        return Claim(f"{f.trial.published}-C: {text}", "paper", judged.verdict, published, judged.measured)

    each = "for each corruption, refined holds more"
    return [
        claim("Refinement generalises better", f"abstract: yes; {pair(CORRUPTED_CLEAN)}", over_corruptions(f)),
        claim("Its accuracy varies less between corruptions", "yes", steadier(f)),
        claim(f"FGSM 0.1: {each}", "26.69 against 9.98 (brightness)", everywhere(f, arms.fgsm(0.1))),
        claim(f"FGSM 0.3: {each}", "17.03 (contrast)", everywhere(f, arms.fgsm(0.3))),
        claim(f"PGD 0.01: {each}", "90.72 against 73.79 (brightness)", everywhere(f, arms.pgd(0.01))),
        claim(f"PGD 0.03: {each}", "64 to 71, baseline near 0", everywhere(f, arms.pgd(0.03))),
        claim("Under PGD 0.01 it holds more than without attack", "90.72 against 70 and 85", above_clean(f)),
    ]


def controls(f: Found) -> list[Claim]:
    """What has to hold on a trial if the explanations are to be thanked."""
    under = "in test, where the shortcut means nothing" if f.has_shortcut else "under PGD 0.03"
    alone = "holds more than FGSM training alone"
    pairs = {f"Guided refinement, {name}, {alone}, {under}": (name, arms.FGSM_ONLY) for name in arms.REFINED}
    elsewhere = "holds more than with masks at random places"
    pairs |= {
        f"Guided refinement, {arms.FULL}, {elsewhere}, {under}": (arms.FULL, arms.RANDOM),
        f"The best variant holds more than itself without explanations, {under}": (arms.BEST, arms.BEST_UNGUIDED),
        f"The best variant {elsewhere}, {under}": (arms.BEST, arms.BEST_RANDOM),
    }
    rows = against(f, pairs)
    rows += [("Detecting on the test images gains nothing", leaked(f))]
    rows += [("The set of spurious features settles", settles(f))]
    rows += [("Explaining and detecting take at most 25 % of a round's training time", cheap(f))]
    rows += [("No accuracy under attack is above the clean one; the self-checks pass", sound(f))]
    return [
        Claim(f"{f.trial.name}: {text}", "control", judged.verdict, "–", judged.measured)
        for text, judged in rows
        if judged is not MISSING
    ]


def against(f: Found, pairs: dict[str, tuple[str, str]]) -> list[tuple[str, Judged]]:
    """Pairs of arms, p-values corrected for their number by Holm's method."""
    gains = {text: f.gain(own, other, f.deciding) for text, (own, other) in pairs.items()}
    present = {text: g for text, g in gains.items() if g is not None}
    corrected = holm([g.p for g in present.values()])
    judged = [decided(g._replace(p=p)) for g, p in zip(present.values(), corrected, strict=True)]
    return list(zip(present, judged, strict=True))
