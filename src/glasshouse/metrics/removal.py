"""What a model says of images of which more and more pixels are replaced, in the order of an attribution.

All that asks about the same order, fill and numbers of pixels shares one walk through the model; maps are ranked once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..draws import draws
from ..explainers.superpixels import backdrop, blocks
from ..spec import require
from ..types import Fill, Metric
from .localisation import maps_of
from .verdicts import Verdicts

SCORES = ("probability", "logit")


class Answers(NamedTuple):
    """What the model says of each copy of each image, of the class that it predicts for the image itself."""

    own: Tensor  # [B, N] logit of that class
    total: Tensor  # [B, N] log of the sum of exp of all logits
    highest: Tensor  # [B, N] logit of the class that is predicted for the copy

    def scores(self, score: str) -> Tensor:
        """``[B, N]``, "probability" or "logit"."""
        return (self.own - self.total).exp() if score == "probability" else self.own

    @property
    def kept(self) -> Tensor:
        """Whether the class is predicted still, ``[B, N]`` bool."""
        return self.own >= self.highest

    def at(self, columns: list[int]) -> Answers:
        """Some of the copies."""
        return Answers(*(part[:, columns] for part in self))


def require_score(metric: Metric, score: str) -> None:
    """ValueError unless ``score`` is one that there is."""
    require(metric, score in SCORES, f"score is one of {', '.join(SCORES)}")


def heard(logits: Tensor, predicted: Tensor) -> Answers:
    """What logits ``[n, classes]`` say of classes ``[n]``, ``[n]`` each."""
    return Answers(logits.gather(1, predicted[:, None])[:, 0], logits.logsumexp(1), logits.amax(1))


@torch.no_grad()
def answers(verdicts: Verdicts, copies: int, altered: Callable[[slice, slice], Tensor]) -> Answers:
    """What the model says of ``copies`` of each image, as many at once as suit the device.

    ``altered(images, group)`` makes the copies of a group of some images, ``[n, b, C, H, W]``.
    """
    rows = []
    for images, groups in blocks(verdicts.batch.x, copies, 0):
        found = []
        for group in groups:
            seen = altered(images, group)
            told = heard(verdicts.model(seen.flatten(0, 1)), verdicts.predicted[images].repeat(len(seen)))
            found.append(torch.stack(tuple(told)).view(3, *seen.shape[:2]))
        rows.append(torch.cat(found, 1).transpose(1, 2))
    return Answers(*torch.cat(rows, 1))


def clean(verdicts: Verdicts) -> Answers:
    """What the model says of the images as they are, ``[B, 1]``."""
    return Answers(*(part[:, None] for part in heard(verdicts.logits, verdicts.predicted)))


def behind(verdicts: Verdicts, fill: Fill) -> Tensor:
    """What stands where pixels are replaced, ``[B, C, H, W]``."""
    return verdicts.once((behind, fill), lambda: backdrop(fill, verdicts.batch.x))


def emptied(verdicts: Verdicts, fill: Fill) -> Answers:
    """What the model says where all pixels are replaced, ``[B, 1]``; no explainer has a part in it."""
    filled = behind(verdicts, fill)
    return verdicts.once((emptied, fill), lambda: answers(verdicts, 1, lambda images, _: filled[images][None]))


def lots(verdicts: Verdicts) -> Tensor:
    """All pixels of each image in a drawn order, ``[B, H*W]``."""
    x = verdicts.batch.x
    return verdicts.once(lots, lambda: draws(x).uniform(x[0, 0].numel()).argsort(1))


def ranking(metric: Metric, verdicts: Verdicts) -> Tensor:
    """Place of each pixel by descending attribution, 0 to H*W - 1, ``[B, H*W]`` int32.

    Lots are drawn among equals, so that a flat map gains nothing from where its pixels are.
    """
    maps = maps_of(metric, verdicts.batch).flatten(1)

    def find() -> Tensor:
        drawn = lots(verdicts)
        order = drawn.gather(1, maps.gather(1, drawn).argsort(dim=1, descending=True, stable=True))
        places = torch.arange(order.shape[1], dtype=torch.int32, device=order.device)
        return torch.empty_like(order, dtype=torch.int32).scatter_(1, order, places.expand_as(order))

    return verdicts.once((ranking, verdicts.explainer), find)


def places_of(metric: Metric, verdicts: Verdicts, most_first: bool) -> Tensor:
    """When each pixel goes, ``[B, H, W]``: the most relevant first, or the least relevant."""
    ranks = ranking(metric, verdicts)
    return (ranks if most_first else ranks.shape[1] - 1 - ranks).view_as(verdicts.batch.x[:, 0])


def removed(metric: Metric, verdicts: Verdicts, most_first: bool, fill: Fill, counts: tuple[int, ...]) -> Answers:
    """What the model says with so many pixels replaced, ``[B, len(counts)]``.

    Cost: a pass for each count but 0, which is the image itself, and H*W, which all explainers share.
    """
    pixels = verdicts.batch.x[0, 0].numel()
    some = sorted({count for count in counts if 0 < count < pixels})
    column = {count: i for i, count in enumerate([0, *some, pixels])}

    def find() -> Answers:
        x, filled = verdicts.batch.x, behind(verdicts, fill)
        place = places_of(metric, verdicts, most_first)
        below = torch.tensor(some, dtype=torch.int32, device=x.device).view(-1, 1, 1, 1)

        def altered(images: slice, group: slice) -> Tensor:
            gone = place[images] < below[group]
            return torch.where(gone[:, :, None], filled[images], x[images])

        walk = [clean(verdicts)]
        walk += [answers(verdicts, len(some), altered)] if some else []
        walk += [emptied(verdicts, fill)] if pixels in counts else []
        every = Answers(*(torch.cat(parts, 1) for parts in zip(*walk, strict=True)))
        return every.at([column[count] for count in counts])

    return verdicts.once((removed, verdicts.explainer, most_first, fill, counts), find)


def evenly(pixels: int, steps: int) -> tuple[int, ...]:
    """Numbers of pixels from none to all, ``steps`` + 1 of them."""
    return tuple(i * pixels // steps for i in range(steps + 1))
