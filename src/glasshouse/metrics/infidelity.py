"""Whether the attribution, as a linear model, foretells what a perturbation does to the model's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..draws import draws
from ..explainers import ConstantFill
from ..spec import require
from ..types import Batch, Fill
from .localisation import maps_of
from .removal import Answers, answers, behind, clean, lots, require_score
from .subsets import in_places
from .verdicts import Verdicts

KINDS = ("square", "noise")
PRODUCTS = ("change", "removed")
PLASTIC = 1.32471795724474602596  # root of t^3 = t + 1; its powers spread points over a square most evenly


def corners(verdicts: Verdicts, count: int, window: int) -> Tensor:
    """Upper left corners of ``count`` windows in each image, ``[B, count, 2]``, each place as likely as any other.

    The points of Roberts' R2 sequence, moved by a random vector for each image: they leave no larger gaps than they
    must, so that fewer of them tell as much as random ones.
    """
    x = verdicts.batch.x

    def find() -> Tensor:
        steps = torch.tensor([1 / PLASTIC, 1 / PLASTIC**2], device=x.device, dtype=torch.float64)
        points = torch.arange(count, device=x.device)[:, None] * steps
        room = torch.tensor([side - window + 1 for side in x.shape[2:]], device=x.device)
        return ((points + draws(x).uniform(1, 2)).remainder(1) * room).long()

    return verdicts.once((corners, count, window), find)


def sides_of(place: Tensor, window: int, length: int) -> Tensor:
    """Windows along one side from where they start, ``[...]`` -> ``[..., length]`` bool."""
    along = torch.arange(length, device=place.device)
    return (along >= place[..., None]) & (along < place[..., None] + window)


def window_of(window: int, x: Tensor) -> int:
    """A window's side in pixels, an eighth of the shorter side where it is 0; ValueError if it does not fit."""
    shorter = min(x.shape[2:])
    if window > shorter:
        raise ValueError(f"Infidelity: a window of {window} pixels does not fit into {x.shape[2]} x {x.shape[3]}")
    return window or max(1, shorter // 8)


def sides(verdicts: Verdicts, count: int, window: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the squares, ``[B, count, H]`` and ``[B, count, W]`` bool."""
    x = verdicts.batch.x
    size = window_of(window, x)
    place = corners(verdicts, count, size)
    return sides_of(place[..., 0], size, x.shape[2]), sides_of(place[..., 1], size, x.shape[3])


def squares_of(verdicts: Verdicts, count: int, window: int = 0) -> Tensor:
    """The squares that :class:`Infidelity` removes from each image, ``[B, count, H, W]`` bool."""
    rows, columns = sides(verdicts, count, window)
    return rows[..., None] & columns[..., None, :]


def without_squares(verdicts: Verdicts, count: int, window: int, fill: Fill) -> Answers:
    """What the model says without each square, ``[B, count]``; no explainer has a part in it."""

    def find() -> Answers:
        x, filled = verdicts.batch.x, behind(verdicts, fill)
        rows, columns = (side.transpose(0, 1) for side in sides(verdicts, count, window))

        def altered(images: slice, group: slice) -> Tensor:
            gone = rows[group, images, None, :, None] & columns[group, images, None, None, :]
            return torch.where(gone, filled[images], x[images])

        return answers(verdicts, count, altered)

    return verdicts.once((without_squares, count, window, fill), find)


def square_products(verdicts: Verdicts, weights: Tensor, count: int, window: int) -> Tensor:
    """Sum of weights ``[B, H, W]`` over each square, ``[B, count]`` float64."""
    rows, columns = (side.double() for side in sides(verdicts, count, window))
    return ((rows @ weights.double()) * columns).sum(2)


def noises(verdicts: Verdicts, count: int) -> Tensor:
    """Standard normal noise, ``[count, C, H*W]``; each image looks its own pixels' places up in :func:`lots`."""
    x = verdicts.batch.x
    return verdicts.once((noises, count), lambda: torch.randn(count, x.shape[1], x[0, 0].numel()).to(x))


def noises_of(verdicts: Verdicts, count: int, sigma: float) -> Tensor:
    """The noise that :class:`Infidelity` subtracts from each image, ``[B, count, C, H, W]``."""
    x = verdicts.batch.x
    return noised(verdicts, slice(0, len(x)), slice(0, count), count, sigma).transpose(0, 1)


def noised(verdicts: Verdicts, images: slice, group: slice, count: int, sigma: float) -> Tensor:
    """Some of it, ``[n, b, C, H, W]``."""
    few = verdicts.batch.x[images]
    drawn = sigma * noises(verdicts, count)[group][:, :, lots(verdicts)[images]]
    return drawn.transpose(1, 2).view(-1, *few.shape)


def under_noise(verdicts: Verdicts, count: int, sigma: float) -> Answers:
    """What the model says under each noise, ``[B, count]``; no explainer has a part in it."""

    def altered(images: slice, group: slice) -> Tensor:
        return verdicts.batch.x[images] - noised(verdicts, images, group, count, sigma)

    return verdicts.once((under_noise, count, sigma), lambda: answers(verdicts, count, altered))


def unexplained(product: Tensor, lost: Tensor, scaled: bool, relative: bool) -> Tensor:
    """Mean square of what products ``[B, N]`` leave of losses ``[B, N]``, ``[B]`` float64."""
    if scaled:
        size = product.abs().amax(1, keepdim=True)
        product = torch.where(size > 0, product / size, product)  # squares of what is tiny would be 0
        best = (product * lost).sum(1, keepdim=True) / product.square().sum(1, keepdim=True)
        product = torch.where(size > 0, best * product, 0)
    left = (product - lost).square().mean(1)
    return left / lost.square().mean(1) if relative else left


@dataclass(frozen=True)
class Infidelity:
    """Mean of (u . a - (f(x) - f(x - u)))^2 over perturbations u, a the attribution; lower is better.
    Yeh et al., NeurIPS 2019, https://arxiv.org/abs/1901.09392

    ``kind`` "square" replaces a square of ``window`` pixels a side (0: an eighth of the shorter side) by ``fill``;
    "noise" subtracts normal noise of standard deviation ``sigma``. ``samples`` of them, the same ones for all
    explainers, whose passes are shared. The squares are spread evenly, which reaches the standard error of random ones
    with fewer of them.

    A map has one value a pixel: u . a is the sum of a times u over all pixels and channels, as for a sensitivity
    (``product="change"``). A map of contributions, such as gradient x input or LRP, has the change in it already:
    ``product="removed"`` sums it over the square.

    ``scaled`` multiplies each map by what fits best, as the paper does to compare explainers. ``relative`` divides by
    the mean of (f(x) - f(x - u))^2: 1 is a map of zeros, 0 a perfect one. With both, models compare, too; without
    ``relative`` a model that reacts less has the lower value for any map, and adversarial training makes models so.

    Shape: ``[B]``, at least 0, with both switches in [0, 1]; NaN with ``relative`` where the model does not react.
    Cost: ``samples`` forward passes for all explainers together.
    Differs from the paper: ``relative``; f is the probability unless ``score`` is "logit".
    Raises:
        ValueError: if the batch has no attribution, or the window does not fit.
    """

    samples: int = 64
    kind: str = "square"
    window: int = 0
    sigma: float = 0.1
    fill: Fill = ConstantFill(0.0)
    product: str = "change"
    scaled: bool = True
    relative: bool = True
    score: str = "probability"
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.samples >= 1, "samples is at least 1")
        require(self, self.kind in KINDS, f"kind is one of {', '.join(KINDS)}")
        require(self, self.window >= 0, "window is 0 (by image size) or more")
        require(self, self.sigma > 0, "sigma is above 0")
        require(self, self.product in PRODUCTS, f"product is one of {', '.join(PRODUCTS)}")
        require(self, (self.kind, self.product) != ("noise", "removed"), "product is change where the kind is noise")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        maps = maps_of(self, verdicts.batch)
        if self.kind == "noise":
            told = under_noise(verdicts, self.samples, self.sigma)
            drawn = self.sigma * noises(verdicts, self.samples).sum(1).double()
            product = in_places(maps.flatten(1), lots(verdicts)) @ drawn.T
        else:
            told = without_squares(verdicts, self.samples, self.window, self.fill)
            change = (verdicts.batch.x - behind(verdicts, self.fill)).sum(1)
            weights = maps.double() * change if self.product == "change" else maps
            product = square_products(verdicts, weights, self.samples, self.window)
        lost = (clean(verdicts).scores(self.score) - told.scores(self.score)).double()
        return unexplained(product, lost, self.scaled, self.relative).float()
