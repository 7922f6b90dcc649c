"""Which superpixels to switch off together: maskings chosen so that few of them tell much."""

from __future__ import annotations

import torch
from torch import Tensor


def bernoulli(samples: int, count: Tensor, seed: int) -> Tensor:
    """``lime``'s own: the whole image, then each superpixel on with probability one half.

    Shape: count ``[B]`` superpixels of each image -> ``[B, N, S]`` float in {0, 1}, 0 beyond an image's count.
    """
    drawn = uniform(samples, int(count.max()), seed)
    drawn[0] = 0
    return existing((drawn < 0.5).float().to(count.device), count)


def uniform(samples: int, size: int, seed: int) -> Tensor:
    """``[N, S]`` in [0, 1), drawn superpixel by superpixel: a column does not depend on how many follow."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.rand(samples, generator=generator) for _ in range(size)], 1)


def existing(on: Tensor, count: Tensor) -> Tensor:
    """``[N, S]`` or ``[B, N, S]`` with zeros beyond each image's ``count``, ``[B, N, S]``."""
    exists = torch.arange(on.shape[-1], device=on.device) < count[:, None]
    return on * exists[:, None]


def fold_over(samples: int, count: Tensor, size: int, seed: int) -> Tensor:
    """Rows of a Hadamard matrix, each followed by its opposite: ``[B, N, S]`` in {-1, 1}, 0 beyond an image's count.

    Every superpixel is on in half of the maskings, and any two are on together in a quarter of them: no effect of one
    superpixel is mistaken for another's, and, thanks to the opposites, none for that of a pair. Plackett and Burman,
    Biometrika 1946, https://doi.org/10.1093/biomet/33.4.305; Box and Wilson, JRSS B 1951. With fewer than 2 S samples
    this holds on average over the rows taken.
    """
    half = -(-samples // 2)
    order = 2 ** torch.maximum(count + 1, torch.full_like(count, half)).double().log2().ceil().long()
    result = torch.zeros(len(count), 2 * half, size, device=count.device)
    for value in sorted(set(order.tolist())):  # one or two in a batch: an image's design depends on no other image
        signs = hadamard(value, half, min(size, value - 1), seed).to(count.device)
        chosen = torch.stack([signs, -signs], 1).flatten(0, 1)
        result[:, :, : chosen.shape[1]] += chosen * (order == value)[:, None, None]
    return existing(result[:, :samples], count)


def hadamard(order: int, rows: int, columns: int, seed: int) -> Tensor:
    """``rows`` x ``columns`` of Sylvester's Hadamard matrix of an order that is a power of 2, in random order and sign.

    The first column, all ones, is left out.
    """
    generator = torch.Generator().manual_seed(seed)
    row = torch.randperm(order, generator=generator)[:rows]
    column = 1 + torch.randperm(order - 1, generator=generator)[:columns]
    flip = torch.randint(2, (order,), generator=generator)[:columns]
    common = row[:, None] & column
    bits = sum((common >> bit) & 1 for bit in range(order.bit_length()))
    return 1.0 - 2.0 * ((torch.as_tensor(bits) + flip) % 2)
