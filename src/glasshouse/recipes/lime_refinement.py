"""LIME-guided refinement: the paper's whole experiment, its ablations, and the controls that it lacks.

Nayyem, Rakin & Wang, 2024, https://arxiv.org/abs/2412.18952
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..attacks import FGSM, PGD, Limited, Linf, OutsideMask, StandardEnsemble
from ..corruptions.naming import NAMES
from ..data import CropFlip, Digits, OtherBackgrounds, Planted
from ..detectors import Aggregated, AnyCriterion, Marked, Signed, Spurious, Transplanted
from ..detectors.rules import Rule
from ..explainers import LIME, ImageMeanFill, Slic
from ..metrics import Accuracy, Under
from ..objectives import Adversarial, Changed, CrossEntropy, Mask, Sensitivity, Sum, Transplant
from ..recipe import Arm, Recipe
from ..spec import override
from ..studies import LIMERefinement, Trial
from ..studies import lime_arms as arms
from ..train import SGD, Adam, Training
from ..types import Architecture, Corruption, Data, Metric, Objective
from .lime_sizes import SIZES, Size

BUDGET = Linf(eps=8 / 255)
RECIPES = ("weak", "strong", "both")


def lime_refinement(
    cifar10: Data | None = None,
    cifar100: Data | None = None,
    data: Data | None = None,
    masked: Data | None = None,
    scale: str = "smoke",
    recipe: str = "weak",
    model: Architecture | None = None,
    corruptions: tuple[Corruption, ...] = (),
) -> LIMERefinement:
    """LIME-guided refinement and all its ablations, on the data sets that are given; on digits without any.

    ``smoke`` takes minutes on two cores, ``small`` an hour; ``paper`` is ResNet-18, for a GPU. ``recipe`` is how
    networks are trained: weak (Adam, no augmentation: about the paper's baseline), strong (SGD, crop and flip, averaged
    weights), or both. ``model`` is another network. On ``cifar10`` the 19 ``corruptions`` are measured, too, and a
    planted shortcut is refined away; ``masked`` is data with masks of the objects, whose backgrounds are a natural one.
    """
    for value, known, name in ((scale, tuple(SIZES), "scale"), (recipe, RECIPES, "recipe")):
        if value not in known:
            raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(known)}")
    size = SIZES[scale] if model is None else SIZES[scale]._replace(model=model)
    trials: list[Trial] = []
    if cifar10 is not None:
        worse = corruptions or tuple(made(severity=s) for made in NAMES.values() for s in size.severities)
        trials += trained("CIFAR-10", cifar10, size, recipe, worse)
        planted = Planted(data=less(cifar10, size))
        trials += [trial("CIFAR-10 with a planted shortcut", planted, size, "weak", short(size))]
    if cifar100 is not None:
        trials += trained("CIFAR-100", cifar100, size, recipe, ())
    if data is not None:
        trials += trained("data", data, size, recipe, corruptions)
    if masked is not None:
        natural = OtherBackgrounds(data=less(masked, size))
        trials += [
            trial("Natural backgrounds", natural, size, "weak", short(size, Marked(AnyCriterion(runs=size.runs))))
        ]
    if not trials and scale != "smoke":
        raise ValueError(f"scale={scale} needs images: give cifar10=FOLDER, cifar100=FOLDER, data=... or masked=...")
    return LIMERefinement(
        trials=tuple(trials) or digits(size, corruptions),
        seeds=size.seeds,
        close=(
            Accuracy(attack=StandardEnsemble(ball=arms.ENSEMBLE_BALL, budget=size.budget)),
            *(replace(metric, copies=2) if scale == "smoke" else metric for metric in arms.STABLE),
        ),
        close_images=size.close,
        corrupted_images=size.corrupted,
        title=f"Refinement guided by LIME, {scale} scale",
    )


def digits(size: Size, corruptions: tuple[Corruption, ...]) -> tuple[Trial, ...]:
    """What needs no data: digits, and the same with a planted shortcut."""
    worse = corruptions or (NAMES["brightness"](severity=3), NAMES["gaussian_noise"](severity=3))
    return (
        trial("Digits", Digits(decoy=None), size, "weak", grid(size), worse),
        trial("Digits with a planted shortcut", Digits(), size, "weak", short(size)),
    )


def trained(name: str, data: Data, size: Size, recipe: str, corruptions: tuple[Corruption, ...]) -> list[Trial]:
    """The whole grid by the first recipe, the arms that matter most by the second."""
    ways = ("weak", "strong") if recipe == "both" else (recipe,)
    published = name if name in ("CIFAR-10", "CIFAR-100") else ""
    return [
        trial(
            f"{name}, {way} recipe",
            less(data, size),
            size,
            way,
            short(size) if i > 0 or name == "CIFAR-100" else grid(size),
            corruptions if i == 0 else (),
            published,
        )
        for i, way in enumerate(ways)
    ]


def less(data: Data, size: Size) -> Data:
    """As many training images as the scale takes, unless the data says itself how many."""
    return override(data, "limit", size.images) if getattr(data, "limit", None) == 0 and size.images else data


def trial(
    name: str,
    data: Data,
    size: Size,
    way: str,
    grid: tuple[Arm, ...],
    corruptions: tuple[Corruption, ...] = (),
    published: str = "",
) -> Trial:
    """One data set, trained in one way."""
    training = trainings(way, size)
    under: Sequence[Metric] = [Under(metric=arms.CLEAN, corruption=c) for c in corruptions if at_three(c)]
    recipe = Recipe(
        data=data,
        model=size.model,
        arms=grid,
        training=replace(training, epochs=size.epochs),
        refining=replace(training, epochs=size.refining),
        rounds=size.rounds,
        tolerance=-1.0,  # all arms take all rounds, so that they differ in nothing else
        metrics=arms.MEASURED,
        explainer=lime(size),
        test_images=size.test,
        checks=size.checks,
        each_epoch=(arms.CLEAN, *under),
        watched=size.watched,
    )
    return Trial(name, recipe, published, corruptions)


def at_three(corruption: Corruption) -> bool:
    """The severity that is watched over the epochs: one is enough for that."""
    return getattr(corruption, "severity", 3) == 3


def trainings(way: str, size: Size) -> Training:
    """The paper's baseline is reached by less than is usual today; the strong recipe is what is usual."""
    if way == "weak":
        return Training(epochs=size.epochs, batch_size=128, optimizer=Adam(lr=size.lr))
    sgd = SGD(lr=0.1)
    return Training(epochs=size.epochs, batch_size=128, optimizer=sgd, augmentation=CropFlip(), average=0.999)


def lime(size: Size) -> LIME:
    """The explanations that steer refinement."""
    return LIME(segmenter=Slic(count=64), samples=size.samples, fill=ImageMeanFill())


def short(size: Size, rule: Rule | None = None) -> tuple[Arm, ...]:
    """The paper's method, a better variant, and what exposes both; with a ``rule`` of its own for both."""
    signed = spurious(rule or Signed(runs=size.runs), size)
    automatic = spurious(rule or Transplanted(), size)
    return (
        Arm(arms.FULL, paper(size), signed),
        Arm(arms.TRAINED_ON, CrossEntropy(), control_of=arms.FULL),
        Arm(arms.FGSM_ONLY, adversarial(), control_of=arms.FULL),
        Arm(arms.RANDOM, paper(size), control_of=arms.FULL, random_masks=True),
        Arm(arms.LITERAL, paper(size), spurious(AnyCriterion(runs=size.runs), size)),
        Arm(arms.BEST, best(size), automatic),
        Arm(arms.BEST_UNGUIDED, best(size), control_of=arms.BEST),
        Arm(arms.BEST_RANDOM, best(size), control_of=arms.BEST, random_masks=True),
    )


def grid(size: Size) -> tuple[Arm, ...]:
    """The same, each part of the method alone, other rules, and detection that leaks."""
    signed = spurious(Signed(runs=size.runs), size)
    aggregated = Aggregated(detector=signed)
    return (
        *short(size),
        Arm(arms.AUTOMATIC, paper(size), spurious(Transplanted(), size)),
        Arm(arms.MASKING, Changed(change=Mask()), signed),
        Arm(arms.SENSITIVITY, Sum(terms=(CrossEntropy(), Sensitivity(weight=size.sensitivity))), signed),
        Arm(arms.SPURIOUS_FGSM, limited(), signed),
        Arm(arms.AGGREGATED, paper(size), aggregated),
        Arm(arms.LEAK, paper(size), aggregated, leak=True),
    )


def spurious(rule: Rule, size: Size) -> Spurious:
    """A detector with one of the rules; what the paper's criteria find in an image says nothing of other images."""
    return Spurious(rule=rule, lime=lime(size), images=size.looked_at, by_class=isinstance(rule, Transplanted))


def fast() -> FGSM:
    """FGSM as it trains: from a random start."""
    return FGSM(ball=BUDGET, random_start=True)


def adversarial() -> Objective:
    """The control: cross-entropy, and FGSM on the whole image."""
    return Sum(terms=(CrossEntropy(), Adversarial(attack=fast())))


def limited() -> Objective:
    """FGSM where something is spurious, and nowhere else."""
    return Sum(terms=(CrossEntropy(), Adversarial(attack=Limited(attack=fast(), region=OutsideMask()))))


def paper(size: Size) -> Objective:
    """The paper's sum of three terms, half of the images masked."""
    terms = (CrossEntropy(), Adversarial(attack=fast()), Sensitivity(weight=size.sensitivity))
    return Changed(change=Mask(), objective=Sum(terms=terms))


def best(size: Size) -> Objective:
    """Spurious parts change places between images, and PGD takes the place of FGSM."""
    pgd = PGD(ball=BUDGET, steps=size.steps, step_size=2 / (size.steps + 1))
    return Changed(change=Transplant(), objective=Sum(terms=(CrossEntropy(), Adversarial(attack=pgd))))
