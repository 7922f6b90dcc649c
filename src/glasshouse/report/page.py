"""``report.html`` and ``summary.json`` of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data.samples import at_most, batches
from ..detectors.findings import found
from ..explainers import LIME
from ..files import write_whole
from ..metrics.localisation import on_evidence
from ..modes import device_of, frozen
from ..outcome import Outcome, Round
from ..spec import pretty
from ..store import Stage
from ..titles import title
from ..types import Batch, Progress, silent
from . import figures, words
from .templates import setting, template


def write_report(outcome: Outcome, progress: Progress = silent) -> dict[str, Any]:
    """Write the page and the summary next to the run; returns the summary."""
    progress("report", 0, 1)
    summary = summarised(outcome)
    page = template("page.html").render(
        summary=summary,
        tiles=tiles(outcome),
        checks=words.sorted_checks(words.checks(outcome)),
        sweep=sweep_figure(outcome),
        differences=differences(outcome),
        found=found_figure(outcome),
        classes=class_figure(outcome),
        seen=seen_figure(outcome),
        rounds=round_rows(outcome),
        losses=loss_figure(outcome),
        seconds=sorted(outcome.seconds.items(), key=lambda item: -item[1]),
        recipe=pretty(outcome.recipe),
        setup=setup(outcome),
    )
    write_whole(outcome.out / "report.html", page)
    kept = {k: v for k, v in summary.items() if k not in ("table", "verdict", "title")}
    write_whole(outcome.out / "summary.json", json.dumps(kept, indent=1) + "\n")
    progress("report", 1, 1)
    return summary


def summarised(outcome: Outcome) -> dict[str, Any]:
    """The run in a few numbers, accuracies in [0, 1]."""
    guided = outcome.guided
    metrics = [m for m in outcome.recipe.metrics if repr(m) in outcome.values["baseline"]]
    main = words.CLEAN if words.CLEAN in outcome.values["baseline"] else repr(metrics[0])
    means = {name: outcome.estimate(name, main).mean for name in outcome.values}
    rounds = outcome.rounds.get(guided.name, []) if guided else []
    quality = rounds[0].quality if rounds else None
    return {
        "baseline_accuracy": means["baseline"],
        "refined_accuracy": means[guided.name] if guided else None,
        "control_accuracy": {a.name: means[a.name] for a in outcome.recipe.arms if a.control_of},
        "detector_auroc": quality.auroc if quality else None,
        "seconds": round(sum(outcome.seconds.values()), 1),
        "report": str(outcome.out / "report.html"),
        "title": outcome.recipe.title,
        "verdict": words.verdict(outcome),
        "table": {
            "arms": list(outcome.values),
            "metrics": {title(m): [words.cell(outcome.estimate(n, repr(m))) for n in outcome.values] for m in metrics},
        },
    }


def tiles(outcome: Outcome) -> list[tuple[str, str, str]]:
    """The headline numbers: ``(value, what, detail)``."""
    guided = outcome.guided
    if guided is None:
        return []
    shown = []
    for metric in outcome.recipe.metrics:
        name = repr(metric)
        strongest = [m for m in outcome.recipe.metrics if "PGD" in title(m)][:1]
        if name in outcome.values["baseline"] and (metric in strongest or name == words.CLEAN or on_evidence(metric)):
            before, after = (outcome.estimate(arm, name).mean for arm in ("baseline", guided.name))
            shown.append((words.percent(after), title(metric), f"before: {words.percent(before)}"))
    first = outcome.rounds[guided.name][0]
    if first.quality and first.quality.auroc is not None:
        told = f"precision {words.percent(first.quality.precision, 0)}, recall {words.percent(first.quality.recall, 0)}"
        shown.append((f"{first.quality.auroc:.4f}", "detector's AUROC against the truth", told))
    return shown


def sweep_figure(outcome: Outcome) -> str | None:
    """Accuracy under attack for every arm, if any attack was measured."""
    curves = {name: words.attack_curves(outcome, name) for name in outcome.values}
    return figures.sweep(curves) if any(curves.values()) else None


def differences(outcome: Outcome) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """For each metric, the guided arm against every other: ``(other, points, p)``."""
    metrics = [m for m in outcome.recipe.metrics if repr(m) in outcome.values["baseline"]]
    rows = []
    for metric in metrics:
        against = outcome.comparisons(repr(metric))
        rows.append((title(metric), [(n, words.change(c), words.p_text(c.p)) for n, c in against.items()]))
    return rows if outcome.guided else []


def round_rows(outcome: Outcome) -> list[dict[str, str]]:
    """What every detection of the guided arm came to."""
    guided = outcome.guided
    if guided is None:
        return []
    rounds = outcome.rounds[guided.name]
    named = [f"round {i + 1}" for i in range(len(rounds) - 1)] + ["refined model"]
    return [round_row(name, r, rounds[0]) for name, r in zip(named, rounds, strict=True)]


def round_row(name: str, now: Round, first: Round) -> dict[str, str]:
    """One detection in words; the carried share is over what the first one flagged."""
    flagged = first.findings.flagged
    carried = f"{now.findings.score[flagged].mean().item():.2f}" if flagged.any() else "–"
    quality = now.quality
    return {
        "name": name,
        "images": str(len(now.findings.y)),
        "flagged": words.percent(now.findings.flagged.any(1).float().mean().item()),
        "area": words.percent(now.findings.area(), 2),
        "carried": carried,
        "precision": words.percent(quality.precision) if quality else "–",
        "recall": words.percent(quality.recall) if quality else "–",
        "auroc": f"{quality.auroc:.4f}" if quality and quality.auroc is not None else "–",
    }


def found_figure(outcome: Outcome) -> str | None:
    """Training images with their attribution in the baseline and what was flagged in them."""
    guided = outcome.guided
    if guided is None or not outcome.recipe.pictures:
        return None
    findings = outcome.rounds[guided.name][0].findings
    # A detector of whole classes looked at no image in particular.
    shown = findings.index if len(findings.index) else torch.arange(len(outcome.train))
    some = shown[: 4 * outcome.recipe.pictures].tolist()
    batch = outcome.train[some]._replace(index=torch.tensor(some))
    region = found(findings, batch)
    order = (
        region.flatten(1).any(1).int().argsort(descending=True, stable=True)[: outcome.recipe.pictures].sort().values
    )
    attribution = explained(outcome, "baseline", batch.x[order], batch.y[order])
    names = outcome.train.classes
    rows = [
        [figures.photo(batch.x[i]) for i in order],
        [figures.overlay(batch.x[i], a) for i, a in zip(order, attribution, strict=True)],
        [figures.outlined(batch.x[i], region[i]) for i in order],
    ]
    captions = [[shortened(names[int(batch.y[i])]) for i in order], [""] * len(order), [""] * len(order)]
    return figures.grid(rows, [""] * len(order), captions)


def class_figure(outcome: Outcome) -> str | None:
    """Where each class has its suspicious places, if any has one."""
    guided = outcome.guided
    if guided is None:
        return None
    maps = outcome.rounds[guided.name][0].findings.by_class
    worst = maps.flatten(1).amax(1).argsort(descending=True)[:10].sort().values
    if maps.max() < 1:
        return None
    names = [shortened(outcome.train.classes[int(c)]) for c in worst]
    return figures.grid([[figures.heat(maps[c], 2.0) for c in worst]], [""] * len(worst), [names])


def seen_figure(outcome: Outcome) -> str | None:
    """Test images, and what each model's prediction rests on."""
    guided = outcome.guided
    if guided is None or not outcome.recipe.pictures:
        return None
    samples = at_most(outcome.test, outcome.recipe.pictures, seed=outcome.recipe.seed + 1)
    batch = next(iter(batches(samples, outcome.recipe.pictures)))
    rows = [[figures.photo(x) for x in batch.x]]
    names = outcome.test.classes
    captions = [[shortened(names[int(y)]) for y in batch.y]]
    for arm in ("baseline", guided.name):
        predicted = prediction(outcome, arm, batch)
        attribution = explained(outcome, arm, batch.x, predicted)
        rows.append([figures.overlay(x, a) for x, a in zip(batch.x, attribution, strict=True)])
        marks = ["✓" if p == y else "✗" for p, y in zip(predicted, batch.y, strict=True)]
        captions.append([f"{m} {shortened(names[int(p)])}" for m, p in zip(marks, predicted, strict=True)])
    return figures.grid(rows, [""] * len(batch.y), captions)


def explained(outcome: Outcome, arm: str, x: Tensor, target: Tensor) -> Tensor:
    """The recipe's explainer on an arm's model, ``[B, H, W]`` on the CPU; LIME with maskings enough for a clear map."""
    model, explainer = outcome.models[arm], outcome.recipe.explainer
    if isinstance(explainer, LIME):
        explainer = replace(explainer, samples=max(explainer.samples, 1000))
    where = device_of(model)
    return explainer(model, x.to(where), target.to(where)).detach().cpu()


@torch.no_grad()
def prediction(outcome: Outcome, arm: str, batch: Batch) -> Tensor:
    """An arm's classes, ``[B]`` on the CPU."""
    with frozen(outcome.models[arm]) as model:
        return model(batch.x.to(device_of(model))).argmax(1).cpu()


def loss_figure(outcome: Outcome) -> str | None:
    """The training logs."""
    logs = {
        str(path.parent.relative_to(outcome.out)): Stage(path.parent).rows()
        for path in sorted(outcome.out.glob("**/log.jsonl"))
    }
    logs = {name: log for name, log in logs.items() if log}
    return figures.losses(logs) if logs else None


def setup(outcome: Outcome) -> list[tuple[str, str]]:
    """With what this was made."""
    devices = {device_of(model) for model in outcome.models.values()}
    return setting(
        {
            "device": ", ".join(sorted(devices)),
            "seed": outcome.recipe.seed,
            "training images": len(outcome.train),
            "test images": len(outcome.test),
            "classes": len(outcome.train.classes),
            "seconds": f"{sum(outcome.seconds.values()):.0f}",
        }
    )


def shortened(name: str, length: int = 14) -> str:
    """A class name that fits under a picture."""
    return name if len(name) <= length else name[: length - 1] + "…"
