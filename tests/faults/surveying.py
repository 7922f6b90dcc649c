"""Faults in surveys of several models by several explainers."""

from __future__ import annotations

from fault import Fault

SURVEY = "tests/oracles/test_survey.py"
STUDY, CLI = "tests/stages/test_model_survey.py", "tests/stages/test_cli_survey.py"
FOUND, TABLES, COMMAND = "studies/model_survey_found.py", "studies/model_survey_tables.py", "cli/surveying.py"
CHECKPOINTS = "models/checkpoints.py"

FAULTS = [
    Fault("right for any", "survey.py", "return self.right.all(0)", "return self.right.any(0)", SURVEY),
    Fault("judged by one", "survey.py", "work.jobs(models, right.all(0))", "work.jobs(models, right[0])", SURVEY),
    Fault(
        "explained each time",
        "survey.py",
        "verdicts.by(task.explainer)",
        "Verdicts(verdicts.model, verdicts.batch, 0).by(task.explainer)",
        SURVEY,
    ),
    Fault("its own explainer", "survey.py", "replace(carrying, explainer=explainer)", "carrying", SURVEY),
    Fault(
        "last batch only",
        "survey.py",
        "values[where][list(job.images)] =",
        "values[where][: len(job.images)] =",
        SURVEY,
    ),
    Fault("steps of others", "survey.py", "own = jobs[shard[0] :: shard[1]]", "own = jobs", SURVEY),
    Fault(
        "half is all",
        "survey.py",
        "if not all(work.taken(job) for job in jobs)",
        "if not all(map(work.taken, own))",
        SURVEY,
    ),
    Fault(
        "nothing is kept",
        "survey.py",
        "if self.room is not None:\n            return",
        "if False:\n            return",
        SURVEY,
    ),
    Fault("refusals forgotten", "survey.py", "and k not in refused", "", SURVEY),
    Fault("always tolerant", "survey.py", "    if tolerant:\n", "    if True:\n", SURVEY),
    Fault(
        "one name for two",
        "survey.py",
        "store_name(name) for name in models}) <",
        "name for name in models}) <",
        SURVEY,
    ),
    Fault("time stands still", "survey.py", "told(done + n, of)", "told(done, of)", SURVEY),
    Fault(
        "a half-written recipe is a stranger", "store.py", 'if not path.name.startswith(f".{file.name}.")', "", STUDY
    ),
    Fault(
        "the shard is forgotten",
        "study.py",
        "Room(out, names, device, progress, shard)",
        "Room(out, names, device, progress)",
        STUDY,
    ),
    Fault("a shard ends it", "studies/model_survey.py", "raise Unfinished", "raise ValueError", STUDY),
    Fault(
        "counted from the first",
        "studies/model_survey.py",
        'told = {"index": self.index,',
        'told = {"index": torch.arange(len(self.index)),',
        STUDY,
    ),
    Fault(
        "shows what is wrong",
        "studies/model_survey.py",
        "found.judged.nonzero()[: self",
        "(~found.judged).nonzero()[: self",
        STUDY,
    ),
    Fault(
        "silence is success", "studies/model_survey.py", "if found.refused and not any(", "if False and not any(", STUDY
    ),
    Fault(
        "baselines are tested",
        FOUND,
        "explaining(c) and not isinstance(c.explainer, BASELINES)",
        "explaining(c)",
        STUDY,
    ),
    Fault(
        "not corrected",
        FOUND,
        "corrected = holm([found.p for found in told.values()])",
        "corrected = [found.p for found in told.values()]",
        STUDY,
    ),
    Fault("higher is better", FOUND, "c.difference * better > 0", "c.difference < 0", STUDY),
    Fault(
        "by chance against itself",
        FOUND,
        "(values(survey, c), values(survey, c._replace(explainer=chance)))",
        "(values(survey, c), values(survey, c))",
        STUDY,
    ),
    Fault("a value for what is refused", TABLES, "in found.survey.refused:", "in ():", STUDY),
    Fault("a table as wide as it gets", TABLES, "ACROSS = 6", "ACROSS = 60", STUDY),
    Fault("shards from 0", COMMAND, "int(number) - 1, int(of)", "int(number), int(of)", CLI),
    Fault("a shard too many", COMMAND, "1 <= int(number) <= int(of)", "1 <= int(number)", CLI),
    Fault("hidden files", CHECKPOINTS, ' and not path.name.startswith(".")', "", CLI),
    Fault("any ending", CHECKPOINTS, "path.suffix.lower() in ENDINGS and ", "", CLI),
    Fault(
        "as the disk has them",
        CHECKPOINTS,
        "sorted(p for p in path.iterdir() if is_checkpoint(p))",
        "sorted((p for p in path.iterdir() if is_checkpoint(p)), reverse=True)",
        CLI,
    ),
    Fault("ignores what it cannot do", COMMAND, "if several.inapplicable:", "if False:", CLI),
    Fault(
        "twice the same weights",
        CHECKPOINTS,
        "if resolved.count(place) > 1:",
        "if False:",
        CLI,
    ),
    Fault("no baselines asked, some given", COMMAND, "if several.baselines else ()", "", CLI),
    Fault(
        "the last name only",
        CHECKPOINTS,
        "for depth in range(1, deepest + 1):",
        "for depth in range(deepest, deepest + 1):",
        CLI,
    ),
]
