"""A prediction that stays where unimportant pixels go. Ismail et al., NeurIPS 2021, https://arxiv.org/abs/2111.14338"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..attacks.kl_pgd import divergence
from ..labels import indicators, several
from ..modes import frozen
from ..spec import require
from ..types import Batch
from .cross_entropy import weighted_cross_entropy, weighted_mean


def lowest(values: Tensor, share: float) -> Tensor:
    """The ``share`` of pixels with the lowest values, at least one: ``[B, H, W]`` -> bool."""
    flat = values.flatten(1)
    found = flat.topk(max(1, round(share * flat.shape[1])), dim=1, largest=False).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter_(1, found, True).view(values.shape)


def noise_like(x: Tensor) -> Tensor:
    """Uniform noise between the lowest and the highest value of each channel of each image."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return low + (high - low) * torch.rand_like(x)


def binary_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of "there or not", given by two sets of logits and summed over the classes, ``[B]``."""
    p, q = torch.stack([first, -first]), torch.stack([second, -second])
    return (p.sigmoid() * (F.logsigmoid(p) - F.logsigmoid(q))).sum((0, 2))


def mean_slope(model: nn.Module, batch: Batch) -> Tensor:
    """Slope of the true class's logit, the mean over channels, ``[B, H, W]``; of the sum of several true classes."""
    x = batch.x.detach().requires_grad_()
    with frozen(model), torch.enable_grad():
        logits = model(x)
        score = (logits * indicators(batch.y, logits.shape[1])).sum()
        return torch.autograd.grad(score, x)[0].mean(1)


@dataclass(frozen=True)
class SaliencyGuided:
    """CE(f(x), y) + ``weight`` * KL(f(x) || f(x~)), where x~ is x without its least important pixels. Ismail et al.,
    NeurIPS 2021, https://arxiv.org/abs/2111.14338

    The ``drop`` share of pixels with the lowest slope of the true class's logit (the mean over channels: signed, as in
    the authors' code, or ``absolute``) gets uniform noise between the lowest and the highest value of the channel or,
    unless ``random``, the channel's mean. Slopes are those of the model in evaluation mode, the terms those of the mode
    that it is in, and gradients flow through both predictions. With several classes an image, the divergence is that
    of "there or not", summed over the classes. Noise comes from torch's global generator.

    Shape: x ``[B, C, H, W]`` in [0, 1] -> ``{"task": scalar, "saliency": scalar}``, each at least 0; means are weighted
    with ``batch.weight`` where there is one.
    Cost: three forward and three backward passes.
    """

    drop: float = 0.5
    random: bool = True
    absolute: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(self, 0 < self.drop <= 1, "drop is above 0 and at most 1")
        require(self, self.weight >= 0, "weight is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        without = self.without(model, batch)
        logits, left = model(batch.x), model(without)
        apart = binary_divergence if several(batch.y) else divergence
        return {
            "task": weighted_cross_entropy(logits, batch),
            "saliency": self.weight * weighted_mean(apart(logits, left), batch),
        }

    def without(self, model: nn.Module, batch: Batch) -> Tensor:
        """The images without their least important pixels."""
        slope = mean_slope(model, batch)
        gone = lowest(slope.abs() if self.absolute else slope, self.drop)
        fill = noise_like(batch.x) if self.random else batch.x.mean((2, 3), keepdim=True)
        return torch.where(gone[:, None], fill, batch.x)
