"""What an attack did on both levels of a hierarchical model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ..attacks.levels import FineChanges, criterion_of, met
from ..explainers import LRP
from ..explainers.superpixels import chunks
from ..hierarchy import Hierarchical, Hierarchy, route
from ..modes import device_of, frozen
from ..shifts import RelevanceShift, relevance_shifts
from ..titles import attack_title
from ..types import Criterion
from . import words

if TYPE_CHECKING:
    from .attacked import Attacked

DRAWN = 16  # images whose relevance is shown
ALONE = "the class of every image is alone in its superclass"


class TwoLevels(NamedTuple):
    """Everything on the CPU and in the order of the images."""

    hierarchy: Hierarchy
    criterion: Criterion  # the attack's, or else that the superclass changes
    own: Tensor  # [N] the superclass of the class that the attack was against
    before: Tensor  # [N] the superclass before
    after: Tensor  # [N] the superclass after
    right: Tensor  # [N] bool, whether the level was right before
    met: Tensor  # [N] bool, whether the criterion is met after
    shifts: dict[int, RelevanceShift]  # of some images, by their position
    unexplained: str  # why of none

    @property
    def fine(self) -> bool:
        """Whether the criterion is about the fine level."""
        return isinstance(self.criterion, FineChanges)


def two_levels(model: nn.Module, found: Attacked, against: Tensor, batch_size: int) -> TwoLevels | None:
    """Both levels before and after, and the relevance of some images, broken ones first; None for other models."""
    if not isinstance(model, Hierarchical):
        return None
    hierarchy, criterion = model.hierarchy, criterion_of(found.attack)
    own = hierarchy.parents[against]
    (before, fine), (after, _) = (routed(model, seen, batch_size) for seen in (found.x, found.x_adv))
    right = fine == against if isinstance(criterion, FineChanges) else before == own
    aim = reached(model, criterion, found.x_adv, against, batch_size)
    return explained(TwoLevels(hierarchy, criterion, own, before, after, right, aim, {}, ""), model, found, against)


def routed(model: Hierarchical, x: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Superclass and class of each image, ``[N]``."""
    network: Any = model
    with frozen(network):
        found = [route(model, x[part].to(device_of(network))) for part in chunks(len(x), batch_size)]
    return torch.cat([labels.coarse for labels in found]).cpu(), torch.cat([labels.fine for labels in found]).cpu()


def reached(model: nn.Module, criterion: Criterion, x: Tensor, against: Tensor, batch_size: int) -> Tensor:
    """Where the criterion is met, ``[N]`` bool."""
    where = device_of(model)
    with frozen(model):
        found = [met(criterion, model, x[p].to(where), against[p].to(where)) for p in chunks(len(x), batch_size)]
    return torch.cat(found).cpu()


def explained(levels: TwoLevels, model: nn.Module, found: Attacked, against: Tensor) -> TwoLevels:
    """With the relevance of some images, or why there is none."""
    chosen = found.order[rivalled(levels)[found.order]][:DRAWN]
    if not len(chosen):
        return levels._replace(unexplained=ALONE)
    attacked = {attack_title(found.attack): found.x_adv[chosen]}
    titles = [found.titles[i] for i in chosen.tolist()]
    try:
        shifts = relevance_shifts(
            model, found.x[chosen], against[chosen], attacked, levels.criterion, LRP(), titles=titles
        )
    except ValueError as error:
        return levels._replace(unexplained=str(error))
    return levels._replace(shifts=dict(zip(chosen.tolist(), shifts, strict=True)))


def rivalled(found: TwoLevels) -> Tensor:
    """Where there is another class at the level that an attack could lead to, ``[N]`` bool."""
    sizes = torch.tensor([len(group) for group in found.hierarchy.groups])
    return (sizes[found.own] > 1) | (not found.fine)


def summary(found: TwoLevels) -> list[tuple[str, str]]:
    """What came of it at the level, as names and values."""
    right, changed = int(found.right.sum()), int((found.right & found.met).sum())
    share = words.percent(changed / right if right else None)
    of = f"{right} of {len(found.own)}"
    if found.fine:
        return [("class right before, on the fine level", of),
                ("of these led to another class of the same superclass", f"{changed} ({share})")]  # fmt: skip
    return [("superclass right before", of), ("of these led to another superclass", f"{changed} ({share})")]


def path(found: TwoLevels, superclass: int, name: str) -> str:
    """A class behind its superclass."""
    return f"{found.hierarchy.coarse[superclass]} › {name}"


def status(found: TwoLevels, i: int) -> str:
    """Whether the criterion is met where the level was right before; of a wrong class the page says so anyway."""
    if not found.right[i]:
        return "" if found.fine else "superclass wrong already"
    if found.fine:
        return "another class of the superclass" if found.met[i] else "no other class of the superclass"
    return "superclass changed" if found.met[i] else "superclass kept"
