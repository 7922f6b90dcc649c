"""Faults in studies: controls that are too weak, verdicts that flatter, steps that are lost."""

from __future__ import annotations

from fault import Fault

EVOLVED = "tests/stages/test_evolved_explanations.py"

FAULTS = [
    # the controls
    Fault(
        "chance has half",
        "studies/searches.py",
        "spend = rival.evaluations - 1",
        "spend = rival.evaluations // 2",
        EVOLVED,
    ),
    Fault("greed without end", "studies/searches.py", "[: spend - len(seen)]", "[:]", EVOLVED),
    Fault("greed takes the first", "studies/searches.py", "candidates[values.argmax()]", "candidates[0]", EVOLVED),
    Fault("last mask counts", "studies/searches.py", "values.max() > seen.max()", "True", EVOLVED),
    Fault(
        "most of a front",
        "studies/searches.py",
        "enough.int().argmax(1), front.fitness.argmax(1)",
        "front.fitness.argmax(1), front.fitness.argmax(1)",
        EVOLVED,
    ),
    Fault(
        "every seed is one",
        "studies/evolving.py",
        "self.study.seed * 1000 + 2 * seed",
        "self.study.seed * 1000",
        EVOLVED,
    ),
    Fault(
        "one fill for all",
        "studies/evolving.py",
        "images._replace(filled=fill(",
        "images._replace(x=images.x) or (fill(",
        EVOLVED,
    ),
    # what is said of them
    Fault(
        "one run is enough",
        "studies/evolved_claims.py",
        "holds = improved(own)[0] == len(own)",
        "holds = improved(own)[0] > 0",
        EVOLVED,
    ),
    Fault(
        "mean second",
        "studies/evolved_claims.py",
        "decided(slowest.max < MINUTE)",
        "decided(slowest.max < 10 * MINUTE)",
        EVOLVED,
    ),
    Fault(
        "evaluations for seconds",
        "studies/evolved_claims.py",
        "decided(ratio > TEN_TIMES)",
        "decided(ratio > 1)",
        EVOLVED,
    ),
    Fault(
        "few images decide",
        "studies/evolved_claims.py",
        "tests * 2 / 2**count > LEVEL and p >= LEVEL",
        "False",
        EVOLVED,
    ),
    Fault(
        "wrong side",
        "studies/evolved_claims.py",
        "decided(difference > 0 and p < LEVEL)",
        "decided(p < LEVEL)",
        EVOLVED,
    ),
    Fault("never passed at once", "studies/rows.py", "if best > whole), math.nan", "if best > 0), math.nan", EVOLVED),
    # what is kept and shown
    Fault(
        "steps forgotten",
        "study.py",
        "        if kept is None:\n            store.keep_values",
        "        if True:\n            store.keep_values",
        EVOLVED,
    ),
    Fault("page not escaped", "report/templates.py", "autoescape=True", "autoescape=False", EVOLVED),
    Fault(
        "written before checked",
        "study.py",
        "    experiment = study(device)\n    store.opened(out, study, names)",
        "    store.opened(out, study, names)\n    experiment = study(device)",
        EVOLVED,
    ),
]
