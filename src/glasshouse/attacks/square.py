"""Square Attack: a random search that needs no gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import frozen
from ..spec import require
from ..types import Ball
from .balls import L2, Linf
from .losses import Margin
from .pgd import per_image
from .standing import Standing, due, standing
from .windows import painted, shifted, striped, tiled

FALLS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: after each, the share is halved


@dataclass(frozen=True)
class Square:
    """Random search over square windows. Andriushchenko et al., ECCV 2020, https://arxiv.org/abs/1912.00049

    It starts at vertical stripes (Linf) or a grid of bumps (L2). Each query then paints one square window of each
    image anew, a window of its own at a place of its own, and keeps that if the margin falls or the image is broken.
    The windows begin at ``share`` of the image and shrink as the paper says, rescaled to the number of ``queries``.
    Without gradients it sees through their masking: where it breaks more than PGD does, PGD is not to be believed.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached. An image that
    is wrong already comes back as it is; one that stays unbroken comes back with the lowest margin found.
    Cost: at most ``queries`` forward passes for each of ``restarts``, over the images that still stand, and one more.
    Differs from the paper: windows reach the last row and column, too; in Linf a window that would change nothing
    has one channel turned over (the authors draw again).
    """

    ball: Ball = Linf()
    queries: int = 5000
    share: float = 0.8
    restarts: int = 1

    def __post_init__(self) -> None:
        limited = isinstance(self.ball, Linf | L2) and math.isfinite(self.ball.eps)
        require(self, limited, "ball is Linf or L2 with a finite eps")
        require(self, self.queries >= 1, "queries is at least 1")
        require(self, 0 < self.share <= 1, "share is above 0 and at most 1")
        require(self, self.restarts >= 1, "restarts is at least 1")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.no_grad():
            images = standing(model, x, y)
            found, highest = images.x.clone(), torch.full_like(images.x[:, 0, 0, 0], -torch.inf)
            images = images.of(~images.reached(images.model(images.x)))
            for _ in range(self.restarts):
                if len(images.x):
                    images = self.searched(images, found, highest)
            return found

    def searched(self, images: Standing, found: Tensor, highest: Tensor) -> Standing:
        """One search; who is still standing. The best points, and their margins, go to each image's place."""
        x_adv, margin = images.x, torch.full_like(images.x[:, 0, 0, 0], -torch.inf)
        broken = torch.zeros_like(margin, dtype=torch.bool)
        for query in range(self.queries):
            tried = self.proposed(images, x_adv, query)
            logits = images.model(tried)
            reached, reward = images.reached(logits), Margin()(logits, images.y)
            better = (reached | (reward > margin)) & ~broken
            x_adv, margin = torch.where(per_image(better, x_adv), tried, x_adv), torch.where(better, reward, margin)
            broken = broken | reached
            if query + 1 == self.queries or (due(query, x_adv) and broken.any()):
                kept = broken | (margin > highest[images.place])
                found[images.place[kept]], highest[images.place[kept]] = x_adv[kept], margin[kept]
                images, x_adv, margin, broken = images.of(~broken), x_adv[~broken], margin[~broken], broken[~broken]
            if not len(x_adv):
                break
        return images

    def proposed(self, images: Standing, x_adv: Tensor, query: int) -> Tensor:
        """What to ask the model next."""
        x, eps, draws = images.x, self.ball.eps, images.draws
        flat = isinstance(self.ball, Linf)
        if query == 0:
            return striped(x, eps, draws) if flat else tiled(x, eps, draws)
        share = share_at(query - 1, self.queries, self.share)  # the start is none of the windows
        return painted(x, x_adv, eps, share, draws) if flat else shifted(x, x_adv, eps, share, draws)


def share_at(query: int, queries: int, share: float) -> float:
    """The share of the image that a window covers, after so many of all queries."""
    now = query * 10_000 // queries
    return share / 2 ** sum(now > fall for fall in FALLS)
