"""What the command line shows: progress, components, outcomes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from .recipe import Recipe
    from .report.attacked import Attacked
    from .report.evaluation import Evaluation
    from .report.explanations import Explanations
    from .review import Tally
    from .statistics import Estimate
    from .study import Document, Study

shown, told = Console(), Console(stderr=True)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars with the time left, one for each thing that goes on; plain lines where there is no terminal."""
    if not told.is_terminal:
        yield lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=told) as progress:
        tasks: dict[str, TaskID] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(escape(label), total=total)
            progress.update(tasks[label], completed=done, total=total)

        yield show


def lines() -> Callable[[str, int, int], None]:
    """Progress as a line whenever a quarter is done."""
    quarters: dict[str, int] = {}
    started: dict[str, float] = {}

    def show(label: str, done: int, total: int) -> None:
        now = time.monotonic()
        quarter, spent = 4 * done // max(total, 1), now - started.setdefault(label, now)
        if quarter > quarters.get(label, 0 if done else -1):
            quarters[label] = quarter
            left = f", {spent * (total - done) / done:.0f} s left" if 0 < done < total else ""
            told.print(f"{label}: {done}/{total}, {spent:.0f} s{left}", highlight=False, markup=False, soft_wrap=True)

    return show


def show_component(component: type) -> None:
    """The text that makes a component, what it is, and the paper it comes from."""
    told_fields = ", ".join(f"{f.name}={field_text(f)}" for f in fields(component))
    entry(f"{component.__name__}({told_fields})", component)
    if source := source_of(component):
        shown.print(Padding(Text(source, style="dim"), (0, 0, 0, 4)))


def entry(text: str, thing: Any) -> None:
    """A name with its parameters, and the first paragraph about it."""
    name, _, rest = text.partition("(")
    shown.print(Text.assemble((name, "bold cyan"), f"({rest}"), soft_wrap=True, highlight=False)
    about = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
    shown.print(Padding(Text(about), (0, 0, 0, 4)))


def field_text(field: Any) -> str:
    """A field's default, or its kind where it must be given."""
    from .spec import required

    return f"<{field.type}>" if required(field) else repr(field.default)


def source_of(component: type) -> str:
    """The paper that a component's module names, where the component itself names none."""
    module = inspect.getmodule(component)
    about = (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ") if module else ""
    return about if "http" in about and "http" not in (inspect.getdoc(component) or "") else ""


def show_recipe(function: Callable[..., Recipe | Study]) -> None:
    """A recipe with its parameters."""
    parameters = (str(p).replace("'", "") for p in inspect.signature(function).parameters.values())
    entry(f"{function.__name__}({', '.join(parameters)})", function)


def outcome_table(summary: dict[str, Any]) -> Table:
    """Every arm's means with their intervals."""
    table = Table(title=escape(str(summary["title"])), title_justify="left")
    table.add_column("")
    for arm in summary["table"]["arms"]:
        table.add_column(escape(arm), justify="right")
    for metric, cells in summary["table"]["metrics"].items():
        table.add_row(escape(metric), *(escape(cell) for cell in cells))
    return table


def claims_table(document: Document) -> Table:
    """What is claimed, whether it holds here, and the number that decides."""
    table = Table(title=escape(document.title), title_justify="left", show_lines=True)
    for heading in ("claim", "here", "measured"):
        table.add_column(heading, overflow="fold")
    for claim in document.claims:
        table.add_row(escape(claim.text), escape(claim.verdict), escape(claim.measured))
    return table


def survey_table(document: Document) -> Table:
    """The means of all models, a line for each metric by each explainer."""
    told = document.results
    names = [model["name"] for model in told["models"]]
    table = Table(title=f"{told['judged']} of {told['images']} images are right by all models", title_justify="left")
    for heading in ("metric", "explainer", *names):
        table.add_column(escape(heading), justify="right" if heading in names else "left", overflow="fold")
    table.add_row("accuracy", "", *(f"{100 * model['accuracy']['mean']:.1f} %" for model in told["models"]))
    means: dict[tuple[str, str], dict[str, str]] = {}
    for cell in told["cells"]:
        row = means.setdefault((cell["title"], cell["by"]), {})
        row[cell["model"]] = f"{cell['mean']:.3g}" if cell["count"] else "–"
    for (metric, explainer), found in means.items():
        table.add_row(escape(metric), escape(explainer), *(found[name] for name in names))
    return table


def explained_table(found: Explanations) -> Table:
    """What each explainer took, and how far it agrees with each other one."""
    from .report.gallery import agreement_table, cost

    table = Table(title="Cost, and rank correlation with each other", title_justify="left")
    for heading in ("explainer", "s an image", "passes an image"):
        table.add_column(heading, justify="left" if heading == "explainer" else "right", overflow="fold")
    for column in found.columns:
        table.add_column(escape(column.name), justify="right", overflow="fold")
    for column, (_, line) in zip(found.columns, agreement_table(found), strict=True):
        told_cost = cost(column, len(found.x))
        table.add_row(escape(column.name), told_cost["each"], told_cost["passes"], *(text for text, _ in line))
    return table


def evaluation_tables(found: Evaluation) -> list[Table | Text]:
    """The measurements, and the self-checks that do not pass."""
    from .report.evaluation_page import CLEAN
    from .report.words import measured as in_words
    from .report.words import sorted_checks
    from .titles import title

    measured = Table(title=f"{len(found.y)} images", title_justify="left")
    measured.add_column("", overflow="fold")
    measured.add_column("mean", justify="right")
    for metric in found.metrics:
        measured.add_row(escape(title(metric)), escape(in_words(metric, found.estimate(metric))))
    if found.corrupted:
        means = list(found.accuracies(CLEAN).values())
        measured.add_row("accuracy under corruption", f"{100 * sum(means) / len(means):.1f} %")
    passed = sum(check.status == "pass" for check in found.checks)
    told = f"Self-checks: {passed} of {len(found.checks)} pass" if found.checks else "No self-checks were made"
    checks = Table(title=told, title_justify="left", show_lines=True)
    if passed == len(found.checks):
        return [measured, Text(told)]
    for heading in ("", "what should hold", "what was seen"):
        checks.add_column(heading, overflow="fold")
    colours = {"fail": "bold red", "warn": "yellow", "open": "dim"}
    for check in sorted_checks(found.checks):
        if check.status != "pass":
            checks.add_row(Text(check.status, colours[check.status]), escape(check.title), escape(check.reason))
    return [measured, checks]


def rated_table(decided: dict[str, Tally], raters: int) -> Table:
    """What the raters decided, a line for each explainer."""
    few = f"{raters} rater{'' if raters == 1 else 's'} or more"
    table = Table(title=f"B against A, over the pairs with {few}", title_justify="left")
    for heading in ("explainer", "pairs", "B better", "same", "A better", "p", "kappa", "left chosen"):
        table.add_column(heading, justify="left" if heading == "explainer" else "right", overflow="fold")
    for name, found in decided.items():
        shares = [percent(share) for share in found.shares.values()]
        p = f"{found.p:.2g}" if found.decisions else "–"
        kappa = f"{found.kappa:.2f}" if found.kappa == found.kappa else "–"
        table.add_row(escape(name), str(len(found.decisions)), *shares, p, kappa, percent(found.left))
    return table


def percent(share: Estimate) -> str:
    """A share over its interval; a dash where there is none."""
    if not share.count:
        return "–"
    return f"{100 * share.mean:.0f} %\n[{100 * share.low:.0f}, {100 * share.high:.0f}]"


def attacked_table(found: Attacked) -> Table:
    """What an attack did, in a few numbers."""
    table = Table(title=escape(found.heading), title_justify="left", show_header=False)
    for name, value in found.summary:
        table.add_row(escape(name), escape(value))
    return table
