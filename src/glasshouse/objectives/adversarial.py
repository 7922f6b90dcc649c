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
    """Cross-entropy on attacked images. Which training this is, the attack says:

    * ``FGSM(random_start=True)``: FGSM-RS, Wong et al., ICLR 2020, https://arxiv.org/abs/2001.03994
    * ``PGD(steps=10, step_size=0.25)``: PGD-AT, Madry et al., ICLR 2018, https://arxiv.org/abs/1706.06083
    * ``Limited(attack=..., region=OutsideMask())``: only what is spurious is attacked.

    The attack sees the model in evaluation mode, the loss in the mode that it is in.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> ``{"adversarial": scalar}``, at least 0.
    Cost: the attack's, and one forward and backward pass.
    """

    attack: Attack = FGSM(random_start=True)
    weight: float = 1.0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.given(model, batch, attacked(self.attack, model, batch))

    def given(self, model: nn.Module, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        """The terms, with the attack carried out already."""
        return {"adversarial": self.weight * weighted_cross_entropy(model(x_adv), batch)}
