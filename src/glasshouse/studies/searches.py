"""What a genetic algorithm over superpixels has to beat: chance and greed at as many evaluations, and LIME's strongest.

Each gives an :class:`Evolved`, whose ``trace`` is read at the numbers of evaluations of the search it is compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..explainers.designs import existing, uniform
from ..explainers.evolved_front import Front, largest
from ..explainers.evolved_lime import Evolved
from ..explainers.masked import Maskable, masked_scores, probability_of_target, scores_of
from ..modes import frozen
from ..types import Surrogate


@torch.no_grad()
def random_search(
    model: nn.Module, images: Maskable, rival: Evolved, density: float, batch_size: int, seed: int
) -> Evolved:
    """The best of as many random masks as ``rival`` evaluated for each image, drawn like its first population.

    Cost: ``rival.evaluations`` forward passes an image, the whole image among them.
    """
    spend = rival.evaluations - 1
    on = existing(
        (uniform(int(spend.max()), int(images.count.max()), seed) < density).float().to(spend.device), images.count
    )
    image, place = (torch.arange(on.shape[1], device=spend.device) < spend[:, None]).nonzero(as_tuple=True)
    with frozen(model):
        values = scores_of(model, images, on[image, place], image, batch_size, probability_of_target)
    fitness = torch.full(on.shape[:2], -1.0, device=values.device).index_put((image, place), values.float())
    best = fitness.argmax(1)
    mask = on[torch.arange(len(on), device=best.device), best] > 0
    trace = fitness.cummax(1).values.gather(1, (rival.asked - 2).clamp_min(0))
    return Evolved(images.segments, mask, fitness.amax(1), rival.unmasked, trace, rival.asked)


@torch.no_grad()
def greedy(model: nn.Module, images: Maskable, rival: Evolved, batch_size: int) -> Evolved:
    """Beginning with none, add the superpixel that helps most, until as many evaluations as ``rival``'s are spent.

    The best mask on the way counts. Cost: at most ``rival.evaluations`` forward passes an image.
    """
    size, one = int(images.count.max()), torch.arange(len(images.x), device=images.x.device)
    with frozen(model):
        found = [
            greedy_alone(model, images.of(one[i : i + 1]), size, int(spend) - 1, batch_size)
            for i, spend in enumerate(rival.evaluations)
        ]
    masks, values = zip(*found, strict=True)
    asked = torch.stack([a.clamp_max(len(v) + 1) for a, v in zip(rival.asked, values, strict=True)])
    trace = torch.stack([v.cummax(0).values[(a - 2).clamp_min(0)] for a, v in zip(asked, values, strict=True)])
    return Evolved(images.segments, torch.stack(masks), trace[:, -1], rival.unmasked, trace, asked)


def greedy_alone(model: nn.Module, image: Maskable, size: int, spend: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """The best mask of one image, and every value in the order in which it was asked for."""
    count = int(image.count)
    chosen = torch.zeros(size, device=image.x.device)
    best, seen = chosen, chosen.new_zeros(0)
    while len(seen) < spend and not bool(chosen[:count].all()):
        free = (chosen[:count] == 0).nonzero().flatten()[: spend - len(seen)]
        candidates = chosen.repeat(len(free), 1)
        candidates[torch.arange(len(free), device=free.device), free] = 1
        owner = torch.zeros_like(free)
        values = scores_of(model, image, candidates, owner, batch_size, probability_of_target).float()
        chosen = candidates[values.argmax()]
        if not len(seen) or values.max() > seen.max():
            best = chosen
        seen = torch.cat([seen, values])
    return best > 0, seen


@torch.no_grad()
def strongest(model: nn.Module, images: Maskable, surrogate: Surrogate, rival: Evolved, batch_size: int) -> Evolved:
    """As many superpixels as ``rival`` selected: those with the largest weights of a linear model."""
    mask = largest(surrogate.beta[:, None], rival.selected, images.count)[:, 0]
    fitness = probability(model, images, mask, batch_size)
    asked = (surrogate.evaluations + 1)[:, None]
    return Evolved(images.segments, mask, fitness, rival.unmasked, fitness[:, None], asked)


@torch.no_grad()
def probability(model: nn.Module, images: Maskable, mask: Tensor, batch_size: int) -> Tensor:
    """Probability of each image's target under one mask ``[B, S]``, ``[B]``."""
    with frozen(model):
        return masked_scores(model, images, mask[:, None].float(), batch_size, probability_of_target)[:, 0].float()


def sufficient(front: Front) -> Evolved:
    """Of each front the smallest mask that is at least as probable as the whole image, else the most probable."""
    enough = front.fitness >= front.unmasked[:, None]
    level = torch.where(enough.any(1), enough.int().argmax(1), front.fitness.argmax(1))
    one = torch.arange(len(level), device=level.device)
    found = (front.masks[one, level], front.fitness[one, level], front.unmasked)
    return Evolved(front.segments, *found, front.trace.amax(1), front.asked.sum(1) + 1)
