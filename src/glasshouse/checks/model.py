"""Checks on a model: whether its gradients and its answers are what attacks and numbers take them for.

Carlini et al., 2019, https://arxiv.org/abs/1902.06705; Athalye et al., ICML 2018, https://arxiv.org/abs/1802.00420
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..attacks import L2, PGD, Linf, Margin, Square
from ..draws import draws
from ..labels import losses
from ..metrics.verdicts import correct
from .check import FAIL, OPEN, PASS, Check, decided, graded

GRADIENTS = "gradients of the loss are not zero"
SMALL = 1e-6  # a change of the pixels that float32 notices and hardly any rounding of them does


@torch.no_grad()
def on_answers(model: nn.Module, x: Tensor) -> Iterator[Check]:
    """Checks that only look at answers: finite, the same twice, the same alone, and moving with the pixels."""
    logits = model(x)
    spread = (logits - logits.mean(1, keepdim=True)).abs().mean().clamp_min(1e-12)
    finite = int(logits.isfinite().all(1).sum())
    seen = f"on {finite} of {len(x)} images"
    yield decided(finite == len(x), "logits are finite", seen, "NaN or infinity decides what is predicted")
    changed = float((model(x) - logits).abs().max() / spread)
    yield decided(
        changed <= 1e-3,
        "the same image gets the same answer twice",
        f"logits change by {100 * changed:.2g} % of their spread",
        "a randomised model seems robust to attacks that do not average over its noise",
    )
    few = x[:8]
    alone = torch.cat([model(few[i : i + 1]) for i in range(len(few))])
    apart = float((alone - model(few)).abs().max() / spread)
    if changed <= 1e-3:  # else they differ for that reason
        yield decided(
            apart <= 1e-2,
            "an image gets the same answer alone as in a batch",
            f"logits differ by {100 * apart:.2g} % of their spread",
            "batch normalisation by the batch at hand, or the like, makes a model of its own for each batch",
        )
    nudged = (x + SMALL * draws(x, 0).signs(*x.shape[1:]).to(x.dtype)).clamp(0, 1)
    still = int((model(nudged) == logits).all(1).sum())
    yield graded(
        "logits move when the pixels do",
        still,
        len(x),
        f"on {still} of {len(x)} images a change of {SMALL:g} in every pixel changes no logit",
        "a model that quantises has no gradient to follow, whatever it reports as one",
        warn=0.5,
        fail=1.0,
    )


def on_gradients(model: nn.Module, x: Tensor, y: Tensor) -> Check:
    """Whether there is a gradient to follow."""
    point = x.clone().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(losses(model(point), y).sum(), point)
    flat = int((found.flatten(1).abs().amax(1) == 0).sum())
    seen = f"on {flat} of {len(x)} images every pixel's gradient is exactly 0"
    meaning = "attacks by cross-entropy stand still there, and what they leave is not robust for that"
    return graded(GRADIENTS, flat, len(x), seen, meaning, warn=0.02, fail=0.1)


def cut_off() -> Check:
    """What is said of a model that is not :func:`differentiable`."""
    return Check(FAIL, GRADIENTS, "no gradient reaches the pixels at all: only attacks without gradients can tell")


def differentiable(model: nn.Module, x: Tensor) -> bool:
    """Whether the logits know where they come from."""
    point = x[:1].clone().requires_grad_()
    with torch.enable_grad():
        logits = model(point)
        return logits.requires_grad and torch.autograd.grad(logits.sum(), point, allow_unused=True)[0] is not None


def on_the_way_up(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Check:
    """Whether the loss rises along an attack by gradients, step after step."""
    heights = []
    for steps in (0, 1, 3, 10):
        attack = PGD(Linf(eps), max(steps, 1), 0.25, random_start=False)
        with torch.no_grad():
            heights.append(Margin()(model(attack(model, x, y) if steps else x), y))
    fell = int((heights[-1] <= heights[0]).sum())
    sagged = sum(int(b.mean() < a.mean()) for a, b in pairwise(heights))
    told = " → ".join(f"{h.mean():.3g}" for h in heights)
    seen = f"mean margin of the wrong classes after 0, 1, 3 and 10 steps {told}; higher on {len(x) - fell} of {len(x)}"
    meaning = "the attack does not climb what it should, so what it leaves is not robust for that"
    title = "the loss rises along the attack"
    return graded(title, fell + sagged * len(x), len(x), seen, meaning, warn=0.1, fail=0.3)


def on_the_unbounded(model: nn.Module, x: Tensor, y: Tensor) -> Check:
    """Whether an attack without bounds breaks everything."""
    attack = PGD(Linf(1.0), steps=60, step_size=0.03, restarts=2, loss=Margin())
    left = int(correct(model, attack.search(model, x, y), y).sum())
    seen = f"{left} of {len(x)} images stand though every pixel may take any value"
    meaning = "gradients lead the attack astray, and no model is robust to that"
    return graded("an attack without bounds breaks every image", left, len(x), seen, meaning, warn=0.04, fail=0.1)


def on_restarts(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Check:
    """Whether it depends on luck where an attack ends."""
    once = PGD(Linf(eps), steps=10, step_size=0.25)
    first, more = (correct(model, a.search(model, x, y), y) for a in (once, replace(once, restarts=5)))
    gained = max(int(first.sum()) - int(more.sum()), 0)
    seen = f"four more random starts break {gained} more of {len(x)} images"
    meaning = "the loss is bumpy, and how many an attack breaks says how long it searched"
    return graded("random restarts agree", gained, len(x), seen, meaning, warn=0.12, fail=0.25)


def on_random_search(model: nn.Module, x: Tensor, y: Tensor, ball: Linf | L2, queries: int = 300) -> Check:
    """Whether an attack that sees no gradient finds what those with gradients miss."""
    title = "attacks by gradients find what random search finds"
    stands = correct(model, PGD(ball, steps=20, step_size=0.2).search(model, x, y), y)
    if not stands.any():
        return Check(PASS, title, f"PGD-20 breaks all of {len(x)} images, nothing is left for random search")
    left, label = x[stands], y[stands]
    broken = int((~correct(model, Square(ball=ball, queries=queries)(model, left, label), label)).sum())
    seen = f"{queries} queries of random search break {broken} of {len(left)} images that PGD-20 leaves standing"
    if len(left) < 8:
        return Check(PASS if not broken else OPEN, title, seen if not broken else f"{seen}: too few to tell")
    meaning = "gradients are masked; count on attacks without gradients"
    return graded(title, broken, len(left), seen, meaning, warn=0.12, fail=0.25)
