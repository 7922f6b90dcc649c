"""How Quantus is called so that it measures what its papers say, on the same attributions and perturbations as ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch, Explainer, Metric

Array = NDArray[Any]
Explain = Callable[..., Array]
# Nothing is scaled and no sign is lost unless a peer says so: by default Quantus divides the maps of most metrics by
# the highest value of the whole batch, so that a value hangs on who shares the batch, and some lose their signs.
PLAIN = {"normalise": False, "abs": False, "disable_warnings": True}


def quantus() -> Any:
    """The package; its types are not ours to check."""
    return import_module("quantus")


class Given:
    """What both sides judge: images, the classes predicted for them, and an explainer's maps."""

    def __init__(self, model: nn.Module, batch: Batch, explainer: Explainer, seed: int = 0) -> None:
        self.model, self.explainer = model, explainer
        self.verdicts = Verdicts(model, batch, seed).by(explainer)
        self.batch = self.verdicts.batch

    def called(self) -> dict[str, Any]:
        """What every metric of Quantus is called with. The arrays are copies: some metrics write into them."""
        assert self.batch.attribution is not None and self.batch.mask is not None
        return {
            "model": self.model,
            "x_batch": self.batch.x.numpy().copy(),
            "y_batch": self.verdicts.predicted.numpy().copy(),
            "a_batch": self.batch.attribution.numpy()[:, None].copy(),
            "s_batch": self.batch.mask.numpy()[:, None].copy(),
        }


def explaining(explainer: Explainer) -> Explain:
    """An explainer as Quantus calls one."""

    def explain(model: nn.Module, inputs: Array, targets: Array, **_: object) -> Array:
        x = torch.from_numpy(np.asarray(inputs, np.float32))
        found = explainer(model, x, torch.from_numpy(np.asarray(targets, np.int64)))
        return found.detach().numpy()[:, None]

    return explain


def own_options(given: Given) -> dict[str, Any]:
    """Quantus draws what it draws."""
    return {}


def same_maps(maps: Array) -> Array:
    return maps


def as_given(scores: Any, given: Given) -> Array:
    return np.asarray(scores, np.float64)


def given_explain(given: Given) -> Explain:
    return explaining(given.explainer)


@dataclass(frozen=True)
class Peer:
    """A metric of ours and the same of Quantus."""

    ours: Metric
    theirs: str
    options: dict[str, Any] = field(default_factory=dict)  # with which its counts are ours
    handed: Callable[[Given], dict[str, Any]] = own_options  # further ones, with which it draws what ours draws
    explain: Callable[[Given], Explain] = given_explain  # with which it explains what ours explains
    maps: Callable[[Array], Array] = same_maps
    read: Callable[[Any, Given], Array] = as_given
    compared: dict[str, Any] = field(default_factory=dict)  # fields of ours with which values are compared
    softmax: bool = False
    subsets: Callable[[Given], Iterator[Array]] | None = None  # what its numpy.random.choice is to choose

    def name(self) -> str:
        return type(self.ours).__name__

    def family(self) -> str:
        ours: Any = self.ours
        return str(ours.family)

    def built(self, **more: Any) -> Any:
        """The metric of Quantus."""
        return getattr(quantus(), self.theirs)(**PLAIN | self.options | more)

    def measured(self, given: Given) -> Tensor:
        """Our values, ``[B]``."""
        metric: Any = self.carried(given)
        return judged(replace(metric, **self.compared), given.verdicts)

    def carried(self, given: Given) -> Metric:
        """Our metric with the explainer that is given."""
        ours: Any = self.ours
        return replace(ours, explainer=given.explainer) if hasattr(ours, "explainer") else ours

    def same(self, given: Given) -> Array:
        """Quantus' values where it draws what ours draws, ``[B]``."""
        called = given.called()
        called["a_batch"] = self.maps(called["a_batch"])
        metric = self.built(**self.handed(given))
        choices = self.subsets(given) if self.subsets else None
        with quietly(), chosen(choices):
            return self.read(metric(**called, explain_func=self.explain(given), softmax=self.softmax), given)

    def alone(self, given: Given) -> Callable[[], object]:
        """Quantus by itself, as its users call it: it draws what it draws."""
        metric, explain = self.built(), explaining(given.explainer)

        def work() -> object:
            with quietly():
                return metric(
                    **given.called(), explain_func=explain, softmax=self.softmax, batch_size=len(given.batch.x)
                )

        return work


def judged(metric: Any, verdicts: Verdicts) -> Tensor:
    """Values of a metric, with what is known of the batch."""
    return metric.given(verdicts) if hasattr(metric, "given") else metric(verdicts.model, verdicts.batch)


@contextmanager
def quietly() -> Iterator[None]:
    """Without what it warns of, and with any number of features in a step: it wants one that divides the pixels of one
    channel, by which whole pixels of three channels cannot go."""
    with warnings.catch_warnings(), patch("quantus.helpers.asserts.assert_features_in_step"):
        warnings.simplefilter("ignore")
        yield


def chosen(subsets: Iterator[Array] | None) -> Any:
    """Within the block, numpy chooses these subsets."""
    if subsets is None:
        return nullcontext()
    return patch("numpy.random.choice", lambda *_, **__: next(subsets))


def in_turn(images: Tensor) -> Callable[..., Array]:
    """A perturbation that gives ``[N, B, ...]`` one after another, whatever it is asked to change."""
    turn = iter(images.flatten(2).numpy())
    return lambda arr, **_: next(turn).copy()


def difference(ours: Tensor, theirs: Array) -> float:
    """The largest difference over the largest value; infinite where one is NaN and the other is not."""
    a, b = ours.double().numpy(), np.asarray(theirs, np.float64).reshape(-1)
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))
