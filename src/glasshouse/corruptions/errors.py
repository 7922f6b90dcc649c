"""The corruption error: a model's errors under corruption against another one's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

Accuracies = Mapping[tuple[str, int], float]  # by name and severity


class CorruptionError(NamedTuple):
    """1 is as the reference, below 1 is better; NaN if nothing was told that it could be measured by."""

    mce: float  # mean over the corruptions of the errors, each against the reference's
    relative_mce: float  # the same of what is lost against clean images


def corruption_error(
    accuracies: Accuracies,
    reference: Accuracies,
    clean: float = math.nan,
    reference_clean: float = math.nan,
) -> CorruptionError:
    """mCE and relative mCE (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Accuracies are shares from 0 to 1 by name and severity. For each name the errors of all severities are summed and
    divided by the same sum of the reference; the mean goes over the names. ``clean`` are accuracies without any
    corruption.

    Raises:
        ValueError: if there are no accuracies, one is no share, or the reference lacks one.
    """
    if not accuracies:
        raise ValueError("a corruption error needs the accuracy under one corruption at least")
    if missing := [key for key in accuracies if key not in reference]:
        name, severity = missing[0]
        raise ValueError(f"the reference has no accuracy under {name!r} at severity {severity}")
    for told in (*accuracies.values(), *(reference[key] for key in accuracies), clean, reference_clean):
        if told < 0 or told > 1:
            raise ValueError(f"an accuracy is a share from 0 to 1, not {told}")
    return CorruptionError(
        mean_ratio(errors_by_name(accuracies, accuracies, 1.0), errors_by_name(accuracies, reference, 1.0)),
        mean_ratio(
            errors_by_name(accuracies, accuracies, clean), errors_by_name(accuracies, reference, reference_clean)
        ),
    )


def errors_by_name(asked: Accuracies, accuracies: Accuracies, most: float) -> dict[str, float]:
    """For each name the sum over its severities of how far the accuracy lies below ``most``."""
    total = {name: 0.0 for name, _ in asked}
    for name, severity in asked:
        total[name] += most - accuracies[name, severity]
    return total


def mean_ratio(own: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """The mean of the ratios; infinite or NaN where the reference makes no errors."""
    ratios = [
        own[name] / reference[name]
        if reference[name]
        else math.nan
        if not own[name]
        else math.copysign(math.inf, own[name])
        for name in own
    ]
    return sum(ratios) / len(ratios)
