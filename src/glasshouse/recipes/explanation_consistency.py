"""Training with explanation consistency: the paper's experiments, its rivals, and the controls that it lacks.

Wu, Jiang, Wang, Tang, He & Lin, IEEE TMM 2024, https://arxiv.org/abs/2408.04600
"""

from __future__ import annotations

from dataclasses import replace

from ..consistency import Arctan, FGSMBackground, FilledBackground, PixelDistance, Softsign
from ..data import BrightRegions, Digits
from ..explainers import EigenCAM, ImageMeanFill, XGradCAM
from ..metrics import Inconsistency, Loss, Uncertainty
from ..models import ICCNN
from ..objectives import Compositional, CrossEntropy, EqualizedFocal, Focal, SaliencyGuided
from ..spec import override
from ..studies import Compared, Debiasing, ExplanationConsistency, FewSamples, Way
from ..studies import consistency_ways as ways
from ..studies.consistency_published import PUBLISHED
from ..types import Architecture, Data, Metric, Objective, Shape
from ..weighting import AsScored, Hardest, Relative, Reweighting, Shuffled
from .consistency_sizes import SIZES, Size

XGRAD = Inconsistency(explainer=XGradCAM())


def explanation_consistency(
    voc: Data | None = None,
    cub: Data | None = None,
    imagenet9: Data | None = None,
    scale: str = "smoke",
    model: Architecture | None = None,
    parts: str = "all",
) -> ExplanationConsistency:
    """Explanation consistency next to all its rivals and to its own weights shuffled; on digits without any data.

    ``smoke`` takes minutes on two cores, ``small`` an hour; ``paper`` is ResNet-50, MobileNetV2 and VGG-16, for a GPU.
    ``voc`` is PASCAL VOC 2012, or any data with regions; icCNN is trained on ``cub`` and ``imagenet9`` where they are
    given, else on ``voc``. ``model`` is another network in the place of the scale's. ``parts`` is all, or compared:
    without icCNN, planted biases and few labels.
    """
    if scale not in SIZES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SIZES)}")
    if parts not in ("all", "compared"):
        raise ValueError(f"unknown parts {parts!r}; there are: all, compared")
    if scale != "smoke" and voc is None:
        raise ValueError(f"scale={scale} needs images with regions: give voc=FOLDER")
    size = SIZES[scale] if model is None else SIZES[scale]._replace(networks=(("network", model),))
    data = sized(voc, size) if voc else BrightRegions(data=Digits(decoy=None, size=size.side), level=0.3)
    compared = [regular(name, data, network, size) for name, network in size.networks]
    if parts == "all":
        compared += [
            interpretable(f"icCNN, {name}", sized(d, size), size)
            for name, d in (("CUB-200-2011", cub), ("ImageNet-9", imagenet9))
            if d is not None
        ] or [interpretable(f"icCNN, {size.networks[0][0]}", data, size)]
    first, last = size.networks[0][1], size.networks[-1][1]  # the paper's on biases is MobileNetV2
    stage = replace(size.training, epochs=size.stages)
    return ExplanationConsistency(
        compared=tuple(compared),
        debiasing=Debiasing(data=data, model=last, training=size.training, score=XGRAD) if parts == "all" else None,
        few=FewSamples(data=data, model=first, training=stage, shares=size.shares, test_images=size.test)
        if parts == "all"
        else None,
        seeds=size.seeds,
        title=f"Explanation consistency, {scale} scale",
    )


def sized(data: Data, size: Size) -> Data:
    """Images as large as the scale takes, unless the data says itself how large."""
    return override(data, "size", size.side) if getattr(data, "size", None) == 224 else data


def regular(name: str, data: Data, model: Architecture, size: Size) -> Compared:
    """A network in all ways."""
    return Compared(
        name=name,
        data=data,
        model=model,
        ways=(*rivals(CrossEntropy(), size), *losses(), *own(size), *smaller(size)),
        training=size.training,
        published=name if name in PUBLISHED else "",
        test_images=size.test,
    )


def interpretable(name: str, data: Data, size: Size) -> Compared:
    """icCNN with and without weights, by three functions psi and several eps."""
    objective = Compositional(layer=size.layer, clusters=size.clusters)
    psis = {ways.XGRAD: XGRAD, ways.SOFTSIGN: replace(XGRAD, psi=Softsign()), ways.ARCTAN: replace(XGRAD, psi=Arctan())}
    swept = {f"ours, eps {eps:g}": at_eps(eps) for eps in (0.01, 0.03, 0.3)}
    return Compared(
        name=name,
        data=data,
        model=ICCNN(architecture=size.interpretable),
        ways=(
            *rivals(objective, size),
            *(Way(called, objective, every(score, size)) for called, score in (psis | swept).items()),
            Way(ways.SHUFFLED, objective, every(XGRAD, size, Shuffled())),
        ),
        training=size.training,
        published=name if name in PUBLISHED else "",
        metrics=(*ways.SHORT, ways.XGRAD_MIOU),
        eps=(),
        test_images=size.test,
    )


def every(score: Metric, size: Size, shape: Shape = AsScored()) -> Reweighting:  # noqa: B008
    """Weights as often as the scale takes them."""
    return Reweighting(score=score, every=size.every, shape=shape)


def at_eps(eps: float) -> Inconsistency:
    """The paper's score with backgrounds moved by another eps."""
    return replace(XGRAD, background=FGSMBackground(eps=eps))


def rivals(objective: Objective, size: Size) -> tuple[Way, ...]:
    """What ranks samples by something else than explanations."""
    return (
        Way(ways.BASELINE, objective),
        Way(ways.HNM, objective, every(Loss(), size, Hardest())),
        Way(ways.HNM_SOFT, objective, every(Loss(), size, Relative())),
        Way(ways.UNCERTAIN, objective, every(Uncertainty(), size, Relative())),
    )


def losses() -> tuple[Way, ...]:
    """Other losses."""
    return (Way(ways.FL, Focal()), Way(ways.EFL, EqualizedFocal()), Way(ways.GUIDED, SaliencyGuided()))


def own(size: Size) -> tuple[Way, ...]:
    """The paper's method by two explainers, to the letter, with other backgrounds, and its control."""
    eigen = replace(XGRAD, explainer=EigenCAM())
    letter = replace(XGRAD, distance=PixelDistance(), only_correct=False)
    black, mean = FilledBackground(), FilledBackground(fill=ImageMeanFill())
    return (
        Way(ways.XGRAD, weighting=every(XGRAD, size)),
        Way(ways.EIGEN, weighting=every(eigen, size)),
        Way(ways.SHUFFLED, weighting=every(XGRAD, size, Shuffled())),
        Way(ways.LITERAL, weighting=every(letter, size)),
        Way(ways.BLACK, weighting=every(replace(XGRAD, background=black), size)),
        Way(ways.MEAN, weighting=every(replace(XGRAD, background=mean), size)),
    )


def smaller(size: Size) -> tuple[Way, ...]:
    """A background that moves so little that weights differ, its control, and the same online."""
    score = at_eps(size.small_eps)
    online = Reweighting(score=score, every=size.online, online=True)
    return (
        Way(ways.SMALL_EPS, weighting=Reweighting(score=score, every=size.every)),
        Way(ways.SMALL_SHUFFLED, weighting=Reweighting(score=score, every=size.every, shape=Shuffled())),
        Way(ways.SMALL_ONLINE, weighting=online),
    )
