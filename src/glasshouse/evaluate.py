"""How right a model is, clean, under attack and under corruption, and whether that can be relied on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .attacks import PGD, Linf
from .checks import Check, self_checks
from .data.corrupted import CorruptedSamples
from .data.samples import batches, title_of
from .measure import Keep, measure
from .metrics import Accuracy
from .metrics.verdicts import Verdicts, family_of
from .modes import device_of, frozen
from .report.evaluation import Evaluation, Example, Reference, key
from .titles import attack_title
from .train import seeded_globally
from .types import Attack, Corruption, Explainer, Metric, Progress, Samples, silent

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
    every metric. ``train`` are
    training images, to look for test images among them. Self-checks attack so many images as ``checks`` says; 0 is
    none. ``keep`` keeps every perturbation.

    Cost: the metrics', once more for each corruption, and the self-checks'.
    Raises:
        ValueError: if the model cannot take the images or has other classes, or a metric needs what is not there.
    """
    chosen = tuple(dict.fromkeys((Accuracy(), *metrics)))
    checked_model(model, samples)
    work = Work(model, samples, explainer, batch_size, seed, progress)
    values, perturbations = work.measured(chosen, keep)
    corrupted = {c: work.under(c, chosen if attack_corrupted else (Accuracy(),)) for c in corruptions}
    found = work.checked(chosen, values, train, checks) if checks else []
    y, predicted = work.answers()
    return Evaluation(
        metrics=chosen,
        values=values,
        y=y,
        predicted=predicted,
        classes=tuple(samples.classes),
        titles=tuple(title_of(samples, i) for i in range(len(samples))),
        index=torch.arange(len(samples)),
        checks=tuple(found),
        corrupted=corrupted,
        reference=reference,
        perturbations=perturbations,
        examples=tuple(examples(model, samples, chosen, pictures, seed)),
        seconds=work.seconds,
        device=device_of(model),
        seed=seed,
    )


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

    def measured(self, metrics: Sequence[Metric], keep: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Values, and perturbations if they are to be kept."""
        deltas: dict[str, list[Tensor]] = {}

        def add(name: str, index: Tensor, delta: Tensor) -> None:
            deltas.setdefault(name, []).append(delta)

        values = self.over(self.samples, metrics, "measure", add if keep else None)
        return values, {name: torch.cat(parts) for name, parts in deltas.items()}

    def under(self, corruption: Corruption, metrics: Sequence[Metric]) -> dict[str, Tensor]:
        """Values on corrupted images."""
        return self.over(CorruptedSamples(self.samples, corruption), metrics, " ".join(map(str, key(corruption))))

    def over(
        self, samples: Samples, metrics: Sequence[Metric], label: str, keep: Keep | None = None
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
                keep=keep,
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

    @torch.no_grad()
    def answers(self) -> tuple[Tensor, Tensor]:
        """True and predicted classes, ``[N]`` each."""
        seen = batches(self.samples, self.batch_size, device=device_of(self.model))
        with frozen(self.model) as model:
            pairs = [(batch.y.cpu(), model(batch.x).argmax(1).cpu()) for batch in seen]
        y, predicted = zip(*pairs, strict=True)
        return torch.cat(y), torch.cat(predicted)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of a step, added to those that it took before."""
    start = time.perf_counter()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 3)


def checked_model(model: nn.Module, samples: Samples) -> None:
    """ValueError if the model cannot take the first image, or does not give a logit for each class."""
    if not len(samples):
        raise ValueError("there are no images to evaluate on")
    first = samples[[0]].x.to(device_of(model))
    with frozen(model), torch.no_grad():
        try:
            logits = model(first)
        except RuntimeError as error:
            if type(error) is not RuntimeError:
                raise
            raise ValueError(f"the model cannot take images of shape {tuple(first.shape[1:])}: {error}") from None
    classes = len(samples.classes)
    if logits.shape != (1, classes):
        raise ValueError(f"the model gives {list(logits.shape)} for one image, not [1, {classes}] logits")


def examples(model: nn.Module, samples: Samples, metrics: Sequence[Metric], count: int, seed: int) -> Iterator[Example]:
    """Images that are right, each with the weakest attack that breaks it."""
    attacks = [m.attack for m in metrics if isinstance(m, Accuracy) and m.attack is not None]
    if not attacks or not count:
        return
    batch = samples[list(range(min(len(samples), 4 * count)))].to(device_of(model))
    with frozen(model), seeded_globally(seed, 0):
        verdicts = Verdicts(model, batch)
        broken = [(attack, *verdicts.under(attack)) for attack in sorted(attacks, key=strength)]
        names = samples.classes
        for i in verdicts.right.nonzero()[:, 0][:count].tolist():
            first = next(((a, x_adv) for a, stands, x_adv in broken if not stands[i]), None)
            attack, x_adv = first or (broken[-1][0], broken[-1][2])
            with torch.no_grad():
                now = int(model(x_adv[i : i + 1]).argmax())
            told = attack_title(attack)
            yield Example(
                batch.x[i].cpu(), x_adv[i].cpu(), title_of(samples, i), names[int(batch.y[i])], names[now], told
            )


def strength(attack: Attack) -> float:
    """Its eps."""
    return family_of(attack)[1]
