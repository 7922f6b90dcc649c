"""Any explanation of noisy copies of an image: their mean, and their variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..spec import require
from ..types import Explainer
from .gradient import InputGradient
from .superpixels import blocks


def noisy(x: Tensor, noise: Tensor, share: float) -> Tensor:
    """Each image plus ``share`` of its own range of brightness times each noise; not kept to [0, 1].

    Shape: x ``[B, C, H, W]``, noise ``[N, C, H, W]`` -> ``[N, B, C, H, W]``.
    """
    span = x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True)
    return x + share * span * noise[:, None]


def standard_normal(samples: int, x: Tensor, seed: int) -> Tensor:
    """Noise ``[samples, C, H, W]`` of the seed alone: the same on every device and beside any neighbours."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, *x.shape[1:], generator=generator).to(x)


def explained_copies(
    explainer: Explainer,
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    noise: Tensor,
    share: float,
    batch_size: int,
    create_graph: bool,
) -> Tensor:
    """Attributions of all noisy copies, ``[N, B, H, W]``."""
    columns = []
    for images, groups in blocks(x, len(noise), batch_size):
        maps = []
        for group in groups:
            copies = noisy(x[images].detach(), noise[group], share)
            y = target[images].repeat(len(copies))
            found = explainer(model, copies.flatten(0, 1), y, create_graph=create_graph)
            maps.append(found.view(*copies.shape[:2], *found.shape[1:]))
        columns.append(torch.cat(maps))
    return torch.cat(columns, 1)


@dataclass(frozen=True)
class SmoothGrad:
    """SmoothGrad. Smilkov et al., 2017, https://arxiv.org/abs/1706.03825

    The mean attribution of ``samples`` copies with Gaussian noise of ``noise`` times each image's own range of
    brightness; ``squared`` takes the mean of squares (Hooker et al., NeurIPS 2019, https://arxiv.org/abs/1806.10758).
    Every image gets the same noise, drawn from ``seed`` alone.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed as the explainer's, >= 0 if
    squared.
    Cost: ``samples`` times that of ``explainer``, of about ``batch_size`` copies at once.
    Raises:
        ValueError: whatever ``explainer`` raises.
    """

    explainer: Explainer = InputGradient()
    samples: int = 16
    noise: float = 0.15
    squared: bool = False
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 1, "samples is at least 1")
        require(self, self.noise >= 0, "noise is at least 0")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        draws = standard_normal(self.samples, x, self.seed)
        maps = explained_copies(self.explainer, model, x, target, draws, self.noise, self.batch_size, create_graph)
        return (maps.square() if self.squared else maps).mean(0)


@dataclass(frozen=True)
class VarGrad:
    """VarGrad. Adebayo et al., ICLR Workshops 2018, https://arxiv.org/abs/1810.03307

    The variance of the attribution over noisy copies, drawn as by :class:`SmoothGrad`: where it is large, the
    explanation hangs on details that nobody sees.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, >= 0.
    Cost: that of :class:`SmoothGrad`.
    Raises:
        ValueError: whatever ``explainer`` raises.
    """

    explainer: Explainer = InputGradient()
    samples: int = 16
    noise: float = 0.15
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 2, "samples is at least 2")
        require(self, self.noise > 0, "noise is above 0")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        draws = standard_normal(self.samples, x, self.seed)
        maps = explained_copies(self.explainer, model, x, target, draws, self.noise, self.batch_size, create_graph)
        return maps.var(0, correction=0)
