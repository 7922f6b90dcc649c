"""Whether the model's gradient looks like the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..modes import frozen
from ..types import Batch
from .verdicts import Verdicts


@dataclass(frozen=True)
class InputAlignment:
    """|<x, g>| / ||g||, with g the gradient of how far the predicted class is ahead of the next one.
    Etmann et al., ICML 2019, https://arxiv.org/abs/1905.04172

    Higher where the gradient looks more like the image, as robust models' do. Without ``margin``, g is the gradient of
    the predicted class' logit alone. ``cosine`` divides by ||x|| as well: how alike they are in direction, in [0, 1].
    The value does not change when the logits are multiplied, and so compares models on the same images; without
    ``cosine`` it grows with brightness and with the number of pixels.

    The trap: it hangs on where zero is. Here that is black, x being pixels in [0, 1], whatever the model does to them
    first; a gradient that is positive on the whole aligns with any bright image. ``centred`` takes each channel's mean
    over the image off x, so that only contrast counts.

    Shape: ``[B]``, >= 0; NaN where the gradient, or the image by ``cosine``, is 0.
    Cost: one forward and one backward pass, once for all fields.
    """

    margin: bool = True
    cosine: bool = False
    centred: bool = False
    needs: ClassVar[tuple[str, ...]] = ("right",)
    family: ClassVar[str] = "alignment"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        gradient = verdicts.once((lead_gradient, self.margin), lambda: lead_gradient(verdicts, self.margin))
        x, gradient = verdicts.batch.x.double(), gradient.double().flatten(1)
        x = (x - x.mean((2, 3), keepdim=True) if self.centred else x).flatten(1)
        found = (x * gradient).sum(1).abs() / gradient.norm(dim=1)
        return (found / x.norm(dim=1) if self.cosine else found).float()


def lead_gradient(verdicts: Verdicts, margin: bool) -> Tensor:
    """Gradient of the predicted class' logit, less the highest other one with ``margin``, ``[B, C, H, W]``."""
    x, own = verdicts.batch.x.detach().requires_grad_(), verdicts.predicted[:, None]
    with frozen(verdicts.model), torch.enable_grad():
        logits = verdicts.model(x)
        lead = logits.gather(1, own)[:, 0]
        if margin:
            lead = lead - logits.scatter(1, own, -torch.inf).amax(1)
        gradient: Tensor = torch.autograd.grad(lead.sum(), x)[0]
    return gradient
