"""Layer-wise relevance propagation. Bach et al., PLOS ONE 2015, https://doi.org/10.1371/journal.pone.0130140"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...modes import borrowed
from .audit import Operation, operations, require_covered
from .composites import Composite
from .plan import planned, propagated
from .starts import Logit, Start, at_targets, checked_targets
from .tape import record, require_kept

Targets = Callable[[Tensor], Tensor]  # logits [B, K] -> targets [B, T]
WORRYING = 0.9  # share of the relevance; rules that absorb biases lose some by design


class Relevance(NamedTuple):
    """Relevance of every pixel and channel for each target, and the account of it."""

    map: Tensor  # [B, T, C, H, W] signed
    started: Tensor  # [B, T] what it started from at the logits
    arrived: Tensor  # [B, T] its sum over the pixels
    logits: Tensor  # [B, K]

    @property
    def lost(self) -> Tensor:
        """The share that biases, padding and inputs without any contribution swallowed, ``[B, T]``; 0 is none."""
        return 1 - self.arrived / self.started


@dataclass(frozen=True)
class LRP:
    """Relevance handed down layer by layer, summed over channels (Bach et al., 2015, https://doi.org/10.1371/journal.pone.0130140).

    The network is the one that runs: a forward pass is written down as it happens, with its control flow, reused
    modules and activations in place. BatchNorm behind a layer is folded into it, elsewhere its relevance is passed
    on (its shift counts as a bias that is ignored). Sums, also those of residual blocks, and average pooling share
    in proportion to signed contributions; the largest value takes all of a max-pooling. Activations pass relevance on.

    What a bias alone has brought about finds nobody below to go to, and is lost; ``relevance`` tells how much that is
    (with z+ nothing in VGG, ResNet and DenseNet, 99.9 % in MobileNetV2, whose depthwise filters live on biases).
    A call warns where more than nine tenths are lost.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed.
    Cost: one forward pass and what the rules cost, with z+ about that of two forward passes more.
    Differs from the paper: the rule of each layer comes from ``composite``; epsilon everywhere is the paper's.
    Raises:
        ValueError: if a target is no class of the model; if any operation on the way has no rule (attention, gates
            that multiply activations, LayerNorm, SiLU, GELU ...), with the names of all of them; if the model runs
            outside torch's functions.
    """

    composite: Composite = Composite()
    start: Start = Logit()

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        found = self.relevance(model, x, target[..., None], create_graph=create_graph)
        if not create_graph:  # whoever trains on it would wait for the device in every step
            warn_of_loss(found)
        return found.map[:, 0].sum(1)

    def relevance(
        self, model: nn.Module, x: Tensor, targets: Tensor | Targets, *, create_graph: bool = False
    ) -> Relevance:
        """Relevance for several targets ``[B, T]`` from one forward pass; they may depend on its logits.

        With ``create_graph`` it is differentiable with respect to the parameters and to ``x`` as it was handed in.
        """
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            tape = record(model, x)
            targets = targets if isinstance(targets, Tensor) else targets(tape.logits)
            checked_targets(tape.logits, targets)
            steps = planned(tape, self.composite)
            require_covered(operations(tape, steps))
            require_kept(tape, (step.entry for step in steps))
            started = self.start(tape.logits, targets)
            found = propagated(tape, steps, at_targets(started, targets, tape.logits.shape[1]))
        return Relevance(found, started, found.flatten(2).sum(2), tape.logits)

    def audit(self, model: nn.Module, x: Tensor) -> tuple[Operation, ...]:
        """Every operation that the logits depend on, with the rule that it gets; whether it is covered.

        Cost: one forward pass.
        """
        with borrowed(model, create_graph=False), torch.no_grad():
            tape = record(model, x)
            return operations(tape, planned(tape, self.composite))


def warn_of_loss(found: Relevance) -> None:
    """Warn where next to nothing of the relevance has arrived, or far more than was there."""
    lost = found.lost.detach()[:, 0]
    worst = float(lost[lost.abs().argmax()])
    if abs(worst) > WORRYING or worst != worst:
        told = "" if worst != worst else f", {1 - worst:.0%} of it arrived in the worst image"
        warnings.warn(f"LRP did not keep its relevance{told}; look at LRP.relevance(...).lost", stacklevel=3)
