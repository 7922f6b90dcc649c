"""Ways to attack both levels of a hierarchical model: those of Heidarizadeh et al., ICASSP 2025,
https://arxiv.org/abs/2501.10906, their readings, and the controls that they lack."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ..attacks import (
    FGSM,
    PGD,
    AtLevel,
    CoarseChanges,
    DeepFool,
    FineChanges,
    Linf,
    LogitMargin,
    LRPCoarse,
    LRPFine,
    PaperLiteral,
    PaperPlausible,
)
from ..spec import require
from ..types import Attack

EPS = (10, 20, 40)  # the paper's, in 255ths
SWEPT = (5,)  # more of them for the curves
STEPS, STEP = 100, 0.1  # a tenth of eps each
LRP, MARGIN, SAME_PGD = "LRP, eps {:g}", "margin, eps {:g}", "PGD, eps {:g}"
ACTIVE, CONTROL, RIVAL = (name.format(EPS[0]) for name in (LRP, MARGIN, SAME_PGD))
PLAUSIBLE, LITERAL, LITERAL_EVEN = "LRP from the logit, p 1", "LRP as printed", "LRP as printed, full steps"
DEEPFOOL, SMALL_PGD, ONE_STEP = "DeepFool", "PGD, smallest eps", "FGSM, smallest eps"
COARSE_EPS, FINE_EPS = 2.5 / 255, 0.9 / 255  # what the paper's rho_inf of PGD says


@dataclass(frozen=True)
class LevelWay:
    """A way to attack either level, and on how many images it is tried, 0 for all: some never stop early."""

    name: str
    coarse: Attack
    fine: Attack
    images: int = 0

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        require(self, self.images >= 0, "images is 0 (all) or more")


def way(name: str, attack: Attack, small: Attack | None = None) -> LevelWay:
    """An attack as it is on both levels, or a smaller one on the fine level."""
    return LevelWay(name, AtLevel(attack, CoarseChanges()), AtLevel(small or attack, FineChanges()))


def on_both(name: str, coarse: LRPCoarse, images: int = 0) -> LevelWay:
    """An LRP attack with the same settings on both levels."""
    fine = LRPFine(**{f.name: getattr(coarse, f.name) for f in fields(coarse)})
    return LevelWay(name, coarse, fine, images)


def of_eps(eps: float) -> tuple[LevelWay, ...]:
    """The LRP attack, its control and PGD with the same steps, number of steps and budget."""
    ball = Linf(eps=eps / 255)
    active = LRPCoarse(ball=ball, steps=STEPS, step=STEP * eps / 255)
    return (
        on_both(LRP.format(eps), active),
        on_both(MARGIN.format(eps), replace(active, loss=LogitMargin())),
        way(SAME_PGD.format(eps), PGD(ball=ball, steps=STEPS, step_size=STEP, random_start=False)),
    )


def readings(images: int) -> tuple[LevelWay, ...]:
    """The paper's loss to the letter, and as the code that it builds on has it, on so many images."""
    literal = LRPCoarse(loss=PaperLiteral())
    return (
        on_both(PLAUSIBLE, LRPCoarse(loss=PaperPlausible()), images),
        on_both(LITERAL, replace(literal, steps=10, even=False), images),  # nothing moves: more steps are the same one
        on_both(LITERAL_EVEN, literal, images),
    )


def smallest() -> tuple[LevelWay, ...]:
    """The paper's rivals: DeepFool, and PGD with the eps that its published norms tell; FGSM with the same."""
    balls = Linf(eps=COARSE_EPS), Linf(eps=FINE_EPS)
    coarse, fine = (PGD(ball=ball, steps=20, step_size=2.5 / 20) for ball in balls)
    return (
        way(DEEPFOOL, DeepFool()),
        way(SMALL_PGD, coarse, fine),
        way(ONE_STEP, *(FGSM(ball=ball) for ball in balls)),
    )


def usual(few: int) -> tuple[LevelWay, ...]:
    """All of them; what descends a loss without a slope, on ``few`` images."""
    swept = tuple(found for eps in (*SWEPT, *EPS) for found in of_eps(eps))
    return (*swept, *readings(few), *smallest())
