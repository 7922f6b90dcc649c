"""Faults in the study of robustness and interpretability: signs turned, seeds mixed, doubt left out."""

from __future__ import annotations

from fault import Fault

STUDY = "tests/stages/test_robustness_study.py"
FOUND_TESTS, CLAIMS_TESTS = "tests/oracles/test_robustness_found.py", "tests/oracles/test_robustness_claims.py"
WAYS, WHOLE, FOUND, MISLEADING, CLAIMS, CONTROLS, TABLES, FIGURES = (
    f"studies/robustness_{n}.py"
    for n in ("ways", "study", "found", "misleading", "claims", "controls", "tables", "figures")
)
RECIPE = "recipes/robustness_study.py"
ONCE, VERDICTS = "tests/oracles/test_found_once.py", "metrics/verdicts.py"

FAULTS = [
    # trends, gains, doses
    Fault(
        "models shuffled by images",
        FOUND,
        "known = np.isfinite(values).any(1) &",
        "known = np.isfinite(values).all(1) &",
        FOUND_TESTS,
    ),
    Fault("the largest is never reached", FOUND, ">= abs(rho) - 1e-12", "> abs(rho) + 1e-12", FOUND_TESTS),
    Fault(
        "one side",
        FOUND,
        "(np.abs(rank_correlations(axis, shuffled)) >=",
        "(rank_correlations(axis, shuffled) >=",
        FOUND_TESTS,
    ),
    Fault("of the first of equals", FOUND, "(second**2).sum(1)", "(second[:1]**2).sum(1) * 0 + 28", FOUND_TESTS),
    Fault("what is missing is 0", FOUND, "/ (weight @ there.T)", "/ weight.sum(1, keepdims=True)", FOUND_TESTS),
    Fault("a share of the last", FOUND, "top = int(means.argmax())", "top = len(means) - 1", FOUND_TESTS),
    Fault("a share of a loss", FOUND, "if means[top] <= 0:", "if False:", FOUND_TESTS),
    Fault("holes are filled", FOUND, "gains[:, np.isfinite(gains).all(0)]", "np.nan_to_num(gains)", FOUND_TESTS),
    Fault(
        "lower is higher",
        FOUND,
        "return gain(sign * own[:count], sign * other[:count])",
        "return gain(own[:count], other[:count])",
        FOUND_TESTS,
    ),
    Fault(
        "all seeds of either",
        FOUND,
        "sign * own[:count], sign * other[:count]",
        "sign * own, sign * other",
        FOUND_TESTS,
    ),
    Fault("doses without direction", FOUND, "sign * (means[1:] - means[0])", "means[1:] - means[0]", FOUND_TESTS),
    Fault(
        "gains are not corrected",
        FOUND,
        "corrected = holm([g.p for g in gains])",
        "corrected = [g.p for g in gains]",
        FOUND_TESTS,
    ),
    Fault(
        "trends are not corrected",
        FOUND,
        "corrected = holm([t.p for t, _ in trends])",
        "corrected = [t.p for t, _ in trends]",
        FOUND_TESTS,
    ),
    Fault(
        "one seed decides",
        FOUND,
        "(min(g.seeds) > 0) - (max(g.seeds) < 0)",
        "(g.difference > 0) - (g.difference < 0)",
        FOUND_TESTS,
    ),
    Fault("half is most", FOUND, "2 * self.better > self.cells and", "2 * self.better >= self.cells and", FOUND_TESTS),
    Fault("every image is judged", FOUND, "[:, self.explained.judged].double()", ".double()", FOUND_TESTS),
    Fault("baselines explain", FOUND, "baselines or not isinstance(cell.explainer, BASELINES)", "True", FOUND_TESTS),
    Fault(
        "thrown off is explained",
        FOUND,
        "above_chance(self.explained, cell.of(name))",
        "self.explained.values[cell.of(name)].double().numpy()",
        FOUND_TESTS,
    ),
    Fault("as they were given", FOUND, "key=lambda w: w.eps)", "key=lambda w: 0)", FOUND_TESTS),
    Fault("norms are one", FOUND, "if (w.method, w.norm) == (method, norm))", "if w.method == method)", FOUND_TESTS),
    Fault("nobody is the rival", FOUND, "if plain and against else []", "if plain or against else []", FOUND_TESTS),
    Fault("what is refused is a row", FOUND, "if c not in self.explained.refused)", ")", STUDY),
    # claims
    Fault(
        "the weakest training",
        CLAIMS,
        "return (curve[0], curve[-1]) if",
        "return (curve[0], curve[1]) if",
        CLAIMS_TESTS,
    ),
    Fault(
        "turned round",
        CLAIMS,
        "f.gain(cell, both[1], both[0]) for cell in looks]\n    known = [(cell, g)",
        "f.gain(cell, both[0], both[1]) for cell in looks]\n    known = [(cell, g)",
        CLAIMS_TESTS,
    ),
    Fault("L2 is L-inf", CLAIMS, "both, looks = ends(f, norm), cells", "both, looks = ends(f), cells", CLAIMS_TESTS),
    Fault("not reversed", CLAIMS, "verdicts.get(judged.verdict, judged.verdict)", "judged.verdict", CLAIMS_TESTS),
    Fault("output is input", CLAIMS, "if cell.better and not apart(cell)]", "if cell.better]", CLAIMS_TESTS),
    Fault("neither is better", CLAIMS, "if cell.better and not apart(cell)]", "if not apart(cell)]", CLAIMS_TESTS),
    Fault(
        "scale is stability",
        CLAIMS,
        "isinstance(cell.metric, RelativeOutputStability) or unscaled",
        "isinstance(cell.metric, RelativeOutputStability)",
        CLAIMS_TESTS,
    ),
    Fault(
        "up is better",
        CLAIMS,
        "trends = [(f.trend(cell), cell.better) for",
        "trends = [(f.trend(cell), 1) for",
        CLAIMS_TESTS,
    ),
    Fault("five models are enough", CLAIMS, "* len(trends) >= LEVEL:", "* len(trends) >= 9:", CLAIMS_TESTS),
    Fault("half of the eps is modest", CLAIMS, "MODEST = 0.25", "MODEST = 0.5", CLAIMS_TESTS),
    Fault("a third is half", CLAIMS, "sum(share >= 0.5 for", "sum(share >= 0.33 for", CLAIMS_TESTS),
    Fault("gained accuracy", CLAIMS, "g.p < LEVEL and max(g.seeds) < 0", "g.p < LEVEL", CLAIMS_TESTS),
    Fault("rising is falling", CLAIMS, "if t.rho < 0 and t.p < LEVEL", "if t.p < LEVEL", CLAIMS_TESTS),
    Fault(
        "any change of output",
        CLAIMS,
        "holds = 2 * count.worse > count.cells",
        "holds = 2 * count.better > count.cells",
        CLAIMS_TESTS,
    ),
    Fault("both readings of output", CLAIMS, "if metric.elementwise == elementwise]", "]", CLAIMS_TESTS),
    Fault("the ends rise", CONTROLS, "all(b >= a for a, b in pairwise(means)) and", "", CLAIMS_TESTS),
    Fault(
        "the least robust",
        CONTROLS,
        "f.names[int(f.axis.argmax())]\n    gains",
        "f.names[int(f.axis.argmin())]\n    gains",
        CLAIMS_TESTS,
    ),
    Fault("faithful upwards", CONTROLS, "(cell.better * f.values(c, [best])", "(f.values(c, [best])", CLAIMS_TESTS),
    Fault("any difference is none", CONTROLS, "< 0.2 * abs(own.difference)", "< 2 * abs(own.difference)", CLAIMS_TESTS),
    Fault("a control of nothing", CONTROLS, "and own.p < LEVEL]", "]", CLAIMS_TESTS),
    Fault("an explainer without a twin", CONTROLS, "if plain(cell) in explained]", "]", CLAIMS_TESTS),
    Fault(
        "risen for fallen", CONTROLS, "return before / after if after", "return after / before if after", CLAIMS_TESTS
    ),
    Fault(
        "found in one model", CONTROLS, "SUPPORTED if higher == total else", "SUPPORTED if higher else", CLAIMS_TESTS
    ),
    Fault(
        "gains of someone",
        CLAIMS,
        "for cell, g in known if cell.explainer == explainer]",
        "for cell, g in known]",
        CLAIMS_TESTS,
    ),
    # tables and drawings
    Fault("enough is all", TABLES, "found[e].share >= 0.9)", "found[e].share >= 1)", CLAIMS_TESTS),
    Fault("gained anyway", TABLES, "or not f.gain(cell, both[1], both[0]).better", "", CLAIMS_TESTS),
    Fault("nobody says why", TABLES, "refused(f.explained)", "refused(f.clean)", STUDY),
    Fault("models as they come", FIGURES, 'np.argsort(f.axis, kind="stable")', "np.arange(len(f.axis))", CLAIMS_TESTS),
    Fault("always accuracy", FIGURES, "f.accuracy(s) if k == 0 else", "f.accuracy(s) if k >= 0 else", CLAIMS_TESTS),
    # the study
    Fault("searched for and lost", WHOLE, "explained.values | more.values", "explained.values", STUDY),
    Fault("refused and forgotten", WHOLE, "explained.refused | more.refused", "explained.refused", STUDY),
    Fault("accuracy of a few", WHOLE, 'asked("clean", part.test,', 'asked("clean", few,', STUDY),
    Fault(
        "attacks as many as explained",
        WHOLE,
        "at_most(part.test, trial.attacked,",
        "at_most(part.test, trial.images,",
        STUDY,
    ),
    Fault("one seed for all", WHOLE, "range(seed, seed + way.seeds)", "[seed] * way.seeds", STUDY),
    Fault(
        "one name for two models", WHOLE, 'len(set(called)) == len(called), "trials have', 'True, "trials have', STUDY
    ),
    Fault(
        "trained without attacks",
        WHOLE,
        "objective = subject.way.objective",
        "objective = known.standard(1).objective",
        STUDY,
    ),
    Fault(
        "wrong decisions are shown",
        WHOLE,
        "found.explained.judged.nonzero()",
        "(~found.explained.judged).nonzero()",
        STUDY,
    ),
    # misleading maps
    Fault("the decision falls", MISLEADING, "look.stands & (look.without", "(look.without", STUDY),
    Fault("less sure than by lot", MISLEADING, "look.stands & (look.without >= look.at_random)", "look.stands", STUDY),
    Fault("the least plausible", MISLEADING, "argsort(descending=True)", "argsort()", STUDY),
    Fault("what it marks least", MISLEADING, "[:, None] > 0.5", "[:, None] < 0.5", STUDY),
    # ways and the recipe
    Fault("eps of nothing", WAYS, "eps / 255 if norm == LINF else eps, method", "eps, method", STUDY),
    Fault("a fixed start", WAYS, "random_start=True", "random_start=False", STUDY),
    Fault("the weak threat ranks", WAYS, "linf: tuple[float, ...] = (8, 2)", "linf: tuple[float, ...] = (2, 8)", STUDY),
    Fault("the images of nobody", RECIPE, "if model is None or len(data) != 1:", "if model is None:", STUDY),
    Fault("ImageNet three times", RECIPE, "replace(way, seeds=1) for way", "replace(way, seeds=3) for way", STUDY),
    Fault("brought and trained", RECIPE, "model=None, ways=()),", "model=model),", STUDY),
    # what metrics share
    Fault("whoever asks first", VERDICTS, "if self.seed is None:", "if True:", ONCE),
    Fault(
        "one seed for every survey",
        VERDICTS,
        "with seeded_globally(self.seed, 0):",
        "with seeded_globally(0, 0):",
        ONCE,
    ),
    Fault("None is not known", VERDICTS, "if key not in self.known:", "if self.known.get(key) is None:", ONCE),
    Fault("maps of the last who asked", VERDICTS, "view = copy(self)", "view = self", ONCE),
    Fault("whose maps is forgotten", VERDICTS, "        view.explainer = explainer\n", "", ONCE),
]
