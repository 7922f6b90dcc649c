"""What is known of a batch of images, so that nothing is found out twice: who is right, and who broke under what."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..attacks import L2, Linf
from ..attacks.regions import attacked, searched
from ..draws import seeded_globally
from ..labels import right
from ..types import Attack, Batch, Explainer

T = TypeVar("T")


class Verdicts:
    """Verdicts on a batch under any attacks.

    An attack goes on only with images that are still right. What the same attack broke with a smaller eps is broken
    with a larger one, too, and by the same perturbation: the smaller ball lies within the larger.

    What metrics of explanations share they find by :meth:`once`. With a ``seed`` it draws the same random numbers
    whichever metric asks first.
    """

    def __init__(self, model: nn.Module, batch: Batch, seed: int | None = None) -> None:
        self.model, self.batch, self.seed = model, batch, seed
        self.explainer: Explainer | None = None  # whose maps are in batch.attribution, where that is known
        self.found: dict[Any, list[tuple[float, Tensor, Tensor]]] = {}  # by family: eps, who stands, x_adv
        self.full: dict[Any, Tensor] = {}
        self.after: dict[Any, Tensor] = {}  # by attack, the class predicted then
        self.known: dict[Hashable, Any] = {}

    @property
    def logits(self) -> Tensor:
        """Of the untouched images, ``[B, classes]``; found when first asked for."""
        return self.once(logits_of, lambda: logits_of(self.model, self.batch.x))

    @property
    def predicted(self) -> Tensor:
        """The most probable class, ``[B]``."""
        return self.logits.argmax(1)

    @property
    def right(self) -> Tensor:
        """Whether that is a label of the image, ``[B]`` bool."""
        return right(self.predicted, self.batch.y)

    def once(self, key: Hashable, find: Callable[[], T]) -> T:
        """What ``find`` finds, at the first call with this key; afterwards the same. The key names all that it
        depends on beside model and images."""
        if key not in self.known:
            if self.seed is None:
                self.known[key] = find()
            else:
                with seeded_globally(self.seed, 0):
                    self.known[key] = find()
        found: T = self.known[key]
        return found

    def by(self, explainer: Explainer) -> Verdicts:
        """The same verdicts, what is found later included, with the explainer's maps as ``batch.attribution``."""
        view = copy(self)
        view.explainer = explainer
        view.batch = self.batch._replace(attribution=self.explained(explainer))
        return view

    def standing(self, attack: Attack) -> Tensor:
        """Who is right still, ``[B]`` bool."""
        return self.under(attack)[0]

    def under(self, attack: Attack) -> tuple[Tensor, Tensor]:
        """Who is right still, and the images of which that is said, ``[B, C, H, W]``."""
        family, eps = family_of(attack)
        known = self.found.setdefault(family, [])
        weaker = max((k for k in known if k[0] <= eps), key=lambda k: k[0], default=None)
        if weaker is None:
            weaker = (0.0, self.right, self.batch.x)
        elif weaker[0] == eps:
            return weaker[1:]
        stands, x_adv = weaker[1].clone(), weaker[2].clone()
        if stands.any():
            left = at(self.batch, stands)
            moved = searched(attack, self.model, left)
            where = stands.clone()
            x_adv[where] = moved
            stands[where] = correct(self.model, moved, left.y)
        known.append((eps, stands, x_adv))
        return stands, x_adv

    def attacked(self, attack: Attack) -> Tensor:
        """``x_adv`` of every image, with the attack's whole budget, ``[B, C, H, W]``."""
        if attack not in self.full:
            self.full[attack] = attacked(attack, self.model, self.batch)
        return self.full[attack]

    def turned(self, attack: Attack) -> Tensor:
        """The class predicted for what :meth:`attacked` gives, ``[B]``."""
        if attack not in self.after:
            self.after[attack] = predicted(self.model, self.attacked(attack))
        return self.after[attack]

    def explained(self, explainer: Explainer, attack: Attack | None = None, target: Attack | None = None) -> Tensor:
        """Attribution of the images, or of what an attack makes of them, ``[B, H, W]`` detached.

        It is for the class predicted of the untouched images or, with an attack as ``target``, of those attacked so.
        """

        def find() -> Tensor:
            x = self.batch.x if attack is None else self.attacked(attack)
            classes = self.predicted if target is None else self.turned(target)
            return explainer(self.model, x, classes).detach()

        return self.once((Verdicts.explained, explainer, attack, target), find)


def at(batch: Batch, chosen: Tensor) -> Batch:
    """The chosen samples of a batch."""
    return Batch(*(None if t is None else t[chosen] for t in batch))  # type: ignore[arg-type]


@torch.no_grad()
def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """``[B, classes]``."""
    logits: Tensor = model(x)
    return logits


def predicted(model: nn.Module, x: Tensor) -> Tensor:
    """The most probable class, ``[B]``."""
    return logits_of(model, x).argmax(1)


def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Whether that is right, ``[B]`` bool."""
    return right(predicted(model, x), y)


def family_of(attack: Attack) -> tuple[Any, float]:
    """An attack but for its eps, and its eps; an attack without a ball of ours is a family of its own."""
    ball = ball_of(attack)
    return (attack, 0.0) if ball is None else (with_eps(attack, 0.0), ball.eps)


def ball_of(component: Any) -> Linf | L2 | None:
    """The ball within a component, or within one that it is made of; None if there is none."""
    if isinstance(component, Linf | L2):
        return component
    if not is_dataclass(component) or isinstance(component, type):
        return None
    parts = (getattr(component, f.name) for f in fields(component))
    return next((ball for ball in map(ball_of, parts) if ball is not None), None)


def with_eps(component: Any, eps: float) -> Any:
    """The same component with every ball in it at ``eps``."""
    if isinstance(component, Linf | L2):
        return replace(component, eps=eps)
    if not is_dataclass(component) or isinstance(component, type):
        return component
    parts = {f.name: getattr(component, f.name) for f in fields(component)}
    changed = {name: with_eps(part, eps) for name, part in parts.items() if ball_of(part) is not None}
    return replace(component, **changed)
