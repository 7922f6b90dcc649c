"""Input gradients. Simonyan et al., 2014, https://arxiv.org/abs/1312.6034"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from .targets import target_score


def input_gradient(
    model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False, probability: bool = False
) -> Tensor:
    """d logit[target] / d x (or of its softmax probability), ``[B, C, H, W]``; differentiable if ``create_graph``."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        score = target_score(model(x), target, probability).sum()
        gradient: Tensor = torch.autograd.grad(score, x, create_graph=create_graph)[0]
    return gradient


@dataclass(frozen=True)
class InputGradient:
    """Sum over channels of the gradient of the target's logit, optionally times the input.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed.
    Cost: one forward and one backward pass.
    """

    times_input: bool = False

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        with borrowed(model, create_graph):
            gradient = input_gradient(model, x, target, create_graph=create_graph)
        return (gradient * x.detach() if self.times_input else gradient).sum(1)
