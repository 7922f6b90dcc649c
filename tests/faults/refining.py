"""Faults in LIME-guided refinement: rules, places, leaks, verdicts that flatter."""

from __future__ import annotations

from fault import Fault

KNOWN = "tests/oracles/test_refining.py"
CLAIMS = "tests/stages/test_lime_claims.py"
STUDY = "tests/stages/test_lime_refinement.py"
VERDICTS = "studies/lime_verdicts.py"

FAULTS = [
    # rules and places
    Fault(
        "important either way",
        "detectors/rules.py",
        "torch.where(beta < 0, important",
        "torch.where(beta < 9, important",
        KNOWN,
    ),
    Fault(
        "sensitive for the class",
        "detectors/rules.py",
        "torch.where(beta <= 0, sensitive",
        "torch.where(beta >= 0, sensitive",
        KNOWN,
    ),
    Fault(
        "signed forgets instability", "detectors/rules.py", "[against, useless, unstable]", "[against, useless]", KNOWN
    ),
    Fault(
        "explained once too often",
        "detectors/rules.py",
        "(self.importance, beta.abs())",
        "(self.importance, criteria.importance(model, batch, segments, lime))",
        KNOWN,
    ),
    Fault("one set for all classes", "detectors/aggregated.py", "    if by_class:", "    if False:", KNOWN),
    Fault("never one set", "detectors/aggregated.py", "    if by_class:", "    if True:", KNOWN),
    Fault(
        "too many places",
        "detectors/aggregated.py",
        "round(share * flat.shape[1])",
        "round(2 * share * flat.shape[1])",
        KNOWN,
    ),
    Fault("flagged by nobody", "detectors/aggregated.py", "torch.where(often > least, often, 0.0)", "often", KNOWN),
    Fault("scores overrule", "detectors/aggregated.py", "1 / (2 * len(score))", "1e-3", KNOWN),
    Fault(
        "no tie is broken",
        "detectors/aggregated.py",
        "values = flagged + least * score",
        "values = flagged + 0 * score",
        KNOWN,
    ),
    Fault(
        "seldom is often",
        "detectors/aggregated.py",
        "values) / one_hot.sum(0)",
        "values) * one_hot.sum(0)",
        KNOWN,
    ),
    Fault(
        "no place without images",
        "detectors/findings.py",
        "        return of_class\n",
        "        return of_class & False\n",
        KNOWN,
    ),
    Fault(
        "area of images alone",
        "detectors/findings.py",
        "self.spurious() if len(self.index) else self.by_class >= 1",
        "self.spurious()",
        KNOWN,
    ),
    Fault("what was there is new", "detectors/findings.py", "((now & ~before).sum()", "((now & now).sum()", KNOWN),
    # stability, corruption, backgrounds
    Fault("no noise", "metrics/stability.py", "sigma * noise.to(x)", "0 * noise.to(x)", KNOWN),
    Fault(
        "explains the label",
        "metrics/stability.py",
        "verdicts.explained(self.explainer), verdicts.predicted",
        "verdicts.explained(self.explainer), verdicts.batch.y",
        KNOWN,
    ),
    Fault("last copy counts", "metrics/stability.py", "torch.stack(found).mean(0)", "found[-1]", KNOWN),
    Fault(
        "turned over is the same", "metrics/stability.py", "stack(found).mean(0)", "stack(found).abs().mean(0)", KNOWN
    ),
    Fault("no order is order", "metrics/stability.py", "stack(found).mean", "stack(found).nan_to_num(1).mean", KNOWN),
    Fault("noise leaves the range", "metrics/stability.py", ".clamp(0, 1)", "", KNOWN),
    Fault("one noise for all images", "metrics/stability.py", "noise.to(x)", "noise[:1].to(x)", KNOWN),
    Fault(
        "one noise for all copies",
        "metrics/stability.py",
        "stream.normal(*x.shape[1:])",
        "draws(x, 1).normal(*x.shape[1:])",
        KNOWN,
    ),
    Fault("attack is lost", "metrics/under.py", "self.metric(model,", "Accuracy()(model,", KNOWN),
    Fault("nothing is corrupted", "metrics/under.py", "x=self.corruption(batch.x)", "x=batch.x", KNOWN),
    Fault(
        "own background",
        "data/backgrounds.py",
        "order[(starts[y] + counts[y] + step)",
        "order[(starts[y] + step)",
        KNOWN,
    ),
    Fault(
        "some donors never",
        "data/backgrounds.py",
        "(drawn * (len(y) - counts[y]))",
        "(0.5 * drawn * (len(y) - counts[y]))",
        KNOWN,
    ),
    Fault(
        "the other object shows", "data/backgrounds.py", "torch.where(donor_mask[:, None], mean, donor)", "donor", KNOWN
    ),
    Fault("mean of the object", "data/backgrounds.py", "behind = (~donor_mask)", "behind = donor_mask", KNOWN),
    Fault("all splits change", "data/backgrounds.py", "if split not in self.splits:", "if False:", KNOWN),
    # runs
    Fault(
        "the leak is none",
        "run.py",
        "self.work.outcome.test if self.arm.leak else",
        "self.work.outcome.train if self.arm.leak else",
        STUDY,
    ),
    Fault(
        "everyone leaks",
        "run.py",
        "self.work.outcome.test if self.arm.leak else",
        "self.work.outcome.test if True else",
        STUDY,
    ),
    Fault(
        "a leak takes what is honest",
        "run.py",
        "(arm.detector, arm.leak) == (detector, self.arm.leak)",
        "arm.detector == detector",
        STUDY,
    ),
    Fault(
        "nothing is shared",
        "run.py",
        "findings = self.shared(detector) if number == 0 else None",
        "findings = None",
        STUDY,
    ),
    Fault("nothing is watched", "run.py", "state.log[-1] | means", "state.log[-1]", STUDY),
    Fault(
        "other test images under other seeds",
        "run.py",
        'at_most(recipe.data("test"), recipe.test_images)',
        'at_most(recipe.data("test"), recipe.test_images, recipe.seed)',
        STUDY,
    ),
    Fault("memory is forgotten", "timer.py", "memory[self.name] = max(", "memory[self.name + '?'] = max(", STUDY),
    Fault(
        "irrelevant images decide",
        "objectives/sensitivity.py",
        "some = spurious(batch).flatten(1).any(1)",
        "some = ~spurious(batch).flatten(1).any(1)",
        "tests/oracles/test_objectives.py",
    ),
    # the study
    Fault(
        "one seed for all",
        "studies/lime_refinement.py",
        "recipe = replace(trial.recipe, seed=seed,",
        "recipe = replace(trial.recipe, seed=self.study.seed,",
        STUDY,
    ),
    Fault(
        "steps are shared by seeds",
        "studies/lime_refinement.py",
        'f"{self.folder}/{store_name(label)}"',
        'f"{store_name(label)}"',
        STUDY,
    ),
    Fault(
        "corruption is forgotten",
        "studies/lime_refinement.py",
        "CorruptedSamples(images, c), study.corrupted",
        "images, study.corrupted",
        STUDY,
    ),
    Fault(
        "epochs start anew",
        "studies/lime_refinement.py",
        "epochs += outcome.recipe.refining.epochs",
        "epochs += 0",
        STUDY,
    ),
    Fault("metrics are terms", "studies/lime_found.py", ' and "(" not in column', "", CLAIMS),
    Fault("seeds are pooled", "studies/gains.py", "(own - rival).nanmean(1)", "(own - rival).nanmean(0)", CLAIMS),
    Fault(
        "most seeds are enough",
        "studies/gains.py",
        "self.p < LEVEL and min(self.seeds) > 0",
        "self.p < LEVEL",
        CLAIMS,
    ),
    Fault(
        "chance is enough",
        "studies/gains.py",
        "self.p < LEVEL and min(self.seeds) > 0",
        "min(self.seeds) > 0",
        CLAIMS,
    ),
    # verdicts
    Fault(
        "any baseline is comparable",
        "studies/lime_verdicts.py",
        "abs(100 * own.mean - theirs) <= NEAR",
        "own.mean >= 0",
        CLAIMS,
    ),
    Fault("any drop is little", VERDICTS, "100 * g.low <= published[0] - published[1]", "g.low < 9", CLAIMS),
    Fault("any level will do", VERDICTS, "100 * own.high >= published", "own.high >= 0", CLAIMS),
    Fault("one eps is enough", VERDICTS, "all(g.better for g in present)", "any(g.better for g in present)", CLAIMS),
    Fault("one corruption is enough", VERDICTS, "more == len(own) and", "more > 0 and", CLAIMS),
    Fault("more unsteady", VERDICTS, "spreads[0] < spreads[1]", "spreads[0] > spreads[1]", CLAIMS),
    Fault(
        "mean above clean",
        VERDICTS,
        "worst = max(attacked[c] - clean[c] for c in clean)",
        "worst = min(attacked[c] - clean[c] for c in clean)",
        CLAIMS,
    ),
    Fault("the unknown is no leak", VERDICTS, "SUPPORTED if bounded else UNTESTED", "SUPPORTED", CLAIMS),
    Fault("settled at once", VERDICTS, "SUPPORTED if last < first else REFUTED", "SUPPORTED", CLAIMS),
    Fault("any cost", VERDICTS, "max(known.values()) <= COST", "min(known.values()) <= 1", CLAIMS),
    Fault("impossible is sound", "studies/lime_verdicts.py", "(v > clean).any()", "(v > 1 + clean).any()", CLAIMS),
    Fault("failed checks pass", VERDICTS, "REFUTED if failed else SUPPORTED", "SUPPORTED", CLAIMS),
    Fault(
        "shortcuts under attack",
        "studies/lime_found.py",
        "return arms.CLEAN if self.has_shortcut else arms.pgd(0.03)",
        "return arms.pgd(0.03)",
        CLAIMS,
    ),
    Fault("no correction", "studies/lime_claims.py", "decided(g._replace(p=p))", "decided(g)", CLAIMS),
    # the page
    Fault(
        "published numbers change places",
        "studies/lime_document.py",
        "*map(per_cent, published), *cells",
        "*map(per_cent, published[::-1]), *cells",
        CLAIMS,
    ),
    Fault(
        "inconsistencies are lost",
        "studies/lime_inconsistencies.py",
        "for name, text in INCONSISTENCIES]",
        "for name, text in INCONSISTENCIES[1:]]",
        CLAIMS,
    ),
    # the recipe
    Fault("no strong recipe", "recipes/lime_refinement.py", 'if recipe == "both"', 'if recipe == "all"', STUDY),
    Fault(
        "half the epochs",
        "recipes/lime_refinement.py",
        "refining=replace(training, epochs=size.refining)",
        "refining=replace(training, epochs=size.refining // 2)",
        STUDY,
    ),
]
