"""What single filters of a network see, whatever the class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from .layers import chosen_layer, feature_map, resized, seen


@dataclass(frozen=True)
class FilterMap:
    """Where filters of a layer are active: the maps that Shen et al. draw, IJCAI 2021,
    https://arxiv.org/abs/2107.04474

    The mean over ``filters`` of their activations, each stretched to [0, 1] within an image, so that a strong filter
    does not hide the others; one that is the same everywhere in an image shows nothing there. Without ``filters``,
    each image is shown the filter with its highest activation. A group of filters that :class:`Compositional` found
    is one map: see :func:`filter_groups`. The target does not matter.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]`` in [0, 1], one for all targets.
    Cost: one forward pass; ``layer`` as in :class:`GradCAM`.
    Differs from the authors' code: there a filter is stretched over all images at once; here each image is
    explained alone.
    Raises:
        ValueError: if the model has no such layer, its output is no feature map, or it has no such filter.
    """

    layer: str = ""
    filters: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self, all(k >= 0 for k in self.filters), "filters are counted from 0")
        require(self, len(set(self.filters)) == len(self.filters), "filters are named once each")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        layer = chosen_layer(model, x, self.layer)
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            activation = feature_map(seen(model, layer, x.detach(), target).output, layer, x)
            return resized(self.cam(activation, activation), x)

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The map at the size of the feature map, ``[B, h, w]``; the gradient does not matter."""
        if not self.filters:
            return stretched(strongest(activation)).mean(1)
        count = activation.shape[1]
        require(self, max(self.filters) < count, f"filters go from 0 to {count - 1}, there is no {max(self.filters)}")
        return stretched(activation[:, list(self.filters)]).mean(1)


def strongest(activation: Tensor) -> Tensor:
    """The channel with the highest activation of each image: ``[B, K, h, w]`` -> ``[B, 1, h, w]``."""
    chosen = activation.amax((2, 3)).argmax(1)
    return activation[torch.arange(len(activation), device=activation.device), chosen][:, None]


def stretched(activation: Tensor) -> Tensor:
    """Each channel of each image from 0, at its lowest, to 1, at its highest; 0 where it is the same everywhere."""
    low, high = activation.amin((2, 3), keepdim=True), activation.amax((2, 3), keepdim=True)
    return (activation - low) / torch.where(high > low, high - low, 1.0)
