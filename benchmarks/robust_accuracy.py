"""Accuracy under PGD-40 at eps 2, 4 and 8/255: as fast as possible, and the same number as the peers'.

python benchmarks/robust_accuracy.py [--images 128] [--repetitions 2]    about 25 minutes on two cores

All attack the same images in the same batches, with 40 steps of eps / 10 from a random start, and count who is still
right. ``sweep`` is all three eps in one evaluation, where what broke at a smaller eps counts as broken at the larger.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version

import torch
from networks import images, parts, right, robust, standard
from pictures import folder
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, setup
from torch import Tensor, nn

from glasshouse.attacks import PGD, Linf
from glasshouse.data.samples import Memory
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy
from glasshouse.types import Batch

EPS, STEPS, SIZE = (2, 4, 8), 40, 64


def ours(model: nn.Module, batch: Batch, *eps: float) -> list[float]:
    """By one call of the evaluation."""
    pixels = (batch.x * 255).round().byte()
    samples = Memory(pixels, batch.y, tuple(map(str, range(10))))
    metrics = [Accuracy(attack=PGD(ball=Linf(eps=e), steps=STEPS)) for e in eps]
    values = measure(model, samples, metrics, batch_size=SIZE)
    return [float(values[repr(metric)].mean()) for metric in metrics]


def by_torchattacks(model: nn.Module, batch: Batch, eps: float) -> list[float]:
    """By torchattacks."""
    attack = import_module("torchattacks").PGD(model, eps=eps, alpha=eps / 10, steps=STEPS)
    x_adv = torch.cat([attack(x, y) for x, y in parts(batch, SIZE)])
    return [float(right(model, x_adv, batch.y, SIZE).float().mean())]


def by_foolbox(model: nn.Module, batch: Batch, eps: float) -> list[float]:
    """By foolbox."""
    foolbox = import_module("foolbox")
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=STEPS, rel_stepsize=0.1)
    broken: list[Tensor] = []
    for x, y in parts(batch, SIZE):
        _, _, success = attack(wrapped, x, y, epsilons=eps)
        broken.append(success)
    return [1 - float(torch.cat(broken).float().mean())]


PEERS = {"torchattacks": by_torchattacks, "foolbox": by_foolbox}


def compare(name: str, model: nn.Module, batch: Batch, repetitions: int) -> tuple[Table, list[float], float, float]:
    """A table; at each eps how much faster than the faster peer; the same of the sweep; the largest difference."""
    table = Table(*("eps", "by", "robust accuracy", "seconds", "times ours"), title=f"{name}, {len(batch.y)} images")
    ratios, apart = [], []
    spent: dict[str, list[list[float]]] = {peer: [] for peer in PEERS}
    for k in EPS:
        found: dict[str, list[float]] = {}
        functions: dict[str, Callable[[], object]] = {
            who: partial(noted, found, who, partial(function, model, batch, k / 255))
            for who, function in ({"glasshouse": ours} | PEERS).items()
        }
        seconds = interleaved(functions, repetitions)
        peers = {who: [b / a for a, b in zip(seconds["glasshouse"], seconds[who], strict=True)] for who in PEERS}
        ratios.append(min(statistics.median(values) for values in peers.values()))
        apart += [abs(found["glasshouse"][0] - found[who][0]) for who in PEERS]
        for who, taken in seconds.items():
            times = statistics.median(peers[who]) if who in peers else 1.0
            table.add_row(f"{k}/255", who, f"{100 * found[who][0]:.1f} %", f"{min(taken):.2f}", f"{times:.2f}")
            if who in spent:
                spent[who].append(taken)
    own = interleaved({"sweep": partial(ours, model, batch, *(k / 255 for k in EPS))}, repetitions)["sweep"]
    whole = {who: [sum(each) / s for *each, s in zip(*taken, own, strict=True)] for who, taken in spent.items()}
    sweep = min(statistics.median(values) for values in whole.values())
    table.add_row("all three", "glasshouse", "", f"{min(own):.2f}", f"{sweep:.2f} by the faster peer")
    return table, ratios, sweep, max(apart)


def noted(found: dict[str, list[float]], who: str, function: Callable[[], list[float]]) -> None:
    """Call, and note what came out."""
    found[who] = function()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--data", default="", help="folder with cifar10 and weights")
    chosen = parser.parse_args()
    root = folder(chosen.data)
    if root is None:
        print("no data: give --data FOLDER with cifar10/ and weights/")
        return
    batch = images(root, chosen.images)
    figures: dict[str, float] = {}
    differences = []
    for name, model in (("standard", standard(root)), ("robust", robust(root))):
        table, ratios, sweep, apart = compare(f"{name} ResNet-20", model, batch, chosen.repetitions)
        Console().print(table)
        figures |= {f"speedup_{name}": statistics.median(ratios), f"speedup_{name}_worst": min(ratios)}
        figures[f"speedup_sweep_{name}"] = sweep
        differences.append(apart)
    figures["accuracy_difference"] = max(differences)
    versions = {peer: version(peer) for peer in PEERS}
    last_line(figures, setup(**versions, **vars(chosen)))


if __name__ == "__main__":
    main()
