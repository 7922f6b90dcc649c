"""The losses of icCNN, number by number from their formulas, in float64 (Shen et al., IJCAI 2021, and its code)."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from glasshouse.objectives.compositional import category_loss, correlation, members, part_loss, similarity

GROUPS = (0, 1, 1, 0, 2, 1)
Y = [0, 2, 2, 0, 1]


def maps(seed: int) -> Tensor:
    """Activations as behind a ReLU: many are 0."""
    return torch.randn(5, 6, 3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


def likeness(a: list[list[list[float]]], mean: list[list[float]], i: int, j: int) -> float:
    """Mean over images of the normalised product of what two filters differ from their mean maps by, plus 1."""
    total = 0.0
    for image in a:
        product = first = second = 0.0
        for n in range(len(mean[0])):
            di, dj = image[i][n] - mean[i][n], image[j][n] - mean[j][n]
            product, first, second = product + di * dj, first + di * di, second + dj * dj
        total += product / sqrt(first * second)
    return total / len(a) + 1


@pytest.mark.parametrize("seed", range(3))
def test_the_filter_loss_is_its_formula(seed: int) -> None:
    found = maps(seed)
    a = found.flatten(2).tolist()
    filters, places, images = range(6), range(6), range(5)
    mean = [[sum(a[b][i][n] for b in images) / 5 for n in places] for i in filters]
    s = [[likeness(a, mean, i, j) for j in filters] for i in filters]
    loss = 0.0
    for k in range(3):
        within = sum(s[i][j] for i in filters for j in filters if GROUPS[i] == GROUPS[j] == k)
        loss -= within / sum(s[i][j] for i in filters for j in filters if GROUPS[i] == k)
    similar = similarity(found, found.mean(0), torch.full((5,), 0.2, dtype=torch.float64))
    torch.testing.assert_close(similar, torch.tensor(s, dtype=torch.float64))
    assert float(part_loss(similar, members(GROUPS, found))) == pytest.approx(loss)


@pytest.mark.parametrize("seed", range(3))
def test_the_category_loss_is_its_formula(seed: int) -> None:
    found = maps(seed)
    a = found.flatten(2).tolist()
    images, active = range(5), []
    for b in images:
        row = []
        for k in range(3):
            inside = [i for i in range(6) if GROUPS[i] == k]
            # The map of a group has 6 channels: their sum in each that is in the group, 0 in the others.
            channels = [[sum(a[b][j][n] for j in inside) if i in inside else 0.0 for n in range(6)] for i in range(6)]
            row.append(sum(map(sum, channels)) / 36)
        norm = sqrt(sum(value**2 for value in row))
        active.append([value / norm for value in row])
    product = [[sum(u * v for u, v in zip(active[b], active[c], strict=True)) for c in images] for b in images]
    loss = 0.0
    for y in set(Y):
        within = sum(product[b][c] for b in images for c in images if Y[b] == Y[c] == y) / 25
        loss -= within / (sum(product[b][c] for b in images for c in images if Y[b] == y) / 25)
    share = torch.full((5,), 0.2, dtype=torch.float64)
    assert float(category_loss(found, torch.tensor(Y), members(GROUPS, found), share)) == pytest.approx(loss)


def test_the_correlation_is_its_formula() -> None:
    found = maps(0)
    a = found.flatten(2).tolist()
    images, places, filters = range(5), range(6), range(6)
    mean = [[sum(a[b][i][n] for b in images) / 5 for n in places] for i in filters]
    covariance = [
        [
            sum((a[b][i][n] - mean[i][n]) * (a[b][j][n] - mean[j][n]) for b in images for n in places) / 5
            for j in filters
        ]
        for i in filters
    ]
    expected = [[covariance[i][j] / sqrt(covariance[i][i] * covariance[j][j]) for j in filters] for i in filters]
    torch.testing.assert_close(correlation(found.split(2)), torch.tensor(expected, dtype=torch.float64))
