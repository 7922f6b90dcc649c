"""Faults in what moves when an image hardly does: its neighbours, changes of maps, and the worst case."""

from __future__ import annotations

from fault import Fault

MOVED = "tests/oracles/test_sensitivity.py"
NEAR, CHANGED, RATIO, WORST = (f"metrics/{n}.py" for n in ("neighbours", "sensitivity", "relative", "worst_case"))

FAULTS = [
    # neighbours
    Fault("noise of one sign", NEAR, ".mul_(2).sub_(1) if", " if", MOVED),
    Fault("always uniform", NEAR, 'if self.kind == "uniform" else', "if self.kind else", MOVED),
    Fault("neighbours are no images", NEAR, ".clamp_(0, 1)", "", MOVED),
    Fault("noise of the batch", NEAR, "draws(x), (self", "draws(x[:1].expand_as(x)), (self", MOVED),
    Fault(
        "classes of other images",
        NEAR,
        "target.repeat(len(x) // len(target))",
        "target.repeat_interleave(len(x) // len(target))",
        MOVED,
    ),
    Fault(
        "classes of the first images",
        NEAR,
        "target = verdicts.predicted[images]",
        "target = verdicts.predicted[: images.stop - images.start]",
        MOVED,
    ),
    Fault("neighbours explained anew", NEAR, "(near_maps, around, explainer)", "(near_maps, object())", MOVED),
    Fault("logits found anew", NEAR, "(near_logits, around)", "(near_logits, object())", MOVED),
    Fault("all count", NEAR, "counted = counted & ~values.isnan()", "counted = ~values.isnan()", MOVED),
    Fault("the smallest", NEAR, "-torch.inf).amax(0)", "torch.inf).amin(0)", MOVED),
    # changes of maps
    Fault("change in units of the map", CHANGED, "moved = moved / norm(maps[None])", "pass", MOVED),
    Fault("single precision", CHANGED, "values.double().flatten", "values.float().flatten", MOVED),
    Fault("scale counts", CHANGED, "unit(second) - unit(first)", "second - first", MOVED),
    Fault("distance of the batch", CHANGED, "/ distance\n", "/ distance.mean()\n", MOVED),
    Fault(
        "zeros have a norm",
        CHANGED,
        "return known(largest(moved, moved.isfinite()), maps).float()",
        "return largest(moved, moved.isfinite()).nan_to_num(0).float()",
        MOVED,
    ),
    # relative changes
    Fault("never by pixel", RATIO, "if not elementwise:", "if True:", MOVED),
    Fault("zeros are not eps", RATIO, "torch.where(before == 0, eps, before)", "before.abs().clamp_min(0.01)", MOVED),
    Fault("natural logarithm", RATIO, ".log10()", ".log()", MOVED),
    Fault("logarithm has no floor", RATIO, "found.clamp_min(metric.eps).log10()", "found.log10()", MOVED),
    Fault("nothing below may be 0", RATIO, "turned / moved.clamp_min(metric.eps)", "turned / moved", MOVED),
    Fault(
        "other classes count",
        RATIO,
        "    return near_logits(verdicts, around).argmax(2) == verdicts.predicted",
        "    return near_logits(verdicts, around).argmax(2) >= 0",
        MOVED,
    ),
    Fault("other classes count by layer", RATIO, "== target).double()", ">= 0).double()", MOVED),
    Fault("logits have a mean", RATIO, "logits - logits.mean(2, keepdim=True)", "logits", MOVED),
    Fault("features of other images", RATIO, "target = before[images]", "target = before.flip(0)[images]", MOVED),
    # the worst case
    Fault("the class may change", WORST, "if self.same_class else (near, near)", "if False else (near, near)", MOVED),
    Fault("the start does not count", WORST, "torch.minimum(first, lowest)", "lowest", MOVED),
    Fault("nothing but the start", WORST, "torch.minimum(first, lowest)", "first", MOVED),
    Fault("towards the map", WORST, "return -relative_change", "return relative_change", MOVED),
    Fault("from the image on", WORST, "self.ball.sample(images.x, draws(images.x))", "0 * images.x", MOVED),
    # correlation
    Fault(
        "copies are one",
        "metrics/stability.py",
        "    return [noisy(x, sigma, stream.normal(*x.shape[1:])) for _ in range(copies)]",
        "    return [noisy(x, sigma, stream.normal(*x.shape[1:]))] * copies",
        MOVED,
    ),
]
