"""A small convolutional network with batch normalisation (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from torch import nn

from ..spec import require
from .assemble import assemble
from .normalised import Colour

# No data set's own: the same network serves any images, and these bring pixels to about unit scale.
_MEAN: Colour = (0.5, 0.5, 0.5)
_STD: Colour = (0.25, 0.25, 0.25)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _small_cnn(width: int, classes: int) -> nn.Sequential:
    # Strides, not pooling: on a CPU max-pooling takes longer than all three convolutions.
    features = nn.Sequential(
        _block(3, width), _block(width, 2 * width, stride=2), _block(2 * width, 4 * width, stride=2)
    )
    children: dict[str, nn.Module] = {
        "features": features,
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "head": nn.Linear(4 * width, classes),
    }
    return nn.Sequential(OrderedDict(children))


@dataclass(frozen=True)
class SmallCNN:
    """Three conv-BatchNorm-ReLU blocks for CPUs (Ioffe and Szegedy, ICML 2015, https://arxiv.org/abs/1502.03167).

    Shape:
        ``[B, 3, H, W]`` in [0, 1], sides of at least 16 -> logits ``[B, classes]``; the last feature map
        is the output of ``network.features``, 8x8 for 32x32 images.
    """

    width: int = 32
    weights: str = ""
    new_head: bool = False

    def __post_init__(self) -> None:
        require(self, self.width >= 1, "width must be at least 1")

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(_small_cnn, self.width)
        return assemble(network, classes, _MEAN, _STD, self.weights, self.new_head)
