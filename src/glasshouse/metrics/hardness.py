"""How hard an image is for the model: by its loss, which needs the label, or by how unsure the prediction is.

What hard example mining and uncertainty sampling rank by. All are in evaluation mode if the model is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..labels import entropy, losses, several
from ..types import Batch


def doubt(logits: Tensor, y: Tensor) -> Tensor:
    """1 - the probability of the most confident class, ``[B]``; exact also where that is next to 1."""
    if several(y):
        return (-logits.amax(1)).sigmoid()
    others = logits.scatter(1, logits.argmax(1, keepdim=True), -torch.inf)
    return (others.logsumexp(1) - logits.logsumexp(1)).exp()


def closeness(logits: Tensor, y: Tensor) -> Tensor:
    """1 - the gap between the two most probable answers, ``[B]``; with several classes that of the least sure one."""
    if several(y):
        return 2 * (-logits.abs().amin(1)).sigmoid()  # between "there" and "not there": 1 - |2p - 1|
    return doubt(logits, y) + logits.softmax(1).topk(2, dim=1).values[:, 1]


@dataclass(frozen=True)
class Loss:
    """The task loss of each image: cross-entropy, or with several classes an image binary ones summed over the classes.

    Shrivastava et al., CVPR 2016 (online hard example mining), https://arxiv.org/abs/1604.03540

    Shape: ``[B]``, at least 0.
    Cost: one forward pass.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return losses(model(batch.x), batch.y)


@dataclass(frozen=True)
class Uncertainty:
    """Entropy of the prediction in nats; with several classes an image binary ones summed over the classes.

    Settles, 2009 (active learning literature survey), http://digital.library.wisc.edu/1793/60660

    Shape: ``[B]``, at least 0.
    Cost: one forward pass.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return entropy(model(batch.x), batch.y)


@dataclass(frozen=True)
class LeastConfidence:
    """1 - the probability of the most confident class. Lewis & Gale, SIGIR 1994, https://arxiv.org/abs/cmp-lg/9407020

    Shape: ``[B]`` in [0, 1].
    Cost: one forward pass.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return doubt(model(batch.x), batch.y)


@dataclass(frozen=True)
class SmallMargin:
    """1 - the gap between the probabilities of the two most probable classes. Scheffer et al., IDA 2001,
    https://doi.org/10.1007/3-540-44816-0_31

    With several classes an image, the gap between "there" and "not there" of the class that is least sure.

    Shape: ``[B]`` in [0, 1].
    Cost: one forward pass.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return closeness(model(batch.x), batch.y)
