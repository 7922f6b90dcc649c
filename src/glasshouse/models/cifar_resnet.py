"""Residual networks for 32x32 images (He et al., CVPR 2016, sec. 4.2, https://arxiv.org/abs/1512.03385)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from .assemble import assemble
from .normalised import IMAGENET_MEAN, IMAGENET_STD, Colour, require_statistics
from .residual import ResidualNetwork, Subsample, projection

CIFAR10_MEAN: Colour = (0.4914, 0.4822, 0.4465)
CIFAR10_STD: Colour = (0.2470, 0.2435, 0.2616)

_classic = partial(ResidualNetwork, (16, 32, 64))


@dataclass(frozen=True)
class ResNet18:
    """ResNet-18 with a 3x3 stem (He et al., CVPR 2016, https://arxiv.org/abs/1512.03385): 11.17 M parameters.

    Shape:
        ``[B, 3, H, W]`` in [0, 1], usually 32x32 -> logits ``[B, classes]``.
    """

    weights: str = ""
    new_head: bool = False
    mean: Colour = CIFAR10_MEAN
    std: Colour = CIFAR10_STD

    def __post_init__(self) -> None:
        require_statistics(self, self.mean, self.std)

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(ResidualNetwork, (64, 128, 256, 512), 2, projection)
        return assemble(network, classes, self.mean, self.std, self.weights, self.new_head)


@dataclass(frozen=True)
class ResNet20:
    """CIFAR ResNet-20, option A (He et al., CVPR 2016, sec. 4.2, https://arxiv.org/abs/1512.03385): 0.27 M.

    Shape:
        ``[B, 3, H, W]`` in [0, 1], usually 32x32 -> logits ``[B, classes]``.
    """

    weights: str = ""
    new_head: bool = False
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD

    def __post_init__(self) -> None:
        require_statistics(self, self.mean, self.std)

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(_classic, 3, Subsample)
        return assemble(network, classes, self.mean, self.std, self.weights, self.new_head)


@dataclass(frozen=True)
class ResNet32:
    """CIFAR ResNet-32, option A (He et al., CVPR 2016, sec. 4.2, https://arxiv.org/abs/1512.03385): 0.46 M.

    Shape:
        ``[B, 3, H, W]`` in [0, 1], usually 32x32 -> logits ``[B, classes]``.
    """

    weights: str = ""
    new_head: bool = False
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD

    def __post_init__(self) -> None:
        require_statistics(self, self.mean, self.std)

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(_classic, 5, Subsample)
        return assemble(network, classes, self.mean, self.std, self.weights, self.new_head)


@dataclass(frozen=True)
class ResNet56:
    """CIFAR ResNet-56, option A (He et al., CVPR 2016, sec. 4.2, https://arxiv.org/abs/1512.03385): 0.85 M.

    Shape:
        ``[B, 3, H, W]`` in [0, 1], usually 32x32 -> logits ``[B, classes]``.
    """

    weights: str = ""
    new_head: bool = False
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD

    def __post_init__(self) -> None:
        require_statistics(self, self.mean, self.std)

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(_classic, 9, Subsample)
        return assemble(network, classes, self.mean, self.std, self.weights, self.new_head)
