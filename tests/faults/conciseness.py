"""Faults in how concise maps are, where their highest pixels lie, in the controls, and in maps that explain nothing."""

from __future__ import annotations

from fault import Fault

CONCISENESS, INSIDE, BASELINES, ALIGNMENT = (
    f"tests/oracles/test_{name}.py" for name in ("conciseness", "inside", "baselines", "alignment")
)
SHORT, WITHIN, CONTROLS, ALIGNED = (
    f"metrics/{name}.py" for name in ("conciseness", "inside", "randomisation", "alignment")
)
NOTHING, DRAWN = "explainers/baselines.py", "explainers/redrawn.py"

FAULTS = [
    # conciseness
    Fault("shares of another explainer", SHORT, "(shares_of, verdicts.explainer)", "shares_of", CONCISENESS),
    Fault("nats always", SHORT, "nats / log(share.shape[1]) if self.relative", "nats if self.relative", CONCISENESS),
    Fault("bits", SHORT, "nats / log(share.shape[1])", "nats / log(2)", CONCISENESS),
    Fault("at the threshold, too", SHORT, "share > self.threshold", "share >= self.threshold", CONCISENESS),
    Fault(
        "a threshold of shares", SHORT, "self.threshold * share.amax(1, keepdim=True)", "self.threshold", CONCISENESS
    ),
    Fault("one highest of all images", SHORT, "share.amax(1, keepdim=True)", "share.amax()", CONCISENESS),
    Fault("nothing is no pixels", SHORT, "count.masked_fill(count == 0, torch.nan)", "count", CONCISENESS),
    Fault("a share always", SHORT, "if self.relative else count)", ")", CONCISENESS),
    # highest pixels and energy
    Fault("one place more", WITHIN, "(places - 1).clamp_min(0)", "(places - 2).clamp_min(0)", INSIDE),
    Fault("lowest for highest", WITHIN, "descending=True", "descending=False", INSIDE),
    Fault(
        "all equals are in", WITHIN, "level * (left.double() / level.sum(1, keepdim=True))", "level.double()", INSIDE
    ),
    Fault("void is among the highest", WITHIN, "torch.where(judged, attribution, -torch.inf)", "attribution", INSIDE),
    Fault("share of all pixels", WITHIN, "/ places[:, 0]", "/ inside[0].numel()", INSIDE),
    Fault("never the box", WITHIN, "boxed(inside) if self.box else inside", "inside", INSIDE),
    Fault("always the box", WITHIN, "boxed(inside) if self.box else inside", "boxed(inside)", INSIDE),
    Fault("not from the lowest", WITHIN, "maps - lowest, 0.0", "maps, 0.0", INSIDE),
    Fault("void is the lowest", WITHIN, "torch.where(judged, maps, torch.inf).amin", "maps.amin", INSIDE),
    Fault("void has energy", WITHIN, "torch.where(judged, maps - lowest, 0.0)", "maps - lowest", INSIDE),
    Fault(
        "flat is nothing", WITHIN, "torch.where(energy.any(1, keepdim=True), energy, judged.double())", "energy", INSIDE
    ),
    Fault("no evidence is a miss", WITHIN, "torch.where(inside.flatten(1).any(1), share, torch.nan)", "share", INSIDE),
    Fault("the box ends early", WITHIN, "((count < count[:, -1:]) | marked)", "(count < count[:, -1:])", INSIDE),
    Fault("the box goes on", WITHIN, " & ((count < count[:, -1:]) | marked)", "", INSIDE),
    Fault("a box turned", WITHIN, "for dim in (2, 1))", "for dim in (1, 2))", INSIDE),
    # maps that explain nothing
    Fault("seed ignored", NOTHING, "draws(x, self.seed)", "draws(x, 0)", BASELINES),
    Fault("uniform noise", NOTHING, ".normal(*x", ".uniform(*x", BASELINES),
    Fault("edges of one channel", NOTHING, "x.detach().mean(1, keepdim=True)", "x.detach()[:, :1]", BASELINES),
    Fault("black around", NOTHING, 'mode="replicate"', 'mode="constant"', BASELINES),
    Fault("edges one way", NOTHING, "torch.stack([across, across.T])", "torch.stack([across, across])", BASELINES),
    Fault("edges squared", NOTHING, ".square().sum(1).sqrt()", ".square().sum(1)", BASELINES),
    Fault("the model as it is", NOTHING, "redrawn(model, self.seed), x", "model, x", BASELINES),
    Fault("weights of one seed", NOTHING, "redrawn(model, self.seed)", "redrawn(model, 0)", BASELINES),
    # weights drawn anew
    Fault("the model itself is drawn", DRAWN, "deepcopy(model).cpu()", "model.cpu()", BASELINES),
    Fault("the caller's stream", DRAWN, "with seeded_globally(seed, 0):", "if True:", BASELINES),
    Fault("own parameters at size 1", DRAWN, " * parameter.square().mean().sqrt()", "", BASELINES),
    Fault("own parameters stay", DRAWN, "reset is not None:\n", "True:\n", BASELINES),
    Fault(
        "statistics stay",
        DRAWN,
        "*module.parameters(recurse=False), *module.buffers(recurse=False)",
        "*module.parameters(recurse=False)",
        BASELINES,
    ),
    # controls
    Fault("first layers first", CONTROLS, "list(drawn_modules(model))[::-1]", "list(drawn_modules(model))", BASELINES),
    Fault("always in a cascade", CONTROLS, "if not cascade:", "if False:", BASELINES),
    Fault("never in a cascade", CONTROLS, "if not cascade:", "if True:", BASELINES),
    Fault("mixed into the model itself", CONTROLS, "mixed = deepcopy(model)", "mixed = model", BASELINES),
    Fault("one stage is the last layers", CONTROLS, "if count == 1:", "if count <= 2:", BASELINES),
    Fault(
        "a layer is left out",
        CONTROLS,
        "(k + 1) * len(names) // count]",
        "(k + 1) * (len(names) - 1) // count]",
        BASELINES,
    ),
    Fault(
        "the new model's class",
        CONTROLS,
        "self.explainer(other, x, target)",
        "self.explainer(other, x, other(x).argmax(1))",
        BASELINES,
    ),
    Fault("the last stage alone", CONTROLS, "for maps in after]", "for maps in after[-1:]]", BASELINES),
    Fault("a flat stage leaves no value", CONTROLS, ".nanmean(0)", ".mean(0)", BASELINES),
    Fault("signs always", CONTROLS, "rank_correlation(a.abs(), b.abs())", "rank_correlation(a, b)", BASELINES),
    Fault(
        "one similarity",
        CONTROLS,
        "SIMILARITIES[self.similarity](before, maps)",
        "rank_correlation(before, maps)",
        BASELINES,
    ),
    Fault("weights of seed 0", CONTROLS, "lambda: redrawn(model, self.seed))", "lambda: redrawn(model, 0))", BASELINES),
    Fault("the predicted class again", CONTROLS, ".integers(1, classes)", ".integers(0, classes)", BASELINES),
    Fault("the next class", CONTROLS, "draws(verdicts.batch.x).integers(1, classes)", "1", BASELINES),
    Fault(
        "the class is not the drawn one",
        CONTROLS,
        "verdicts.batch.x, other).detach()",
        "verdicts.batch.x, (verdicts.predicted + 1) % 4).detach()",
        BASELINES,
    ),
    # alignment
    Fault("signs count", ALIGNED, ".sum(1).abs()", ".sum(1)", ALIGNMENT),
    Fault("not by the gradient", ALIGNED, " / gradient.norm(dim=1)", "", ALIGNMENT),
    Fault("not by the image", ALIGNED, "found / x.norm(dim=1) if self.cosine else found", "found", ALIGNMENT),
    Fault(
        "the image is never centred", ALIGNED, "x - x.mean((2, 3), keepdim=True) if self.centred else x", "x", ALIGNMENT
    ),
    Fault(
        "one mean for all channels",
        ALIGNED,
        "x.mean((2, 3), keepdim=True)",
        "x.mean((1, 2, 3), keepdim=True)",
        ALIGNMENT,
    ),
    Fault("no margin", ALIGNED, "        if margin:\n", "        if False:\n", ALIGNMENT),
    Fault("ahead of itself", ALIGNED, "logits.scatter(1, own, -torch.inf)", "logits", ALIGNMENT),
    Fault("one gradient for both", ALIGNED, "(lead_gradient, self.margin)", "lead_gradient", ALIGNMENT),
    Fault(
        "the gradient again",
        ALIGNED,
        "verdicts.once((lead_gradient, self.margin), lambda: lead_gradient(verdicts, self.margin))",
        "lead_gradient(verdicts, self.margin)",
        ALIGNMENT,
    ),
]
