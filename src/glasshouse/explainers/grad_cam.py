"""Grad-CAM. Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import borrowed, tap


def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """relu(sum_k mean_hw(gradient_k) activation_k): ``[B, K, h, w]`` twice -> ``[B, h, w]``."""
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1).relu()


@dataclass(frozen=True)
class GradCAM:
    """Class activation map at ``layer``, resized to the input.

    ``layer=""`` takes the last module that still has a spatial extent (``layer4`` of a ResNet, ``features`` of most
    others); ``model.named_modules()`` lists the names.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: one forward pass and a backward pass down to ``layer``.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        layer = self.layer or last_spatial_layer(model, x[:1])
        with borrowed(model, create_graph), tap(model, layer) as outputs, torch.enable_grad():
            # The graph must reach the layer even where no parameter wants a gradient.
            score = model(x.detach().requires_grad_()).gather(1, target[:, None]).sum()
            activation = outputs[-1]
            if activation.ndim != 4:
                raise ValueError(f"layer {layer!r} gives {tuple(activation.shape)}, not a [B, K, h, w] feature map")
            (gradient,) = torch.autograd.grad(score, activation, create_graph=create_graph)
        cam = grad_cam(activation, gradient)
        cam = F.interpolate(cam[:, None], x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return cam if create_graph else cam.detach()


@torch.no_grad()
def last_spatial_layer(model: nn.Module, x: Tensor) -> str:
    """Name of the module that finishes last among those whose output is a feature map of more than one cell.

    Raises:
        ValueError: if there is none.
    """
    finished: list[str] = []

    def note(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1:
                finished.append(name)

        return hook

    handles = [m.register_forward_hook(note(n)) for n, m in model.named_modules() if n]
    try:
        with borrowed(model, False):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    if not finished:
        raise ValueError("no layer of the model gives a feature map; name one with GradCAM(layer=...)")
    return finished[-1]
