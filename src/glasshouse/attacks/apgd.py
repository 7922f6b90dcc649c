"""Projected gradient ascent that sets its own step size, image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..labels import one_class, right
from ..modes import frozen
from ..spec import require
from ..types import AttackLoss, Ball
from .balls import Linf
from .losses import CE, Ranked
from .pgd import per_image
from .standing import Standing, due, standing, uphill

FRESH = 0.75  # share of a move that is the new step; the rest repeats the move before


class Climb(NamedTuple):
    """Where the ascent of each image is, and what it has seen."""

    x_adv: Tensor  # [B, C, H, W]
    before: Tensor  # [B, C, H, W], the point before x_adv
    gradient: Tensor  # [B, C, H, W] at x_adv
    loss: Tensor  # [B] at x_adv
    top: Tensor  # [B, C, H, W], the point of highest loss so far
    top_gradient: Tensor  # [B, C, H, W]
    top_loss: Tensor  # [B]
    checked: Tensor  # [B] top_loss at the last checkpoint
    halved: Tensor  # [B] bool, whether the step was halved there
    rises: Tensor  # [B] int64, steps since then that raised the loss
    step_size: Tensor  # [B]
    broken: Tensor  # [B] bool

    def of(self, chosen: Tensor) -> Climb:
        """That of the images at ``chosen``, bool ``[B]``."""
        return Climb(*(t[chosen] for t in self))


@dataclass(frozen=True)
class APGD:
    """Auto-PGD. Croce & Hein, ICML 2020, https://arxiv.org/abs/2003.01690

    The step starts at twice eps. At checkpoints, ever closer together, it is halved where fewer than a share ``rho``
    of the steps raised the loss, or where the best loss did not rise though the step had not been halved the last
    time; that image then goes on from its best point. With ``targets`` there is one ascent towards each of so many
    most probable other classes (all there are, if fewer). Success is any other class than the true one, and an image
    is left alone at its first such point; the verdicts are those of a loop which goes on with all and remembers.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached: the point
        that broke the image, or else that of highest loss. An image that is wrong already is given back as it is.
    Cost: for each restart and target, ``steps`` + 1 forward and backward passes of those that still stand; one
        forward pass more.
    Differs from the paper's code: checkpoints and halving are those of the paper's text, which that code rounds
        otherwise if ``steps`` is not 100.
    Raises:
        ValueError: if there are ``targets``, and labels name several classes an image.
    """

    ball: Ball = Linf()
    steps: int = 100
    restarts: int = 1
    loss: AttackLoss = CE()
    targets: int = 0
    rho: float = 0.75

    def __post_init__(self) -> None:
        require(self, self.ball.eps < math.inf, "ball has a finite eps")
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.restarts >= 1, "restarts is at least 1")
        require(self, self.targets >= 0, "targets is 0 (none) or more")
        require(self, 0 <= self.rho <= 1, "rho is from 0 to 1")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = standing(model, x, y)
            with torch.no_grad():
                logits = model(images.x)
            found, height = images.x.clone(), torch.full_like(logits[:, 0], -torch.inf)
            images = images.of(~images.reached(logits))
            for target in self.aims(logits, y):
                aimed = target if target is None else target[images.place]
                for _ in range(self.restarts):
                    images = self.climbed(images._replace(target=aimed), found, height)
                    aimed = images.target
            return found

    def aims(self, logits: Tensor, y: Tensor) -> list[Tensor | None]:
        """What the ascents are for, one after another: None, or the targets ``[B]``."""
        if not self.targets:
            return [None]
        y = one_class(y, self)
        return [Ranked(rank)(logits, y) for rank in range(1, min(self.targets, logits.shape[1] - 1) + 1)]

    def climbed(self, images: Standing, found: Tensor, height: Tensor) -> Standing:
        """One ascent; those that still stand afterwards.

        At its place in the caller's batch each leaves the point that broke it in ``found``, or else its best point,
        if the loss there is above ``height``.
        """
        if not len(images.x):
            return images
        climb, last, marks = self.begun(images), 0, checkpoints(self.steps)
        for step in range(1, self.steps + 1):
            if due(step - 1, images.x):
                images, climb = parted(images, climb, found)
            if not len(images.x):
                return images
            climb = self.seen(images, climb, self.moved(images.x, climb, FRESH if step > 1 else 1.0))
            if step in marks:
                climb, last = checked(climb, self.rho * (step - last)), step
        images, climb = parted(images, climb, found)
        higher = climb.top_loss > height[images.place]
        found[images.place] = torch.where(per_image(higher, climb.top), climb.top, found[images.place])
        height[images.place] = torch.where(higher, climb.top_loss, height[images.place])
        return images

    def begun(self, images: Standing) -> Climb:
        """At a random point on the surface of the ball."""
        delta = self.ball.sample(images.x, images.draws)
        tiny = torch.finfo(delta.dtype).tiny
        delta = delta * per_image(self.ball.eps / self.ball.norm(delta).clamp_min(tiny), delta)
        x_adv = inside(self.ball, images.x, images.x + delta)
        logits, loss, gradient = self.slope(images, x_adv)
        none, rises = torch.zeros_like(loss, dtype=torch.bool), torch.zeros_like(images.place)
        broken, step_size = ~right(logits.argmax(1), images.y), x_adv.new_full(loss.shape, 2 * self.ball.eps)
        return Climb(x_adv, x_adv, gradient, loss, x_adv, gradient, loss, loss, none, rises, step_size, broken)

    def moved(self, x: Tensor, climb: Climb, fresh: float) -> Tensor:
        """The next point of those that still stand."""
        step = per_image(climb.step_size, x) * self.ball.ascent(climb.gradient)
        aim = inside(self.ball, x, climb.x_adv + step)
        move = fresh * (aim - climb.x_adv) + (1 - fresh) * (climb.x_adv - climb.before)
        return torch.where(per_image(climb.broken, x), climb.x_adv, inside(self.ball, x, climb.x_adv + move))

    def seen(self, images: Standing, climb: Climb, x_adv: Tensor) -> Climb:
        """The climb gone on to ``x_adv``."""
        logits, loss, gradient = self.slope(images, x_adv)
        higher = loss > climb.top_loss
        above = per_image(higher, x_adv)
        return climb._replace(
            x_adv=x_adv,
            before=climb.x_adv,
            gradient=gradient,
            loss=loss,
            top=torch.where(above, x_adv, climb.top),
            top_gradient=torch.where(above, gradient, climb.top_gradient),
            top_loss=torch.where(higher, loss, climb.top_loss),
            rises=climb.rises + (loss > climb.loss),
            broken=climb.broken | ~right(logits.argmax(1), images.y),
        )

    def slope(self, images: Standing, x_adv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, the loss of each image, and its gradient with respect to the pixels."""
        x_adv = x_adv.detach().requires_grad_()
        logits = images.model(x_adv)
        loss = self.loss(logits, images.y, images.target)
        gradient = uphill(loss, x_adv)
        return logits.detach(), loss.detach(), gradient.nan_to_num(0.0)  # no direction rather than a lost image


def checkpoints(steps: int) -> frozenset[int]:
    """After which steps the step size is reconsidered: 22, 41, 57, 70, 80, 87, 93, 99 of 100."""
    shares, stretch = [22], 22
    while shares[-1] + (stretch := max(stretch - 3, 6)) <= 100:
        shares.append(shares[-1] + stretch)
    return frozenset(-(-share * steps // 100) for share in shares)  # rounded up, in whole numbers


def checked(climb: Climb, enough: float) -> Climb:
    """Steps halved where fewer than ``enough`` rose or the best loss stayed; those go on from their best points."""
    halved = (climb.rises < enough) | (~climb.halved & (climb.top_loss <= climb.checked))
    back = halved & ~climb.broken
    again = per_image(back, climb.x_adv)
    return climb._replace(
        x_adv=torch.where(again, climb.top, climb.x_adv),
        gradient=torch.where(again, climb.top_gradient, climb.gradient),
        loss=torch.where(back, climb.top_loss, climb.loss),
        checked=climb.top_loss,
        halved=halved,
        rises=torch.zeros_like(climb.rises),
        step_size=torch.where(halved, climb.step_size / 2, climb.step_size),
    )


def parted(images: Standing, climb: Climb, found: Tensor) -> tuple[Standing, Climb]:
    """Those that still stand; the others leave what broke them in ``found``."""
    if not climb.broken.any():
        return images, climb
    found[images.place[climb.broken]] = climb.x_adv[climb.broken]
    return images.of(~climb.broken), climb.of(~climb.broken)


def inside(ball: Ball, x: Tensor, x_adv: Tensor) -> Tensor:
    """Back in the ball around ``x`` and in the pixel range."""
    return (x + ball.project(x_adv - x)).clamp(0, 1)
