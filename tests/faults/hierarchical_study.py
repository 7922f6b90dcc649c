"""Faults in the study of hierarchical attacks: verdicts that flatter, numbers mixed up, images counted for free."""

from __future__ import annotations

from fault import Fault

STUDY = "tests/stages/test_hierarchical_attacks.py"
FOUND, PAIRS, VERDICTS, NUMBERS, TABLES, DRAWN, TOLD = (
    f"studies/hierarchical_{n}.py"
    for n in ("found", "compared", "claims", "published", "tables", "figures", "document")
)
RECIPE = "recipes/hierarchical_attacks.py"

FAULTS = [
    Fault(
        "wrong before, fooled after",
        FOUND,
        '(values["right"] > 0) & (values["fooled"] > 0)',
        'values["fooled"] > 0',
        STUDY,
    ),
    Fault(
        "fooled by one is enough",
        FOUND,
        "fooled(first)[:count] & fooled(second)",
        "fooled(first)[:count] | fooled(second)",
        STUDY,
    ),
    Fault("high entropy is good", FOUND, "sign = -1 if measure in LOWER", "sign = 1 if measure in LOWER", STUDY),
    Fault("counted as there", FOUND, 'values["fooled"][values["right"] > 0]', 'values["fooled"]', STUDY),
    Fault("p-values as they are", PAIRS, "m: g._replace(p=p) for", "m: g for", STUDY),
    Fault("half is most", PAIRS, "2 * len(better) > len(a.gains) and", "3 * len(better) > len(a.gains) and", STUDY),
    Fault("worse by some", PAIRS, " and not worse else no", " else no", STUDY),
    Fault(
        "as many images as measures", PAIRS, "2.0 ** (1 - a.shared) >= LEVEL", "2.0 ** (2 - a.shared) >= LEVEL", STUDY
    ),
    Fault("any image decides", PAIRS, "2.0 ** (1 - a.shared) >= LEVEL", "2.0 ** (1 - a.shared) >= 9", STUDY),
    Fault(
        "one part is enough",
        PAIRS,
        "verdict = refused[0] if refused else",
        "verdict = refused[0] if len(refused) > 1 else",
        STUDY,
    ),
    Fault("what is missing is refused", PAIRS, "if j != MISSING] or [MISSING]", "]", STUDY),
    Fault(
        "the largest eps", PAIRS, "ways.EPS[0] if ways.EPS[0] in known", "ways.EPS[-1] if ways.EPS[-1] in known", STUDY
    ),
    Fault("some eps fools", VERDICTS, "reached = all(", "reached = any(", STUDY),
    Fault("half of it will do", VERDICTS, "100 * e.high >=", "200 * e.high >=", STUDY),
    Fault("twice as large is alike", VERDICTS, "first <= ALIKE * second", "first <= 2 * ALIKE * second", STUDY),
    Fault("negative is nothing", VERDICTS, "if share > INERT else NOT", "if share > 1 else NOT", STUDY),
    Fault("anything is small", VERDICTS, "if e.mean <= USUAL_EPS", "if e.mean <= 40 / 255", STUDY),
    Fault(
        "the loss of another start",
        VERDICTS,
        'own, margin = of_reading(d, "1")',
        'own, margin = of_reading(d, "1", 2)',
        STUDY,
    ),
    Fault("a loss of some size", VERDICTS, "size < INERT and", "size < 1 and", STUDY),
    Fault("on average parallel", VERDICTS, '["along"].min())', '["along"].max()) + 0.05', STUDY),
    Fault("a few are fooled", VERDICTS, "all(e.mean == 0 for", "all(e.mean < 0.2 for", STUDY),
    Fault("most images agree", VERDICTS, "if share >= HIGH else", "if share >= 0.8 else", STUDY),
    Fault("most are fooled", VERDICTS, "if e.mean >= HIGH else", "if e.mean >= 0.9 else", STUDY),
    Fault("Grad-CAM by all measures", VERDICTS, "*pair, JUDGED), SUPPORTED", "*pair), SUPPORTED", STUDY),
    Fault("scatters by all measures", VERDICTS, "ways.DEEPFOOL, CONCENTRATION)", "ways.DEEPFOOL)", STUDY),
    Fault("less is more", VERDICTS, "REPRODUCED if g.better", "REPRODUCED if g.p < 1", STUDY),
    Fault("a digit", NUMBERS, "0.0323, 0.0174", "0.0323, 0.0147", STUDY),
    Fault("the other table", NUMBERS, '"fine": TABLE_II}', '"fine": TABLE_I}', STUDY),
    Fault("the next column", TABLES, "theirs and getattr(theirs, measure)", "theirs and theirs.rho_2", STUDY),
    Fault(
        "norms of what is fooled",
        TABLES,
        "size(b.over_right(level, way, measure))",
        "size(b.value(level, way, measure))",
        STUDY,
    ),
    Fault(
        "measures of all images", TABLES, "short(b.value(level, way, m))", "short(b.over_right(level, way, m))", STUDY
    ),
    Fault("the smallest is told", TABLES, "float(own[name].max())", "float(own[name].min())", STUDY),
    Fault("one network for all", TABLES, "network.values.items()}", "found[0].values.items()}", STUDY),
    Fault("what fools nothing is drawn", DRAWN, "if e.count and not isnan(size.mean)]", "]", STUDY),
    Fault("coarse numbers everywhere", DRAWN, "PUBLISHED[level][ways", 'PUBLISHED["coarse"][ways', STUDY),
    Fault("gains are kept back", TOLD, "for rival in rivals\n", "for rival in ()\n", STUDY),
    Fault(
        "the fine level twice", TOLD, "level: plain(b, level) for level", "level: plain(b, LEVELS[0]) for level", STUDY
    ),
    Fault("another classifier's loss", TOLD, "(*(b.degenerate for b in bouts), bare) if d", "(bare,) if d", STUDY),
    Fault("trained where it need not be", RECIPE, "Training(epochs=0), hierarchy", "Training(), hierarchy", STUDY),
    Fault("no second stage", RECIPE, "hierarchy, size), fine=network)", "hierarchy, size), fine=None)", STUDY),
    Fault(
        "a network without weights", RECIPE, 'if getattr(network, "weights", None) == "":', "if network is None:", STUDY
    ),
    Fault(
        "what is wrong is attacked, too",
        "studies/hierarchical_measured.py",
        "x_adv[right] = searched(attack, model, at(batch, right))",
        "x_adv = searched(attack, model, batch)",
        "tests/oracles/test_level_measures.py",
    ),
    Fault(
        "right on the fine level is right on the coarse one",
        "studies/hierarchical_measured.py",
        "return right & (said.fine == labels.fine) if scene.fine else right",
        "return right",
        "tests/oracles/test_level_measures.py",
    ),
    Fault(
        "another margin than the level's",
        "studies/hierarchical_measured.py",
        "    control = rows[-1]\n",
        "    control = rows[0]\n",
        "tests/oracles/test_level_measures.py",
    ),
]
