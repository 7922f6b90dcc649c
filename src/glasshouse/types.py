"""The words that the whole library shares: what flows between components, and the shapes of the components.

A component is a frozen dataclass that is called: hyper-parameters in the constructor, model and data in the
call. Its ``repr`` is its configuration (see :mod:`glasshouse.spec`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from .draws import Draws

SPLITS = ("train", "validation", "test")
NOWHERE, VOID = -1, -2


class Batch(NamedTuple):
    """What flows between stages; later stages fill in later fields."""

    x: Tensor  # [B, C, H, W] float32 in [0, 1]
    y: Tensor  # [B] int64; several classes an image: [B, classes] float32; hierarchies: [B, levels] int64
    mask: Tensor | None = None  # [B, H, W] bool, True where the evidence should be
    attribution: Tensor | None = None  # [B, H, W] signed, unnormalised
    weight: Tensor | None = None  # [B] float32, sample weight in the loss
    index: Tensor | None = None  # type: ignore[assignment]  # [B] int64, position in the data set: the key of every per-sample result
    regions: Tensor | None = None  # [B, H, W] int64, the class of each pixel; NOWHERE: of none, VOID: not to be judged

    def to(self, device: str | object) -> Batch:
        """The same batch on another device."""
        return Batch(*(None if t is None else t.to(device) for t in self))  # type: ignore[arg-type]


class Samples(Protocol):
    """One split of a data set. ``samples[[3, 1, 4]]`` is a :class:`Batch` on the CPU."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Sequence[int]) -> Batch: ...


class Data(Protocol):
    """A data set: ``data("train")``, ``data("validation")``, ``data("test")``; the same each time."""

    def __call__(self, split: str) -> Samples: ...


class Architecture(Protocol):
    """A network by name: ``architecture(classes=10)`` takes pixels in [0, 1] and returns logits."""

    def __call__(self, classes: int) -> nn.Module: ...


class Segmenter(Protocol):
    """Superpixels: ``[B, C, H, W]`` in [0, 1] -> ``[B, H, W]`` int64, each image numbered from 0 without gaps."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Fill(Protocol):
    """What stands where a superpixel is switched off: x and its segments -> ``[B, C, H, W]`` in [0, 1]."""

    def __call__(self, x: Tensor, segments: Tensor) -> Tensor: ...


class Explainer(Protocol):
    """Attribution ``[B, H, W]``, signed and unnormalised, of the logit or probability of ``target`` ``[B]``."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor: ...


class ActivationMap(Protocol):
    """An explainer that is a formula of what a layer gives ``[B, K, h, w]`` and of the logit's gradient there."""

    @property
    def layer(self) -> str: ...

    def cam(self, activation: Tensor, gradient: Tensor) -> Tensor: ...


class Background(Protocol):
    """The image with a change where its map in [0, 1] is low; ``by_gradient`` says whether that takes the loss's."""

    @property
    def by_gradient(self) -> bool: ...

    def __call__(self, x: Tensor, maps: Tensor, gradient: Tensor) -> Tensor: ...


class Distance(Protocol):
    """How far two maps ``[B, h, w]`` in [0, 1] of the same images are apart, ``[B]``."""

    def __call__(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor: ...


class Squash(Protocol):
    """A rising function from [0, inf) to [0, 1)."""

    def __call__(self, distance: Tensor) -> Tensor: ...


class Shape(Protocol):
    """How scores of all training samples ``[N]`` become their weights ``[N]``."""

    def __call__(self, scores: Tensor, seed: int) -> Tensor: ...


class Surrogate(NamedTuple):
    """A linear model over the superpixels of each image that stands for the classifier around it."""

    segments: Tensor  # [B, H, W] int64
    beta: Tensor  # [B, S] weight of each superpixel, 0 for those an image does not have
    intercept: Tensor  # [B]
    error: Tensor  # [B, S] standard error of each weight
    evaluations: Tensor  # [B] int64, forward passes that an image cost


class SuperpixelExplainer(Protocol):
    """An explainer that gives each superpixel one weight, and says how sure it is of it."""

    def surrogate(self, model: nn.Module, x: Tensor, target: Tensor) -> Surrogate: ...


class Ball(Protocol):
    """A threat model: where a perturbation may live, how to step in it and how to come back to it."""

    @property
    def eps(self) -> float: ...

    def project(self, delta: Tensor) -> Tensor: ...

    def ascent(self, gradient: Tensor) -> Tensor: ...

    def sample(self, x: Tensor, draws: Draws) -> Tensor: ...

    def norm(self, delta: Tensor) -> Tensor: ...


class AttackLoss(Protocol):
    """What an attack climbs, ``[B]``: the higher, the nearer to its aim."""

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor: ...


class Target(Protocol):
    """The class that a targeted attack wants, ``[B]``, given the logits of the untouched images."""

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor: ...


class Attack(Protocol):
    """``x_adv`` like ``x``: in the ball around ``x``, in [0, 1], detached."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor: ...


class Search(Protocol):
    """An attack with a cheaper way to the verdict: each image is left alone as soon as it is broken."""

    def search(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor: ...


class Criterion(Protocol):
    """What an attack on a hierarchical model wants: a network and labels ``[B]``, which part where that is reached."""

    def __call__(self, model: nn.Module, y: Tensor) -> tuple[nn.Module, Tensor]: ...


class Region(Protocol):
    """Where something may happen: ``[B, H, W]`` bool."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor: ...


class Objective(Protocol):
    """Weighted scalar terms by name; the loss is their sum."""

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]: ...


class Metric(Protocol):
    """One value per sample, ``[B]``; means, intervals and tests come later."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor: ...


class Selection(NamedTuple):
    """Samples that come into the training set next, the most wanted first."""

    index: Tensor  # type: ignore[assignment]  # [n] int64, positions in the data set
    pseudo: Tensor | None = None  # [n] int64, the model's own label; NOWHERE where the true one is asked for

    @property
    def asked(self) -> Tensor:
        """Positions of those that come in with their true label: what is chosen from now on."""
        return self.index if self.pseudo is None else self.index[self.pseudo == NOWHERE]


class Selector(Protocol):
    """``count`` samples, or all that are left, that are not at the ``chosen`` positions ``[n]`` int64 already.

    Those with a pseudo-label do not count: they come on top, and the next time they are judged anew.
    """

    def __call__(self, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection: ...


class Corruption(Protocol):
    """``[B, 3, H, W]`` in [0, 1] -> the same images made worse, each the same whoever shares its batch."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Augmentation(Protocol):
    """A random change of training images that moves masks and attributions along."""

    def __call__(self, batch: Batch) -> Batch: ...


# Told ``progress(label, done, total)`` while something long goes on; the library itself never prints.
Progress = Callable[[str, int, int], None]


def silent(label: str, done: int, total: int) -> None:
    """The progress that shows nothing."""
