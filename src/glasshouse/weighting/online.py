"""Scores within the steps of training: the step's own forward pass and gradient, and one forward pass more.

Of a separate pass over the data nothing remains but that second forward pass. The loss's gradient in the pixels is a
by-product of the step's backward pass, and the map of the first look comes from the step's own features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..labels import right
from ..metrics import Inconsistency
from ..metrics.inconsistency import Look, unit
from ..modes import device_of, module_at, untrainable
from ..types import Batch, Samples
from .reweighting import SCORES, WEIGHTS, Reweighting


class Statistics(NamedTuple):
    """What a normalisation normalised a batch with."""

    mean: Tensor
    variance: Tensor


class Watch:
    """A step of training that is looked at: the first forward pass of ``x`` in it, and :meth:`judge` after backward.

    The second forward pass is by the same function as the first: parameters before the step, the batch statistics of
    the first pass (``x_adv`` does not change them), the same dropout. So an image that stays what it is scores 0.
    The model's own running statistics are updated by the first pass alone, as ever.

    Where normalisations come after the layer, the gradient there of one image's logit depends on the others of its
    batch; then the first map is taken anew with the statistics held.

    Cost: one forward pass, and two backward passes from the layer on; another forward pass where normalisations come
    after the layer.
    """

    def __init__(self, model: nn.Module, score: Inconsistency, x: Tensor, y: Tensor) -> None:
        explainer: Any = score.explainer
        self.model, self.score, self.layer, self.y = model, score, str(explainer.layer), y
        self.x = x.detach().requires_grad_()
        self.output: Tensor | None = None  # of the layer
        self.first: Look | None = None
        self.watching = self.done = self.mixed = False
        self.random: list[Tensor] = []
        self.statistics: dict[_BatchNorm, Statistics] = {}
        self.own: dict[_BatchNorm, tuple[Any, Any, float | None]] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> Watch:
        layer = module_at(self.model, self.layer)
        for norm in normalisations(self.model):
            self.handles += [norm.register_forward_pre_hook(self.aside), norm.register_forward_hook(self.follow)]
        self.handles += [
            self.model.register_forward_pre_hook(self.begin),
            layer.register_forward_hook(self.keep),
            self.model.register_forward_hook(self.end),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.restore()

    def begin(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The first pass of the images begins; attacks and explanations, which borrow the model, do not count."""
        if inputs[0] is self.x and not self.done and module.training and torch.is_grad_enabled():
            self.watching, self.random = True, random_state(self.x)

    def aside(self, norm: Any, inputs: object) -> None:
        """A normalisation is to write somewhere else; with a momentum of 1 what it leaves there is the batch's own."""
        if self.watching:
            self.own[norm] = norm.running_mean, norm.running_var, norm.momentum
            norm._buffers["running_mean"] = norm.running_mean.clone()
            norm._buffers["running_var"] = norm.running_var.clone()
            norm.momentum = 1.0

    def follow(self, norm: Any, inputs: tuple[Tensor, ...], output: object) -> None:
        """What it left, and its own statistics moved on by that."""
        if not self.watching:
            return
        mean, variance = norm.running_mean, norm.running_var
        self.restore()
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        # As torch does it, past the graphs of other passes, which hold these but do not read them.
        norm.running_mean.data.lerp_(mean, share)
        norm.running_var.data.lerp_(variance, share)
        # Torch keeps the unbiased variance and divides by the biased one.
        size = inputs[0].numel() // inputs[0].shape[1]
        self.statistics[norm] = Statistics(mean, variance * ((size - 1) / size))
        self.mixed = self.output is not None

    def keep(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
        """What the layer gives; downstream gets a clone, so that nothing in place can change it."""
        if not self.watching:
            return None
        self.output, self.mixed = output, False
        return output.clone()

    def end(self, module: nn.Module, inputs: object, logits: Tensor) -> None:
        """The first pass is over: its classes and their maps."""
        if not self.watching:
            return
        self.watching, self.done = False, True
        if self.output is None:
            raise ValueError(f"the model never calls its layer {self.layer!r}")
        if not self.mixed:
            maps = self.score.mapped(logits, self.output, self.layer, self.x, again=True)
            self.first = Look(logits.detach().argmax(1), unit(maps.detach()), self.x.detach())

    def restore(self) -> None:
        """Normalisations write to their own statistics again."""
        for norm, (mean, variance, momentum) in self.own.items():
            norm._buffers["running_mean"], norm._buffers["running_var"], norm.momentum = mean, variance, momentum
        self.own = {}

    def judge(self) -> Tensor:
        """The score of each image, ``[B]``; to be called after the backward pass and before the step.

        Raises:
            ValueError: if the objective did not run the model on the images of the batch, or not up to its loss.
        """
        if not self.done or self.x.grad is None:
            raise ValueError("online=True needs an objective that runs the model on the batch's own images")
        x = self.x.detach()
        with held(self.statistics), untrainable(self.model):
            first = (self.first or self.look(x))._replace(gradient=self.x.grad)
            value = self.score.valued(first, self.look(self.score.moved(x, first)), x)
        return torch.where(right(first.predicted, self.y), value, 1.0) if self.score.only_correct else value

    def look(self, x: Tensor) -> Look:
        """Images seen with the dropout of the first pass."""
        with replayed(self.random, x):
            return self.score.look(self.model, x)


def normalisations(model: nn.Module) -> list[_BatchNorm]:
    """Batch normalisations that normalise by the batch and follow it."""
    norms = (module for module in model.modules() if isinstance(module, _BatchNorm))
    return [norm for norm in norms if norm.training and norm.track_running_stats]


@contextmanager
def held(statistics: dict[_BatchNorm, Statistics]) -> Iterator[None]:
    """Normalisations that use these statistics and change none."""
    own = {norm: (norm.running_mean, norm.running_var) for norm in statistics}
    try:
        for norm, given in statistics.items():
            norm._buffers["running_mean"], norm._buffers["running_var"] = given
            norm.training = False
        yield
    finally:
        for norm, (mean, variance) in own.items():
            norm._buffers["running_mean"], norm._buffers["running_var"] = mean, variance
            norm.training = True


def random_state(x: Tensor) -> list[Tensor]:
    """Where torch's generators stand, that of the images' device last."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(x.device)] if x.is_cuda else [])]


@contextmanager
def replayed(state: list[Tensor], x: Tensor) -> Iterator[None]:
    """Torch's generators where they stood before, and afterwards where they stand now."""
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        torch.set_rng_state(state[0])
        if x.is_cuda:
            torch.cuda.set_rng_state(state[1], x.device)
        yield


def weighted_steps(
    weighting: Reweighting | None, kept: MutableMapping[str, Tensor], model: nn.Module, samples: Samples, gathers: bool
) -> Callable[[Batch], AbstractContextManager[tuple[Batch, Callable[[], None]]]]:
    """What goes around each step of an epoch: it gives the batch its weights, and what to call after backward.

    Where the epoch ``gathers`` scores, that call takes them.
    """
    if weighting is None:
        return unweighted
    if not gathers:
        return partial(weighted, kept[WEIGHTS])
    score = weighting.score.settled(model, samples[[0]].x.to(device_of(model)))  # type: ignore[attr-defined]
    return partial(watched, model, score, kept[WEIGHTS], kept[SCORES])


@contextmanager
def unweighted(batch: Batch) -> Iterator[tuple[Batch, Callable[[], None]]]:
    """The batch as it is."""
    yield batch, lambda: None


@contextmanager
def weighted(weights: Tensor, batch: Batch) -> Iterator[tuple[Batch, Callable[[], None]]]:
    """The batch with its samples' weights."""
    yield with_weights(batch, weights), lambda: None


@contextmanager
def watched(
    model: nn.Module, score: Inconsistency, weights: Tensor, scores: Tensor, batch: Batch
) -> Iterator[tuple[Batch, Callable[[], None]]]:
    """The same, and after backward the samples' scores."""
    batch = with_weights(batch, weights)
    with Watch(model, score, batch.x, batch.y) as watch:

        def judge() -> None:
            scores[batch.index] = watch.judge().to(scores.dtype)

        yield batch._replace(x=watch.x), judge


def with_weights(batch: Batch, weights: Tensor) -> Batch:
    """A batch whose samples weigh more or less, by their positions."""
    if batch.index is None:
        raise ValueError("samples can be weighed only where batches have an index, their positions in the data set")
    own = weights[batch.index]
    return batch._replace(weight=own if batch.weight is None else own * batch.weight)
