"""Images through frosted glass: each pixel shows one nearby, and that in its turn another one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..draws import Draws
from .filters import clamped, filtered, gaussian_weights
from .images import Seeded, finished, pixels, scale_of, stream

GLASS = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))  # sigma, how far away, rounds


@dataclass(frozen=True)
class GlassBlur(Seeded):
    """Pixels shuffled nearby, between two Gaussian blurs (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    From the last pixel to the first, each takes what another one nearby shows by then.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: it speaks of a shuffle, and the authors' code reads like a swap of two pixels. Its arrays
    share memory, so that it copies the other pixel over this one; so it is done here, as the published images were
    made that way. Sigma and the distance are for a side of 32 and grow with the shorter side; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, scale = pixels(x), scale_of(x)
        sigma, furthest, rounds = GLASS[self.severity - 1]
        weights = gaussian_weights(sigma * scale)
        numbers, distance = stream(self, image), max(1, round(furthest * scale))
        blurred = filtered(image, weights, clamped)
        for _ in range(rounds):
            blurred = shuffled(blurred, distance, numbers)
        return finished(filtered(blurred, weights, clamped), x)


def shuffled(x: Tensor, distance: int, numbers: Draws) -> Tensor:
    """``x`` ``[B, C, H, W]`` after each pixel, from the last to the first, took the value of one nearby.

    A pixel looks up to ``distance`` up and left, and up to ``distance - 1`` down and right; those that would look out
    of the image stay as they are.
    """
    height, width = x.shape[-2:]
    rows, columns = height - 2 * distance, width - 2 * distance
    if min(rows, columns) < 1:
        return x
    number = numbers.uniform(2, rows, columns)
    down, right = number.mul_(2 * distance).floor_().sub_(distance).long().unbind(1)
    source = torch.arange(height * width, device=x.device).view(height, width).repeat(len(x), 1, 1)
    source[:, distance + 1 : height - distance + 1, distance + 1 : width - distance + 1] += down * width + right
    # One pixel up and left at most: none of them has changed before it is looked at.
    found = source.flatten(1) if distance == 1 else origin(source.flatten(1))
    return x.flatten(2).gather(2, found[:, None].expand(-1, x.shape[1], -1)).view_as(x)


def origin(source: Tensor) -> Tensor:
    """Whose value each pixel ``[B, P]`` ends up with, if each takes its ``source``'s, the last pixel first.

    A source further on has changed already and passes on what it took; one further back has not. Each round goes
    twice as far along.
    """
    place = torch.arange(source.shape[1], device=source.device)
    # Two for each pixel: what it shows at the end, and itself as it was, which is its own source.
    changed = source > place
    links = torch.cat([torch.where(changed, source, source + len(place)), (place + len(place)).expand_as(source)], 1)
    for _ in range(len(place).bit_length()):
        links = links.gather(1, links)
    return links[:, : len(place)] - len(place)
