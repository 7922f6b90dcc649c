"""The classifiers of torchvision by name (Marcel and Rodriguez, ACM MM 2010, https://pytorch.org/vision)."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from torch import nn
from torchvision import models

from ..spec import require
from .assemble import assemble
from .normalised import IMAGENET_MEAN, IMAGENET_STD, Colour, require_statistics

# These return a tuple in training mode unless they are built without their auxiliary classifiers.
_AUXILIARY = ("googlenet", "inception_v3")


def _network(name: str, classes: int) -> nn.Module:
    plain = {"aux_logits": False, "init_weights": True} if name in _AUXILIARY else {}
    return models.get_model(name, weights=None, num_classes=classes, **plain)


def _require_known(component: TorchVision) -> None:
    known = models.list_models(module=models)
    close = ", ".join(get_close_matches(component.name, known, cutoff=0.5)) or "none"
    listing = "torchvision.models.list_models(module=torchvision.models) lists all"
    rule = f"torchvision has no classifier {component.name!r}; close names: {close}; {listing}"
    require(component, component.name in known, rule)


@dataclass(frozen=True)
class TorchVision:
    """A classifier of torchvision (Marcel and Rodriguez, ACM MM 2010, https://pytorch.org/vision).

    Shape:
        ``[B, 3, H, W]`` in [0, 1] -> logits ``[B, classes]``, also in training mode; vision transformers take
        one image size only, mostly 224. Nothing is ever downloaded.
    """

    name: str = "resnet18"
    weights: str = ""
    new_head: bool = False
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD

    def __post_init__(self) -> None:
        _require_known(self)
        require_statistics(self, self.mean, self.std)

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        network = partial(_network, self.name)
        return assemble(network, classes, self.mean, self.std, self.weights, self.new_head)
