"""Networks for filters that stand for parts: any network with replicate padding (Shen et al., IJCAI 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..types import Architecture
from .torchvision_models import TorchVision
from .weights import load_weights


@dataclass(frozen=True)
class ICCNN:
    """The network of an interpretable compositional CNN (Shen et al., IJCAI 2021, https://arxiv.org/abs/2107.04474).

    ``architecture`` with the zeros around the feature maps of every convolution replaced by the values at their edge:
    a border of zeros would show in every filter, whatever its part. Filters come to stand for parts by training with
    :class:`Compositional`. Parameters and their names stay, so weights of the plain network can be loaded, in
    ``architecture`` or here. Max-pooling needs no change: what it pads with never wins.

    Shape:
        those of ``architecture``.
    """

    architecture: Architecture = TorchVision(name="vgg16_bn")
    weights: str = ""
    new_head: bool = False

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        model = replicating(self.architecture(classes))
        if self.weights:
            load_weights(model, self.weights, self.new_head)
        return model


def replicating(model: nn.Module) -> nn.Module:
    """The same model, whose convolutions from now on pad with the nearest value instead of 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.padding_mode == "zeros" and pads(module):
            module.padding_mode = "replicate"
    return model


def pads(convolution: nn.Conv2d) -> bool:
    """Whether it pads at all."""
    padding = convolution.padding
    return padding == "same" if isinstance(padding, str) else any(padding)
