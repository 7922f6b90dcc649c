"""Faults in what is measured of maps and regions, of labels of several classes, and of models side by side."""

from __future__ import annotations

from fault import Fault

LOCALISATION, SEVERAL, JOINT = (
    f"tests/oracles/test_{name}.py" for name in ("localisation", "several_classes", "joint")
)

OVERLAP, MAPS = "metrics/overlap.py", "metrics/localisation.py"

FAULTS = [
    # a map beside a region
    Fault("negatives count", OVERLAP, "maps.clamp_min(0)", "maps", LOCALISATION),
    Fault("no lowest at 0", OVERLAP, "(positive - lowest) / (highest - lowest)", "positive / highest", LOCALISATION),
    Fault("above the threshold only", OVERLAP, ">= threshold)", "> threshold)", LOCALISATION),
    Fault("one scale for all maps", OVERLAP, "positive.amax((1, 2), keepdim=True)", "positive.amax()", LOCALISATION),
    Fault("a flat map marks all", OVERLAP, ") & (highest > lowest)", ") | (highest == lowest)", LOCALISATION),
    Fault(
        "void is judged",
        OVERLAP,
        "marked(maps, threshold) & (regions != VOID)",
        "marked(maps, threshold)",
        LOCALISATION,
    ),
    Fault("any class", OVERLAP, "regions == classes[:, None, None]", "regions >= 0", LOCALISATION),
    Fault(
        "both for either", OVERLAP, "(chosen | inside).sum((1, 2))", "(chosen.int() + inside).sum((1, 2))", LOCALISATION
    ),
    # which pairs there are
    Fault("void is a class", OVERLAP, "clamp_min(-1) + 1  #", "clamp_min(-2) + 2  #", LOCALISATION),
    Fault("no class is a class", OVERLAP, ")[:, 1:].nonzero", ").nonzero", LOCALISATION),
    Fault(
        "the mask rather than regions",
        OVERLAP,
        "    if batch.regions is not None:\n        return batch.regions\n",
        "",
        LOCALISATION,
    ),
    Fault(
        "mean over pairs for classes",
        OVERLAP,
        "above / below",
        "torch.bincount(classes, intersection / union) / torch.bincount(classes)",
        LOCALISATION,
    ),
    Fault("absent classes count 0", OVERLAP, ".nanmean()", ".nan_to_num(0.0).mean()", LOCALISATION),
    Fault(
        "the map of the label",
        MAPS,
        "explainer(model, batch.x[some], of)",
        "explainer(model, batch.x[some], of * 0)",
        LOCALISATION,
    ),
    Fault(
        "regions of the first images",
        MAPS,
        "overlaps(maps, regions[image]",
        "overlaps(maps, regions[: len(image)]",
        LOCALISATION,
    ),
    Fault(
        "some pairs are lost",
        MAPS,
        "chunks(len(image), len(batch.x))",
        "chunks(min(len(image), len(batch.x)), len(batch.x))",
        LOCALISATION,
    ),
    Fault("images of each batch from 0", MAPS, "image=found.image + done", "image=found.image", LOCALISATION),
    Fault(
        "training mode",
        MAPS,
        "    with frozen(model):\n        for batch in batches(samples, batch_size",
        "    with frozen(model.eval()):\n        for batch in batches(samples, batch_size",
        LOCALISATION,
    ),
    Fault("a sum over classes", MAPS, "(total / count).float()", "total.float()", LOCALISATION),
    Fault("void in the foreground", MAPS, "(times > 0) & (regions != VOID)", "times > 0", LOCALISATION),
    Fault("the last class alone", MAPS, "times.index_add_(0, image,", "times.index_copy_(0, image,", LOCALISATION),
    # the mass and the highest point
    Fault("mass on void", MAPS, ".clamp_min(0).double() * judged", ".clamp_min(0).double()", LOCALISATION),
    Fault("an even map on void", MAPS, "positive, judged.double())", "positive, 1.0)", LOCALISATION),
    Fault("a mask on void", MAPS, "return inside & judged,", "return inside,", LOCALISATION),
    Fault("regions are no evidence", MAPS, "    return batch.regions >= 0\n", "    return None\n", LOCALISATION),
    Fault("the point on void", MAPS, "torch.where(judged, attribution, -torch.inf)", "attribution", LOCALISATION),
    Fault(
        "any tied point hits",
        MAPS,
        "& widened(inside, self.tolerance).flatten(1)).sum(1) / top.sum(1)",
        "& widened(inside, self.tolerance).flatten(1)).any(1).float()",
        LOCALISATION,
    ),
    Fault("no evidence is a miss", MAPS, "torch.where(inside.flatten(1).any(1), hit, torch.nan)", "hit", LOCALISATION),
    Fault("a square around it", MAPS, "<= by**2).float()", "<= 2 * by**2).float()", LOCALISATION),
    Fault("maps for nobody", MAPS, '"attribution" in', '"maps" in', LOCALISATION),
    Fault("evidence for nobody", MAPS, '"mask" in', '"evidence" in', LOCALISATION),
    # several classes an image
    Fault(
        "half of the classes", "metrics/multilabel.py", "== (batch.y > 0)).all(1)", "== (batch.y > 0)).any(1)", SEVERAL
    ),
    Fault("at 0 it is there", "metrics/multilabel.py", "(logits > 0) ==", "(logits >= 0) ==", SEVERAL),
    Fault(
        "ties in some order",
        "metrics/multilabel.py",
        "torch.searchsorted(ordered, ordered)",
        "torch.arange(len(truth)).expand_as(ordered).contiguous()",
        SEVERAL,
    ),
    Fault("the lowest first", "metrics/multilabel.py", "scores.T.contiguous()", "(-scores.T).contiguous()", SEVERAL),
    Fault("of all images", "metrics/multilabel.py", "/ there.sum(1)", "/ len(truth)", SEVERAL),
    Fault(
        "scores while training",
        "metrics/multilabel.py",
        "    with frozen(model):\n",
        "    if model.train():\n",
        SEVERAL,
    ),
    Fault(
        "the worst of the image's",
        "attacks/losses.py",
        "torch.inf).amax(1)\n\n\n@dataclass(frozen=True)\nclass Ranked",
        "torch.inf).amin(1)\n\n\n@dataclass(frozen=True)\nclass Ranked",
        SEVERAL,
    ),
    Fault(
        "a class of its own is the other",
        "attacks/losses.py",
        "best_of(logits, y <= 0)",
        "best_of(logits, y <= 1)",
        SEVERAL,
    ),
    Fault(
        "the aim is any class",
        "attacks/standing.py",
        "~right(predicted, self.y) if",
        "(predicted[:, None] != self.y).any(1) if",
        SEVERAL,
    ),
    Fault(
        "APGD stops at once",
        "attacks/apgd.py",
        "climb.broken | ~right(logits.argmax(1), images.y)",
        "climb.broken | True",
        SEVERAL,
    ),
    Fault(
        "softmax of several",
        "checks/model.py",
        "losses(model(point), y).sum()",
        "torch.nn.functional.cross_entropy(model(point), y)",
        SEVERAL,
    ),
    Fault(
        "no word of one class",
        "labels.py",
        "    if several(y):\n        raise",
        "    if False:\n        raise",
        SEVERAL,
    ),
    Fault(
        "a label is a class",
        "report/evaluation_page.py",
        "indicators(found.y, len(found.classes)) > 0",
        "found.y[:, None] == torch.arange(len(found.classes))",
        SEVERAL,
    ),
    # models side by side
    Fault("some model is right", "metrics/joint.py", "for one in right]).all(0)", "for one in right]).any(0)", JOINT),
    Fault("own images", "metrics/joint.py", "own[name][both]", "own[name][own[clean] > 0]", JOINT),
    Fault("no start", "metrics/joint.py", "{0.0: clean} | attacked", "attacked", JOINT),
    Fault("all arms always", "metrics/joint.py", "for arm in arms or values}", "for arm in values}", JOINT),
    Fault("attacks are mixed", "metrics/joint.py", "if len(families) > 1:", "if False:", JOINT),
    # weights
    Fault(
        "the lowest weights",
        "metrics/debiasing.py",
        "weights.topk(places)",
        "weights.topk(places, largest=False)",
        JOINT,
    ),
    Fault("the first of equals", "metrics/debiasing.py", "unbiased[level].mean()", "unbiased[level][0]", JOINT),
    Fault(
        "all of the equals",
        "metrics/debiasing.py",
        "+ left * unbiased[level].mean()) / places",
        "+ unbiased[level].sum()) / (above | level).sum().item()",
        JOINT,
    ),
    Fault("biased for unbiased", "metrics/debiasing.py", "(~biased.bool())", "(biased.bool())", JOINT),
]
