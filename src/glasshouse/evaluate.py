"""How right a model is, clean, under attack and under corruption, and whether that can be relied on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .attacks import PGD, Linf
from .checks import Check, self_checks
from .data.corrupted import CorruptedSamples
from .data.samples import title_of
from .measure import measure, tried
from .metrics import Accuracy
from .metrics.verdicts import Verdicts, family_of, predicted
from .modes import device_of
from .report.evaluation import Evaluation, Example, Reference, key
from .titles import attack_title
from .types import Corruption, Explainer, Metric, Progress, Samples, silent

USUAL: tuple[Metric, ...] = (Accuracy(), *(Accuracy(attack=PGD(ball=Linf(eps=e / 255))) for e in (2, 4, 8)))


def evaluate(
    model: nn.Module,
    samples: Samples,
    metrics: Sequence[Metric] = USUAL,
    *,
    corruptions: Sequence[Corruption] = (),
    attack_corrupted: bool = False,
    reference: Reference | None = None,
    train: Samples | None = None,
    checks: int = 64,
    keep: bool = False,
    pictures: int = 6,
    explainer: Explainer | None = None,
    batch_size: int = 128,
    seed: int = 0,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a model on images, and look for what would make the numbers mean less than they say.

    Clean accuracy always comes first. Under ``corruptions`` the clean accuracy is measured, with ``attack_corrupted``
    every metric. ``train`` are training images, to look for test images among them. Self-checks attack so many images
    as ``checks`` says; 0 is none. ``keep`` keeps every perturbation.

    Cost: the metrics', once more for each corruption, and the self-checks'.
    Raises:
        ValueError: if the model cannot take the images or has other classes, or a metric needs what is not there.
    """
    if not len(samples):
        raise ValueError("there are no images to evaluate on")
    chosen = tuple(dict.fromkeys((Accuracy(), *metrics)))
    tried(model, samples)
    work = Work(model, samples, explainer, batch_size, seed, progress)
    notes = Notes(samples, chosen, keep, pictures)
    values = work.over(samples, chosen, "measure", notes.of)
    corrupted = {c: work.under(c, chosen if attack_corrupted else (Accuracy(),)) for c in corruptions}
    found = work.checked(chosen, values, train, checks) if checks else []
    return Evaluation(
        metrics=chosen,
        values=values,
        y=torch.cat(notes.y),
        predicted=torch.cat(notes.predicted),
        classes=tuple(samples.classes),
        titles=tuple(title_of(samples, i) for i in range(len(samples))),
        index=torch.arange(len(samples)),
        checks=tuple(found),
        corrupted=corrupted,
        reference=reference,
        perturbations={name: torch.cat(parts) for name, parts in notes.deltas.items()},
        examples=tuple(notes.examples),
        seconds=work.seconds,
        device=device_of(model),
        seed=seed,
    )


class Notes:
    """What is kept of each batch beside the metrics' values."""

    def __init__(self, samples: Samples, metrics: Sequence[Metric], keep: bool, pictures: int) -> None:
        self.samples, self.keep, self.pictures = samples, keep, pictures
        attacks = [m.attack for m in metrics if isinstance(m, Accuracy) and m.attack is not None]
        self.attacks = sorted(attacks, key=lambda attack: family_of(attack)[1])
        self.y: list[Tensor] = []
        self.predicted: list[Tensor] = []
        self.deltas: dict[str, list[Tensor]] = {}
        self.examples: list[Example] = []

    def of(self, verdicts: Verdicts) -> None:
        """One batch more; nothing is attacked for it, since all is known."""
        if len(self.examples) < self.pictures and self.attacks:
            self.examples += self.shown(verdicts, sum(map(len, self.y)))
        self.y.append(verdicts.batch.y.cpu())
        self.predicted.append(verdicts.predicted.cpu())
        for attack in self.attacks if self.keep else ():
            delta = verdicts.under(attack)[1] - verdicts.batch.x
            self.deltas.setdefault(repr(Accuracy(attack=attack)), []).append(delta.cpu())

    def shown(self, verdicts: Verdicts, start: int) -> Iterator[Example]:
        """Images that are right, each with the weakest attack that breaks it, or with the strongest."""
        names, x = self.samples.classes, verdicts.batch.x
        for i in verdicts.right.nonzero()[:, 0][: self.pictures - len(self.examples)].tolist():
            breaking = [attack for attack in self.attacks if not verdicts.standing(attack)[i]]
            attack = (breaking or self.attacks[-1:])[0]
            x_adv = verdicts.under(attack)[1][i]
            now = int(predicted(verdicts.model, x_adv[None]))
            title, was = title_of(self.samples, start + i), int(verdicts.predicted[i])
            yield Example(x[i].cpu(), x_adv.cpu(), title, names[was], names[now], attack_title(attack))


@dataclass
class Work:
    """The steps of an evaluation, with their time."""

    model: nn.Module
    samples: Samples
    explainer: Explainer | None
    batch_size: int
    seed: int
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def under(self, corruption: Corruption, metrics: Sequence[Metric]) -> dict[str, Tensor]:
        """Values on corrupted images."""
        return self.over(CorruptedSamples(self.samples, corruption), metrics, " ".join(map(str, key(corruption))))

    def over(
        self,
        samples: Samples,
        metrics: Sequence[Metric],
        label: str,
        each: Callable[[Verdicts], None] = lambda verdicts: None,
    ) -> dict[str, Tensor]:
        """Values on some images."""
        with timed(self.seconds, "corruptions" if isinstance(samples, CorruptedSamples) else "measurements"):
            return measure(
                self.model,
                samples,
                metrics,
                self.explainer,
                batch_size=self.batch_size,
                seed=self.seed,
                each=each,
                progress=self.progress,
                label=label,
            )

    def checked(
        self, metrics: Sequence[Metric], values: Mapping[str, Tensor], train: Samples | None, images: int
    ) -> list[Check]:
        """The self-checks."""
        found = {m.attack: values[repr(m)] for m in metrics if isinstance(m, Accuracy)}
        attacks = {attack: attack_title(attack) for attack in found if attack is not None}
        with timed(self.seconds, "self-checks"):
            return self_checks(
                self.model,
                self.samples,
                attacks,
                found,
                train=train,
                images=images,
                seed=self.seed,
                progress=self.progress,
            )


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of a step, added to those that it took before."""
    start = time.perf_counter()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 3)
