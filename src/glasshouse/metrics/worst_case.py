"""How far an attribution can be moved: looked for along its slope, not sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks import Linf
from ..attacks.explanations import Untouched, keeping_class, lowered, require_schedule, seen
from ..draws import draws
from ..explainers import InputGradient
from ..modes import frozen
from ..types import Ball, Batch, Explainer
from .perturbation import known
from .sensitivity import change, norm
from .verdicts import Verdicts


@dataclass(frozen=True)
class WorstCaseSensitivity:
    """The largest ||a(x') - a(x)|| / ||a(x)|| that gradient ascent finds for x' in a ball around x, after Yeh et al.,
    NeurIPS 2019, https://arxiv.org/abs/1901.09392, and Ghorbani et al., AAAI 2019, https://arxiv.org/abs/1710.10547

    Lower is more stable. It is what :class:`MaxSensitivity` samples, for which the points of a ball are too many: an
    ascent of the same cost finds several times as much. The value is that of the best point on the way, the random one
    where it begins included; with ``same_class`` of those that the model predicts as x, which says that the map moved
    and not the decision. Models, explainers and image sizes compare with the same ball and steps. With ``scale_free``
    both maps are divided by their own norms first, and only direction counts: sqrt(2 - 2 cos), in [0, 2].

    The traps: it is a lower bound, and tighter where slopes are good; those are the slopes of the model with softplus
    for ReLU (:class:`TopK` says of what not), so that a model with other kinks may seem stable. A map that is near 0
    everywhere moves by any factor: without ``scale_free`` means hang on a few such images; look at medians. A map that
    never changes has the best value, 0.

    Shape: ``[B]``, >= 0; NaN for a map of zeros.
    Cost: for each of ``steps`` the explainer, the explainer with its graph and a backward pass through it, and two
        forward passes and a backward pass; the explainer and a forward pass for the start.
    Raises:
        ValueError: if the explainer cannot be differentiated.
    """

    explainer: Explainer = InputGradient()
    ball: Ball = Linf(eps=2 / 255)
    steps: int = 10
    step_size: float = 0.25  # as a share of ball.eps
    same_class: bool = True
    scale_free: bool = False
    beta_start: float = 10.0
    beta_end: float = 100.0
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require_schedule(self)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        model, maps = verdicts.model, verdicts.explained(self.explainer)
        images = Untouched(verdicts.batch.x.detach(), verdicts.logits, verdicts.predicted, maps)

        def near(attribution: Tensor, logits: Tensor) -> Tensor:
            return -relative_change(maps, attribution, self.scale_free)

        slope_of, value_of = keeping_class(images, near) if self.same_class else (near, near)
        with frozen(model), torch.enable_grad():
            start = (images.x + self.ball.sample(images.x, draws(images.x))).clamp(0, 1)
            first = seen(self, model, images, start, value_of)
            lowest = lowered(self, model, images, start, slope_of, value_of)[1]
        return known(-torch.minimum(first, lowest), maps).float()


def relative_change(maps: Tensor, others: Tensor, scale_free: bool) -> Tensor:
    """How far other maps are from the maps ``[B, H, W]``, ``[B]`` float64, in units of the norms of those or, with
    ``scale_free``, each of its own."""
    moved = change(maps, others[None], scale_free)[0]
    return moved if scale_free else moved / norm(maps[None])[0]
