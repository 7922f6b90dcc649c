"""Random numbers for each image that depend on a seed and on that image alone.

Who shares its batch changes nothing: images may leave, batches may be cut anew, and each image still draws what it
would have drawn. The numbers are a counter hashed with the image's key by the finaliser of SplitMix64 (Steele et al.,
OOPSLA 2014, https://doi.org/10.1145/2714064.2660195), in whole batches and the same on every device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15  # as signed 64-bit numbers


class Draws:
    """A stream of random numbers for each image of a batch; each call goes on in all of them.

    ``draws[chosen]`` goes on for some of the images, where these streams stand.
    """

    def __init__(self, keys: Tensor, drawn: int = 0) -> None:
        self.keys, self.drawn = keys, drawn

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, chosen: Tensor) -> Draws:
        return Draws(self.keys[chosen], self.drawn)

    def bits(self, *shape: int) -> Tensor:
        """``[B, *shape]`` int64, all 64 bits random."""
        count = math.prod(shape)
        places = torch.arange(self.drawn + 1, self.drawn + count + 1, device=self.keys.device)
        self.drawn += count
        return mixed(self.keys[:, None] + places * GOLDEN).view(len(self.keys), *shape)

    def halves(self, *shape: int) -> Tensor:
        """``[B, *shape]`` int32, all 32 bits random: two from each number drawn."""
        count = math.prod(shape)
        return self.bits((count + 1) // 2).view(torch.int32)[:, :count].view(len(self), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """``[B, *shape]`` float32, strictly between 0 and 1 in steps of 2^-23."""
        return (self.halves(*shape) >> 9).float().add_(0.5).mul_(2.0**-23).add_(0.5)

    def normal(self, *shape: int) -> Tensor:
        """``[B, *shape]`` float32, standard normal: two from two uniform numbers (Box & Muller, 1958)."""
        count = math.prod(shape)
        number = self.uniform(2, (count + 1) // 2)
        length, angle = number[:, 0].log_().mul_(-2).sqrt_(), number[:, 1].mul_(2 * math.pi)
        pair = torch.cat([angle.cos().mul_(length), angle.sin_().mul_(length)], 1)
        return pair[:, :count].view(len(self), *shape)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """``[B, *shape]`` int64, from ``low`` to ``high`` - 1."""
        return low + shifted(self.bits(*shape), 1).remainder(high - low)

    def signs(self, *shape: int) -> Tensor:
        """``[B, *shape]`` float32, -1 or 1."""
        return self.integers(0, 2, *shape).float().mul_(2).sub_(1)


def draws(x: Tensor, seed: int | None = None) -> Draws:
    """Draws for the images ``x`` ``[B, ...]`` float32, keyed by their content and by ``seed``.

    Without a seed, torch's global generator is asked for one: equal images of one call draw equal numbers, and the
    next call draws others.
    """
    if seed is None:
        seed = int(torch.randint(2**62, ()))
    words = x.detach().float().flatten(1).contiguous().view(torch.int32).to(torch.int64)
    weights = mixed(torch.arange(1, words.shape[1] + 1, device=x.device) * GOLDEN) | 1
    return Draws(mixed((words * weights).sum(1) + mixed(torch.tensor(seed, device=x.device) + GOLDEN)))


def mixed(z: Tensor) -> Tensor:
    """Every bit of the result depends on every bit of ``z`` (int64)."""
    z = (z ^ shifted(z, 30)).mul_(FIRST)
    z = z.bitwise_xor_(shifted(z, 27)).mul_(SECOND)
    return z.bitwise_xor_(shifted(z, 31))


def shifted(z: Tensor, by: int) -> Tensor:
    """``z`` to the right by some bits, zeros coming in (torch's own shift repeats the sign)."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)


@contextmanager
def seeded_globally(seed: int, salt: int) -> Iterator[None]:
    """Torch's global generators seeded within the block, and as they were after it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed((seed * 1_000_003 + salt) % 2**63)
        yield
