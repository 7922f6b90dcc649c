"""Whether an explanation stays what it is when only what it does not point at changes.

Wu, Jiang, Wang, Tang, He & Lin, IEEE TMM 2024, https://arxiv.org/abs/2408.04600
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..consistency import CellDistance, FGSMBackground, Tanh
from ..consistency.distances import at_size
from ..explainers import GradCAM
from ..explainers.layers import chosen_layer, feature_map, run_with
from ..labels import losses, right
from ..modes import frozen
from ..spec import fits
from ..types import ActivationMap, Background, Batch, Distance, Explainer, Squash


class Look(NamedTuple):
    """What one forward pass tells of images: the class, why, and what would raise the loss."""

    predicted: Tensor  # [B]
    maps: Tensor  # [B, h, w] in [0, 1]
    gradient: Tensor  # like x, of the loss; the images where it was not asked for


def unit(maps: Tensor) -> Tensor:
    """relu, then from 0 at the lowest point to 1 at the highest of each map ``[B, h, w]``; 0 where all are equal."""
    maps = maps.relu()
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1.0)


@dataclass(frozen=True)
class Inconsistency:
    """How far the explanation of the predicted class moves when the background moves: psi of the distance of the two
    maps, and 1 where the class itself changes. The sample weights of Wu et al., IEEE TMM 2024,
    https://arxiv.org/abs/2408.04600, eq. 1 to 4.

    The map, clipped at 0 and scaled to [0, 1], shields what it points at; ``background`` changes the rest. Images that
    the model gets wrong already are 1 without a look, unless ``only_correct`` is off. Where images have several
    classes, the most confident is explained, and right if it is one of them.

    Shape: ``[B]`` in [0, 1]; the lower, the more consistent.
    Cost: for a class activation map two forward passes, a backward pass to the pixels and two from the layer on, of
    which the second of each is only for images that are right; for other explainers their own twice, besides.
    Differs from the paper: distances are taken on the cells of the feature map (see :class:`PixelDistance`); images
    stay in [0, 1]; of the paper's two readings of which samples are judged, the introduction's is the default.
    """

    explainer: Explainer = GradCAM()
    background: Background = FGSMBackground()
    distance: Distance = CellDistance()
    psi: Squash = Tanh()
    only_correct: bool = True

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        x, y = batch.x.detach(), batch.y
        with frozen(model):
            first = self.look(model, x, y)
            # The images that are wrong are known without a second look.
            judged = right(first.predicted, y) if self.only_correct else torch.ones_like(first.predicted).bool()
            value = x.new_ones(len(x))
            if judged.any():
                x, first = x[judged], Look(*(t[judged] for t in first))
                value[judged] = self.valued(first, self.look(model, self.moved(x, first)), x)
        return value

    def settled(self, model: nn.Module, x: Tensor) -> Inconsistency:
        """The same with the layer named that it would find anew for each batch."""
        explainer: Any = self.explainer
        if not fits(explainer, ActivationMap) or explainer.layer:
            return self
        return replace(self, explainer=replace(explainer, layer=chosen_layer(model, x)))

    def look(self, model: nn.Module, x: Tensor, y: Tensor | None = None) -> Look:
        """The predicted class and its map; with ``y`` also the loss's gradient, if the background is made by that."""
        wanted = y is not None and self.background.by_gradient
        x = x.detach().requires_grad_(wanted)
        with torch.enable_grad():
            if fits(self.explainer, ActivationMap):
                logits, maps = self.from_layer(model, x, wanted)
            else:
                logits = model(x)
                maps = self.explainer(model, x, logits.argmax(1))
            gradient = torch.autograd.grad(losses(logits, y).sum(), x)[0] if wanted and y is not None else x.detach()
        return Look(logits.argmax(1), unit(maps.detach()), gradient)

    def from_layer(self, model: nn.Module, x: Tensor, again: bool) -> tuple[Tensor, Tensor]:
        """Logits and the map at its own size, by a backward pass from the logits to the layer."""
        explainer: Any = self.explainer
        layer = chosen_layer(model, x, explainer.layer)
        logits, outputs = run_with(model, layer, x, begin=True)
        return logits, self.mapped(logits, outputs[-1], layer, x, again)

    def mapped(self, logits: Tensor, output: Tensor, layer: str, x: Tensor, again: bool) -> Tensor:
        """The map of the most probable class, given what the layer gave; ``again`` keeps the graph."""
        explainer: Any = self.explainer
        (gradient,) = torch.autograd.grad(logits.max(1).values.sum(), output, retain_graph=again)
        maps: Tensor = explainer.cam(feature_map(output.detach(), layer, x), feature_map(gradient, layer, x))
        return maps

    def moved(self, x: Tensor, first: Look) -> Tensor:
        """The images with another background."""
        return self.background(x, at_size(first.maps, *x.shape[2:]), first.gradient)

    def valued(self, first: Look, second: Look, x: Tensor) -> Tensor:
        """psi of the distance, 1 where the class is another one."""
        value = self.psi(self.distance(first.maps, second.maps, x))
        return torch.where(first.predicted == second.predicted, value, 1.0)
