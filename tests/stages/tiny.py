"""A recipe of seconds, for tests; run as a script it carries it out: python tiny.py OUT EPOCHS SECONDS_A_STEP"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from glasshouse.attacks import FGSM
from glasshouse.data import Digits
from glasshouse.data.samples import at_most
from glasshouse.detectors import AnyCriterion, Spurious
from glasshouse.explainers import LIME, Grid, ImageMeanFill
from glasshouse.metrics import Accuracy, MassInside
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial, Changed, CrossEntropy, Lagrangian, Sum, Transplant
from glasshouse.recipe import Arm, Recipe
from glasshouse.registry import names
from glasshouse.run import run
from glasshouse.train import Adam, Training
from glasshouse.types import Samples


class Few(Digits):
    """The digits, a few of them."""

    def __call__(self, split: str) -> Samples:
        return at_most(super().__call__(split), 120)

    __repr__ = Digits.__repr__


NAMES = names() | {"Few": Few}
HARD = Changed(change=Transplant(), objective=Sum(terms=(CrossEntropy(), Adversarial(), Lagrangian())))
LOOK = LIME(segmenter=Grid(cells=4), samples=16, fill=ImageMeanFill())


def tiny(epochs: int = 1) -> Recipe:
    training = Training(epochs=epochs, batch_size=40, optimizer=Adam(lr=5e-3))
    detector = Spurious(rule=AnyCriterion(runs=2), lime=LOOK, images=24, pool=24)
    return Recipe(
        data=Few(size=16),
        model=SmallCNN(width=4),
        arms=(
            Arm(name="refined", objective=HARD, detector=detector),
            Arm(name="no explanation", objective=HARD, control_of="refined"),
            Arm(name="random masks", objective=HARD, control_of="refined", random_masks=True),
        ),
        training=training,
        refining=replace(training, epochs=1),
        tolerance=0.0,
        metrics=(Accuracy(), Accuracy(attack=FGSM()), MassInside()),
        explainer=LOOK,
        test_images=30,
        pictures=2,
        seed=3,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    out, epochs, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    run(tiny(epochs), out, NAMES, progress=lambda label, done, total: time.sleep(seconds))
