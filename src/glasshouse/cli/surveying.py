"""``glasshouse evaluate`` of several models or several explainers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.markup import escape

from ..terminal import bars, shown, survey_table
from .options import sentences
from .reading import data_of, device_from, explainers_from, metrics_from, model_from
from .subjects import About, built, warnings_told, weighted

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..studies import ModelSurvey, NamedModel
    from ..types import Data, Explainer, Metric
    from .evaluating import Asked

ONE_ONLY = ("corruption", "attack_corrupted", "reference", "hierarchy", "checks", "keep")


class Several(NamedTuple):
    """What there are several of, as it was typed."""

    models: Sequence[str]
    weights: Sequence[str]
    explainers: Sequence[str]
    baselines: bool
    shard: str
    inapplicable: Sequence[str]  # options that were given and are about one model

    @property
    def needed(self) -> bool:
        """Whether there is more to do than to measure one model by one explainer."""
        more = max(map(len, (self.models, self.weights, self.explainers))) > 1
        return more or bool(self.shard) or any(Path(path).is_dir() for path in self.weights)


def inapplicable(context: typer.Context) -> list[str]:
    """Options on the command line that are about one model."""
    sources = {name: context.get_parameter_source(name) for name in ONE_ONLY}
    return [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def compare(several: Several, asked: Asked, about: About, out: Path, imports: Sequence[Path]) -> None:
    """Carry out the survey, or what is left of it or of this shard, and say what came out."""
    from ..registry import names
    from ..report import write_document
    from ..study import Unfinished, conduct

    with sentences("the same command goes on from the last complete batch"):
        known, shard = names(*imports), shard_from(several.shard)
        study, where = study_of(several, asked, about, known), device_from(about.device)
        try:
            with warnings_told(), bars() as progress:
                document = conduct(study, out, known, device=where, progress=progress, shard=shard)
                page = write_document(document, study, out)
        except Unfinished:
            shown.print(f"Shard {several.shard} is done, others are not: the one that ends last writes the report")
            raise typer.Exit from None
    shown.print(survey_table(document))
    shown.print(escape(document.verdict), soft_wrap=True, highlight=False)
    shown.print(f"Report: {page}", soft_wrap=True, highlight=False)


def shard_from(text: str) -> tuple[int, int]:
    """``2/8`` -> (1, 8); all of it without a text."""
    if not text:
        return 0, 1
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ValueError(f"--shard takes K/N with K from 1 to N, as in 2/8, not {text!r}")
    return int(number) - 1, int(of)


def study_of(several: Several, asked: Asked, about: About, known: Mapping[str, type]) -> ModelSurvey:
    """The survey that a command asks for; ValueError if something in it cannot be used."""
    from ..hierarchies.reading import names_in
    from ..studies import ModelSurvey

    if several.inapplicable:
        option = several.inapplicable[0].replace("_", "-")
        raise ValueError(f"--{option} is for one model with at most one explainer, not where several are compared")
    data = data_of(about.data, known)
    explainers, metrics = measured_by(several, asked, data, about.split, known)
    called = names_in(about.classes) if about.classes else ()
    models = named_models(several.models, several.weights, known)
    for one in models:
        built(one.model, called or data(about.split).classes, about.seed)
    return ModelSurvey(
        data=data,
        models=models,
        explainers=explainers,
        metrics=metrics,
        images=about.images,
        split=about.split,
        classes=called,
        batch_size=about.batch_size,
        seed=about.seed,
    )


def measured_by(
    several: Several, asked: Asked, data: Data, split: str, known: Mapping[str, type]
) -> tuple[tuple[Explainer, ...], tuple[Metric, ...]]:
    """Explainers with their baselines, and metrics; what a person does not name is chosen."""
    from ..studies.model_survey_usual import EXPLAINERS, baselines_of, usual

    metrics = list(dict.fromkeys(metrics_from(asked.metrics, asked.attacks, known)))
    if not asked.metrics:
        metrics += usual(data(split))
    if all(not hasattr(m, "explainer") and "attribution" not in getattr(m, "needs", ()) for m in metrics):
        if several.explainers:
            raise ValueError("no --metric is about explanations, so --explainer has nothing to do")
        return (), tuple(metrics)
    explainers: list[Explainer] = explainers_from(several.explainers, known) or list(EXPLAINERS)
    for text, explainer in zip(several.explainers, explainers, strict=False):
        if explainers.count(explainer) > 1:
            raise ValueError(f"--explainer {text} is given twice")
    return (*explainers, *(baselines_of(explainers) if several.baselines else ())), tuple(metrics)


def named_models(texts: Sequence[str], weights: Sequence[str], known: Mapping[str, type]) -> tuple[NamedModel, ...]:
    """Networks with their weights, each with a name of its own."""
    from ..models.checkpoints import called, checkpoints
    from ..studies import NamedModel
    from ..titles import brief

    networks, files = [model_from(text, known) for text in texts], checkpoints(weights)
    if not files:
        found = [weighted(network, "") for network in networks]
        names = once([brief(network) for network in found], "--model")
    elif len(networks) in (1, len(files)):
        networks *= len(files) // len(networks)
        found = [weighted(network, str(file)) for network, file in zip(networks, files, strict=True)]
        names = called(files)
    else:
        told = f"{len(networks)} networks have {len(files)} weights"
        raise ValueError(f"{told}; give each --model its --weights, or one --model for all")
    return tuple(NamedModel(*pair) for pair in zip(names, found, strict=True))


def once(names: list[str], option: str) -> list[str]:
    """The names; ValueError if one is there twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{option} {name} is given twice")
    return names
