"""Verdicts on the paper about explanation consistency, where the numbers behind them are known."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from glasshouse import statistics
from glasshouse.consistency import FGSMBackground
from glasshouse.data import BrightRegions, Digits
from glasshouse.data.samples import Memory
from glasshouse.metrics import Inconsistency, Loss
from glasshouse.models import SmallCNN
from glasshouse.outcome import without_nan
from glasshouse.report.documents import drawn
from glasshouse.statistics import compare, holm
from glasshouse.studies import Compared, Debiasing, ExplanationConsistency, FewSamples, Way
from glasshouse.studies import consistency_ways as ways
from glasshouse.studies.consistency_claims import claims, ours
from glasshouse.studies.consistency_document import document
from glasshouse.studies.consistency_figures import few_figures, over_training, robustness, share_figure, sweep, swept
from glasshouse.studies.consistency_found import Bout, Seen, effective, floor_of, histogram
from glasshouse.studies.consistency_published import IMAGENET9, PUBLISHED, TABLE_I, TABLE_IV, Published
from glasshouse.studies.consistency_tables import brief, published, weights
from glasshouse.studies.few_samples import measurable
from glasshouse.studies.gains import Gain, gain, points, spread
from glasshouse.study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim
from glasshouse.types import NOWHERE, VOID
from glasshouse.weighting import Reweighting

CUB = "icCNN, CUB-200-2011"

IMAGES = 400
EPS = (1 / 255, 4 / 255)
DATA, NET = BrightRegions(data=Digits(decoy=None)), SmallCNN()
Values = dict[str, Tensor]


FLIPPED: dict[bytes, float] = {}


@pytest.fixture(autouse=True)
def _flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same differences come again and again, and signs are flipped 9,999 times for each."""
    plain = statistics.sign_flip

    def remembered(difference: statistics.Values) -> float:
        key = difference.tobytes()
        if key not in FLIPPED:
            FLIPPED[key] = plain(difference)
        return FLIPPED[key]

    monkeypatch.setattr(statistics, "sign_flip", remembered)


def right(share: float) -> Tensor:
    """So many images are right, always the first ones."""
    return (torch.arange(IMAGES) < round(share * IMAGES)).float()


def bumpy(mean: float) -> Tensor:
    """Values with that mean."""
    return mean + 0.1 * torch.sin(2 * torch.pi * torch.arange(IMAGES) / IMAGES)


def levels(clean: float, miou: float, fgsm: float | None = None) -> Values:
    found = {repr(ways.CLEAN): right(clean)}
    found |= {repr(m): bumpy(miou) for m in (ways.XGRAD_MIOU, ways.GRAD_MIOU)}
    return found | ({repr(ways.fgsm(eps)): right(fgsm) for eps in EPS} if fgsm is not None else {})


def row(share: float, epoch: int = 2) -> dict[str, float]:
    return {"epoch": epoch, "weight_effective": share} | {f"weight_{i}": 0.1 for i in range(10)}


def seen(values: Values, *log: float, moved: float = 0.5) -> Seen:
    y = torch.arange(IMAGES) % 4
    return Seen(
        values=values,
        scores={"logits": torch.eye(4)[y], "y": y},
        pairs={
            "image": torch.arange(4),
            "classes": torch.tensor([0, 0, 1, 1]),
            "intersection": torch.tensor([1, 1, 3, 0]),
            "union": torch.tensor([2, 4, 4, 4]),
        },
        moved={repr(ways.CLEAN): right(moved)},
        log=[row(share, 2 * i + 1) for i, share in enumerate(log)],
    )


USUAL = {
    ways.BASELINE: seen(levels(0.7, 0.2, 0.3)),
    ways.HNM: seen(levels(0.75, 0.22), 0.5),
    ways.FL: seen(levels(0.7, 0.2)),
    ways.EFL: seen(levels(0.7, 0.2)),
    ways.XGRAD: seen(levels(0.8, 0.3, 0.5), 0.9, 0.7, moved=0.6),
    ways.SHUFFLED: seen(levels(0.7, 0.2), 0.8),
    ways.LITERAL: seen(levels(0.7, 0.2), 0.5, 0.9999),
    ways.BLACK: seen(levels(0.7, 0.2, 0.4), 0.9),
    ways.MEAN: seen(levels(0.7, 0.2, 0.4), 0.9),
    ways.SOFTSIGN: seen(levels(0.8, 0.3), 0.9),
    ways.ARCTAN: seen(levels(0.8, 0.3), 0.9),
    ways.SMALL_EPS: seen(levels(0.85, 0.35, 0.6), 0.6),
    ways.SMALL_SHUFFLED: seen(levels(0.7, 0.2), 0.6),
}
Ways = dict[str, Seen]


def bout(*seeds: Ways, **settings: Any) -> Bout:
    known = {"published": "ResNet-50", "eps": EPS} | settings
    compared = Compared("the network", DATA, NET, tuple(Way(name) for name in seeds[0]), **known)
    return Bout(compared, seeds, (1000, IMAGES, 4), [])


def changed(way: str, **values: float) -> Ways:
    """The usual values but for some of one way."""
    names = {
        "clean": [ways.CLEAN],
        "miou": [ways.XGRAD_MIOU, ways.GRAD_MIOU],
        "fgsm": [ways.fgsm(eps) for eps in EPS],
    }
    new = {
        repr(m): (bumpy if name == "miou" else right)(value)
        for name, value in values.items()
        if name != "moved"
        for m in names[name]
    }
    moved = {repr(ways.CLEAN): right(values["moved"])} if "moved" in values else USUAL[way].moved
    return USUAL | {way: USUAL[way]._replace(values=USUAL[way].values | new, moved=moved)}


def without(*names: str) -> Ways:
    return {name: one for name, one in USUAL.items() if name not in names}


def matching(b: Bout, part: str) -> list[Claim]:
    return [claim for claim in claims([b], None, None) if part in claim.text]


def verdict(b: Bout, part: str) -> Claim:
    """The claim whose text has this part."""
    found = matching(b, part)
    assert len(found) == 1, [claim.text for claim in claims([b], None, None)]
    return found[0]


@pytest.mark.parametrize(
    ("part", "usual", "other", "otherwise"),
    [
        ("network: more accurate than the baseline", REPRODUCED, changed(ways.XGRAD, clean=0.7), NOT_REPRODUCED),
        ("network: more accurate than HNM", REPRODUCED, changed(ways.HNM, clean=0.8), NOT_REPRODUCED),
        ("(equalized) focal loss", REPRODUCED, changed(ways.FL, clean=0.9), NOT_REPRODUCED),
        ("(equalized) focal loss", REPRODUCED, changed(ways.EFL, clean=0.8), NOT_REPRODUCED),
        ("higher mIoU than the baseline", REPRODUCED, changed(ways.BASELINE, miou=0.3), NOT_REPRODUCED),
        ("higher mIoU than HNM", REPRODUCED, changed(ways.HNM, miou=0.4), NOT_REPRODUCED),
        ("HNM is more accurate", REPRODUCED, changed(ways.HNM, clean=0.6), NOT_REPRODUCED),
        ("stands FGSM better", REPRODUCED, changed(ways.BASELINE, fgsm=0.5), NOT_REPRODUCED),
        ("stands it better by adversarial", REPRODUCED, changed(ways.BLACK, fgsm=0.6), NOT_REPRODUCED),
        ("stands it better by adversarial", REPRODUCED, changed(ways.MEAN, fgsm=0.5), NOT_REPRODUCED),
        ("before other backgrounds", REPRODUCED, changed(ways.XGRAD, moved=0.4), NOT_REPRODUCED),
        ("before other backgrounds", REPRODUCED, changed(ways.BASELINE, moved=0.6), NOT_REPRODUCED),
        ("psi hardly matters", REPRODUCED, changed(ways.ARCTAN, clean=0.7), NOT_REPRODUCED),
        ("psi hardly matters", REPRODUCED, changed(ways.SOFTSIGN, clean=0.9), NOT_REPRODUCED),
        ("XGrad-CAM: more accurate than the same weights", SUPPORTED, changed(ways.SHUFFLED, clean=0.8), REFUTED),
        ("XGrad-CAM: more mIoU than the same weights", SUPPORTED, changed(ways.SHUFFLED, miou=0.3), REFUTED),
        (
            "ours, small eps: more accurate than the same weights",
            SUPPORTED,
            changed(ways.SMALL_SHUFFLED, clean=0.9),
            REFUTED,
        ),
        (
            "ours, small eps: more mIoU than the same weights",
            SUPPORTED,
            changed(ways.SMALL_SHUFFLED, miou=0.4),
            REFUTED,
        ),
        ("ours, small eps: more accurate than baseline", SUPPORTED, changed(ways.BASELINE, clean=0.85), REFUTED),
        ("ours, small eps: more mIoU than baseline", SUPPORTED, changed(ways.BASELINE, miou=0.4), REFUTED),
        ("ours, small eps: more accurate than HNM", SUPPORTED, changed(ways.HNM, clean=0.9), REFUTED),
        ("ours, small eps: more mIoU than HNM", SUPPORTED, changed(ways.HNM, miou=0.4), REFUTED),
    ],
)
def test_values_decide(part: str, usual: str, other: Ways, otherwise: str) -> None:
    assert verdict(bout(USUAL), part).verdict == usual
    assert verdict(bout(other), part).verdict == otherwise
    if "psi" not in part:
        assert verdict(bout(USUAL, other), part).verdict == otherwise  # every seed has to agree


def test_a_gain_has_to_be_significant() -> None:
    told = verdict(bout(changed(ways.XGRAD, clean=0.7125)), "network: more accurate than the baseline")
    assert told.verdict == NOT_REPRODUCED and "p = 0.062" in told.measured  # 5 images


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("network: more accurate than the baseline", ways.BASELINE),
        ("higher mIoU than the baseline", ways.BASELINE),
        ("network: more accurate than HNM", ways.HNM),
        ("HNM is more accurate", ways.HNM),
        ("stands FGSM better", ways.BASELINE),
        ("stands it better", ways.MEAN),
        ("psi hardly matters", ways.ARCTAN),
        ("more accurate than the same weights", ways.SHUFFLED),
        ("ours, small eps: more", ways.SMALL_EPS),
        ("letter weighs all", ways.LITERAL),
    ],
)
def test_what_was_not_measured_is_not_claimed(part: str, missing: str) -> None:
    assert len(matching(bout(without(missing)), part)) < len(matching(bout(USUAL), part))


def test_a_study_may_measure_nothing_but_maps() -> None:
    bare = {
        name: one._replace(values={m: v for m, v in one.values.items() if m != repr(ways.CLEAN)}, moved={})
        for name, one in USUAL.items()
    }
    told = claims([bout(bare)], None, None)
    assert told and not any("accurate" in claim.text or "psi" in claim.text or "FGSM" in claim.text for claim in told)
    assert verdict(bout(bare), "higher mIoU than HNM").verdict == REPRODUCED


def test_one_loss_is_enough_and_none_is_not() -> None:
    assert verdict(bout(without(ways.FL)), "focal").verdict == REPRODUCED
    assert not matching(bout(without(ways.FL, ways.EFL)), "focal")


def test_people_are_needed() -> None:
    claim = verdict(bout(USUAL), "People find")
    assert claim.verdict == UNTESTED and "glasshouse review --rate" in claim.measured
    assert "59" in claim.published and "30" in claim.published and "11" in claim.published


def test_whose_method_it_is() -> None:
    assert ours(bout(USUAL)) == ways.XGRAD
    assert ours(bout(without(ways.XGRAD))) == ways.LITERAL
    assert ours(bout(without(ways.XGRAD) | {ways.EIGEN: USUAL[ways.XGRAD]})) == ways.EIGEN
    assert ours(bout({ways.BASELINE: USUAL[ways.BASELINE]})) == ""
    assert [c.text.split()[0] for c in claims([bout({ways.BASELINE: USUAL[ways.BASELINE]})], None, None)] == [
        "People",
        "the",
    ]


@pytest.mark.parametrize(
    ("name", "part", "told"),
    [
        ("ResNet-50", "network: more accurate than the baseline", "45.72 → 46.41 (ResNet-50)"),
        ("", "network: more accurate than HNM", "44.89 → 46.41 (ResNet-50)"),
        ("MobileNetV2", "network: more accurate than HNM", "53.69 → 55.8 (MobileNetV2)"),
        ("MobileNetV2", "focal", "53.38, 53.45 → 55.8 (MobileNetV2)"),
        ("MobileNetV2", "higher mIoU than the baseline", "0.1967 → 0.1990 (MobileNetV2)"),
        ("ResNet-50", "higher mIoU than HNM", "0.1198 → 0.1285 (ResNet-50)"),
        (CUB, "network: more accurate than the baseline", f"66.2 → 73.4 ({CUB})"),
        (CUB, "higher mIoU than HNM", f"0.2234 → 0.2252 ({CUB})"),
        (CUB, "focal", f"–, – → 73.4 ({CUB})"),
        ("MobileNetV2", "HNM is more accurate", "text: yes; 53.31 → 53.69 (MobileNetV2)"),
    ],
)
def test_the_papers_numbers_are_of_the_same_network(name: str, part: str, told: str) -> None:
    assert verdict(bout(USUAL, published=name), part).published == told


# how they are decided


def test_p_values_of_controls_are_corrected() -> None:
    """8 of 400 images are right by one and wrong by the other: p = 0.008 by itself, 0.06 among eight."""
    same = {name: one._replace(values=levels(0.7, 0.2)) for name, one in USUAL.items()}

    def among(share: float) -> Claim:
        other = same | {ways.XGRAD: same[ways.XGRAD]._replace(values=levels(share, 0.2))}
        return verdict(
            bout(other), "more accurate than the same weights shuffled, "[:-2] if False else "XGrad-CAM: more acc"
        )

    p = compare(right(0.72).double().numpy(), right(0.7).double().numpy()).p
    assert p == pytest.approx(2 / 2**8)
    told = among(0.72)
    assert told.verdict == REFUTED and f"p = {holm([p] + 7 * [1.0])[0]:.3f}" in told.measured
    assert among(0.73).verdict == SUPPORTED  # 12 images: 0.0005 and 0.004


def test_only_images_that_all_get_right_count_under_attack() -> None:
    """Ours stands on images that the baseline gets wrong anyway, and on no other."""
    values = {
        ways.BASELINE: seen(levels(0.5, 0.2, 0.3)),
        ways.XGRAD: seen(levels(1.0, 0.2) | {repr(ways.fgsm(eps)): right(0.3) + 1 - right(0.5) for eps in EPS}),
    }
    told = verdict(bout(values), "stands FGSM")
    assert told.verdict == NOT_REPRODUCED
    assert told.measured.startswith("60.0 % in the mean over eps, over baseline (60.0 %) +0.0")
    assert told.measured.endswith("200 images")


def test_under_attack_every_eps_counts() -> None:
    one = levels(0.8, 0.2, 0.4) | {repr(ways.fgsm(EPS[1])): right(0.2)}
    other = levels(0.8, 0.2, 0.4) | {repr(ways.fgsm(EPS[1])): right(0.0)}
    held = bout({"a": seen(one), "b": seen(other)}).standing("a", "b")
    assert held["a"].shape == (1, IMAGES)
    assert held["a"][0, [0, 79, 80, 159, 160, 319]].tolist() == [1, 1, 0.5, 0.5, 0, 0]
    assert held["b"][0, [0, 159, 160]].tolist() == [0.5, 0.5, 0] and held["b"][0, 320:].isnan().all()
    assert bout({"a": seen(one)}, eps=()).standing("a") == {}
    assert bout({"a": seen(one)}, eps=(*EPS, 0.1)).standing("a") == {}


def test_nothing_is_said_of_no_images() -> None:
    wrong = levels(0.5, 0.2) | {repr(ways.fgsm(eps)): right(0.0) for eps in EPS}
    values = {
        ways.BASELINE: seen(wrong),
        ways.XGRAD: seen(wrong | {repr(ways.CLEAN): 1 - right(0.5)}),
    }
    told = verdict(bout(values), "stands FGSM")
    assert told.verdict == UNTESTED and "nan" not in told.measured


def test_alike_needs_narrow_intervals() -> None:
    """20 images are right by one only, and 18 by the other only."""
    flipped = right(0.8)
    flipped[:20], flipped[320:338] = 0, 1
    wide = USUAL | {ways.SOFTSIGN: seen(levels(0.8, 0.3) | {repr(ways.CLEAN): flipped})}
    told = verdict(bout(wide), "psi")
    assert told.verdict == UNTESTED
    assert told.measured.startswith(f"over {ways.SOFTSIGN} +0.5 [")


def test_psi_is_not_tested_where_all_samples_weigh_the_same() -> None:
    equal = {name: seen(levels(0.8, 0.3), 1.0) for name in (ways.XGRAD, ways.SOFTSIGN, ways.ARCTAN)}
    told = verdict(bout(USUAL | equal), "psi")
    assert told.verdict == UNTESTED and "weigh the same" in told.measured


@pytest.mark.parametrize(
    ("log", "expected"),
    [((0.5, 0.995), SUPPORTED), ((0.995, 0.98), REFUTED), ((0.9901,), SUPPORTED), ((0.99,), REFUTED)],
)
def test_the_last_weights_decide_whether_all_weigh_the_same(log: tuple[float, ...], expected: str) -> None:
    told = verdict(bout(USUAL | {ways.LITERAL: seen(levels(0.7, 0.2), *log)}), "weighs all samples the same")
    assert told.verdict == expected
    assert f"{ways.LITERAL} {100 * log[-1]:.1f} %" in told.measured
    assert f"{ways.XGRAD} 70.0 %" in told.measured and ways.BASELINE not in told.measured


def test_two_formulas_are_one_measurement() -> None:
    told = verdict(bout(USUAL), "are one measurement")
    assert told.verdict == SUPPORTED and "0.0000" in told.measured
    other = bumpy(0.2)
    other[7] += 0.02
    values = USUAL[ways.FL].values | {repr(ways.XGRAD_MIOU): other}
    told = verdict(bout(USUAL | {ways.FL: USUAL[ways.FL]._replace(values=values)}), "are one measurement")
    assert told.verdict == REFUTED and "0.0200" in told.measured
    unknown = torch.full((IMAGES,), torch.nan)
    values = USUAL[ways.FL].values | {repr(ways.XGRAD_MIOU): unknown, repr(ways.GRAD_MIOU): unknown}
    told = verdict(bout(USUAL | {ways.FL: USUAL[ways.FL]._replace(values=values)}), "are one measurement")
    assert told.verdict == SUPPORTED


SETTINGS = ("brighter by 0.5 deviations", "magnitude x 1.5")


def shares(own: tuple[float, ...], other: tuple[float, ...] = (0.2, 0.2)) -> dict[str, dict[str, list[list[float]]]]:
    """Two rankings under each of two seeds, in two settings; ``own`` is of the second setting."""
    first = {"FL": [[0.1, 0.3], [0.2, 0.2]], "HNM": [[0.2, 0.2], [0.1, 0.1]], "ours": [[0.3, 0.3], [0.3, 0.2]]}
    by = {
        "FL": [[0.1, 0.1], [0.1, 0.1]],
        "HNM": [[value - 0.1, value + 0.1] for value in other],
        "ours": [[value, value] for value in own],
    }
    return dict(zip(SETTINGS, (first, by), strict=True))


@pytest.mark.parametrize(
    ("own", "expected"), [((0.3, 0.21), REPRODUCED), ((0.3, 0.19), NOT_REPRODUCED), ((0.1, 0.1), NOT_REPRODUCED)]
)
def test_weights_find_more_in_each_setting_under_every_seed(own: tuple[float, ...], expected: str) -> None:
    (told,) = (claim for claim in claims([], shares(own), None) if "without the bias" in claim.text)
    assert told.verdict == expected
    assert "brighter by 0.5 deviations: ours 27.5, FL 20.0, HNM 15.0 %" in told.measured


def few(own: float, everything: float = 0.5, early: float = 0.1) -> dict[str, dict[str, list[Tensor]]]:
    """Accuracy and mIoU at two shares under two seeds."""

    def at(value: float) -> dict[str, list[Tensor]]:
        runs = [torch.stack([right(early), right(value)])] * 2
        return {repr(ways.CLEAN): runs, repr(ways.GRAD_MIOU): [0.5 * run for run in runs]}

    return {"RAND": at(0.5), "ours": at(own), "ALL": at(everything)}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (few(0.7), REPRODUCED),
        (few(0.7, everything=0.8), NOT_REPRODUCED),
        (few(0.5), NOT_REPRODUCED),
        (few(0.7, early=0.9), REPRODUCED),  # the last share decides
    ],
)
def test_with_few_labels_all_others_have_to_be_below(found: Any, expected: str) -> None:
    told = [claim for claim in claims([], None, found) if "few labels" in claim.text]
    assert [claim.verdict for claim in told] == [expected] * 2
    assert "highest accuracy" in told[0].text and "highest mIoU" in told[1].text
    assert told[0].measured.count("over ") == 2
    only = {name: {repr(ways.CLEAN): by[repr(ways.CLEAN)]} for name, by in found.items()}
    assert len([claim for claim in claims([], None, only) if "few labels" in claim.text]) == 1
    del only["ours"]
    assert not [claim for claim in claims([], None, only) if "few labels" in claim.text]


# gains


def test_a_gain_is_paired_and_over_all_seeds() -> None:
    own, rival = torch.stack([right(0.8), right(0.6)]).double(), torch.stack([right(0.5), right(0.5)]).double()
    found = gain(own, rival)
    assert found.difference == pytest.approx(0.2) and found.seeds == pytest.approx((0.3, 0.1))
    assert found.low < 0.2 < found.high and found.p < 0.001 and found.better
    assert gain(own[:1], rival[:1]).p == compare(own[0].numpy(), rival[0].numpy()).p
    assert not found._replace(p=0.05).better and found._replace(p=0.049).better
    assert not found._replace(seeds=(0.4, 0.0)).better
    part = own.clone()
    part[:, 0] = torch.nan
    assert gain(part, rival).seeds[0] == pytest.approx((0.8 * 400 - 1 - 199) / 399)


def test_a_spread_has_an_interval_over_images_and_a_deviation_over_seeds() -> None:
    found = spread(torch.stack([right(0.8), right(0.6)]).double())
    assert found.mean == pytest.approx(0.7) and found.seeds == pytest.approx((0.8, 0.6))
    assert found.sd == pytest.approx(0.02**0.5)
    assert spread(right(0.8).double()[None]).sd != spread(right(0.8).double()[None]).sd  # NaN
    assert found.low < 0.7 < found.high


@pytest.mark.parametrize(
    ("g", "told"),
    [
        (Gain(0.012, 0.003, 0.021, 0.012, (0.1, 0.2)), "+1.2 [+0.3, +2.1] points, p = 0.012"),
        (Gain(-0.012, -0.021, -0.003, 1e-4, (-0.1, -0.2)), "-1.2 [-2.1, -0.3] points, p < 0.001"),
        (Gain(0.0, 0.0, 0.0, 1.0, (0.1, -0.2)), "+0.0 [+0.0, +0.0] points, p = 1.000, not under every seed"),
        (Gain(0.0, 0.0, 0.0, 1.0, (-0.1,)), "+0.0 [+0.0, +0.0] points, p = 1.000"),
    ],
)
def test_gains_in_words(g: Gain, told: str) -> None:
    assert points(g) == told
    assert brief(g).replace("\u00a0", " ").startswith(told.split("]")[0])


def test_means_over_pairs_and_over_classes() -> None:
    b = bout(USUAL, USUAL)
    over_pairs, over_classes = b.over_pairs(ways.BASELINE)
    assert over_pairs == pytest.approx([(1 / 2 + 1 / 4 + 3 / 4 + 0) / 4] * 2)
    assert over_classes == pytest.approx([(2 / 6 + 3 / 8) / 2] * 2)
    assert b.precision(ways.BASELINE) == pytest.approx([1.0, 1.0])


def test_what_one_seed_lacks_was_not_measured() -> None:
    b = bout(USUAL, without(ways.HNM) | {ways.HNM: USUAL[ways.HNM]._replace(values={})})
    assert b.table(ways.HNM, ways.CLEAN) is None and b.spread(ways.HNM, ways.CLEAN) is None
    assert b.gain(ways.XGRAD, ways.HNM, ways.CLEAN) is None
    assert b.table("none", ways.CLEAN) is None


def test_weights_at_the_end() -> None:
    logs = [USUAL | {ways.XGRAD: seen({}, 0.9, last)} for last in (0.6, 0.8)]
    logs[1][ways.XGRAD].log[-1].update(weight_0=0.5, weight_9=0.3)
    b = bout(*logs)
    assert effective(b, ways.XGRAD) == pytest.approx(0.7)
    assert effective(b, ways.BASELINE) != effective(b, ways.BASELINE) and effective(b, "none") != effective(b, "none")
    assert histogram(b, ways.XGRAD) == pytest.approx([0.3] + [0.1] * 8 + [0.2])
    assert histogram(b, ways.BASELINE) == []
    (told,) = (cells for cells in weights(b).rows if cells[0] == ways.XGRAD)
    assert told[1].replace("\u00a0", " ") == "70.0 %" and told[2:] == ("30", "40", "40", "20")
    assert ways.BASELINE not in [cells[0] for cells in weights(b).rows]


def test_what_marking_everything_scores() -> None:
    """One image with a class on a quarter of what is judged, one with two classes on half of it."""
    regions = torch.full((2, 2, 4), NOWHERE)
    regions[0, 0, :2] = VOID
    regions[0, 1, :2] = 3
    regions[1, 0, 0], regions[1, 1, :3] = 0, 2
    expected = ((2 / 6) + (1 / 8 + 3 / 8) / 2) / 2
    samples = Memory(torch.zeros(2, 3, 2, 4).byte(), torch.eye(4)[:2], tuple("abcd"), regions=regions)
    assert floor_of(samples) == pytest.approx(expected)
    bare = Memory(torch.zeros(2, 3, 2, 4).byte(), torch.tensor([0, 1]), tuple("abcd"))
    assert floor_of(bare) != floor_of(bare)
    assert measurable((ways.CLEAN, ways.GRAD_MIOU), bare) == (ways.CLEAN,)
    assert measurable((ways.CLEAN, ways.GRAD_MIOU), samples) == (ways.CLEAN, ways.GRAD_MIOU)


# the paper's numbers


def test_numbers_of_table_i() -> None:
    by_hand = {
        "ResNet-50": {
            "baseline": (45.72, (0.0938, 0.0938, 0.1239)),
            "HNM": (44.89, (0.1198, 0.1198, 0.1402)),
            "FL": (45.10, (0.1046, 0.1042, 0.1236)),
            "EFL": (44.54, (0.1067, 0.1068, 0.1174)),
            "ours, XGrad-CAM": (46.41, (0.1285, 0.1285, 0.1456)),
            "ours, Eigen-CAM": (46.48, (0.1254, 0.1254, 0.1498)),
        },
        "MobileNetV2": {
            "baseline": (53.31, (0.1967, 0.1967, 0.2123)),
            "HNM": (53.69, (0.1971, 0.1971, 0.2106)),
            "FL": (53.38, (0.1988, 0.1988, 0.2112)),
            "EFL": (53.45, (0.1973, 0.1973, 0.2099)),
            "ours, XGrad-CAM": (55.80, (0.1990, 0.1990, 0.2125)),
            "ours, Eigen-CAM": (55.32, (0.1974, 0.1975, 0.2128)),
        },
    }
    assert by_hand == TABLE_I


def test_numbers_of_tables_iv_and_v() -> None:
    by_hand = {
        "baseline": (66.2, 0.2187),
        "HNM": (71.8, 0.2234),
        "ours, XGrad-CAM": (73.4, 0.2252),  # tanh in table V
        "ours, softsign": (73.1, 0.2229),
        "ours, arctan": (73.1, 0.2205),
    }
    assert {name: Published(accuracy, (None, miou, None)) for name, (accuracy, miou) in by_hand.items()} == TABLE_IV
    accuracies = {name: row.accuracy for name, row in IMAGENET9.items()}
    assert accuracies == {"baseline": 70.7, "HNM": 78.8, "uncertainty (AL)": 80.1, "ours, XGrad-CAM": 82.1}
    assert list(PUBLISHED) == ["ResNet-50", "MobileNetV2", CUB, "icCNN, ImageNet-9"]


def test_the_papers_numbers_stand_beside_ours() -> None:
    rows = {cells[0]: [c.replace("\u00a0", " ") for c in cells[1:]] for cells in published(bout(USUAL, USUAL)).rows}
    assert rows[ways.BASELINE] == [
        "70.0 ± 0.0 [45.72]",
        "0.2000 ± 0.0000 [0.0938]",
        "0.2000 ± 0.0000 [0.0938]",
        "50.0 ± 0.0",
    ]
    assert rows[ways.FL][1:3] == ["0.2000 ± 0.0000 [0.1046]", "0.2000 ± 0.0000 [0.1042]"]
    assert "[" not in "".join(rows[ways.LITERAL])
    rows = {cells[0]: list(cells[1:]) for cells in published(bout(USUAL, published=CUB)).rows}
    assert rows[ways.BASELINE] == ["70.0 [66.20]", "0.2000", "0.2000 [0.2187]", "50.0"]
    assert "[" not in "".join(cell for cells in published(bout(USUAL, published="")).rows for cell in cells[1:])


# figures and the document


def near(*points: tuple[float, float]) -> tuple[Any, ...]:
    """These points, whatever is rounded."""
    return tuple(pytest.approx(point) for point in points)


def study(b: Bout, **settings: Any) -> ExplanationConsistency:
    return ExplanationConsistency(compared=(b.compared,), seeds=2, **settings)


def test_the_document_is_whole_and_plain() -> None:
    b = bout(USUAL, USUAL)
    of = study(b, debiasing=Debiasing(DATA, NET), few=FewSamples(DATA, NET, shares=(0.3, 0.9)))
    found = document(of, [b], shares((0.3, 0.3)), few(0.7), "cpu")
    told = json.loads(json.dumps(without_nan(found.results), allow_nan=False))
    assert set(told["networks"]["the network"]) == set(USUAL)
    assert told["networks"]["the network"][ways.XGRAD]["values"][repr(ways.CLEAN)]["mean"] == pytest.approx(0.8)
    assert repr(ways.fgsm(EPS[0])) in told["networks"]["the network"][ways.BASELINE]["values"]
    assert told["networks"]["the network"][ways.XGRAD]["backgrounds"]["mean"] == pytest.approx(0.6)
    assert told["debiasing"][SETTINGS[0]]["ours"] == {"mean": pytest.approx(27.5), "seeds": [[0.3, 0.3], [0.3, 0.2]]}
    assert told["few"]["ALL"][repr(ways.CLEAN)] == [pytest.approx([0.1, 0.5])] * 2
    own = [claim for claim in found.claims if claim.source == "paper"]
    assert f"Of {len(own)} claims of the paper: {len(own) - 1} reproduced, 1 not testable here." in found.verdict
    assert f"against the same weights shuffled: {ways.XGRAD}, accuracy +10.0" in found.verdict
    assert all(drawn(section)["title"] for section in found.sections)
    (contradictions,) = (s for s in found.sections if "contradicts itself" in s.title)
    rows = dict(contradictions.rows)  # type: ignore[union-attr, arg-type]
    (saturated,) = (here for text, here in rows.items() if "0.9999" in text)
    assert saturated == "effective share of the samples at image size 100.0 %, on cells 70.0 %"
    (hnm,) = (here for text, here in rows.items() if "HNM can help" in text)
    assert hnm.startswith("+5.0 [")


def test_a_study_of_one_way_has_a_document() -> None:
    b = bout({ways.BASELINE: USUAL[ways.BASELINE]._replace(pairs={}, moved={})})
    found = document(study(b), [b], None, None, "cpu")
    json.dumps(without_nan(found.results), allow_nan=False)
    assert found.results["few"] == found.results["debiasing"] == {}
    assert all(drawn(section)["title"] for section in found.sections)


def test_curves_are_of_the_images_that_all_get_right() -> None:
    found = {line.name: line for line in robustness(bout(USUAL, USUAL)).charts[0].lines}
    assert list(found) == [ways.BASELINE, ways.XGRAD, ways.BLACK, ways.MEAN, ways.SMALL_EPS]
    assert [y for _, y in found[ways.XGRAD].points] == pytest.approx([100 * 0.5 / 0.7] * 2)
    assert [x for x, _ in found[ways.XGRAD].points] in (pytest.approx(EPS), pytest.approx([1, 4]))
    assert all(low < 100 * 0.5 / 0.7 < high for low, high in found[ways.XGRAD].band)
    assert bout({ways.BASELINE: USUAL[ways.BASELINE]}).curves() == {}


def test_the_eps_of_backgrounds_is_swept_in_order() -> None:
    def way(name: str, eps: float) -> Way:
        score = Inconsistency(background=FGSMBackground(eps=eps))
        return Way(name, weighting=Reweighting(score=score))

    chosen = (
        *(way("ours, eps 0.3", 0.3), way(ways.XGRAD, 0.1), way("ours, eps 0.01", 0.01), way(ways.SMALL_EPS, 0.2)),
        *(Way(ways.BASELINE), Way(ways.HNM, weighting=Reweighting(score=Loss()))),
    )
    values = {w.name: seen(levels(0.1 * i + 0.1, 0.2)) for i, w in enumerate(chosen)}
    b = bout(values)._replace(compared=Compared("n", DATA, NET, chosen))
    assert swept(b) == [(0.01, "ours, eps 0.01"), (0.1, ways.XGRAD), (0.3, "ours, eps 0.3")]
    accuracy, miou = sweep(b).charts
    assert accuracy.lines[0].points == near((0.01, 30.0), (0.1, 20.0), (0.3, 10.0))
    assert [y for _, y in miou.lines[0].points] == pytest.approx([0.2] * 3, abs=1e-3)


def test_how_many_count_over_training() -> None:
    lines = {line.name: line.points for line in over_training(bout(USUAL, USUAL)).charts[0].lines}
    assert lines[ways.XGRAD] == near((2, 90.0), (4, 70.0))
    assert ways.SHUFFLED not in lines and ways.SMALL_SHUFFLED not in lines and ways.BASELINE not in lines


def test_shares_stand_beside_chance_and_the_papers() -> None:
    of = study(bout(USUAL), debiasing=Debiasing(DATA, NET, every=3, share=0.7))
    first, second = share_figure(shares((0.3, 0.2)), of).charts
    lines = {line.name: line for line in second.lines if not line.published}
    assert lines["ours"].points == near((3, 25.0), (6, 25.0))
    assert lines["ours"].band == near((20.0, 30.0), (20.0, 30.0))
    assert lines["at random"].points == near((3, 30.0), (6, 30.0))
    assert {line.name: line.points for line in first.lines if line.published} == {
        "FL": ((6, 22.0),),
        "HNM": ((6, 22.0),),
        "ours": ((6, 24.0),),
    }
    assert not any(line.published for line in second.lines)  # of the third setting the paper gives no number


def test_few_labels_are_drawn_by_their_share() -> None:
    of = study(bout(USUAL), few=FewSamples(DATA, NET, shares=(0.3, 0.9)))
    (found,) = few_figures(few(0.7), of)
    accuracy, miou = found.charts  # type: ignore[union-attr]
    assert {line.name: line.points for line in accuracy.lines}["ours"] == near((30, 10.0), (90, 70.0))
    assert {line.name: line.points for line in miou.lines}["ALL"][1] == pytest.approx((90, 0.25))  # type: ignore[union-attr]
    assert few_figures(few(0.7), study(bout(USUAL))) == []
