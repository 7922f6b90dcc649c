"""Components as people call them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from .attacks import L2, AtLevel, FineChanges, Limited, Linf
from .metrics import Accuracy, EnergyInside, ExactMatch, ForegroundIoU, MassInside, MIoU, PointingGame, RankInside
from .metrics.verdicts import ball_of
from .types import Attack, Metric

# Metrics of explanations, as people call them.
WORDS = {
    "Complexity": "complexity",
    "Deletion": "deletion",
    "EffectiveComplexity": "effective complexity",
    "FaithfulnessCorrelation": "faithfulness correlation",
    "Infidelity": "infidelity",
    "InputAlignment": "alignment with the image",
    "Insertion": "insertion",
    "LocalLipschitz": "local Lipschitz estimate",
    "MaxSensitivity": "max-sensitivity",
    "ModelRandomisation": "alike when weights are drawn anew",
    "PixelFlipping": "pixel flipping",
    "ROAD": "ROAD",
    "RandomLogit": "alike for another class",
    "RelativeInputStability": "relative input stability",
    "RelativeOutputStability": "relative output stability",
    "RelativeRepresentationStability": "relative representation stability",
    "Sparseness": "sparseness",
    "Stability": "stability",
    "Sufficiency": "sufficiency",
    "WorstCaseSensitivity": "worst-case sensitivity",
}


def brief(component: object) -> str:
    """A component's class, and what differs from its defaults: ``LIME(samples=512)``."""
    if isinstance(component, tuple):
        return f"({', '.join(map(brief, component))})"
    if not is_dataclass(component) or isinstance(component, type):
        return repr(component)
    own = [(f, getattr(component, f.name)) for f in fields(component)]
    told = [f"{f.name}={brief(value)}" for f, value in own if value != f.default]
    return type(component).__name__ + (f"({', '.join(told)})" if told else "")


def title(metric: Metric) -> str:
    """A metric's column heading."""
    if isinstance(metric, MassInside):
        return "attribution inside the evidence"
    if isinstance(metric, RankInside):
        return "rank accuracy"
    if isinstance(metric, EnergyInside):
        return "energy in the evidence's box" if metric.box else "energy inside the evidence"
    if isinstance(metric, PointingGame):
        return "pointing game" + (f", within {metric.tolerance} pixels" if metric.tolerance else "")
    if isinstance(metric, MIoU | ForegroundIoU):
        return overlap_title(metric)
    if isinstance(metric, ExactMatch):
        return "all classes right"
    if isinstance(metric, Accuracy):
        return "accuracy" if metric.attack is None else f"accuracy, {attack_title(metric.attack)}"
    if type(metric).__name__ in WORDS:
        return brief(metric).replace(type(metric).__name__, WORDS[type(metric).__name__], 1).replace("(", " (", 1)
    attack: Any = getattr(metric, "attack", None)
    if attack is None or not is_dataclass(metric):
        return brief(metric)
    others = [(f.name, getattr(metric, f.name), f.default) for f in fields(metric) if f.name != "attack"]
    told = ", ".join(f"{name}={brief(value)}" for name, value, usual in others if value != usual)
    return f"{type(metric).__name__}{f' ({told})' if told else ''}, {attack_title(attack)}"


def headings(metrics: Iterable[Metric]) -> dict[Metric, str]:
    """Column headings of metrics that stand together: of settings only those in which one of a class differs from the
    usual and from the others."""
    kinds: dict[type, list[Any]] = {}
    for metric in dict.fromkeys(metrics):
        kinds.setdefault(type(metric), []).append(metric)
    found: dict[Metric, str] = {}
    for kind, own in kinds.items():
        if len(own) == 1 or kind.__name__ not in WORDS:
            found |= {m: WORDS.get(kind.__name__) or title(m) for m in own}
            continue
        apart = [f.name for f in fields(own[0]) if len({repr(getattr(m, f.name)) for m in own}) > 1]
        for metric in own:
            own_settings = ((name, getattr(metric, name)) for name in apart)
            told = ", ".join(f"{name}={brief(v)}" for name, v in own_settings if v != getattr(kind, name))
            found[metric] = WORDS[kind.__name__] + (f" ({told})" if told else "")
    return found


def overlap_title(metric: MIoU | ForegroundIoU) -> str:
    """``mIoU, GradCAM``; ``foreground IoU, GradCAM, threshold 0.3``"""
    name = "mIoU" if isinstance(metric, MIoU) else "foreground IoU"
    usual = metric.threshold == type(metric).threshold
    return f"{name}, {brief(metric.explainer)}" + ("" if usual else f", threshold {metric.threshold:g}")


def attack_title(attack: Attack) -> str:
    """``PGD-40, 8/255``; ``APGD-100 (loss=DLR()), L2 0.5``"""
    ball = ball_of(attack)
    return attack_name(attack) if ball is None else f"{attack_name(attack)}, {ball_title(ball)}"


def family_title(attack: Attack) -> str:
    """The same without eps: ``PGD-40``, ``PGD-40, L2``."""
    return attack_name(attack) + (", L2" if isinstance(ball_of(attack), L2) else "")


def attack_name(attack: Any) -> str:
    """An attack's class and steps, and what else differs from its defaults, but for its ball."""
    if isinstance(attack, Limited):
        return f"{attack_name(attack.attack)} in {brief(attack.region)}"
    if isinstance(attack, AtLevel):
        level = "fine" if isinstance(attack.criterion, FineChanges) else "coarse"
        return f"{attack_name(attack.attack)} on the {level} level"
    if ball_of(attack) is None or not is_dataclass(attack):
        return brief(attack)
    own = {f.name: getattr(attack, f.name) for f in fields(attack)}
    usual = {f.name: f.default for f in fields(attack)}
    more = [f"{k}={brief(v)}" for k, v in own.items() if k not in ("ball", "steps") and v != usual[k]]
    name = type(attack).__name__ + (f"-{own['steps']}" if "steps" in own else "")
    return f"{name} ({', '.join(more)})" if more else name


def ball_title(ball: Linf | L2) -> str:
    """``8/255``, ``L2 0.5``"""
    return f"L2 {ball.eps:g}" if isinstance(ball, L2) else eps_text(ball.eps)


def eps_text(eps: float, pixels: bool = True) -> str:
    """``8/255`` where that is what it is, else the number."""
    steps = eps * 255
    return f"{round(steps)}/255" if pixels and abs(steps - round(steps)) < 1e-6 and steps >= 1 else f"{eps:g}"
