"""Per-sample values of any metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .data.samples import batches
from .draws import seeded_globally
from .metrics import Accuracy
from .metrics.verdicts import Verdicts, family_of
from .modes import device_of, frozen
from .types import Explainer, Metric, Progress, Samples, silent


def tried(model: nn.Module, samples: Samples) -> None:
    """ValueError if the model cannot take the first image, or does not give a finite logit for each class."""
    first = samples[[0]].x.to(device_of(model))
    with frozen(model), torch.no_grad():
        try:
            logits = model(first)
        except RuntimeError as error:
            if type(error) is not RuntimeError:
                raise
            size = " x ".join(map(str, first.shape[-2:]))
            raise ValueError(f"the model cannot take images of {size} pixels: {error}") from None
    if logits.shape != (1, len(samples.classes)):
        expected = f"[1, {len(samples.classes)}]"
        raise ValueError(f"the model gives {list(logits.shape)} for one image, not {expected} logits")
    if not logits.isfinite().all():
        raise ValueError("the model gives NaN or infinity for the first image")


def measure(
    model: nn.Module,
    samples: Samples,
    metrics: Sequence[Metric],
    explainer: Explainer | None = None,
    *,
    batch_size: int = 128,
    seed: int = 0,
    each: Callable[[Verdicts], None] = lambda verdicts: None,
    progress: Progress = silent,
    label: str = "measure",
) -> dict[str, Tensor]:
    """``{repr(metric): [N]}``. An image's values depend on ``seed`` and on the image, not on those it is read with.

    Each batch is explained once, whatever the number of metrics, for the class that the model predicts: the question
    is what its decision rests on. Accuracies under one attack at several eps share what they find, and metrics of
    the same attacked images share those. ``each`` is told of each batch, once all is known of it.

    Cost: the metrics' and the explainer's, one pass each over the samples.
    """
    parts: list[dict[str, Tensor]] = []
    done = 0
    with frozen(model):
        for batch in batches(samples, batch_size, device=device_of(model)):
            verdicts = Verdicts(model, batch, seed)
            if explainer is not None:
                verdicts = verdicts.by(explainer)
            values = {}
            for metric in weakest_first(metrics):
                values[repr(metric)] = value(metric, verdicts)
                progress(label, done * len(metrics) + len(values) * len(batch.x), len(samples) * len(metrics))
            each(verdicts)
            parts.append(values)
            done += len(batch.x)
    return {repr(m): torch.cat([values[repr(m)] for values in parts]) for m in metrics}


def weakest_first(metrics: Sequence[Metric]) -> list[Metric]:
    """Metrics in the order in which each finds most of its work done; each once."""
    return sorted(dict.fromkeys(metrics), key=eps_of)


def eps_of(metric: Metric) -> float:
    """The eps of the attack of an accuracy, else 0."""
    attack = metric.attack if isinstance(metric, Accuracy) else None
    return 0.0 if attack is None else family_of(attack)[1]


def value(metric: Any, verdicts: Verdicts) -> Tensor:
    """A metric's values on the CPU, ``[B]``; it is told what is known where it can use that."""
    given = getattr(metric, "given", None)
    with seeded_globally(verdicts.seed or 0, 0):
        found: Tensor = metric(verdicts.model, verdicts.batch) if given is None else given(verdicts)
    return found.detach().cpu()
