"""Adversarial training as a term. Goodfellow et al., ICLR 2015, https://arxiv.org/abs/1412.6572"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..attacks import FGSM
from ..attacks.regions import attacked
from ..types import Attack, Batch
from .cross_entropy import weighted_cross_entropy


@dataclass(frozen=True)
class Adversarial:
    """Cross-entropy on attacked images; ``Limited(attack=..., region=OutsideMask())`` attacks only what is spurious.

    Cost: the attack's, and one forward and backward pass.
    """

    attack: Attack = FGSM(random_start=True)
    weight: float = 1.0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x_adv = attacked(self.attack, model, batch)
        return {"adversarial": self.weight * weighted_cross_entropy(model(x_adv), batch)}
