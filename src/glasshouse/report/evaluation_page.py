"""An evaluation as a page: what was measured, what the self-checks say, and what the attacks look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..corruptions.errors import CorruptionError, corruption_error
from ..labels import indicators
from ..metrics import Accuracy
from ..metrics.verdicts import ball_of, family_of
from ..titles import family_title, title
from . import figures, words
from .templates import setting, template

if TYPE_CHECKING:
    from .evaluation import Evaluation, Example

CLEAN = Accuracy()


def page(found: Evaluation) -> str:
    """A whole page that needs nothing beside it."""
    return template("evaluation.html").render(content(found))


def fragment(found: Evaluation) -> str:
    """The same for a place within another page."""
    return template("evaluation_body.html").render(content(found))


def content(found: Evaluation) -> dict[str, Any]:
    """What the templates fill in."""
    curves = families(found)
    return {
        "verdict": verdict(found),
        "tiles": tiles(found),
        "checks": words.sorted_checks(found.checks),
        "rows": [(title(m), words.measured(m, found.estimate(m)), found.estimate(m).count) for m in found.metrics],
        "sweep": figures.sweep({"": curves}) if curves else None,
        "corruptions": corruption_tables(found),
        "error": error_text(found),
        "examples": [shown(example) for example in found.examples],
        "small": bool(found.examples) and max(found.examples[0].x.shape[1:]) <= 96,
        "classes": worst_classes(found),
        "setup": setup(found),
        "texts": [(title(m), repr(m)) for m in found.metrics],
    }


def verdict(found: Evaluation) -> str:
    """What came out, in two or three sentences."""
    clean = found.estimate(CLEAN)
    told = [f"Of {clean.count} images the model gets {words.percent(clean.mean)} right."]
    weakest = lowest(found)
    if weakest is not None:
        metric, mean = weakest
        told.append(f"Under {title(metric).removeprefix('accuracy, ')} it still gets {words.percent(mean)} right.")
    failed = [check for check in found.checks if check.status == "fail"]
    if failed:
        many = f"{len(failed)} self-check{'s' if len(failed) > 1 else ''} failed"
        told.append(f"{many}, so do not rely on these numbers: {failed[0].title}: not so ({failed[0].reason}).")
    elif found.checks:
        told.append("No self-check failed.")
    return " ".join(told)


def lowest(found: Evaluation) -> tuple[Any, float] | None:
    """The attack that leaves least, and what it leaves."""
    attacked = [(m, family_of(m.attack)[1]) for m in found.metrics if isinstance(m, Accuracy) and m.attack is not None]
    means = [(found.estimate(m).mean, -eps, m) for m, eps in attacked]
    weakest = min(means, key=lambda told: told[:2], default=None)
    return None if weakest is None else (weakest[2], weakest[0])


def tiles(found: Evaluation) -> list[tuple[str, str, str]]:
    """The headline numbers: ``(value, what, detail)``."""
    clean, weakest = found.estimate(CLEAN), lowest(found)
    shown = [(words.percent(clean.mean), "accuracy", f"of {clean.count} images")]
    if weakest is not None:
        metric, mean = weakest
        shown.append((words.percent(mean), title(metric), "the strongest attack of this page"))
    if found.corrupted:
        means = list(found.accuracies(CLEAN).values())
        shown.append((words.percent(sum(means) / len(means)), "accuracy under corruption", f"mean of {len(means)}"))
    failed = sum(check.status == "fail" for check in found.checks)
    warned = sum(check.status == "warn" for check in found.checks)
    if found.checks:
        shown.append((f"{failed} failed", "self-checks", f"{warned} warnings of {len(found.checks)} checks"))
    return shown


def families(found: Evaluation) -> dict[str, list[tuple[float, float]]]:
    """Accuracy against eps for each L-inf attack that was measured at several, from 0 on."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for metric in found.metrics:
        attack = metric.attack if isinstance(metric, Accuracy) else None
        ball = None if attack is None else ball_of(attack)
        if attack is not None and ball is not None and type(ball).__name__ == "Linf" and ball.eps < 1:
            points = curves.setdefault(family_title(attack), [(0.0, found.estimate(CLEAN).mean)])
            points.append((family_of(attack)[1], found.estimate(metric).mean))
    return {name: sorted(points) for name, points in curves.items() if len(points) > 2}


def corruption_tables(found: Evaluation) -> list[dict[str, Any]]:
    """For each metric, a row for each corruption with a cell for each severity."""
    tables = []
    for metric in found.metrics:
        means = found.accuracies(metric)
        if not means:
            continue
        severities = sorted({severity for _, severity in means})
        names = list(dict.fromkeys(name for name, _ in means))
        rows = []
        for name in names:
            cells = [means.get((name, severity)) for severity in severities]
            known = [value for value in cells if value is not None]
            rows.append((name, [cell(value) for value in cells], cell(sum(known) / len(known))))
        tables.append({"title": title(metric), "severities": severities, "rows": rows})
    return tables


def cell(value: float | None) -> tuple[str, float]:
    """A share as text, and how red its background is."""
    if value is None:
        return "–", 0.0
    return words.percent(value), round(max(0.0, min(1.0, 1 - value)), 3)


def errors(found: Evaluation) -> CorruptionError:
    """The corruption error against the reference."""
    if found.reference is None:
        raise ValueError("there is no reference")
    own, other = found.accuracies(CLEAN), found.reference
    return corruption_error(own, other.accuracies, found.estimate(CLEAN).mean, other.clean)


def error_text(found: Evaluation) -> str:
    """The corruption error in words."""
    if not found.corrupted:
        return ""
    if found.reference is None:
        return "No mean corruption error: it is relative to a reference model's errors, and none was given."
    error = errors(found)
    return (
        f"Mean corruption error against {found.reference.name}: {words.percent(error.mce)}, relative to clean accuracy "
        f"{words.percent(error.relative_mce)}; below 100 % this model loses less than the reference."
    )


def shown(example: Example) -> dict[str, str]:
    """An image, what was done to it, and what came of it."""
    delta = example.x_adv - example.x
    reach = float(delta.abs().max())
    return {
        "before": figures.encoded(figures.photo(example.x)),
        "change": figures.encoded(figures.photo(figures.stretched(delta))),
        "after": figures.encoded(figures.photo(example.x_adv)),
        "title": example.title,
        "was": example.predicted,
        "now": example.predicted_adv,
        "broken": "yes" if example.predicted != example.predicted_adv else "",
        "attack": example.attack,
        "reach": words.in_steps(reach),
    }


def worst_classes(found: Evaluation, count: int = 8) -> list[tuple[str, str, str, str]]:
    """The classes of which fewest images stand: ``(name, images, right, right under the strongest attack)``."""
    weakest = lowest(found)
    clean, last = found.values[repr(CLEAN)], found.values[repr(weakest[0] if weakest else CLEAN)]
    there = indicators(found.y, len(found.classes)) > 0
    rows = [(k, there[:, k]) for k in there.any(0).nonzero()[:, 0].tolist()]
    rows.sort(key=lambda row: (float(last[row[1]].mean()), float(clean[row[1]].mean())))
    return [
        (
            found.classes[k],
            str(int(where.sum())),
            words.percent(float(clean[where].mean())),
            words.percent(float(last[where].mean())),
        )
        for k, where in rows[:count]
    ]


def setup(found: Evaluation) -> list[tuple[str, str]]:
    """With what it was made."""
    took = ", ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
    told: dict[str, object] = {"model": found.model, "data": found.data, "images": len(found.y)}
    return setting(told | {"device": found.device, "seed": found.seed, "time": took})
