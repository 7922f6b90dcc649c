"""Images that are misclassified already weigh more. Wang et al., ICLR 2020, https://openreview.net/forum?id=rklOg6EFwS"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..attacks import PGD
from ..attacks.kl_pgd import divergence
from ..attacks.losses import at
from ..attacks.regions import attacked
from ..spec import require
from ..types import Attack, Batch
from .cross_entropy import weighted_mean


def boosted_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log p_y - log(1 - the largest other p), ``[B]``."""
    rival = logits.scatter(1, y[:, None], -torch.inf).argmax(1)
    # 1 - p of the rival is what all the others have; subtracted from 1 it would round to 0.
    rest = logits.scatter(1, rival[:, None], -torch.inf).logsumexp(1) - logits.logsumexp(1)
    return F.cross_entropy(logits, y, reduction="none") - rest


@dataclass(frozen=True)
class MART:
    """BCE(f(x_adv), y) + ``beta`` * KL(f(x) || f(x_adv)) * (1 - p_y(x)), where BCE is the boosted cross-entropy
    -log p_y - log(1 - the largest other p). Wang et al., ICLR 2020, https://openreview.net/forum?id=rklOg6EFwS

    The attack sees the model in evaluation mode, the loss in the mode that it is in. Gradients flow through both
    predictions and through the factor.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> ``{"boosted": scalar, "robust": scalar}``, each at least 0.
    Cost: the attack's, and two forward and backward passes.
    Differs from the authors' code: there the attack begins with noise of 0.001 and not anywhere in the ball, and small
    constants in the logarithms bound the loss of an image.
    """

    attack: Attack = PGD(steps=10, step_size=0.25)
    beta: float = 5.0

    def __post_init__(self) -> None:
        require(self, self.beta >= 0, "beta is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.given(model, batch, attacked(self.attack, model, batch))

    def given(self, model: nn.Module, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        """The terms, with the attack carried out already."""
        robust, clean = model(x_adv), model(batch.x)
        missed = 1 - at(clean.softmax(1), batch.y)
        return {
            "boosted": weighted_mean(boosted_cross_entropy(robust, batch.y), batch),
            "robust": self.beta * weighted_mean(divergence(clean, robust) * missed, batch),
        }
