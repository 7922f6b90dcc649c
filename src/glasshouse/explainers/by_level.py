"""Any explainer on one level of a model of two levels. Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..hierarchy import Part, hierarchical, labels_of
from ..types import Explainer
from .lrp import LRP, OneHot
from .lrp.composites import z_plus

# The paper's. Begun from the logit it would be against the class wherever that is negative, which says nothing here.
RELEVANCE = LRP(composite=z_plus(), start=OneHot())


@dataclass(frozen=True)
class AtCoarse:
    """What speaks for the superclass of a class (Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906):
    the explainer on the coarse network. The default is the paper's relevance.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]``, classes of the whole model -> attribution ``[B, H, W]``, signed
    as the explainer's.
    Cost: the explainer's.
    Raises:
        ValueError: if the model has no levels, or a target is in no superclass; whatever ``explainer`` raises.
    """

    explainer: Explainer = RELEVANCE

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return self.explainer(
            hierarchical(model, self).coarse, x, self.answers(model, target), create_graph=create_graph
        )

    def answers(self, model: nn.Module, target: Tensor) -> Tensor:
        """What it tells apart among classes, ``[B]``: their superclasses."""
        return labels_of(target, hierarchical(model, self).hierarchy).coarse


@dataclass(frozen=True)
class AtFine:
    """What speaks for a class within its superclass (Heidarizadeh et al., ICASSP 2025,
    https://arxiv.org/abs/2501.10906): the explainer on the fine network. The default is the paper's relevance.

    Which network that is follows from the target, whatever the coarse network says of the image. Where a superclass
    has one class, nothing speaks for it, and the map is 0.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]``, classes of the whole model -> attribution ``[B, H, W]``, signed
    as the explainer's.
    Cost: the explainer's, one call for each fine network that is asked.
    Raises:
        ValueError: if the model has no levels, or a target is in no superclass; whatever ``explainer`` raises.
    """

    explainer: Explainer = RELEVANCE

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        levels = hierarchical(model, self)
        coarse, fine = labels_of(target, levels.hierarchy)
        parts = levels.parts(coarse)
        maps = [self.explained(part, x[part.where], fine[part.where], create_graph) for part in parts]
        return torch.cat(maps)[torch.cat([part.where for part in parts]).argsort()]

    def explained(self, part: Part, x: Tensor, fine: Tensor, create_graph: bool) -> Tensor:
        """Attributions of the images of one network, ``[n, H, W]``."""
        if len(part.classes) == 1:
            return x.new_zeros(len(x), *x.shape[2:])
        return self.explainer(part.network, x, part.place(fine), create_graph=create_graph)


def answers(explainer: Explainer, model: nn.Module, target: Tensor) -> Tensor:
    """What an explainer tells apart among classes, ``[B]``: superclasses where it looks at the coarse level alone."""
    own = getattr(explainer, "answers", None)
    if own is not None:
        found: Tensor = own(model, target)
        return found
    inner = getattr(explainer, "explainer", None)
    return target if inner is None else answers(inner, model, target)
