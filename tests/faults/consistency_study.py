"""Faults in the study of explanation consistency: trainings mixed up, labels leaked, verdicts that flatter."""

from __future__ import annotations

from fault import Fault

STUDY = "tests/stages/test_explanation_consistency.py"
CLAIMS = "tests/stages/test_consistency_claims.py"
WHOLE, FOUND, VERDICTS = (
    f"studies/{n}.py" for n in ("explanation_consistency", "consistency_found", "consistency_claims")
)
BIAS, FEW, GAINS, DRAWN = (f"studies/{n}.py" for n in ("debiasing", "few_samples", "gains", "consistency_figures"))
TOLD, TABLES, NUMBERS = (f"studies/consistency_{n}.py" for n in ("document", "tables", "published"))
RECIPE = "recipes/explanation_consistency.py"

FAULTS = [
    # trainings and what is kept of them
    Fault("weights are left out", WHOLE, "weighting=way.weighting)", "weighting=None)", STUDY),
    Fault("objectives are left out", WHOLE, "objective=way.objective\n", "objective=Way('x').objective\n", STUDY),
    Fault("one network for all seeds", WHOLE, "model = part.built(seed).to", "model = part.built(0).to", STUDY),
    Fault("no curve", WHOLE, "if way.name in part.compared.curves else ()", "if False else ()", STUDY),
    Fault(
        "its own background", WHOLE, '(data=part.compared.data)("test")', '(data=part.compared.data)("train")', STUDY
    ),
    Fault("all test images", WHOLE, "at_most(self.whole, self.compared.test_images)", "at_most(self.whole, 0)", STUDY),
    Fault("steps share a name", WHOLE, "{store_name(name)}/{kind}", "{store_name(part.compared.name)}/{kind}", STUDY),
    Fault(
        "pictures of the last seed", WHOLE, "way, self.study.seed) for way", "way, self.study.seed + 1) for way", STUDY
    ),
    Fault("a name may come twice", WHOLE, '"ways has a name twice"', '"ways is anything"', STUDY),
    Fault(
        "the map of another class",
        FOUND,
        "(GradCAM()(model, x, predicted))",
        "(GradCAM()(model, x, predicted * 0))",
        STUDY,
    ),
    Fault(
        "the first images only",
        FOUND,
        "np.linspace(0, len(samples) - 1, min(count,",
        "np.linspace(0, count - 1, min(count,",
        STUDY,
    ),
    Fault("darker at half", DRAWN, "MARKED = 0.5", "MARKED = 0.6", STUDY),
    Fault(
        "a dim object is none",
        "data/bright.py",
        "batch.x.mean(1) > self.level",
        "batch.x.amax(1) > 2 * self.level",
        STUDY,
    ),
    Fault(
        "the ground is the object", "data/bright.py", "torch.where(bright, batch", "torch.where(~bright, batch", STUDY
    ),
    # planted biases
    Fault("all is biased alike", BIAS, "shift=shift, factor=factor,", "shift=0.5, factor=1.0,", STUDY),
    Fault("the same images every time", BIAS, "share=study.share, seed=seed)", "share=study.share)", STUDY),
    Fault("brighter is darker", BIAS, "'brighter' if shift > 0", "'darker' if shift > 0", STUDY),
    Fault("ranked by its loss", BIAS, "score = focal if way", "score = Loss() if way", STUDY),
    Fault("ranked once", BIAS, "if state.epoch % study.every == 0:", "if state.epoch == study.every:", STUDY),
    Fault("the biased are found", BIAS, "samples.biased, study.top", "~samples.biased, study.top", STUDY),
    Fault("trained without weights", BIAS, "weighting=way.weighting), f", "weighting=None), f", STUDY),
    Fault("the paper's score", BIAS, "Reweighting(score=self.score", "Reweighting(score=Inconsistency()", STUDY),
    # few labels
    Fault(
        "labels nobody asked for",
        FEW,
        "selector(model, unlabelled(model, train), chosen",
        "selector(model, train, chosen",
        STUDY,
    ),
    Fault("the top class is not there", FEW, "((logits > 0) | (", "((logits > 0) & (", STUDY),
    Fault(
        "every strategy begins elsewhere",
        FEW,
        "permuted(len(train), seed)[",
        "permuted(len(train), seed + (ord(strategy.name[0]) if strategy else 0))[",
        STUDY,
    ),
    Fault("rounds are not counted", FEW, "replace(selector, start=count) if", "selector if", STUDY),
    Fault("what one began with is overruled", FEW, "and not selector.start else", "else", STUDY),
    Fault(
        "pseudo-labels are chosen",
        FEW,
        "torch.cat([chosen, selection.asked])",
        "torch.cat([chosen, selection.index])",
        STUDY,
    ),
    Fault("true labels after all", FEW, "Subset(labelled, every)", "Subset(train, every)", STUDY),
    Fault("only the new ones", FEW, "every = (*chosen.tolist(), ", "every = (*chosen[:0].tolist(), ", STUDY),
    Fault("pseudo-labels of several classes", FEW, "pseudo = not several", "pseudo = several", STUDY),
    Fault(
        "nobody has all labels", FEW, "if strategy else train\n    selector", "if True else train\n    selector", STUDY
    ),
    Fault("shares may fall", FEW, "all(0 < a < b <= 1", "all(0 < a and b <= 1", STUDY),
    # the recipe
    Fault(
        "a control of its own",
        RECIPE,
        "every(XGRAD, size, Shuffled())),\n        Way(ways.LITERAL",
        "every(Loss(), size, Shuffled())),\n        Way(ways.LITERAL",
        STUDY,
    ),
    Fault("a size that was chosen", RECIPE, '"size", None) == 224', '"size", None)', STUDY),
    Fault("the wrong network is biased", RECIPE, "model=last,", "model=first,", STUDY),
    Fault("any scale", RECIPE, "if scale not in SIZES:", "if scale == 'odd':", STUDY),
    # verdicts
    Fault(
        "right by one is right by all",
        FOUND,
        "for clean, *_ in tables.values()]).all(0)",
        "for clean, *_ in tables.values()]).any(0)",
        CLAIMS,
    ),
    Fault("one eps is enough", FOUND, "torch.stack(t).mean(0)", "torch.stack(t).amax(0)", CLAIMS),
    Fault("a seed that lacks it is left out", FOUND, "if known and len(known) == len(rows)", "if known", CLAIMS),
    Fault("the first weights", FOUND, "run[-1][1] for run", "run[0][1] for run", CLAIMS),
    Fault("the first histogram", FOUND, "run[way].log[-1] for run", "run[way].log[0] for run", CLAIMS),
    Fault("an image counts by its classes", FOUND, " / classes)", ")", CLAIMS),
    Fault(
        "what is not judged counts",
        FOUND,
        "(regions != VOID).sum((1, 2)) / classes",
        "regions[0].numel() / classes",
        CLAIMS,
    ),
    Fault(
        "no way, no study",
        FOUND,
        "for run in self.seen if way in run]\n        return [[",
        "for run in self.seen]\n        return [[",
        CLAIMS,
    ),
    Fault(
        "better than any",
        VERDICTS,
        "REPRODUCED if all(g.better for _, g in known)",
        "REPRODUCED if any(g.better for _, g in known)",
        CLAIMS,
    ),
    Fault(
        "stands more than one",
        VERDICTS,
        "holds = all(g.better for g in gains.values())\n    return",
        "holds = any(g.better for g in gains.values())\n    return",
        CLAIMS,
    ),
    Fault("of no images", VERDICTS, "    if not count:\n", "    if count < 0:\n", CLAIMS),
    Fault("wide is alike", VERDICTS, "< 0.03 for g", "< 0.3 for g", CLAIMS),
    Fault("different is alike", VERDICTS, "NOT_REPRODUCED if not same else", "", CLAIMS),
    Fault("uncorrected", VERDICTS, "decided(g._replace(p=p))", "decided(g)", CLAIMS),
    Fault("half saturated", VERDICTS, "if last > 0.99", "if last > 0.5", CLAIMS),
    Fault("on average identical", VERDICTS, "nan_to_num().max())", "nan_to_num().mean())", CLAIMS),
    Fault("in one setting", VERDICTS, ".all()) for m in seeds)", ".any()) for m in seeds)", CLAIMS),
    Fault("one rival is enough", VERDICTS, "np.maximum(m[FL], m[HNM])", "np.minimum(m[FL], m[HNM])", CLAIMS),
    Fault(
        "ALL does not count",
        VERDICTS,
        "for name in few if name != OURS]",
        "for name in few if name not in (OURS, ALL)]",
        CLAIMS,
    ),
    Fault("the first share", VERDICTS, "torch.stack([run[-1].double()", "torch.stack([run[0].double()", CLAIMS),
    Fault("backgrounds are not moved", VERDICTS, "ways.CLEAN, moved=True)", "ways.CLEAN)", CLAIMS),
    Fault("ResNet-50 for all", VERDICTS, 'name = b.compared.published or "ResNet-50"', 'name = "ResNet-50"', CLAIMS),
    Fault("by XGrad-CAM", VERDICTS, "row.miou[1] if miou", "row.miou[2] if miou", CLAIMS),
    Fault("one seed is enough", GAINS, "min(self.seeds) > 0\n", "max(self.seeds) > 0\n", CLAIMS),
    Fault("nearly significant", GAINS, "self.p < LEVEL and", "self.p < 2 * LEVEL and", CLAIMS),
    Fault("population deviation", GAINS, "ddof=1", "ddof=0", CLAIMS),
    Fault("disagreement is not told", GAINS, 'else ", not under every seed"', 'else ""', CLAIMS),
    # numbers, tables, figures
    Fault("a digit", NUMBERS, "44.89, (0.1198", "44.98, (0.1198", CLAIMS),
    Fault("columns swapped", NUMBERS, "(0.1974, 0.1975, 0.2128)", "(0.1975, 0.1974, 0.2128)", CLAIMS),
    Fault(
        "tanh for arctan",
        NUMBERS,
        "ways.ARCTAN: Published(73.1, (None, 0.2205",
        "ways.ARCTAN: Published(73.1, (None, 0.2252",
        CLAIMS,
    ),
    Fault("the next column", TABLES, "theirs.miou[i] if", "theirs.miou[i - 1] if", CLAIMS),
    Fault("a tenth is lost", TABLES, "sum(shares[5:9])", "sum(shares[5:8])", CLAIMS),
    Fault("chance is a fifth", DRAWN, "chance(study.debiasing))", "0.2)", CLAIMS),
    Fault("a number the paper has not", DRAWN, '.startswith(("brighter", "darker"))', '.startswith("")', CLAIMS),
    Fault(
        "psi of equal weights",
        "studies/consistency_claims.py",
        "if all(effective(b, name) > EQUAL",
        "if all(False and EQUAL",
        CLAIMS,
    ),
    Fault("small eps is swept along", DRAWN, 'way.name.startswith("ours, eps") or', "True or", CLAIMS),
    Fault("epochs from 0", FOUND, '(row["epoch"] + 1,', '(row["epoch"],', CLAIMS),
    Fault("shuffled ones are drawn", DRAWN, "if runs and way not in", "if runs or way in", CLAIMS),
    Fault("ends are of the first share", TOLD, "run.double().nanmean(1)", "run[:1].double().nanmean(1)", CLAIMS),
]
