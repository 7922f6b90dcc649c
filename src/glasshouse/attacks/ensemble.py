"""Several attacks of different kinds, one after another: what one cannot break another may."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..labels import one_class
from ..modes import frozen
from ..spec import require
from ..types import Attack, Ball
from .apgd import APGD
from .balls import L2, Linf
from .fab import FAB
from .losses import DLR, Margin
from .pgd import per_image
from .square import Square
from .standing import standing


@dataclass(frozen=True)
class StandardEnsemble:
    """AutoAttack, its standard version. Croce & Hein, ICML 2020, https://arxiv.org/abs/2003.01690

    Auto-PGD on the cross-entropy and on the targeted DLR loss, targeted FAB and Square, each on the images that the
    ones before could not break; ``attacks`` names them. ``budget`` scales all steps and queries, to try things out:
    numbers to be compared with others need 1.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached: the point
        that broke the image, or else the one where it came nearest to that. An image that is wrong already is given
        back as it is.
    Cost: for each image that withstands everything about 1010 forward and backward passes for Auto-PGD, 1800 forward
        and 900 backward passes for FAB, and 5000 forward passes for Square.
    Differs from the paper: with fewer than 10 classes there are as many targets as other classes, and with 2 or 3 the
        targeted loss is the margin alone, since a targeted DLR loss would be constant.
    Raises:
        ValueError: if the ball is neither Linf nor L2, the model has less than 2 classes, or labels name several
            classes an image.
    """

    ball: Ball = Linf()
    budget: float = 1.0

    def __post_init__(self) -> None:
        limited = isinstance(self.ball, Linf | L2) and self.ball.eps < math.inf
        require(self, limited, "ball is Linf or L2 with a finite eps")
        require(self, self.budget > 0, "budget is above 0")

    def attacks(self, classes: int = 10) -> tuple[Attack, ...]:
        """The members, in order, for a model of so many classes."""
        if classes < 2:
            raise ValueError(f"{self!r} needs a model with 2 classes or more, not {classes}")
        steps, others = max(1, round(100 * self.budget)), min(9, classes - 1)
        loss = DLR() if classes > 3 else Margin()
        return (
            APGD(self.ball, steps),
            APGD(self.ball, steps, loss=loss, targets=others),
            FAB(self.ball, steps, classes=others),
            Square(self.ball, max(1, round(5000 * self.budget))),
        )

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return self.verdicts(model, x, y)[0]

    def verdicts(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``x_adv``, and by whom each image was broken, ``[B]`` int64.

        -1: it still stands; 0: it was wrong already; 1 and up: the member of ``attacks``, counted from 1.
        """
        with frozen(model), torch.no_grad():
            images = standing(model, x, one_class(y, self))
            logits = model(images.x)
            found, nearest = images.x.clone(), Margin()(logits, y)
            by = images.reached(logits).long() - 1
            images = images.of(by < 0)
            for member, attack in enumerate(self.attacks(logits.shape[1]), 1):
                if not len(images.x):
                    break
                x_adv = attack(images.model, images.x, images.y)
                logits, place = images.model(x_adv), images.place
                margin, broken = Margin()(logits, images.y), images.reached(logits)
                nearer = broken | (margin > nearest[place])
                found[place] = torch.where(per_image(nearer, x_adv), x_adv, found[place])
                nearest[place] = torch.where(nearer, margin, nearest[place])
                by[place[broken]] = member
                images = images.of(~broken)
            return found, by
