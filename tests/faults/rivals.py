"""Faults in losses that focus and guide, in how hard an image is said to be, and in which samples come next."""

from __future__ import annotations

from fault import Fault

RIVALS = "tests/oracles/test_rivals.py"
SELECTORS = "tests/oracles/test_selectors.py"

FOCAL, EQUALIZED, GUIDED = (f"objectives/{name}.py" for name in ("focal", "equalized_focal", "saliency_guided"))
HARDNESS = "metrics/hardness.py"
UNCHOSEN, CEAL, CORE_SET = (f"selectors/{name}.py" for name in ("unchosen", "ceal", "core_set"))

FAULTS = [
    # focal loss
    Fault("focus on the easy", FOCAL, "F.logsigmoid(-signed)).exp()", "F.logsigmoid(signed)).exp()", RIVALS),
    Fault("alpha for the absent", FOCAL, "alpha * there + (1 - alpha)", "(1 - alpha) * there + alpha", RIVALS),
    Fault(
        "log of a probability",
        FOCAL,
        "* -F.logsigmoid(signed)",
        "* -signed.sigmoid().log()",
        RIVALS,
    ),
    Fault(
        "a power of a difference",
        FOCAL,
        "missed = (gamma * (others - logits.logsumexp(1))).exp()",
        "missed = (1 - logits.softmax(1).gather(1, y[:, None])[:, 0]) ** gamma",
        RIVALS,
    ),
    Fault("a factor without slope", FOCAL, "return missed * F.", "return missed.detach() * F.", RIVALS),
    Fault(
        "a mean over classes",
        FOCAL,
        "binary_focal(logits, y, gamma, alpha).sum(1)",
        "binary_focal(logits, y, gamma, alpha).mean(1)",
        RIVALS,
    ),
    Fault("focal without sample weights", FOCAL, "weighted_mean(losses, batch)", "losses.mean()", RIVALS),
    # equalized focal loss
    Fault("frequent classes focused on", EQUALIZED, "scale * (1 - ratios)", "scale * ratios", RIVALS),
    Fault("a rare class weighs no more", EQUALIZED, "focus / gamma * binary_focal", "binary_focal", RIVALS),
    Fault("equalized without sample weights", EQUALIZED, "weighted_mean(losses, batch)", "losses.mean()", RIVALS),
    Fault(
        "signed slopes",
        EQUALIZED,
        "torch.autograd.grad(losses.sum(), logits)[0].abs()",
        "torch.autograd.grad(losses.sum(), logits)[0]",
        RIVALS,
    ),
    Fault("slopes without sample weights", EQUALIZED, "slopes if weight is None else", "slopes if True else", RIVALS),
    Fault("the ratio upside down", EQUALIZED, "(there / elsewhere.clamp", "(elsewhere / there.clamp", RIVALS),
    Fault("ratios above 1", EQUALIZED, ".clamp(0, 1)\n", "\n", RIVALS),
    Fault("the first batch speaks for all", EQUALIZED, "torch.stack(found).sum(0)", "found[0]", RIVALS),
    Fault("a look in training mode", EQUALIZED, "with frozen(model), seeded_globally", "with seeded_globally", RIVALS),
    Fault("the same samples each epoch", EQUALIZED, "self.images, seed=epoch)", "self.images, seed=0)", RIVALS),
    Fault("a look draws", EQUALIZED, "with frozen(model), seeded_globally(0, epoch):", "with frozen(model):", RIVALS),
    Fault(
        "ratios of the loss as it began",
        EQUALIZED,
        "self.losses(logits, there), logits, there, batch.weight",
        "replace(self, ratios=()).losses(logits, there), logits, there, batch.weight",
        RIVALS,
    ),
    Fault("no look without gradients", EQUALIZED, "with torch.enable_grad():", "if True:", RIVALS),
    # saliency-guided training
    Fault("what matters most goes", GUIDED, "largest=False", "largest=True", RIVALS),
    Fault("pixels by their sign", GUIDED, "slope.abs() if self.absolute else slope", "slope", RIVALS),
    Fault("always absolute", GUIDED, "slope.abs() if self.absolute else slope", "slope.abs()", RIVALS),
    Fault(
        "one range for all channels",
        GUIDED,
        "x.amin((2, 3), keepdim=True),",
        "x.amin((1, 2, 3), keepdim=True),",
        RIVALS,
    ),
    Fault("one number a channel", GUIDED, "torch.rand_like(x)", "torch.rand_like(low)", RIVALS),
    Fault(
        "KL the other way round",
        GUIDED,
        "weighted_mean(apart(logits, left), batch)",
        "weighted_mean(apart(left, logits), batch)",
        RIVALS,
    ),
    Fault("the full prediction is given", GUIDED, "apart(logits, left)", "apart(logits.detach(), left)", RIVALS),
    Fault(
        "one class where there are several",
        GUIDED,
        "binary_divergence if several(batch.y) else divergence",
        "divergence",
        RIVALS,
    ),
    Fault(
        "guided without sample weights",
        GUIDED,
        "weighted_mean(apart(logits, left), batch)",
        "apart(logits, left).mean()",
        RIVALS,
    ),
    Fault("a mask in training mode", GUIDED, "with frozen(model), torch", "with torch", RIVALS),
    Fault(
        "half of the divergence",
        GUIDED,
        "torch.stack([first, -first]), torch.stack([second, -second])",
        "torch.stack([first]), torch.stack([second])",
        RIVALS,
    ),
    # how hard an image is
    Fault(
        "confidence rounds to 1",
        HARDNESS,
        "(others.logsumexp(1) - logits.logsumexp(1)).exp()",
        "1 - logits.softmax(1).amax(1)",
        SELECTORS,
    ),
    Fault("the least confident class", HARDNESS, "(-logits.amax(1)).sigmoid()", "logits.amin(1).sigmoid()", SELECTORS),
    Fault("the margin of the surest", HARDNESS, "logits.abs().amin(1)", "logits.abs().amax(1)", SELECTORS),
    Fault("the third", HARDNESS, "topk(2, dim=1).values[:, 1]", "topk(3, dim=1).values[:, 2]", SELECTORS),
    # selectors
    Fault("chosen again", UNCHOSEN, "    left[chosen] = False\n", "", SELECTORS),
    Fault("from the end", UNCHOSEN, "(chosen < 0) | (chosen >=", "(chosen >=", SELECTORS),
    Fault("samples in training mode", UNCHOSEN, "with frozen(model), torch", "with torch", SELECTORS),
    Fault(
        "the caller's stream goes on",
        UNCHOSEN,
        ", torch.no_grad(), seeded_globally(seed, 0):",
        ", torch.no_grad():",
        SELECTORS,
    ),
    Fault(
        "draws without a seed",
        UNCHOSEN,
        "            with seeded_globally(seed, 0):",
        "            if True:",
        SELECTORS,
    ),
    Fault("numbered anew", UNCHOSEN, "batch._replace(index=places[batch.index])", "batch", SELECTORS),
    Fault("the first of equals", UNCHOSEN, "permuted(len(values), seed)", "torch.arange(len(values))", SELECTORS),
    Fault("NaN first", UNCHOSEN, "torch.where(values.isnan(), -torch.inf, values)", "values", SELECTORS),
    Fault(
        "lowest comes to nothing", "selectors/by_score.py", "-values if self.lowest else values", "values", SELECTORS
    ),
    Fault(
        "NaN first among the lowest",
        "selectors/by_score.py",
        "left[ranked(-values if self.lowest else values, seed)[:count]]",
        "left[(r := ranked(values, seed).flip(0) if self.lowest else ranked(values, seed))[:count]]",
        SELECTORS,
    ),
    Fault("no seed", "selectors/random_choice.py", "permuted(len(left), seed)", "permuted(len(left), 0)", SELECTORS),
    Fault("the nearest of all", CORE_SET, "distance.argmax()", "distance.argmin()", SELECTORS),
    Fault("the farthest centre counts", CORE_SET, ".amin(1)", ".amax(1)", SELECTORS),
    Fault(
        "the last centre alone",
        CORE_SET,
        "distance = distance.fmin(nearest(features, features[farthest][None]))",
        "distance = nearest(features, features[farthest][None])",
        SELECTORS,
    ),
    Fault(
        "the last block alone",
        CORE_SET,
        "distance = distance.fmin(nearest(features, block))",
        "distance = nearest(features, block)",
        SELECTORS,
    ),
    Fault("a centre twice", CORE_SET, "        distance[farthest] = -1\n", "", SELECTORS),
    Fault("chosen centres again", CORE_SET, "    distance[chosen] = -1\n", "", SELECTORS),
    Fault("the first by its place", CORE_SET, "left[permuted(len(left), seed)[:1]]", "left[:1]", SELECTORS),
    Fault(
        "NaN spreads",
        CORE_SET,
        "distance.fmin(nearest(features, features",
        "distance.minimum(nearest(features, features",
        SELECTORS,
    ),
    Fault("the bar stays", CEAL, "self.threshold - self.decay * (", "self.threshold - 0 * (", SELECTORS),
    Fault("the start counts", CEAL, "len(chosen) - self.start", "len(chosen)", SELECTORS),
    Fault("rounds below none", CEAL, "max(0, len(chosen) - self.start)", "(len(chosen) - self.start)", SELECTORS),
    Fault("the unsure get pseudo-labels", CEAL, "unsure[rest] < self", "unsure[rest] > self", SELECTORS),
    Fault(
        "the asked get pseudo-labels",
        CEAL,
        "asked, rest = order[:count], order[count:]",
        "asked, rest = order[:count], order",
        SELECTORS,
    ),
    Fault("the surest last", CEAL, "ranked(-unsure[rest], seed)", "ranked(unsure[rest], seed)", SELECTORS),
    Fault("someone else's label", CEAL, "label[sure].long()", "label[asked[:1]].long().expand(len(sure))", SELECTORS),
    Fault("one class for several", CEAL, "if several(samples[[0]].y):", "if False:", SELECTORS),
    Fault(
        "the true label for training",
        "selectors/pseudo.py",
        "torch.where(other == NOWHERE, batch.y, other)",
        "batch.y",
        SELECTORS,
    ),
    Fault(
        "no class as a label",
        "selectors/pseudo.py",
        "torch.where(other == NOWHERE, batch.y, other)",
        "other",
        SELECTORS,
    ),
    Fault("pseudo-labels count as asked", "types.py", "self.index[self.pseudo == NOWHERE]", "self.index", SELECTORS),
]
