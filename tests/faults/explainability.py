"""Faults in explaining one level of a model, and in what says how explainable a perturbation is."""

from __future__ import annotations

from fault import Fault

LEVEL, MEASURES = (f"tests/oracles/test_{name}.py" for name in ("by_level", "perturbation_measures"))
BY_LEVEL, FORMULAS = "explainers/by_level.py", "metrics/perturbation.py"
COMPONENTS, FOOLED, VERDICTS = (f"metrics/{name}.py" for name in ("explainability", "fooling", "verdicts"))

FAULTS = [
    # one level
    Fault("class as superclass", BY_LEVEL, "(model, self).hierarchy).coarse", "(model, self).hierarchy).fine", LEVEL),
    Fault("networks' order kept", BY_LEVEL, "for part in parts]).argsort()]", "for part in parts])]", LEVEL),
    Fault(
        "class of the whole model",
        BY_LEVEL,
        "part.place(fine), create",
        "part.classes[part.place(fine)], create",
        LEVEL,
    ),
    Fault(
        "the coarse network's choice", BY_LEVEL, "levels.parts(coarse)", "levels.parts(model(x).argmax(1) % 3)", LEVEL
    ),
    Fault("only class explained", BY_LEVEL, "if len(part.classes) == 1:", "if False:", LEVEL),
    Fault(
        "no graph at the coarse level",
        BY_LEVEL,
        "answers(model, target), create_graph=create_graph",
        "answers(model, target)",
        LEVEL,
    ),
    Fault("no graph at the fine level", BY_LEVEL, "place(fine), create_graph=create_graph", "place(fine)", LEVEL),
    Fault("start from the logit", BY_LEVEL, "z_plus(), start=OneHot())", "z_plus())", LEVEL),
    Fault("explainers around hide it", BY_LEVEL, 'getattr(explainer, "explainer", None)', "None", LEVEL),
    Fault("levels not asked for", BY_LEVEL, "hierarchical(model, self).coarse, x", "model.coarse, x", LEVEL),
    # formulas
    Fault("rounding ranks", FORMULAS, ".abs() * RESOLUTION).round()", ".abs() * RESOLUTION)", MEASURES),
    Fault("channels against each other", FORMULAS, "((x_adv - x).abs() * RES", "((x_adv - x) * RES", MEASURES),
    Fault("ranks from 0", FORMULAS, "torch.arange(1, count + 1,", "torch.arange(0, count,", MEASURES),
    Fault("concentration in any order", FORMULAS, ".sort(dim=1).values", "", MEASURES),
    Fault("nats", FORMULAS, "sum(1) / log(share.shape[1])", "sum(1)", MEASURES),
    Fault("absolute values lost", FORMULAS, ".double().abs()", ".double()", MEASURES),
    Fault(
        "single precision",
        FORMULAS,
        "flatten(1).double().abs()\n    size = size / size.amax(1, keepdim=True)",
        "flatten(1).abs() + 1e-12\n    size = size / 1",
        MEASURES,
    ),
    Fault(
        "ties all in",
        FORMULAS,
        "above.double() + level * (left.double() / level.sum(1, keepdim=True))",
        "(above | level).double()",
        MEASURES,
    ),
    Fault("ties all out", FORMULAS, "level * (left.double() / level.sum(1, keepdim=True))", "0 * left", MEASURES),
    Fault(
        "relevance against counts",
        FORMULAS,
        "size, positive = delta.abs(), relevance.clamp_min(0)",
        "size, positive = delta.abs(), relevance.abs()",
        MEASURES,
    ),
    Fault(
        "rank of signed relevance",
        FORMULAS,
        "rank_correlation(delta.abs(), relevance.clamp_min(0))",
        "rank_correlation(delta.abs(), relevance)",
        MEASURES,
    ),
    Fault("rank of signed change", FORMULAS, "rank_correlation(delta.abs(), ", "rank_correlation(delta, ", MEASURES),
    Fault("both halves", FORMULAS, ".abs().sum(1) / 2)", ".abs().sum(1))", MEASURES),
    Fault(
        "size of the map counts", FORMULAS, "    return size / size.sum(1, keepdim=True)", "    return size", MEASURES
    ),
    Fault(
        "gains alone",
        FORMULAS,
        "change = (shares(before) - shares(after)).abs()",
        "change = (shares(before) - shares(after)).clamp_min(0)",
        MEASURES,
    ),
    Fault("zeros are values", FORMULAS, "values.masked_fill(empty, torch.nan)", "values", MEASURES),
    # components
    Fault(
        "classes exchanged",
        COMPONENTS,
        "target=self.attack if self.adversarial else None)",
        "target=None if self.adversarial else self.attack)",
        MEASURES,
    ),
    Fault(
        "another class after",
        COMPONENTS,
        "self.explainer, self.attack, target=target)",
        "self.explainer, self.attack)",
        MEASURES,
    ),
    Fault(
        "not moved",
        COMPONENTS,
        "self.explainer, self.attack, target=target)",
        "self.explainer, target=target)",
        MEASURES,
    ),
    Fault("no adversarial class needed", COMPONENTS, "masked_fill(was == now, torch.nan)", "clone()", MEASURES),
    Fault(
        "classes told apart",
        COMPONENTS,
        "(answers(self.explainer, self.verdicts.model, k) for k in classes)",
        "classes",
        MEASURES,
    ),
    Fault("share ignored", COMPONENTS, "question.before(), self.share)", "question.before(), 0.05)", MEASURES),
    Fault("no lift", COMPONENTS, "share / area if self.lift else share", "share", MEASURES),
    Fault("no object, no share", COMPONENTS, "torch.where(area > 0, ", "torch.where(area >= 0, ", MEASURES),
    Fault("void counts", COMPONENTS, "verdicts) * judged, mask)", "verdicts), mask)", MEASURES),
    Fault("area of the whole image", COMPONENTS, "inside(judged.float(), mask)", "mask.float().mean((1, 2))", MEASURES),
    Fault("explained again", VERDICTS, "if key not in self.known:", "if True:", MEASURES),
    Fault(
        "key without the class",
        VERDICTS,
        "(Verdicts.explained, explainer, attack, target)",
        "(Verdicts.explained, explainer, attack)",
        MEASURES,
    ),
    Fault("true class after", VERDICTS, "predicted(self.model, self.attacked(attack))", "self.batch.y", MEASURES),
    # fooled at a level
    Fault(
        "wrong ones count at a level",
        FOOLED,
        "fooled.masked_fill(torch.stack(wrong).any(0), torch.nan)",
        "fooled",
        MEASURES,
    ),
    Fault(
        "wrong superclass counts",
        FOOLED,
        "for criterion in {CoarseChanges(), aim}",
        "for criterion in (aim,)",
        MEASURES,
    ),
    Fault(
        "the coarse level whatever the attack wants",
        FOOLED,
        "self.criterion or criterion_of(self.attack)",
        "self.criterion or CoarseChanges()",
        MEASURES,
    ),
    Fault("right only always", FOOLED, "if not self.right_only:", "if False:", MEASURES),
    Fault("fooled before", FOOLED, "verdicts.attacked(self.attack), y).float()", "x, y).float()", MEASURES),
    Fault("a plain network is taken", FOOLED, "hierarchical(verdicts.model, self)", "verdicts.model", MEASURES),
]
