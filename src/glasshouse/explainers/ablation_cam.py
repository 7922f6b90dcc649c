"""Ablation-CAM: channels weighted by what the logit loses without them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import borrowed
from ..spec import require
from .layers import changed, chosen_layer, feature_map, resized, seen
from .superpixels import chunks
from .targets import target_score


def without(output: Tensor, channels: Tensor) -> Tensor:
    """Copies of a layer's output, each with one channel at 0: ``[1 or N, B, ...]`` and ``[N]`` -> ``[N, B, ...]``.

    The channels are the third of five axes (feature maps) or the last of four (tokens).
    """
    axis = 2 if output.ndim == 5 else 3
    keep = 1 - F.one_hot(channels, output.shape[axis]).to(output)
    return output * keep.view(len(channels), *(-1 if i == axis else 1 for i in range(1, output.ndim)))


def ablated_scores(model: nn.Module, layer: str, call: int, x: Tensor, target: Tensor, channels: Tensor) -> Tensor:
    """Logit of the target without each of the channels of ``layer``, ``[N, B]``.

    The images run once up to the layer and multiply there. A single image also passes where a skip connection around
    the layer is added; where it fits nowhere, the whole network runs on as many copies.
    """
    copies = len(channels)

    def off(output: Tensor) -> Tensor:
        return without(output.reshape(-1, len(x), *output.shape[1:]), channels).flatten(0, 1)

    def run(images: Tensor) -> Tensor:
        with changed(model, layer, call, off):
            return model(images)

    try:
        logits = run(x)
    except RuntimeError:  # whatever else it was comes again
        logits = x[:0]
    if len(logits) != copies * len(x):
        logits = run(x.repeat(copies, 1, 1, 1))
    return target_score(logits, target.repeat(copies)).view(copies, len(x))


@dataclass(frozen=True)
class AblationCAM:
    """Ablation-CAM. Desai and Ramaswamy, WACV 2020, https://doi.org/10.1109/WACV45572.2020.9093360

    The weight of a channel is what the target's logit loses when the channel is 0 at every cell.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: a forward pass from ``layer`` on for each of its channels, ``batch_size`` at once, and from the input to
    ``layer`` for each such batch; whole forward passes where what leads around ``layer`` is concatenated.
    Differs from the paper: the loss is not divided by the logit, which scales a whole map, and turns it inside out
    where the logit is negative.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""
    batch_size: int = 256

    def __post_init__(self) -> None:
        require(self, self.batch_size >= 1, "batch_size is at least 1")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        layer, x = chosen_layer(model, x, self.layer), x.detach()
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            found = seen(model, layer, x, target)
            activation = feature_map(found.output, layer, x)
            channels = torch.arange(activation.shape[1], device=x.device)
            left = [
                ablated_scores(model, layer, found.call, x[i : i + 1], target[i : i + 1], channels[part])[:, 0]
                for i in range(len(x))
                for part in chunks(len(channels), self.batch_size)
            ]
            weight = found.score[:, None] - torch.cat(left).view(len(x), -1)
            return resized((weight[:, :, None, None] * activation).sum(1).relu(), x)
