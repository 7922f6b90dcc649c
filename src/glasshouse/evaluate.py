"""Per-sample values of any metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .data.samples import batches
from .modes import device_of, frozen
from .train import seeded_globally
from .types import Explainer, Metric, Progress, Samples, silent


def evaluate(
    model: nn.Module,
    samples: Samples,
    metrics: Sequence[Metric],
    explainer: Explainer | None = None,
    *,
    batch_size: int = 128,
    seed: int = 0,
    progress: Progress = silent,
    label: str = "measure",
) -> dict[str, Tensor]:
    """``{repr(metric): [N]}``; batch i draws from ``seed`` and i alone, so that order and resuming do not matter.

    Each batch is explained once, whatever the number of metrics, for the class that the model predicts: the question
    is what its decision rests on.

    Cost: the metrics' and the explainer's, one pass each over the samples.
    """
    rows: dict[str, list[Tensor]] = {repr(metric): [] for metric in metrics}
    done, total = 0, len(samples) * len(metrics)
    with frozen(model):
        for i, batch in enumerate(batches(samples, batch_size, device=device_of(model))):
            with seeded_globally(seed, i):
                if explainer is not None:
                    with torch.no_grad():
                        predicted = model(batch.x).argmax(1)
                    batch = batch._replace(attribution=explainer(model, batch.x, predicted))
                for metric in metrics:
                    rows[repr(metric)].append(metric(model, batch).detach().cpu())
                    done += len(batch.x)
                    progress(label, done, total)
    return {name: torch.cat(values) for name, values in rows.items()}
