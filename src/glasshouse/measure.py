"""Per-sample values of any metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .data.samples import batches
from .metrics import Accuracy
from .metrics.verdicts import Verdicts, family_of
from .modes import device_of, frozen
from .train import seeded_globally
from .types import Batch, Explainer, Metric, Progress, Samples, silent

# Told ``keep(name of the metric, positions, x_adv - x)``, on the CPU.
Keep = Callable[[str, Tensor, Tensor], None]


def measure(
    model: nn.Module,
    samples: Samples,
    metrics: Sequence[Metric],
    explainer: Explainer | None = None,
    *,
    batch_size: int = 128,
    seed: int = 0,
    keep: Keep | None = None,
    progress: Progress = silent,
    label: str = "measure",
) -> dict[str, Tensor]:
    """``{repr(metric): [N]}``. An image's values depend on ``seed`` and on the image, not on those it is read with.

    Each batch is explained once, whatever the number of metrics, for the class that the model predicts: the question
    is what its decision rests on. Accuracies under one attack at several eps share what they find, and metrics of
    the same attacked images share those. ``keep`` gets the perturbations behind each accuracy under attack.

    Cost: the metrics' and the explainer's, one pass each over the samples.
    """
    parts: list[dict[str, Tensor]] = []
    with frozen(model):
        for batch in batches(samples, batch_size, device=device_of(model)):
            verdicts = Verdicts(model, explained(model, batch, explainer, seed))
            values = {}
            for metric in weakest_first(metrics):
                with seeded_globally(seed, 0):
                    values[repr(metric)] = value(metric, verdicts).detach().cpu()
                if keep is not None and isinstance(metric, Accuracy) and metric.attack is not None:
                    delta = verdicts.under(metric.attack)[1] - batch.x
                    keep(repr(metric), position(batch, len(parts) * batch_size), delta.cpu())
                done = sum(len(next(iter(p.values()))) for p in parts) * len(metrics) + len(values) * len(batch.x)
                progress(label, done, len(samples) * len(metrics))
            parts.append(values)
    return {repr(m): torch.cat([values[repr(m)] for values in parts]) for m in metrics}


def explained(model: nn.Module, batch: Batch, explainer: Explainer | None, seed: int) -> Batch:
    """The batch with what its predicted classes rest on."""
    if explainer is None:
        return batch
    with seeded_globally(seed, 0):
        with torch.no_grad():
            predicted = model(batch.x).argmax(1)
        return batch._replace(attribution=explainer(model, batch.x, predicted))


def weakest_first(metrics: Sequence[Metric]) -> list[Metric]:
    """Metrics in the order in which each finds most of its work done; each once."""
    return sorted(dict.fromkeys(metrics), key=eps_of)


def eps_of(metric: Metric) -> float:
    """The eps of the attack of an accuracy, else 0."""
    attack = metric.attack if isinstance(metric, Accuracy) else None
    return 0.0 if attack is None else family_of(attack)[1]


def value(metric: Any, verdicts: Verdicts) -> Tensor:
    """A metric's values, ``[B]``; it is told what is known where it can use that."""
    given = getattr(metric, "given", None)
    return metric(verdicts.model, verdicts.batch) if given is None else given(verdicts)


def position(batch: Batch, start: int) -> Tensor:
    """The positions of a batch's samples, on the CPU."""
    return torch.arange(start, start + len(batch.x)) if batch.index is None else batch.index.cpu()
