"""Faults in what is removed from images, in which order, and in what is made of the answers."""

from __future__ import annotations

from fault import CONTRACT, Fault

TEST = "tests/oracles/test_faithfulness.py"
REMOVAL, CURVES, SUBSETS, INFIDELITY, IMPUTATION, ROAD = (
    f"metrics/{name}.py" for name in ("removal", "faithfulness", "subsets", "infidelity", "imputation", "road")
)

FAULTS = [
    # the order, and the walk
    Fault(
        "equal pixels by position",
        REMOVAL,
        ".uniform(x[0, 0].numel()).argsort(1)",
        ".uniform(x[0, 0].numel()).mul(0).argsort(dim=1, stable=True)",
        TEST,
    ),
    Fault("ascending attribution", REMOVAL, "dim=1, descending=True", "dim=1, descending=False", TEST),
    Fault(
        "one pixel more removed",
        REMOVAL,
        "gone = place[images] < below[group]",
        "gone = place[images] <= below[group]",
        TEST,
    ),
    Fault("the least relevant by another order", REMOVAL, "else ranks.shape[1] - 1 - ranks)", "else ranks)", TEST),
    Fault(
        "the curve of any explainer",
        REMOVAL,
        "return verdicts.once((removed, verdicts.explainer, most_first",
        "return verdicts.once((removed, most_first",
        TEST,
    ),
    Fault(
        "both orders are one",
        REMOVAL,
        "verdicts.explainer, most_first, fill, counts)",
        "verdicts.explainer, fill, counts)",
        TEST,
    ),
    Fault("the class of the copy", REMOVAL, "logits.gather(1, predicted[:, None])[:, 0]", "logits.amax(1)", TEST),
    Fault(
        "images and copies mixed up",
        REMOVAL,
        "torch.cat(found, 1).transpose(1, 2)",
        "torch.cat(found, 1).reshape(3, seen.shape[1], -1)",
        TEST,
    ),
    Fault(
        "a logit for a probability",
        REMOVAL,
        '(self.own - self.total).exp() if score == "probability"',
        'self.own if score == "probability"',
        TEST,
    ),
    Fault(
        "each explainer empties images anew",
        REMOVAL,
        "return verdicts.once((emptied, fill), lambda:",
        "return (lambda f: f())(lambda:",
        TEST,
    ),
    # areas
    Fault(
        "insertion shows the least first",
        CURVES,
        "told = removed(self, verdicts, False, self.fill, tuple(",
        "told = removed(self, verdicts, True, self.fill, tuple(",
        TEST,
    ),
    Fault("by the number of points", CURVES, "return torch.trapezoid(scores, shown)", "return scores.mean(1)", TEST),
    Fault("a quotient of what is negative", CURVES, ".masked_fill(whole <= 0, torch.nan)", "", TEST),
    Fault("no quotient", CURVES, "(area / whole)", "area", TEST),
    Fault("the rest is kept", CURVES, "pixels - round(share * pixels)", "round(share * pixels)", TEST),
    # subsets
    Fault("subsets of any size", SUBSETS, ".argsort(1) < size)", " < size / x[0, 0].numel())", TEST),
    Fault("one place for another", SUBSETS, "scatter_(1, places, values.double())", "copy_(values)", TEST),
    Fault("a flat map correlates", SUBSETS, ".masked_fill(flat, torch.nan)", ".nan_to_num()", TEST),
    Fault(
        "not centred",
        SUBSETS,
        "first, second = (t.double() - t.double().mean(1, keepdim=True) for t in (a, b))",
        "first, second = (t.double() for t in (a, b))",
        TEST,
    ),
    # infidelity
    Fault("squares leave the border out", INFIDELITY, "side - window + 1", "side - window", TEST),
    Fault("squares are the same in all images", INFIDELITY, "draws(x).uniform(1, 2)", "0", TEST),
    Fault(
        "a pixel more", INFIDELITY, "(along < place[..., None] + window)", "(along <= place[..., None] + window)", TEST
    ),
    Fault(
        "noise is added",
        INFIDELITY,
        "return verdicts.batch.x[images] - noised",
        "return verdicts.batch.x[images] + noised",
        TEST,
    ),
    Fault("one channel's noise", INFIDELITY, ".sum(1).double()", ".mean(1).double()", TEST),
    Fault(
        "the change is in the map already",
        INFIDELITY,
        'if self.product == "change" else maps',
        'if self.product != "change" else maps',
        TEST,
    ),
    Fault(
        "squares of what is tiny", INFIDELITY, "torch.where(size > 0, product / size, product)", "product.float()", TEST
    ),
    Fault("never relative", INFIDELITY, "left / lost.square().mean(1) if relative else left", "left", TEST),
    Fault("never scaled", INFIDELITY, "    if scaled:\n", "    if False:\n", TEST),
    # imputation
    Fault(
        "across like beside",
        IMPUTATION,
        "F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1, divisor_override=1), 2, 1, divisor_override=1)",
        "F.avg_pool2d(x, 3, 1, padding=1, divisor_override=1)",
        TEST,
    ),
    Fault(
        "what is beyond the border is black",
        IMPUTATION,
        "mask * blurred(1 - mask), []",
        "mask * (16 - blurred(mask)), []",
        TEST,
    ),
    Fault("too few rounds", IMPUTATION, "ROUNDS = 5", "ROUNDS = 3", TEST),
    Fault("wide holes by their pixels alone", IMPUTATION, "    if coarser:", "    if False:", TEST),
    Fault("what holds pixels holds no block", IMPUTATION, "HELD * halved(held)", "0 * halved(held)", TEST),
    Fault(
        "what is known changes", IMPUTATION, "add_(residual).mul_(fine.share)", "add_(residual).div_(fine.total)", TEST
    ),
    # ROAD
    Fault("no noise", ROAD, "imputed(copies, gone) + noise[images]", "imputed(copies, gone)", TEST),
    Fault("the gap the other way", ROAD, "lerf - morf if", "morf - lerf if", TEST),
    Fault(
        "orders share their passes",
        ROAD,
        "verdicts.explainer, most_first, self.shares",
        "verdicts.explainer, self.shares",
        TEST,
    ),
    Fault("pixels rounded up", ROAD, "int(share * place[0].numel() + 1e-6)", "int(share * place[0].numel() + 1)", TEST),
    Fault(
        "lots that the batch draws",
        REMOVAL,
        "lambda: draws(x).uniform(x[0, 0].numel())",
        "lambda: torch.rand(len(x), x[0, 0].numel())",
        CONTRACT,
    ),
]
