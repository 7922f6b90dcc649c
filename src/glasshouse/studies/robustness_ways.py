"""How the networks of the robustness study are trained, and against what they are measured."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks import FGSM, KLPGD, L2, PGD, Linf, StandardEnsemble
from ..explainers import (
    LRP,
    EdgeMap,
    FastLIME,
    GradCAM,
    InputGradient,
    IntegratedGradients,
    OfRandomisedModel,
    RandomMap,
    SmoothGrad,
)
from ..metrics import (
    ROAD,
    Complexity,
    Deletion,
    EffectiveComplexity,
    FaithfulnessCorrelation,
    Infidelity,
    InputAlignment,
    Insertion,
    LocalLipschitz,
    MassInside,
    MaxSensitivity,
    ModelRandomisation,
    Neighbours,
    PointingGame,
    RankInside,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    Sparseness,
)
from ..objectives import TRADES, Adversarial, CrossEntropy
from ..spec import require
from ..types import Attack, Ball, Explainer, Metric, Objective

STANDARD, PGD_AT, FGSM_RS, TRADES_AT, GIVEN = "standard", "PGD-AT", "FGSM-RS", "TRADES", "given"
LINF, L2_NORM = "L-inf", "L2"
EPS = (1.0, 2.0, 4.0, 8.0)  # of 255

# What explains, and what explains nothing and is to be beaten.
BASELINES: tuple[Explainer, ...] = (RandomMap(), EdgeMap(), OfRandomisedModel(explainer=InputGradient()))
EXPLAINERS: tuple[Explainer, ...] = (
    *(InputGradient(), InputGradient(times_input=True), IntegratedGradients(steps=100), SmoothGrad()),
    *(GradCAM(), LRP(), FastLIME()),
    *BASELINES,
)
FEWER: tuple[Explainer, ...] = (
    *(InputGradient(), InputGradient(times_input=True), IntegratedGradients(steps=8), SmoothGrad(samples=8)),
    *(GradCAM(), LRP(), FastLIME(samples=60, gradients=16)),
    *BASELINES,
)


@dataclass(frozen=True)
class RobustTraining:
    """A way to train, and how large the perturbations are that it trains against, in units of its norm.

    The dose-response curves join ways of one ``method`` and ``norm``; standard training, with eps 0, begins every one.
    """

    name: str
    objective: Objective = CrossEntropy()
    eps: float = 0.0
    method: str = STANDARD
    norm: str = LINF
    seeds: int = 1

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        require(self, self.eps >= 0, "eps is at least 0")
        named = self.method != STANDARD
        require(self, (self.eps > 0) == named, f"eps is above 0 with a method, and 0 with {STANDARD!r}, which has none")
        require(self, self.seeds >= 1, "seeds is at least 1")


def standard(seeds: int) -> RobustTraining:
    """No attack at all."""
    return RobustTraining(STANDARD, seeds=seeds)


def pgd_training(eps: float, steps: int, step_size: float, seeds: int, norm: str = LINF) -> RobustTraining:
    """PGD-AT (Madry et al., ICLR 2018, https://arxiv.org/abs/1706.06083); eps of 255 for L-inf."""
    attack = PGD(ball=ball(eps, norm), steps=steps, step_size=step_size)
    return way(PGD_AT, Adversarial(attack=attack), eps, seeds, norm)


def fgsm_training(eps: float, seeds: int) -> RobustTraining:
    """FGSM-RS (Wong et al., ICLR 2020, https://arxiv.org/abs/2001.03994)."""
    return way(FGSM_RS, Adversarial(attack=FGSM(ball=ball(eps), random_start=True)), eps, seeds)


def trades_training(eps: float, steps: int, step_size: float, seeds: int) -> RobustTraining:
    """TRADES (Zhang et al., ICML 2019, https://arxiv.org/abs/1901.08573)."""
    attack = KLPGD(ball=ball(eps), steps=steps, step_size=step_size)
    return way(TRADES_AT, TRADES(attack=attack), eps, seeds)


def way(method: str, objective: Objective, eps: float, seeds: int, norm: str = LINF) -> RobustTraining:
    """A way, called by its method and eps."""
    size = f"{eps:g}/255" if norm == LINF else f"L2 {eps:g}"
    return RobustTraining(f"{method} {size}", objective, eps / 255 if norm == LINF else eps, method, norm, seeds)


def ball(eps: float, norm: str = LINF) -> Ball:
    """The ball; eps of 255 for L-inf."""
    return Linf(eps=eps / 255) if norm == LINF else L2(eps=eps)


def threats(budget: float, linf: tuple[float, ...] = (8, 2), l2: float = 0.5) -> tuple[Attack, ...]:
    """The standard ensemble: by 8/255 models are ranked, 2/255 tells weak ones apart; and in L2."""
    balls = (*(ball(eps) for eps in linf), ball(l2, L2_NORM))
    return tuple(StandardEnsemble(ball=b, budget=budget) for b in balls)


def metrics(around: Neighbours, steps: int) -> tuple[Metric, ...]:
    """All families; curves of so many points."""
    return (
        *(Sparseness(), Complexity(), EffectiveComplexity()),
        *(
            MaxSensitivity(around=around),
            LocalLipschitz(around=around),
            LocalLipschitz(around=around, scale_free=False),
        ),
        # By norms: black pixels and zeros in maps decide ratios of elements. Those of the output in both ways.
        RelativeInputStability(around=around, elementwise=False),
        RelativeRepresentationStability(around=around, elementwise=False),
        *(RelativeOutputStability(around=around, elementwise=by) for by in (True, False)),
        *(Deletion(steps=steps), Insertion(steps=steps), ROAD()),
        *(FaithfulnessCorrelation(), Infidelity()),
        *(ModelRandomisation(), InputAlignment()),
    )


def localised() -> tuple[Metric, ...]:
    """For data that says where the evidence is."""
    return PointingGame(), MassInside(), RankInside()
