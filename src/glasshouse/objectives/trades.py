"""Accuracy traded for a prediction that stays. Zhang et al., ICML 2019, https://arxiv.org/abs/1901.08573"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..attacks import KLPGD
from ..attacks.kl_pgd import divergence
from ..attacks.regions import attacked
from ..spec import require
from ..types import Attack, Batch
from .cross_entropy import weighted_cross_entropy, weighted_mean


@dataclass(frozen=True)
class TRADES:
    """CE(f(x), y) + ``beta`` * KL(f(x) || f(x_adv)). Zhang et al., ICML 2019, https://arxiv.org/abs/1901.08573

    The attack sees the model in evaluation mode, the loss in the mode that it is in. Gradients flow through both
    predictions.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> ``{"clean": scalar, "robust": scalar}``, each at least 0.
    Cost: the attack's, and two forward and backward passes.
    """

    attack: Attack = KLPGD()
    beta: float = 6.0

    def __post_init__(self) -> None:
        require(self, self.beta >= 0, "beta is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.given(model, batch, attacked(self.attack, model, batch))

    def given(self, model: nn.Module, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        """The terms, with the attack carried out already."""
        clean, robust = model(batch.x), model(x_adv)
        return {
            "clean": weighted_cross_entropy(clean, batch),
            "robust": self.beta * weighted_mean(divergence(clean, robust), batch),
        }
