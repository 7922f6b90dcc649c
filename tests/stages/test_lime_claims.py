"""Verdicts on the paper about LIME-guided refinement, where the numbers behind them are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glasshouse.attacks import Linf, StandardEnsemble
from glasshouse.checks import Check
from glasshouse.corruptions import Brightness, Fog
from glasshouse.data import Digits, Planted
from glasshouse.detectors import Spurious
from glasshouse.metrics import Accuracy, Stability
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy
from glasshouse.recipe import Arm, Recipe
from glasshouse.report.documents import drawn
from glasshouse.studies import Trial
from glasshouse.studies import lime_arms as arms
from glasshouse.studies.lime_claims import claims
from glasshouse.studies.lime_document import document
from glasshouse.studies.lime_found import Found, Seen, Step, gain, loss_curve, spread
from glasshouse.study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim
from glasshouse.types import Data

IMAGES = 400
FOG, BRIGHT = Fog(severity=3), Brightness(severity=3)
STABLE = Stability()
Levels = dict[str, dict[str, float]]


def right(share: float) -> Tensor:
    """So many images are right, always the first ones."""
    return (torch.arange(IMAGES) < round(share * IMAGES)).float()


def levels(clean: float, fgsm: tuple[float, ...], pgd: tuple[float, ...]) -> dict[str, Tensor]:
    found = {repr(arms.CLEAN): right(clean)}
    for eps, one, many in zip(arms.EPS, fgsm, pgd, strict=True):
        found |= {repr(arms.fgsm(eps)): right(one), repr(arms.pgd(eps)): right(many)}
    return found


USUAL = {
    arms.BASELINE: levels(0.87, (0.5, 0.2, 0.05, 0.01), (0.4, 0.03, 0.0, 0.0)),
    arms.LITERAL: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.4, 0.05, 0.04)),
    arms.FULL: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.4, 0.05, 0.04)),
    arms.FGSM_ONLY: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.3, 0.05, 0.04)),
    arms.RANDOM: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.3, 0.05, 0.04)),
    arms.AGGREGATED: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.3, 0.05, 0.04)),
    arms.LEAK: levels(0.85, (0.7, 0.5, 0.2, 0.06), (0.69, 0.3, 0.05, 0.04)),
}


def corrupted(refined: float, baseline: float) -> dict[str, dict[object, dict[str, Tensor]]]:
    """Accuracies under both corruptions; the refined model varies less."""

    def under(level: float, apart: float) -> dict[object, dict[str, Tensor]]:
        return {
            c: {repr(m): right(level + sign * apart - (0.1 if m != arms.CLEAN else 0)) for m in arms.CORRUPTED}
            for c, sign in ((FOG, -1), (BRIGHT, 1))
        }

    return {arms.LITERAL: under(refined, 0.01), arms.BASELINE: under(baseline, 0.05)}


def seen(values: dict[str, dict[str, Tensor]], **more: object) -> Seen:
    rows = {
        arms.BASELINE: [{"epoch": 0.0, "step": 0, "lr": 0.1, "clean": 1.0, repr(arms.CLEAN): 0.8}],
        arms.LITERAL: [{"epoch": 0.0, "step": 0, "lr": 0.1, "clean": 1.0, "adversarial": 1.0, repr(arms.CLEAN): 0.7}],
    }
    usual = Seen(
        values=values,
        close={name: {repr(STABLE): torch.full((IMAGES,), 0.5)} for name in values},
        corrupted=corrupted(0.7, 0.6),  # type: ignore[arg-type]
        logs=rows,
        steps={arms.LITERAL: [Step(0.1, 1.0), Step(0.15, 0.5), Step(0.16, 0.1), Step(0.1, 0.4)]},
        quality={arms.LITERAL: [None, None, None, None]},
        checks={arms.BASELINE: [Check("pass", "probabilities", "all are")]},
        seconds={"literal-rule/round-1": 100.0, "detect literal rule 1": 10.0},
        memory={"literal-rule/round-1": 200.0, "detect literal rule 1": 100.0},
        counts=(1000, IMAGES, 10),
        scenes=[],
    )
    return usual._replace(**more)


def recipe(data: Data) -> Recipe:
    return Recipe(data=data, model=SmallCNN(), arms=(Arm("full", CrossEntropy(), Spurious()),), metrics=arms.MEASURED)


def steps(*new: float) -> dict[str, list[Step]]:
    return {arms.LITERAL: [Step(0.1, share) for share in new]}


DEAR = {"literal-rule/round-1": 100.0, "detect literal rule 1": 30.0}


def found(*seeds: Seen, data: Data | None = None, published: str = "CIFAR-10") -> Found:
    trial = Trial("the trial", recipe(data or Digits(decoy=None)), published, (FOG, BRIGHT))
    return Found(trial, seeds, (Accuracy(attack=StandardEnsemble(ball=Linf(eps=0.03))), STABLE))


def verdict(f: Found, part: str) -> Claim:
    """The claim whose text has this part."""
    matching = [claim for claim in claims([f]) if part in claim.text]
    assert len(matching) == 1, [claim.text for claim in claims([f])]
    return matching[0]


def changed(arm: str, **values: float) -> dict[str, dict[str, Tensor]]:
    """The usual values but for some of one arm: clean=, or an attack's name and per cent of eps, such as pgd3."""
    known = {"clean": arms.CLEAN} | {f"fgsm{int(100 * e)}": arms.fgsm(e) for e in arms.EPS}
    known |= {f"pgd{int(100 * e)}": arms.pgd(e) for e in arms.EPS}
    return USUAL | {arm: USUAL[arm] | {repr(known[name]): right(v) for name, v in values.items()}}


@pytest.mark.parametrize(
    ("part", "usual", "other", "otherwise"),
    [
        ("costs little clean accuracy", REPRODUCED, changed(arms.LITERAL, clean=0.7), NOT_REPRODUCED),
        ("costs little clean accuracy", REPRODUCED, changed(arms.BASELINE, clean=0.6), UNTESTED),
        ("the more accurate one", NOT_REPRODUCED, changed(arms.LITERAL, clean=0.95), REPRODUCED),
        ("FGSM: refined holds more", REPRODUCED, changed(arms.LITERAL, fgsm3=0.2), NOT_REPRODUCED),
        ("CIFAR-10: PGD: refined holds more", REPRODUCED, changed(arms.LITERAL, pgd1=0.3), NOT_REPRODUCED),
        ("FGSM: and also", REPRODUCED, changed(arms.LITERAL, fgsm30=0.01), NOT_REPRODUCED),
        ("PGD: and also", REPRODUCED, changed(arms.LITERAL, pgd30=0.0), NOT_REPRODUCED),
        ("as much as published", REPRODUCED, changed(arms.LITERAL, pgd3=0.2), NOT_REPRODUCED),
        ("as much as published", REPRODUCED, changed(arms.BASELINE, clean=0.6), UNTESTED),
        ("literal rule, holds more than FGSM", SUPPORTED, changed(arms.FGSM_ONLY, pgd3=0.4), REFUTED),
        ("literal rule, holds more than FGSM", SUPPORTED, changed(arms.FGSM_ONLY, pgd3=0.5), REFUTED),
        ("literal rule, holds more than FGSM", SUPPORTED, changed(arms.FGSM_ONLY, pgd3=0.3975), REFUTED),  # one image
        ("literal rule, holds more than FGSM", SUPPORTED, changed(arms.FGSM_ONLY, pgd3=0.385), REFUTED),  # p = 0.03
        ("full, holds more than with masks", SUPPORTED, changed(arms.RANDOM, pgd3=0.4), REFUTED),
        ("Detecting on the test", SUPPORTED, changed(arms.LEAK, pgd3=0.4), REFUTED),
        ("Detecting on the test", SUPPORTED, changed(arms.LEAK, pgd3=0.28), UNTESTED),
        ("self-checks pass", SUPPORTED, changed(arms.FULL, clean=0.3), REFUTED),
    ],
)
def test_accuracies_decide(part: str, usual: str, other: dict[str, dict[str, Tensor]], otherwise: str) -> None:
    assert verdict(found(seen(USUAL), seen(USUAL)), part).verdict == usual
    assert verdict(found(seen(other), seen(other)), part).verdict == otherwise


@pytest.mark.parametrize(
    ("part", "usual", "other", "otherwise"),
    [
        ("generalises better", REPRODUCED, {"corrupted": corrupted(0.6, 0.7)}, NOT_REPRODUCED),
        ("FGSM 0.1: for each", REPRODUCED, {"corrupted": corrupted(0.62, 0.6)}, NOT_REPRODUCED),
        ("PGD 0.03: for each", REPRODUCED, {"corrupted": corrupted(0.5, 0.6)}, NOT_REPRODUCED),
        ("PGD 0.03: for each", REPRODUCED, {"corrupted": {}}, UNTESTED),
        ("a lower loss", NOT_REPRODUCED, {"logs": {}}, UNTESTED),
        ("features settles", SUPPORTED, {"steps": steps(1, 0.1, 0.2, 0)}, REFUTED),
        ("features settles", SUPPORTED, {"steps": steps(1, 0.1, 0)}, UNTESTED),
        ("25 % of a round", SUPPORTED, {"seconds": DEAR}, REFUTED),
        ("self-checks pass", SUPPORTED, {"checks": {arms.FULL: [Check("fail", "probabilities", "not all")]}}, REFUTED),
    ],
)  # fmt: skip
def test_other_values_decide(part: str, usual: str, other: dict[str, object], otherwise: str) -> None:
    assert verdict(found(seen(USUAL)), part).verdict == usual
    assert verdict(found(seen(USUAL, **other)), part).verdict == otherwise


def test_what_cannot_be_is_not_reproduced() -> None:
    """Accuracy under attack lies below that without, on the same images; were it above, we would say so."""
    claim = verdict(found(seen(USUAL)), "more than without attack")
    assert claim.verdict == NOT_REPRODUCED
    assert "at best -10.0 points" in claim.measured
    above = corrupted(0.7, 0.6)
    above[arms.LITERAL][FOG][repr(arms.pgd(0.01))] = right(0.9)
    assert verdict(found(seen(USUAL, corrupted=above)), "more than without attack").verdict == REPRODUCED


def test_steadiness_is_over_the_corruptions() -> None:
    claim = verdict(found(seen(USUAL)), "varies less")
    assert claim.verdict == REPRODUCED
    assert claim.measured == "sd 1.4 against 7.1 points"


def test_a_single_seed_that_disagrees_counts() -> None:
    other = changed(arms.FGSM_ONLY, pgd3=0.41)
    claim = verdict(found(seen(USUAL), seen(USUAL), seen(other)), "literal rule, holds more than FGSM")
    assert claim.verdict == REFUTED
    assert "not under every seed" in claim.measured


def test_a_planted_shortcut_is_judged_without_attack() -> None:
    values = changed(arms.FGSM_ONLY, clean=0.3, pgd3=0.9)
    planted = found(seen(values), data=Planted(data=Digits(decoy=None)), published="")
    claim = verdict(planted, "literal rule, holds more than FGSM")
    assert claim.verdict == SUPPORTED
    assert "shortcut" in claim.text
    assert "+55.0" in claim.measured


def test_stability_is_compared() -> None:
    assert verdict(found(seen(USUAL)), "more stable").verdict == NOT_REPRODUCED
    generator = torch.Generator().manual_seed(0)
    close = {name: {repr(STABLE): 0.5 + 0.1 * torch.rand(IMAGES, generator=generator)} for name in USUAL}
    close[arms.LITERAL] = {repr(STABLE): 0.7 + 0.1 * torch.rand(IMAGES, generator=generator)}
    assert verdict(found(seen(USUAL, close=close)), "more stable").verdict == REPRODUCED


def test_seeds_are_averaged_image_by_image() -> None:
    values = torch.stack([right(0.5), right(0.7)]).double()
    own = spread(values)
    assert own.mean == pytest.approx(0.6)
    assert own.seeds == pytest.approx((0.5, 0.7))
    assert own.sd == pytest.approx(0.2 / 2**0.5)
    g = gain(values, torch.stack([right(0.5), right(0.5)]).double())
    assert g.difference == pytest.approx(0.1)
    assert g.seeds == pytest.approx((0.0, 0.2))


def test_a_loss_is_the_sum_of_its_terms() -> None:
    rows = [
        {"epoch": 0, "step": 0, "lr": 1.0, "clean": 1.0, "adversarial": 2.0},
        {"epoch": 0, "step": 1, "lr": 1.0, "clean": 2.0, "adversarial": 3.0, "Accuracy()": 0.5, "validation": 9.0},
        {"epoch": 1, "step": 2, "lr": 1.0, "clean": 1.0, "adversarial": 1.0, "Accuracy()": 0.5},
    ]
    assert loss_curve(rows) == [(1.0, 4.0), (2.0, 2.0)]
    assert loss_curve(rows[1:2]) == [(1.0, 5.0)]
    assert loss_curve([]) == []


def test_the_document_tells_all() -> None:
    from glasshouse.studies import LIMERefinement

    f = found(seen(USUAL), seen(USUAL))
    study = LIMERefinement(trials=(f.trial,), seeds=2)
    told = document(study, [f], "cpu")
    titles = [section.title for section in told.sections]
    for part in (
        "published numbers",
        "what each part does",
        "Fig. 2, 3",
        "Fig. 4, 5",
        "Fig. 10, 11",
        "Fig. 12",
        "Fig. 15",
    ):
        assert sum(part in title for title in titles) == 1, part
    assert "reproduced" in told.verdict
    table = next(s for s in told.sections if "published numbers" in s.title)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["PGD, 0.03"][:2] == ("2.81", "39.15")
    assert rows["PGD, 0.03"][3].startswith("40.0\u00a0±\u00a00.0 [")
    assert rows["clean"][:2] == ("87", "85")
    inconsistent = next(s for s in told.sections if "Inconsistencies" in s.title)
    assert len(inconsistent.rows) == 12
    assert "at best -10.0 points" in inconsistent.rows[0][2]


def test_a_study_that_measures_little_still_ends() -> None:
    """Without attacks, corruptions, the arms of the paper or anything after an epoch there is little to say."""
    from glasshouse.studies import LIMERefinement

    values = {name: {repr(STABLE): torch.rand(IMAGES)} for name in (arms.BASELINE, "mine")}
    bare = seen(values, close={}, corrupted={}, logs={}, steps={}, quality={}, checks={}, seconds={}, memory={})
    f = found(bare, published="")
    told = document(LIMERefinement(trials=(f.trial,), seeds=1), [f], "cpu")
    assert [claim.verdict for claim in told.claims] == [SUPPORTED]
    for section in told.sections:
        drawn(section)
