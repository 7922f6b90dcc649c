"""Explanation metrics next to Quantus: whether values are the same, what is spent beside passes, what sharing saves.

python benchmarks/metrics.py [--images 24] [--repetitions 2] [--data FOLDER]        about four minutes on two cores

Three tables, of CIFAR-10 images that ResNet-20 is right about. Values: on the same attributions and perturbations, and
what Quantus does where it does not do what its papers say. Time of each metric over that of its own passes: as many
forward and backward passes in the same batches, and nothing else; metrics without a pass are timed against explaining
once. A suite of twelve metrics by three explainers: `survey` next to `quantus.evaluate`, with the same counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from infidelity_samples import precision
from networks import images, right, standard
from passes import Pass, bare, images_in, passes_of, recorded
from pictures import folder
from quantus_defects import DEFECTS, seen
from quantus_pairs import PEERS
from quantus_side import Given, Peer, difference, explaining, judged, quantus, quietly
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, setup
from torch import nn

from glasshouse.data.samples import Memory
from glasshouse.explainers import GradCAM, InputGradient, IntegratedGradients
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.modes import frozen
from glasshouse.survey import survey
from glasshouse.types import Batch, Explainer

GOAL_VALUES, GOAL_BARE, GOAL_SUITE = 1e-4, 1.15, 3
GRADIENT = InputGradient()
EXPLAINERS: dict[str, Explainer] = {
    "InputGradient": GRADIENT,
    "IntegratedGradients": IntegratedGradients(steps=4),
    "GradCAM": GradCAM(),
}
WITHOUT_PASSES = ("conciseness", "localisation")  # explaining once is what they are measured by
SUITE = (
    *("Sparseness", "Complexity"),
    *("MaxSensitivity", "LocalLipschitz", "RelativeInputStability", "RelativeOutputStability"),
    *("PixelFlipping", "FaithfulnessCorrelation", "Infidelity"),
    *("PointingGame", "RankInside"),
    "ModelRandomisation",
)


def data(model: nn.Module, root: Path, count: int) -> Memory:
    """Test images that the model gets right, with a centred box for a mask."""
    batch = images(root, count + count // 3 + 16)
    kept = right(model, batch.x, batch.y).nonzero()[:count, 0]
    mask = torch.zeros(len(kept), *batch.x.shape[2:], dtype=torch.bool)
    mask[:, 8:24, 8:24] = True
    return Memory((batch.x[kept] * 255).round().byte(), batch.y[kept], tuple("0123456789"), mask)


def values(given: Given) -> tuple[Table, float]:
    """How far both sides are apart, metric by metric."""
    table = Table("metric", "family", "Quantus", "largest difference", title="same attributions, same perturbations")
    worst = 0.0
    for peer in PEERS:
        apart = difference(peer.measured(given), peer.same(given))
        worst = max(worst, apart)
        table.add_row(peer.name(), peer.family(), peer.theirs, f"{apart:.1e}")
    return table, worst


def defects(given: Given) -> Table:
    """Where there is nothing to be equal to."""
    table = Table("Quantus", "why", "seen here", title="what Quantus does not do as its papers say")
    for name, (why, show) in DEFECTS.items():
        table.add_row(name, why, seen(given, show))
    return table


def best(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The fastest repetition of each: what is slower was disturbed."""
    return {name: min(values) for name, values in seconds.items()}


def over_bare(given: Given, repetitions: int) -> tuple[Table, float]:
    """Each metric by itself, on both sides, over its own passes and nothing else."""
    table = Table(
        *("metric", "forward, back", "bare, ms", "over bare", "Quantus: forward, back", "bare, ms", "over bare"),
        title=f"time over that of bare passes, {len(given.batch.x)} images, maps by InputGradient",
    )
    once = passes_of(given.model, partial(GRADIENT, given.model, given.batch.x, given.verdicts.predicted))
    worst = 0.0
    for peer in PEERS:
        metric: Any = peer.ours
        sides: dict[str, Callable[[], object]] = {"ours": partial(metric, given.model, given.batch)}
        sides["theirs"] = peer.alone(given)
        passes = {side: passes_of(given.model, work) for side, work in sides.items()}
        under = once if peer.family() in WITHOUT_PASSES else None
        floors = {f"bare {side}": bare(given.model, under or passes[side]) for side in sides}
        found = best(interleaved(sides | floors, repetitions, warm=True))
        ratios = {side: found[side] / found[f"bare {side}"] for side in sides}
        worst = max(worst, ratios["ours"])
        row = [[through(passes[s]), f"{1000 * found[f'bare {s}']:.0f}", f"{ratios[s]:.2f}"] for s in sides]
        table.add_row(peer.name(), *row[0], *row[1])
    return table, worst


def through(passes: list[Pass]) -> str:
    """Images that went through the model."""
    return "{} {}".format(*images_in(passes))


def suite(model: nn.Module, samples: Memory, repetitions: int) -> tuple[Table, float]:
    """Twelve metrics by three explainers on both sides, and the passes of both with nothing around them."""
    sides: dict[str, Callable[[], object]] = {
        "glasshouse": partial(surveyed, model, samples),
        "Quantus": partial(evaluated, model, samples[range(len(samples))]),
    }
    passes = {side: passes_of(model, work) for side, work in sides.items()}
    floors: dict[str, Callable[[], object]] = {f"bare {side}": bare(model, found) for side, found in passes.items()}
    found = best(interleaved(sides | floors, repetitions, warm=True))
    table = Table(
        *("by", "images forward, back", "seconds", "bare passes, s", "over bare"),
        title=f"{len(SUITE)} metrics by {len(EXPLAINERS)} explainers, {len(samples)} images",
    )
    for side in sides:
        under = found[f"bare {side}"]
        table.add_row(side, through(passes[side]), *(f"{v:.2f}" for v in (found[side], under, found[side] / under)))
    fewer = found["bare Quantus"] / found["bare glasshouse"]
    faster = found["Quantus"] / found["glasshouse"]
    table.add_row(
        "times faster", f"{fewer:.2f} by fewer passes", f"{faster:.2f}", "", f"{faster / fewer:.2f} by the rest"
    )
    return table, faster


def peers_of_suite() -> list[Peer]:
    return [peer for peer in PEERS if peer.name() in SUITE]


def surveyed(model: nn.Module, samples: Memory) -> object:
    """The suite by glasshouse."""
    metrics = [peer.ours for peer in peers_of_suite()]
    return survey({"ResNet-20": model}, samples, metrics, list(EXPLAINERS.values()), batch_size=len(samples))


def evaluated(model: nn.Module, batch: Batch) -> object:
    """The suite by Quantus, as its users call it: all metrics of an explainer one after another."""
    called = Given(model, batch, GRADIENT).called()
    del called["a_batch"]
    with quietly():
        return quantus().evaluate(
            metrics={peer.name(): peer.built() for peer in peers_of_suite()},
            xai_methods={name: explaining(explainer) for name, explainer in EXPLAINERS.items()},
            **called,
            agg_func=np.asarray,
            explain_func_kwargs={},
            call_kwargs={"logits": {"softmax": False, "batch_size": len(batch.x)}},
        )


def gains(model: nn.Module, batch: Batch) -> Table:
    """Where passes are saved: forward and backward passes an image, by family."""
    table = Table(
        *("family", "Quantus", "glasshouse, each metric by itself", "glasshouse, in the suite"),
        title="passes forward and back, an image of the suite",
    )
    spent: dict[str, list[list[Pass]]] = {}
    shared = Verdicts(model, batch, 0)
    givens = [Given(model, batch, explainer) for explainer in EXPLAINERS.values()]
    # One recorder for all that is shared: a copy of the model keeps the one that it was made under.
    with frozen(model), recorded(model) as suite:
        spent["the maps"] = [[], [], []]
        for given in givens:
            maps = passes_of(model, partial(shared.explained, given.explainer))
            spent["the maps"] = [each + maps for each in spent["the maps"]]
        for peer in peers_of_suite():
            row = spent.setdefault(peer.family(), [[], [], []])
            for given in givens:
                metric: Any = peer.carried(given)
                row[0] += passes_of(model, peer.alone(given))
                row[1] += passes_of(model, partial(metric, model, given.batch))
                before = len(suite)
                judged(metric, shared.by(given.explainer))
                row[2] += suite[before:]
    spent["all"] = [[p for row in spent.values() for p in row[k]] for k in range(3)]
    for family, row in spent.items():
        counts = [[n / len(batch.x) for n in images_in(passes)] for passes in row]
        table.add_row(family, *("{:.0f} {:.0f}".format(*count) for count in counts))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--data", default="", help="a folder with weights and images; see benchmarks/pictures.py")
    chosen = parser.parse_args()
    console, root = Console(width=140), folder(chosen.data)
    if root is None:
        raise SystemExit("no folder with weights and images; name one with --data")
    model = standard(root)
    samples = data(model, root, chosen.images)
    batch = samples[range(len(samples))]
    given = Given(model, batch, GRADIENT)
    console.print(defects(given))
    table, apart = values(given)
    console.print(table)
    timed, over = over_bare(given, chosen.repetitions)
    console.print(timed)
    few = samples[range(min(8, len(samples)))]
    console.print(gains(model, few))
    console.print(precision(Given(model, few, GRADIENT)))
    whole, faster = suite(model, samples, chosen.repetitions)
    console.print(whole)
    goals = {"values": apart <= GOAL_VALUES, "bare": over <= GOAL_BARE, "suite": faster >= GOAL_SUITE}
    console.print(f"reached: {goals}")
    figures = {
        "max_difference_from_quantus": apart,
        "metrics_over_bare_passes": over,
        "suite_speedup_over_quantus": faster,
    }
    last_line(figures, setup(quantus=version("quantus"), images=len(samples), repetitions=chosen.repetitions))


if __name__ == "__main__":
    main()
