"""Rare classes are focused on more. Li et al., CVPR 2022, https://arxiv.org/abs/2201.02593"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..data.samples import at_most, batches
from ..draws import seeded_globally
from ..labels import indicators
from ..modes import device_of, frozen
from ..spec import require
from ..types import Batch, Samples
from .cross_entropy import weighted_mean
from .focal import binary_focal

_AT_ONCE = 128  # images


def equalized_focal_losses(
    logits: Tensor, there: Tensor, ratios: Tensor, gamma: float, alpha: float, scale: float
) -> Tensor:
    """-sum_j alpha_t (focus_j / gamma) (1 - p_t)^focus_j log p_t of each image, ``[B]``.

    focus_j = ``gamma`` + ``scale`` (1 - g_j), where ``ratios`` ``[classes]`` holds g_j. With all at 1, the focal loss.
    """
    focus = gamma + scale * (1 - ratios)
    return (focus / gamma * binary_focal(logits, there, focus, alpha)).sum(1)


def pulls(losses: Tensor, logits: Tensor, there: Tensor, weight: Tensor | None) -> Tensor:
    """Sums of the absolute slopes of losses ``[B]`` by each logit, ``[2, classes]``: where its class is there, and not.

    ``weight`` ``[B]`` is that of the images in training.
    """
    slopes = torch.autograd.grad(losses.sum(), logits)[0].abs()
    slopes = slopes if weight is None else weight[:, None] * slopes
    return torch.stack([(slopes * there).sum(0), (slopes * (1 - there)).sum(0)])


@dataclass(frozen=True)
class EqualizedFocal:
    """Focal loss with a ``gamma`` of its own for each class: larger, and the class weighs more, the fewer positive
    gradients it gets. Li et al., CVPR 2022, https://arxiv.org/abs/2201.02593

    ``ratios`` are the g_j of :func:`equalized_focal_losses`: for each class the absolute gradients of images that have
    it over those of images that have not, at most 1. Without any they are 1, and this is the focal loss. It is asked of
    each class whether it is there, also where an image has one class only.

    Shape: y ``[B]`` int64 or ``[B, classes]`` float32 -> ``{"task": scalar}``, at least 0; the mean is weighted with
    ``batch.weight`` where there is one.
    Cost: one forward and one backward pass; before each epoch a forward pass over at most ``images`` samples.
    Differs from the paper: there the gradients add up from the first step of training on; here :meth:`look` takes them
    anew before each epoch, in evaluation mode, from ``images`` training samples (0: all) that change with the epoch.
    Raises:
        ValueError: if there are ratios, and not one for each class of the model.
    """

    gamma: float = 2.0
    alpha: float = 0.25
    scale: float = 8.0
    images: int = 512
    ratios: tuple[float, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(self, self.gamma > 0, "gamma is above 0")
        require(self, 0 < self.alpha < 1, "alpha is between 0 and 1")
        require(self, self.scale >= 0, "scale is at least 0")
        require(self, self.images >= 0, "images is at least 0")
        require(self, all(0 <= ratio <= 1 for ratio in self.ratios), "ratios are between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        logits = model(batch.x)
        losses = self.losses(logits, indicators(batch.y, logits.shape[1]))
        return {"task": self.weight * weighted_mean(losses, batch)}

    def losses(self, logits: Tensor, there: Tensor) -> Tensor:
        """The loss of each image, ``[B]``, with the ratios as they are."""
        classes = logits.shape[1]
        if self.ratios and len(self.ratios) != classes:
            raise ValueError(f"EqualizedFocal has {len(self.ratios)} ratios, and the model {classes} classes")
        ratios = torch.tensor(self.ratios or (1.0,) * classes, dtype=logits.dtype, device=logits.device)
        return equalized_focal_losses(logits, there, ratios, self.gamma, self.alpha, self.scale)

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> EqualizedFocal:
        """The same with the ratios of now; training draws the same random numbers as if nobody had looked."""
        some = at_most(samples, self.images, seed=epoch)
        with frozen(model), seeded_globally(0, epoch):
            found = [self.pulled(model, batch) for batch in batches(some, _AT_ONCE, device=device_of(model))]
        there, elsewhere = torch.stack(found).sum(0)
        ratios = (there / elsewhere.clamp_min(1e-10)).clamp(0, 1)
        return replace(self, ratios=tuple(ratios.tolist()))

    def pulled(self, model: nn.Module, batch: Batch) -> Tensor:
        """:func:`pulls` of a batch."""
        with torch.enable_grad():
            logits = model(batch.x).detach().requires_grad_()
            there = indicators(batch.y, logits.shape[1])
            return pulls(self.losses(logits, there), logits, there, batch.weight)
