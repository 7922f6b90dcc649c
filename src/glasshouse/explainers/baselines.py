"""Maps that explain nothing: what any metric of explanations has to be compared with.

Adebayo et al., NeurIPS 2018, https://arxiv.org/abs/1810.03292
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..draws import draws
from ..types import Explainer
from .gradient import InputGradient
from .redrawn import redrawn


@dataclass(frozen=True)
class RandomMap:
    """Independent normal numbers, whatever model and target: what a metric is worth by chance.

    Each image draws its own from ``seed`` and its pixels, in any batch the same; the least change of it draws others.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, one for all targets.
    Cost: no pass through the model.
    Raises:
        ValueError: with ``create_graph``: there is no model in it to train.
    """

    seed: int = 0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        require_no_graph(self, create_graph)
        return draws(x, self.seed).normal(*x.shape[2:]).to(x)


@dataclass(frozen=True)
class EdgeMap:
    """How strong the edge at each pixel is, whatever model and target: Sobel's operator on the mean of the channels.

    Maps that look like it look plausible, and may tell of the image alone (Adebayo et al., NeurIPS 2018,
    https://arxiv.org/abs/1810.03292).

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0, one for all targets.
    Cost: no pass through the model.
    Raises:
        ValueError: with ``create_graph``: there is no model in it to train.
    """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        require_no_graph(self, create_graph)
        grey = F.pad(x.detach().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype, device=x.device) / 8
        return F.conv2d(grey, torch.stack([across, across.T])[:, None]).square().sum(1).sqrt()


@dataclass(frozen=True)
class OfRandomisedModel:
    """The explainer's map of the same network with all weights drawn anew (Adebayo et al., NeurIPS 2018,
    https://arxiv.org/abs/1810.03292): what the explainer shows of the image and the architecture alone.

    The weights follow from ``seed`` and the architecture, the same for each image; how they are drawn says
    :func:`glasshouse.explainers.redrawn.redrawn`.

    Shape: the explainer's.
    Cost: the explainer's, and a copy of the model with new weights at each call.
    Raises:
        ValueError: with ``create_graph``: the model's own weights have no part in it; whatever ``explainer`` raises.
    """

    explainer: Explainer = InputGradient()
    seed: int = 0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        require_no_graph(self, create_graph)
        return self.explainer(redrawn(model, self.seed), x, target)


def require_no_graph(explainer: object, create_graph: bool) -> None:
    """ValueError if a map is to be trained on that no weight of the model has a part in."""
    if create_graph:
        raise ValueError(f"{type(explainer).__name__} has no create_graph=True: the model has no part in its maps")
