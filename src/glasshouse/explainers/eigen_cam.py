"""Eigen-CAM: where the features of an image vary most, whatever the class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from .layers import chosen_layer, feature_map, resized, seen

_TINY = 1e-30


def eigen_cam(activation: Tensor) -> Tensor:
    """relu of the centred features along their first right singular vector: ``[B, K, h, w]`` -> ``[B, h, w]``.

    A singular vector has no sign of its own: it points to where the features are stronger, so that the map
    correlates with the squared norm of what stands at each cell.
    """
    features = activation.flatten(2).transpose(1, 2)
    centred = features - features.mean(1, keepdim=True)
    projection = (centred @ first_direction(centred)[:, :, None])[:, :, 0]
    strength = features.detach().square().sum(2)
    agrees = (projection.detach() * (strength - strength.mean(1, keepdim=True))).sum(1, keepdim=True) >= 0
    return torch.where(agrees, projection, -projection).relu().view(-1, *activation.shape[2:])


def first_direction(a: Tensor) -> Tensor:
    """First right singular vector of each ``[B, N, K]`` matrix, ``[B, K]``, of either sign.

    Its derivative is (l_1 - A'A)^+ d(A'A) v_1, l_1 the first eigenvalue, as far as A sees it: the rest lies where A is
    0. That of torch's SVD involves all pairs of singular values, and is NaN where any two are equal, as those of dead
    channels are.
    """
    with torch.no_grad():
        _, values, rows = torch.linalg.svd(a, full_matrices=False)
        first, squares = rows[:, 0], values.square()
    if not a.requires_grad:
        return first
    top = squares[:, :1].clamp_min(_TINY)
    gap = torch.maximum(squares[:, :1] - squares[:, 1:], 1e-6 * top)
    image = (a.transpose(1, 2) @ (a @ first[:, :, None]))[:, :, 0]
    inner = (rows[:, 1:] @ image[:, :, None])[:, :, 0]
    # Zero but for rounding; only its derivative counts.
    correction = ((inner / gap)[:, :, None] * rows[:, 1:]).sum(1)
    return first + correction - correction.detach()


@dataclass(frozen=True)
class EigenCAM:
    """Eigen-CAM. Muhammad and Yeasin, IJCNN 2020, https://arxiv.org/abs/2008.00299

    The target does not matter: the map shows what stands out, not what speaks for a class.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0, the same for all targets.
    Cost: one forward pass and a singular value decomposition; ``layer`` as in :class:`GradCAM`.
    Differs from the paper: activations are centred, as in ``grad-cam``; the sign is fixed by their strength.
    Raises:
        ValueError: if the model has no such layer, or its output is no feature map.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        layer = chosen_layer(model, x, self.layer)
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            activation = feature_map(seen(model, layer, x.detach(), target).output, layer, x)
            return resized(eigen_cam(activation), x)

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The map at the size of the feature map, ``[B, h, w]``; the gradient does not matter."""
        return eigen_cam(activation)
