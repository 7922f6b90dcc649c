"""Class activation maps weighted by gradients: Grad-CAM and two of its kin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from .layers import chosen_layer, feature_map, resized, seen


def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """relu(sum_k mean_hw(gradient_k) activation_k): ``[B, K, h, w]`` twice -> ``[B, h, w]``."""
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1).relu()


def grad_cam_plus_plus(activation: Tensor, gradient: Tensor) -> Tensor:
    """relu(sum_k w_k activation_k), w_k = sum_hw relu(g) / (2 + g sum_hw activation_k), g the gradient.

    The published quotient g^2 / (2 g^2 + g^3 sum A), cancelled: tiny gradients need no epsilon. A channel whose sum
    is negative counts as if it were 0, or the quotient would have a pole.
    """
    total = activation.sum((2, 3), keepdim=True).relu()
    positive = gradient.relu()
    weight = (positive / (2 + positive * total)).sum((2, 3), keepdim=True)
    return (weight * activation).sum(1).relu()


def x_grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """relu(sum_k w_k activation_k), w_k = sum_hw gradient_k activation_k / sum_hw activation_k."""
    total = activation.sum((2, 3), keepdim=True)
    # A channel that is 0 everywhere adds nothing, whatever its weight.
    weight = (gradient * activation).sum((2, 3), keepdim=True) / torch.where(total == 0, 1.0, total)
    return (weight * activation).sum(1).relu()


def weighted_by_gradients(
    formula: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    layer: str,
    create_graph: bool,
) -> Tensor:
    """A formula of the feature map at ``layer`` and of the logit's gradient there, at the size of the images."""
    layer = chosen_layer(model, x, layer)
    with borrowed(model, create_graph), torch.enable_grad():
        score, output, _ = seen(model, layer, x.detach(), target, begin=True)
        activation = feature_map(output, layer, x)
        (gradient,) = torch.autograd.grad(score.sum(), output, create_graph=create_graph)
        cam = resized(formula(activation, feature_map(gradient, layer, x)), x)
    return cam if create_graph else cam.detach()


@dataclass(frozen=True)
class GradCAM:
    """Grad-CAM. Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391

    ``layer=""`` takes the last module that still has a spatial extent (``layer4`` of a ResNet, ``features`` of most
    others, the first layer norm of the last block of a vision transformer); ``model.named_modules()`` lists the names.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: one forward pass and a backward pass down to ``layer``; one more forward pass of a single image if
    ``layer`` is to be found.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return weighted_by_gradients(grad_cam, model, x, target, self.layer, create_graph)

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The map at the size of the feature map, ``[B, h, w]``."""
        return grad_cam(activation, gradient)


@dataclass(frozen=True)
class GradCAMPlusPlus:
    """Grad-CAM++. Chattopadhay et al., WACV 2018, https://arxiv.org/abs/1710.11063

    Made for activations that are >= 0: no weight is negative, so behind a layer norm a map may be empty.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: that of :class:`GradCAM`.
    Differs from the paper: the factor exp(logit), the same for a whole map, is left out; channels whose sum is
    negative count as if it were 0.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return weighted_by_gradients(grad_cam_plus_plus, model, x, target, self.layer, create_graph)

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The map at the size of the feature map, ``[B, h, w]``."""
        return grad_cam_plus_plus(activation, gradient)


@dataclass(frozen=True)
class XGradCAM:
    """XGrad-CAM. Fu et al., BMVC 2020, https://arxiv.org/abs/2008.02312

    Where a mean and a linear head follow ``layer``, this is Grad-CAM. Made for activations that are >= 0: the weight
    divides by their sum.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: that of :class:`GradCAM`.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return weighted_by_gradients(x_grad_cam, model, x, target, self.layer, create_graph)

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The map at the size of the feature map, ``[B, h, w]``."""
        return x_grad_cam(activation, gradient)
