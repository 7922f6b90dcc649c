"""Numbers as people read them, and what they mean in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from ..attacks import FGSM, L2, PGD
from ..checks import FAIL, OPEN, PASS, WARN, Check
from ..metrics import (
    Accuracy,
    Distortion,
    ExactMatch,
    Fooled,
    FooledAt,
    PerturbationOverlap,
    RelevanceMoved,
    TopKIntersection,
)
from ..metrics.localisation import on_evidence
from ..outcome import Outcome
from ..statistics import Comparison, Estimate
from ..titles import eps_text
from ..types import Metric

CLEAN = repr(Accuracy())
SHARES = (Accuracy, Distortion, ExactMatch, Fooled, FooledAt, PerturbationOverlap, RelevanceMoved, TopKIntersection)


def percent(value: float | None, digits: int = 1) -> str:
    """``12.3 %``, a dash for no value."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f}\u00a0%"


def in_steps(change: float) -> str:
    """The change of a pixel in steps of 8 bits: ``7.8/255``."""
    return f"{255 * change:.2g}/255"


def cell(e: Estimate) -> str:
    """A mean with its interval."""
    return f"{100 * e.mean:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]" if e.count else "–"


def measured(metric: Metric, e: Estimate) -> str:
    """A metric's mean with its interval: shares in per cent, other values as numbers."""
    if isinstance(metric, SHARES) or on_evidence(metric):
        return cell(e)
    return f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}]" if e.count else "–"


def change(c: Comparison) -> str:
    """A difference with its interval, in points."""
    return f"{100 * c.difference:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]"


def p_text(p: float) -> str:
    """``p = 0.012``"""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def verdict(outcome: Outcome) -> str:
    """Two sentences: what changed, and whether the explanations are why."""
    guided = outcome.guided
    metric = CLEAN if CLEAN in outcome.values["baseline"] else next(iter(outcome.values["baseline"]))
    if guided is None:
        reached = percent(outcome.estimate("baseline", metric).mean)
        return f"The baseline reaches {reached}. Nothing was refined by explanations."
    base, own = (outcome.estimate(name, metric) for name in ("baseline", guided.name))
    against = outcome.comparisons(metric)
    first = (
        f"On {own.count} test images the baseline is right on {percent(base.mean)} and the refined model on "
        f"{percent(own.mean)} ({change(against['baseline'])} points, {p_text(against['baseline'].p)})."
    )
    controls = [arm.name for arm in outcome.recipe.arms if arm.control_of == guided.name]
    if not controls:
        return f"{first} There is no control, so nothing says that the explanations are why."
    return f"{first} {because(outcome, metric, {name: against[name] for name in controls})}"


def because(outcome: Outcome, metric: str, controls: dict[str, Comparison]) -> str:
    """Whether the guided arm beats every control."""
    reached = " and ".join(f"{percent(outcome.estimate(n, metric).mean)} ({n})" for n in controls)
    told = f"Trained alike but without looking where the explanations point, it reaches {reached}"
    ahead = [c.difference > 0 and c.p < 0.05 for c in controls.values()]
    if all(ahead):
        return f"{told}: the gain is due to where they point."
    if any(ahead):
        beaten = [n for n, wins in zip(controls, ahead, strict=True) if not wins]
        return f"{told}: no significant gain over {' and '.join(beaten)}, so the explanations are not shown to be why."
    return f"{told}: no significant gain over either, so here the explanations bought nothing that can be shown."


def checks(outcome: Outcome) -> list[Check]:
    """What cannot be true of an honest measurement, of every model; then the self-checks of the main ones."""
    found: list[Check] = []
    for name, values in outcome.values.items():
        curves = attack_curves(outcome, name)
        for kind, points in curves.items():
            rising = [(a, b) for a, b in pairwise(points) if b[1] > a[1] + 0.02]
            verdict = WARN if rising else PASS
            told = "falls" if not rising else f"rises from {eps_text(rising[0][0][0])} to {eps_text(rising[0][1][0])}"
            if rising or name == "baseline":
                found.append(Check(verdict, f"{name}: accuracy under {kind} falls with eps", told))
        for weak, strong in pairs(outcome, name):
            if strong[1] > weak[1] + 0.02:
                told = f"PGD {percent(strong[1])}, FGSM {percent(weak[1])} at {eps_text(strong[0])}"
                found.append(Check(FAIL, f"{name}: PGD is at least as strong as FGSM", f"{told}: gradients are masked"))
        if not any(v.isnan().any() for v in values.values()):
            continue
        found.append(Check(WARN, f"{name}: every sample has a value", "some values are missing"))
    if not any(check.status == FAIL for check in found):
        found.append(Check(PASS, "PGD is at least as strong as FGSM at every eps", "for every arm"))
    for name, own in outcome.checks.items():
        found += [check._replace(title=f"{name}: {check.title}") for check in own]
    return found


def attack_curves(outcome: Outcome, arm: str) -> dict[str, list[tuple[float, float]]]:
    """Accuracy against eps for each kind of L-inf attack, from 0 on."""
    clean = outcome.estimate(arm, CLEAN).mean if CLEAN in outcome.values[arm] else math.nan
    curves: dict[str, list[tuple[float, float]]] = {}
    for metric in outcome.recipe.metrics:
        attack = metric.attack if isinstance(metric, Accuracy) else None
        if isinstance(attack, PGD | FGSM) and not isinstance(attack.ball, L2) and repr(metric) in outcome.values[arm]:
            kind = f"PGD-{attack.steps}" if isinstance(attack, PGD) else "FGSM"
            points = curves.setdefault(kind, [(0.0, clean)])
            points.append((attack.ball.eps, outcome.estimate(arm, repr(metric)).mean))
    return {kind: sorted(points) for kind, points in curves.items()}


def pairs(outcome: Outcome, arm: str) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """(FGSM, PGD) points at the same eps."""
    curves = attack_curves(outcome, arm)
    weak = dict(curves.get("FGSM", []))
    strong = [p for kind, points in curves.items() if kind.startswith("PGD") for p in points if p[0] > 0]
    return [((eps, weak[eps]), (eps, value)) for eps, value in strong if eps in weak]


def sorted_checks(checks: Iterable[Check]) -> list[Check]:
    """What failed first, then what gives cause for doubt, what could not be looked at, and what holds."""
    return sorted(checks, key=lambda check: (FAIL, WARN, OPEN, PASS).index(check.status))
