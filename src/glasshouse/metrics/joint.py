"""Models under attack, compared on the images that all of them get right without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..statistics import Estimate, estimate
from ..types import Metric
from .accuracy import Accuracy
from .verdicts import family_of

Measured = Mapping[str, Mapping[str, Tensor]]  # by arm: {repr(metric): [N]}, as `measure` gives it


def jointly_right(right: Sequence[Tensor]) -> Tensor:
    """Which images all models are right on: tensors ``[N]`` of 0 and 1 -> ``[N]`` bool.

    Raises:
        ValueError: if there is no model, or they were not measured on the same images.
    """
    sizes = sorted({len(one) for one in right})
    if len(sizes) != 1:
        raise ValueError(f"models are compared on the same images, not on {' and '.join(map(str, sizes)) or 'none'}")
    return torch.stack([one > 0 for one in right]).all(0)


def joint_curves(
    values: Measured, metrics: Sequence[Metric], arms: Sequence[str] = ()
) -> dict[str, list[tuple[float, Estimate]]]:
    """Accuracy against eps of each arm (all, if none is named), on the images that every one of them gets right
    without attack. Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600, section IV-F

    ``metrics`` are the accuracies of one attack at several eps; each curve starts at eps 0, where it is 1.

    Raises:
        ValueError: if a metric is no accuracy, attacks differ in more than eps, or something was not measured.
    """
    chosen = {arm: at(values, arm) for arm in arms or values}
    clean, attacked = repr(Accuracy()), swept(metrics)
    for arm, own in chosen.items():
        for name in (clean, *attacked.values()):
            if name not in own:
                raise ValueError(f"{name} was not measured for {arm!r}")
    both = jointly_right([own[clean] for own in chosen.values()])
    points = {0.0: clean} | attacked
    return {
        arm: [(eps, estimate(own[name][both].double().numpy())) for eps, name in sorted(points.items())]
        for arm, own in chosen.items()
    }


def at(values: Measured, arm: str) -> Mapping[str, Tensor]:
    """What was measured for an arm; ValueError if there is none of that name."""
    if arm not in values:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(map(repr, values))}")
    return values[arm]


def swept(metrics: Sequence[Metric]) -> dict[float, str]:
    """The text of each accuracy by its eps, but for the clean one's; ValueError if they are not of one attack."""
    found: dict[float, str] = {}
    families = {}
    for metric in metrics:
        if not isinstance(metric, Accuracy):
            raise ValueError(f"a curve is of accuracies under one attack, and {metric!r} is none")
        if metric.attack is not None:
            family, eps = family_of(metric.attack)
            families[family] = metric
            found[eps] = repr(metric)
    if len(families) > 1:
        told = " and ".join(map(repr, families.values()))
        raise ValueError(f"a curve is of one attack, and these differ in more than eps: {told}")
    return found
