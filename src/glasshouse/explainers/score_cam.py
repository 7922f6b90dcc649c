"""Score-CAM: channels weighted by the logit of the image seen through them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import borrowed
from ..spec import require
from .layers import chosen_layer, feature_map, resized, seen
from .superpixels import blocks
from .targets import target_score

_TINY = 1e-8


def channel_masks(activation: Tensor, size: tuple[int, int]) -> Tensor:
    """Each channel at the size of the images, from 0 to 1: ``[B, K, h, w]`` -> ``[B, K, H, W]``; a flat one is 0."""
    masks = F.interpolate(activation, size, mode="bilinear", align_corners=False)
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low + _TINY)


def masked_scores(model: nn.Module, x: Tensor, target: Tensor, activation: Tensor) -> Tensor:
    """Logit of the target for each image times each of its channels' masks, ``[B, K]``."""
    masked = x[:, None] * channel_masks(activation, (x.shape[-2], x.shape[-1]))[:, :, None]
    each = activation.shape[1]
    return target_score(model(masked.flatten(0, 1)), target.repeat_interleave(each)).view(len(x), each)


@dataclass(frozen=True)
class ScoreCAM:
    """Score-CAM. Wang et al., CVPR Workshops 2020, https://arxiv.org/abs/1910.01279

    The weights are the softmax over all channels of the logits that the image has through each of them; what the
    paper subtracts, the logit of a black image, does not change a softmax.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: a forward pass for each channel of ``layer``, ``batch_size`` at once.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""
    batch_size: int = 0

    def __post_init__(self) -> None:
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        layer, x = chosen_layer(model, x, self.layer), x.detach()
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            activation = feature_map(seen(model, layer, x, target).output, layer, x)
            rows = []
            for images, groups in blocks(x, activation.shape[1], self.batch_size):
                parts = (activation[images][:, group] for group in groups)
                rows.append(torch.cat([masked_scores(model, x[images], target[images], part) for part in parts], 1))
            weight = torch.cat(rows).softmax(1)
            return resized((weight[:, :, None, None] * activation).sum(1).relu(), x)
