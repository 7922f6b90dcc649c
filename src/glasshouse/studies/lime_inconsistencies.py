"""The paper's inconsistencies, each with what our own runs say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..study import Table
from . import lime_arms as arms
from .gains import MISSING, Judged, points
from .lime_found import Found
from .lime_published import INCONSISTENCIES
from .lime_verdicts import (
    above_clean,
    better,
    by_corruption,
    level,
    lower_loss,
    over_corruptions,
)


def inconsistencies(found: Sequence[Found]) -> Table:
    """One row for each."""
    own = next((f for f in found if f.trial.published == "CIFAR-10" and f.refined), None)
    told = [(text, "–" if own is None else OURS[name](own)) for name, text in INCONSISTENCIES]
    rows = tuple((f"{i}.", text, ours) for i, (text, ours) in enumerate(told, start=1))
    note = "What in the paper contradicts itself or cannot be, and what our runs on its first data set say of it."
    return Table("Inconsistencies of the paper", note, ("", "in the paper", "in our runs"), rows, named=3)


def measured(judge: Callable[[Found], Judged]) -> Callable[[Found], str]:
    """The number behind a verdict, which says itself where there is none."""
    return lambda f: judge(f).measured


def baseline_above(f: Found) -> str:
    """The baseline under PGD 0.01 on corrupted images, and on the others."""
    own = by_corruption(f, arms.BASELINE, arms.pgd(0.01))
    if not own:
        return MISSING.measured
    others = level(f, arms.BASELINE, arms.pgd(0.01))
    return f"{min(own.values()):.1f} to {max(own.values()):.1f} % on corrupted images, {others} on the others"


def leak(f: Found) -> str:
    """What detection on test images is worth."""
    gains = [f.gain(arms.LEAK, arms.AGGREGATED, metric) for metric in (arms.CLEAN, arms.pgd(0.03))]
    told = [points(g) for g in gains if g is not None]
    return f"worth {told[0]} clean and {told[1]} under PGD 0.03" if len(told) == 2 else MISSING.measured


def literal(f: Found) -> str:
    """The rule as printed, and the others."""
    rules = [name for name in (arms.LITERAL, arms.FULL, arms.AUTOMATIC) if name in f.names]
    return "under PGD 0.03: " + ", ".join(f"{name} {level(f, name, arms.pgd(0.03))}" for name in rules)


def unguided(f: Found) -> str:
    """Training by FGSM alone beside the refined model."""
    g = f.gain(f.refined, arms.FGSM_ONLY, arms.pgd(0.03))
    return MISSING.measured if g is None else f"refined above FGSM training alone under PGD 0.03: {points(g)}"


OURS: dict[str, Callable[[Found], str]] = {
    "above clean": measured(above_clean),
    "baseline above": baseline_above,
    "accuracy caption": measured(lambda f: better(f, [arms.CLEAN])),
    "loss caption": measured(lower_loss),
    "generalisation": measured(over_corruptions),
    "stability": measured(lambda f: better(f, f.stabilities[:1])),
    "leak": leak,
    "sets": lambda f: f"measured at {', '.join(map(str, arms.EPS))} with both",
    "literal rule": literal,
    "nineteen": lambda f: f"measured under {len(f.kinds)}" if f.kinds else MISSING.measured,
    "no ablation": unguided,
    "one gradient": lambda f: "each step follows the gradient at x_t",
}
