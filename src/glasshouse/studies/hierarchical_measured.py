"""What an attack on one level does to images: who is fooled, how much can be seen, and how far it explains itself."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..attacks import CoarseChanges, FineChanges, LogitMargin, RelevanceLoss
from ..attacks.regions import searched
from ..attacks.relevance import Level, sloped
from ..attacks.shifting import ShiftLoss
from ..explainers import LRP, AtCoarse, AtFine, Composite, Epsilon, GradCAM, Logit, OneHot, Probability, ZBeta, ZPlus
from ..hierarchy import Labels, hierarchical, labels_of, route
from ..metrics.perceptibility import distortion
from ..metrics.perturbation import entropy, gini, inside, moved, overlap, perturbation, rank, relevance_shift
from ..metrics.verdicts import at
from ..modes import frozen
from ..shifts import Scene, rival
from ..types import Attack, Batch, Criterion, Explainer

SHARE = 0.05  # of the pixels that count as the highest
PLAIN = LRP(composite=Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus()), start=OneHot())
JUDGE: Explainer = GradCAM()
CRITERIA: dict[str, Criterion] = {"coarse": CoarseChanges(), "fine": FineChanges()}


class Attacked(NamedTuple):
    """Images before and after, on the model's device."""

    batch: Batch
    labels: Labels
    x_adv: Tensor


def measured(model: nn.Module, batch: Batch, attack: Attack, level: str, judge: Explainer = JUDGE) -> dict[str, Tensor]:
    """Values of each image by name, ``[B]``; those of explanations are NaN where nothing changed.

    What is wrong before on the level, or for the fine one on either, is not attacked. The adversarial class is the one
    that the level says in the end, or the runner-up where the attack failed. ``judge`` is an explainer that no attack
    here looks at.
    """
    with frozen(model):
        scene = Scene(model, CRITERIA[level], PLAIN)
        labels = labels_of(batch.y, scene.levels.hierarchy)
        right = right_before(scene, batch.x, labels)
        x_adv = batch.x.clone()
        if right.any():
            x_adv[right] = searched(attack, model, at(batch, right))
        found = Attacked(batch, labels, x_adv)
        said = {"right": right.float(), "fooled": scene.look(x_adv, labels).met.float()}
        return {**said, **seen(found), **explained(model, found, scene, judge), "x_adv": x_adv}


def right_before(scene: Scene, x: Tensor, labels: Labels) -> Tensor:
    """Which images are right on the level, for the fine one on both, ``[B]`` bool."""
    said = route(scene.levels, x)
    right = said.coarse == labels.coarse
    return right & (said.fine == labels.fine) if scene.fine else right


def seen(a: Attacked) -> dict[str, Tensor]:
    """How large and how concentrated the perturbation is, and the share of it on the object where that is known."""
    x, delta = a.batch.x, perturbation(a.batch.x, a.x_adv)
    found = {f"rho_{p:g}": distortion(x, a.x_adv, p) for p in (1, 2, inf)}
    found |= {"gini": gini(delta), "entropy": entropy(delta)}
    if a.batch.mask is not None:
        found |= {"inside": inside(delta, a.batch.mask), "area": a.batch.mask.float().mean((1, 2))}
    return found


def explained(model: nn.Module, a: Attacked, scene: Scene, judge: Explainer) -> dict[str, Tensor]:
    """What the perturbation has to do with the relevance of both classes, and how much of that it moves."""
    labels = a.labels
    own = labels.fine if scene.fine else labels.coarse
    targets = torch.stack([own, rival(scene.look(a.x_adv, labels).logits, own)], 1)
    before, after = (scene.relevance(x, labels, targets).detach() for x in (a.batch.x, a.x_adv))
    delta = perturbation(a.batch.x, a.x_adv)
    found = {}
    for k, name in enumerate(("original", "adversarial")):
        found[f"overlap_{name}"] = overlap(delta, before[:, k], SHARE)
        found[f"rank_{name}"] = rank(delta, before[:, k])
        found[f"moved_{name}"] = moved(before[:, k], after[:, k])
        found[f"shift_{name}"] = relevance_shift(before[:, k], after[:, k], delta, SHARE)
    looks = (AtFine if scene.fine else AtCoarse)(judge)(model, a.batch.x, labels.fine)
    return found | {"overlap_judge": overlap(delta, looks, SHARE), "rank_judge": rank(delta, looks)}


class Reading(NamedTuple):
    """The paper's loss with all that it leaves open."""

    start: str
    rules: str
    p: int
    loss: ShiftLoss


def readings() -> tuple[Reading, ...]:
    """Specification by specification; the last one is the control."""
    plus = Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus())
    epsilon = Composite(first=Epsilon(), convolution=Epsilon(), dense=Epsilon())
    starts = (("1", OneHot()), ("logit", Logit()), ("probability", Probability()))
    return (
        *(
            Reading(name, rules, p, RelevanceLoss(composite, start, p))
            for rules, composite in (("z+, z-beta", plus), ("epsilon, biases absorbed", epsilon))
            for p in (1, 2)
            for name, start in starts
        ),
        Reading("–", "margin", 0, LogitMargin()),
    )


def degeneracy(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Each reading's loss and slope at the images themselves next to the margin's, on the coarse level, ``[R, B]``.

    ``value`` is its size, ``slope`` that of the steepest pixel, ``off`` how far the loss is from the margin, ``along``
    the cosine of the angle between both slopes. The last reading is the margin itself.
    """
    levels = hierarchical(model, CoarseChanges())
    with frozen(model), torch.enable_grad():
        level = Level(levels, False, labels_of(y, levels.hierarchy))
        rows = [sloped(reading.loss, level, x) for reading in readings()]
    control = rows[-1]
    slope = control.gradient.flatten(1)
    return {
        "value": torch.stack([row.value.abs() for row in rows]),
        "slope": torch.stack([row.gradient.flatten(1).abs().amax(1) for row in rows]),
        "off": torch.stack([(row.value - control.value).abs() for row in rows]),
        "along": torch.stack([torch.cosine_similarity(row.gradient.flatten(1), slope) for row in rows]),
    }
