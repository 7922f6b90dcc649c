"""Noise in every pixel. No length in it: it has the grain of the image, whatever its size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..draws import Draws
from .images import Seeded, finished, pixels, stream

GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation
PHOTONS = (500, 250, 100, 75, 50)  # at white
IMPULSES = (0.01, 0.02, 0.03, 0.05, 0.07)  # share of the numbers
SPECKLE = (0.06, 0.1, 0.12, 0.16, 0.2)  # standard deviation at white
GREYS = 256
TERMS = 30  # of a Poisson with a mean below 2: what is left out weighs less than 1e-23


@dataclass(frozen=True)
class GaussianNoise(Seeded):
    """Gaussian noise (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; every colour of every pixel has its own.
    Cost: no passes of any model.
    Differs from the paper: the result is not rounded to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        noise = stream(self, image).normal(*image.shape[1:]).to(image)
        return finished(noise.mul_(GAUSSIAN[self.severity - 1]).add_(image), x)


@dataclass(frozen=True)
class SpeckleNoise(Seeded):
    """Gaussian noise that grows with the brightness (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261); one of the extra corruptions.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: the result is not rounded to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        noise = stream(self, image).normal(*image.shape[1:]).to(image)
        return finished(noise.mul_(SPECKLE[self.severity - 1]).add_(1).mul_(image), x)


@dataclass(frozen=True)
class ImpulseNoise(Seeded):
    """Salt and pepper: a share of the numbers is 0 or 1, each as often (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; each colour by itself.
    Cost: no passes of any model.
    Differs from the paper: the result is not rounded to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, share = pixels(x), IMPULSES[self.severity - 1]
        number = stream(self, image).uniform(*image.shape[1:])
        salted = torch.where(number < share, (number < share / 2).to(image), image)
        return finished(salted, x)


@dataclass(frozen=True)
class ShotNoise(Seeded):
    """As many photons as chance has it, Poisson (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    The nearest of 256 grey levels below has its distribution in a table (Walker's aliases, 1977,
    https://doi.org/10.1145/355744.355749); what a pixel has above it adds a Poisson number of its own. Their sum is
    exactly Poisson, to the 32 bits of a random number.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same, in steps of one photon.
    Cost: no passes of any model; the table is made once.
    Differs from the paper: the result is not rounded to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, white = pixels(x), PHOTONS[self.severity - 1]
        return finished(photons(image, white, stream(self, image)).div_(white), x)


def photons(image: Tensor, white: int, draws: Draws) -> Tensor:
    """Poisson numbers with mean ``white * image``; more than ``white`` may come back as ``white``."""
    levels = image.clamp(0, 1) * (GREYS - 1)
    grey = levels.add(1e-4).floor_().to(torch.int32)
    count = by_alias(grey, white, draws.halves(*image.shape[1:])).to(image)
    rest = torch.where((levels - grey).abs() > 1e-4, levels - grey, 0).mul_(white / (GREYS - 1))
    return count.add_(few(rest, draws)) if bool(rest.any()) else count


def by_alias(grey: Tensor, white: int, number: Tensor) -> Tensor:
    """Poisson numbers for grey levels: one place in the row of the level, or what stands for it there."""
    share, other = (table.to(grey.device) for table in alias_tables(white))
    place = number.double().mul_(2.0**-32).add_(0.5).mul_(white + 1)
    column = place.to(torch.int32)
    where = grey.mul(white + 1).add_(column)
    kept = place.sub_(column) < share.take(where.long())
    return torch.where(kept, column, other.take(where.long()))


def few(mean: Tensor, draws: Draws) -> Tensor:
    """Poisson numbers with a mean below 2, counted up to where the distribution reaches a uniform number."""
    number = draws.uniform(*mean.shape[1:]).to(mean)
    term = (-mean).exp()
    reached, count = term.clone(), torch.zeros_like(mean)
    for k in range(1, TERMS):
        count += number > reached
        term = term * mean / k
        reached += term
    return count


@cache
def alias_tables(white: int) -> tuple[Tensor, Tensor]:
    """For each grey level the share that a count keeps of its place, and the count that has the rest.

    Shape: ``[256, white + 1]`` float32 and int32; the last count is ``white`` or more.
    """
    weight = distribution(white) * (white + 1)  # 1 is what each place holds
    share, other = weight.clone(), torch.arange(white + 1).repeat(GREYS, 1)
    open_places = torch.ones_like(share, dtype=torch.bool)
    for _ in range(white):
        poorest = torch.where(open_places, share, math.inf).argmin(1, keepdim=True)
        richest = torch.where(open_places, share, -math.inf).argmax(1, keepdim=True)
        given = (1 - share.gather(1, poorest)).clamp(min=0)
        other.scatter_(1, poorest, richest)
        open_places.scatter_(1, poorest, False)
        share.scatter_add_(1, richest, -given)
    return share.clamp(0, 1).float(), other.to(torch.int32)


def distribution(white: int) -> Tensor:
    """``[256, white + 1]`` float64: the chance of each number of photons at each grey level, the last one or more."""
    mean = torch.arange(GREYS, dtype=torch.float64)[:, None] * white / (GREYS - 1)
    count = torch.arange(white + 1, dtype=torch.float64)
    chance = (torch.xlogy(count, mean) - mean - torch.lgamma(count + 1)).exp()
    chance[:, -1] = 0
    chance[:, -1] = (1 - chance.sum(1)).clamp(min=0)
    return chance
