"""The best masks of several sizes: how much of an image a prediction needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..modes import frozen
from ..spec import require
from ..types import Fill, Segmenter
from .designs import existing, uniform
from .evolved_lime import Memory, chosen, evaluated
from .kriging import Posterior, Prior, posterior_of, prior_of
from .masked import Maskable, maskable
from .superpixels import ConstantFill, Slic, painted
from .targets import log_odds

TEMPERATURE = 0.7  # how far a guess strays from what is believed, in standard deviations
SWAPS = 4  # exchanges by which a guess takes in what neighbours do to each other


class Front(NamedTuple):
    """Probability against share selected, for each image."""

    segments: Tensor  # [B, H, W] int64
    shares: tuple[float, ...]  # ascending
    masks: Tensor  # [B, L, S] bool, the best mask with at most that share of the superpixels
    fitness: Tensor  # [B, L] probability of the target under it
    unmasked: Tensor  # [B] probability of the target for the whole image
    trace: Tensor  # [B, L, G] best fitness at each share after each round
    asked: Tensor  # [B, L, G] int64, forward passes spent on that share until then

    @property
    def evaluations(self) -> Tensor:
        """Forward passes of each image, ``[B]``, the one of the whole image among them."""
        return self.asked[:, :, -1].sum(1) + 1

    @property
    def sufficient(self) -> Tensor:
        """Smallest share whose mask is at least as probable as the whole image, ``[B]``; NaN where none is."""
        enough = self.fitness >= self.unmasked[:, None]
        share = torch.tensor(self.shares, device=enough.device)[enough.int().argmax(1)]
        return torch.where(enough.any(1), share, torch.nan)


def largest(values: Tensor, number: Tensor, count: Tensor) -> Tensor:
    """The ``number`` largest of each image's values, among equals the first.

    Shape: values ``[B, N, S]``, number and count ``[B]`` -> bool ``[B, N, S]``.
    """
    exists = torch.arange(values.shape[2], device=values.device) < count[:, None]
    rank = values.masked_fill(~exists[:, None], -torch.inf).argsort(dim=2, descending=True, stable=True).argsort(2)
    return rank < number[:, None, None]


def guesses(prior: Prior, posterior: Posterior, number: Tensor, count: Tensor, noise: Tensor) -> Tensor:
    """Masks that are best under weights drawn from the posterior: Thompson sampling.

    Thompson, Biometrika 1933, https://doi.org/10.1093/biomet/25.3-4.285. The first guess takes the weights as they
    are believed. Exchanges then take in the products of neighbours.

    Shape: number and count ``[B]``, noise ``[N, S]`` standard normal -> bool ``[B, N, S]``.
    """
    size = noise.shape[1]
    single = posterior.covariance[:, :size, :size]
    loose = single.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
    root = torch.linalg.cholesky(single + 1e-6 * loose * torch.eye(size, dtype=single.dtype, device=single.device))
    strayed = TEMPERATURE * (noise.double() @ root.transpose(1, 2))
    strayed[:, 0] = 0
    weights = posterior.single[:, None] + strayed
    first, second = prior.pairs.unbind(2)
    linked = torch.zeros(len(count), size * size, dtype=weights.dtype, device=weights.device)
    linked = linked.scatter_add(1, first * size + second, posterior.pair).view(-1, size, size)
    linked = linked + linked.transpose(1, 2)
    on = largest(weights, number, count)
    for _ in range(SWAPS):
        on = swapped(on, weights, linked, count)
    return on


def swapped(on: Tensor, weights: Tensor, linked: Tensor, count: Tensor) -> Tensor:
    """Masks after the exchange of one superpixel that the regression gains most by, or as they were.

    Shape: on and weights ``[B, N, S]``, linked ``[B, S, S]`` symmetric, count ``[B]`` -> ``[B, N, S]``.
    """
    size = on.shape[2]
    exists = (torch.arange(size, device=count.device) < count[:, None])[:, None]
    gain = weights + (2.0 * on.double() - 1) * exists @ linked
    # What comes in less what goes out; the product of the two stays as it is.
    change = gain[:, :, :, None] - gain[:, :, None] - 2 * linked[:, None]
    allowed = (~on & exists)[:, :, :, None] & on[:, :, None]
    best, place = change.masked_fill(~allowed, -torch.inf).flatten(2).max(2)
    index = torch.arange(size, device=on.device)
    exchanged = (index == (place // size)[:, :, None]) | (index == (place % size)[:, :, None])
    return on ^ (exchanged & (best > 0)[:, :, None])


@dataclass(frozen=True)
class EvolvedFront:
    """For each share of the superpixels the mask under which the target is most probable.

    Probability alone is the wrong yardstick for a mask: keeping nearly everything wins. This search answers for
    several sizes at once, each its own: random masks first, then rounds of guesses from a Bayesian regression of the
    log-odds on all masks of that size so far. Attribution is the share of the masks on the front that a superpixel is
    in, so that what the smallest mask needs stands out.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]`` in [0, 1].
    Cost: at most shares * children * rounds + 1 forward passes an image; no mask is evaluated twice.
    Raises:
        ValueError: if an image has a single superpixel, or with ``create_graph``: a selection has no derivative.
    """

    segmenter: Segmenter = Slic()
    fill: Fill = ConstantFill()
    shares: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5)
    children: int = 5
    rounds: int = 20
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.shares, self.shares[1:], strict=False))
        require(self, bool(self.shares) and rising, "shares rise, and there is at least one")
        require(self, all(0 < s < 1 for s in self.shares), "shares are between 0 and 1")
        require(self, self.children >= 2, "children is at least 2")
        require(self, self.rounds >= 1, "rounds is at least 1")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        if create_graph:
            raise ValueError("EvolvedFront has no create_graph=True: a selection of superpixels has no derivative")
        front = self.front(model, x, target)
        return painted(front.masks.to(x.dtype).mean(1), front.segments)

    @torch.no_grad()
    def front(self, model: nn.Module, x: Tensor, target: Tensor, segments: Tensor | None = None) -> Front:
        """The search itself, on given or on its own superpixels."""
        levels = len(self.shares)
        with frozen(model):
            whole = maskable(self.segmenter, self.fill, x, target, segments)
            size = int(whole.count.max())
            everything = existing(torch.ones(1, size, device=x.device), whole.count) > 0
            memory = Memory(len(x), size, x.device)
            unmasked, _ = evaluated(model, whole, everything, memory, self.batch_size, log_odds)
            # Every size is a search of its own: an image stands in the batch once for each.
            each = torch.arange(len(x), device=x.device).repeat_interleave(levels)
            searched = self.searched(model, whole.of(each), prior_of(whole).of(each), size)
        masks, odds, best, asked = (t.view(len(x), levels, *t.shape[1:]) for t in searched)
        for level in range(1, levels):  # what fewer superpixels achieve counts for more of them too
            less = odds[:, level - 1] > odds[:, level]
            odds[:, level] = torch.where(less, odds[:, level - 1], odds[:, level])
            masks[:, level] = torch.where(less[:, None], masks[:, level - 1], masks[:, level])
        found = (masks, odds.sigmoid(), unmasked[:, 0].sigmoid(), best.sigmoid(), asked)
        return Front(whole.segments, self.shares, *found)

    def searched(self, model: nn.Module, images: Maskable, prior: Prior, size: int) -> tuple[Tensor, ...]:
        """The best mask of each size, its log-odds, and both after each round with the passes spent."""
        share = torch.tensor(self.shares, device=images.x.device).repeat(len(images.x) // len(self.shares))
        number = (images.count * share).floor().long().clamp_min(1)
        memory = Memory(len(images.x), size, images.x.device)
        exists = existing(torch.ones(1, size, device=images.x.device), images.count)
        drawn = uniform(self.children, size, self.seed * 1009).to(share.device)
        masks = largest(drawn.expand(len(share), -1, -1), number, images.count)
        signs, odds = exists[:, :0], exists[:, :0, 0]
        spent, best, asked = torch.zeros_like(images.count), [], []
        for turn in range(self.rounds):
            if turn:
                noise = torch.special.ndtri(uniform(self.children, size, self.seed * 1009 + turn).clamp(1e-6, 1 - 1e-6))
                posterior = posterior_of(prior, signs, odds, signs[:, :0])
                masks = guesses(prior, posterior, number, images.count, noise.to(share.device))
            values, new = evaluated(model, images, masks, memory, self.batch_size, log_odds)
            signs, odds = torch.cat([signs, (2.0 * masks - 1) * exists], 1), torch.cat([odds, values], 1)
            spent = spent + new
            best.append(odds.amax(1))
            asked.append(spent)
        winner = odds.argmax(1)[:, None]
        return chosen(signs, winner)[:, 0] > 0, best[-1], torch.stack(best, 1), torch.stack(asked, 1)
