"""Rules, places, stability and backgrounds where the answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glasshouse import store
from glasshouse.attacks import PGD, Linf
from glasshouse.corruptions import Brightness
from glasshouse.data import Digits, GreyDecoy, OtherBackgrounds
from glasshouse.data.backgrounds import before, of_other_classes
from glasshouse.data.samples import Memory, batches
from glasshouse.detectors import Absolute, Aggregated, AnyCriterion, Signed, Spurious
from glasshouse.detectors.aggregated import frequency, top
from glasshouse.detectors.criteria import weights
from glasshouse.detectors.findings import Findings, Masked, found, moved, quality
from glasshouse.explainers import LIME, ConstantFill, Grid, InputGradient
from glasshouse.metrics import Accuracy, Stability, Under
from glasshouse.types import Batch, Progress, Samples, silent

SIDE, SEGMENTS = 16, 16


class Cells(nn.Module):
    """The log-odds of class 0 are a weighted sum over the cells of a 4 x 4 grid."""

    def __init__(self, each: Tensor) -> None:
        super().__init__()
        self.each = nn.Parameter(each)

    def forward(self, x: Tensor) -> Tensor:
        score = (nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1) * self.each).sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def criteria_of(each: Tensor, rule: AnyCriterion, images: int = 3) -> tuple[Tensor, Tensor]:
    """Scores of a rule and LIME's weights on grey images of class 0, for which cells count as ``each`` says."""
    x = torch.full((images, 3, SIDE, SIDE), 0.5)
    lime = LIME(segmenter=Grid(cells=4), samples=200, fill=ConstantFill(value=0.0))
    batch = Batch(x, torch.zeros(images, dtype=torch.int64))
    segments, model = lime.segmenter(x), Cells(each)
    return rule(model, batch, segments, lime, batch), weights(model, batch, segments, lime)


NEVER = Absolute(value=1e9)
EACH = torch.tensor([1.0, -1.0, 0.02, -0.02] * 4)


def test_what_matters_is_spurious_only_where_it_speaks_against_the_class() -> None:
    important = {"importance": Absolute(value=0.05), "sensitivity": NEVER, "instability": NEVER}
    literal, beta = criteria_of(EACH, AnyCriterion(**important))
    assert torch.equal(literal >= 1, (EACH.abs() > 0.5).expand(3, -1))
    assert ((beta > 0) == (EACH > 0)).all(1).all() or (
        beta[:, EACH.abs() > 0.5].sign() == EACH[EACH.abs() > 0.5].sign()
    ).all()
    signed, _ = criteria_of(EACH, Signed(**important))
    assert torch.equal(signed >= 1, (EACH < -0.5).expand(3, -1))


def test_what_is_sensitive_is_spurious_only_where_it_does_not_speak_for_the_class() -> None:
    sensitive = {"importance": NEVER, "sensitivity": Absolute(value=1e-5), "instability": NEVER}
    assert (criteria_of(EACH, AnyCriterion(**sensitive))[0] >= 1).all()
    signed, beta = criteria_of(EACH, Signed(**sensitive))
    assert torch.equal(signed >= 1, beta <= 0)
    assert 0 < (signed >= 1).float().mean() < 1


def test_what_is_unstable_is_spurious_either_way() -> None:
    unstable = {"importance": NEVER, "sensitivity": NEVER, "instability": Absolute(value=1e-12)}
    for rule in (AnyCriterion(**unstable), Signed(**unstable)):
        assert (criteria_of(EACH, rule)[0] >= 1).all()


def test_a_rule_explains_an_image_once_and_once_more_for_each_run() -> None:
    seen: list[int] = []

    class Counting(Cells):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return super().forward(x)

    x = torch.full((3, 3, SIDE, SIDE), 0.5)
    lime = LIME(segmenter=Grid(cells=4), samples=20, fill=ConstantFill(value=0.0))
    batch, segments, model = Batch(x, torch.zeros(3, dtype=torch.int64)), lime.segmenter(x), Counting(EACH)
    weights(model, batch, segments, lime)
    once = sum(seen)
    for rule in (AnyCriterion(runs=2), Signed(runs=2)):
        seen.clear()
        rule(model, batch, segments, lime, batch)
        assert sum(seen) == 3 * once + len(x)  # and one gradient


@dataclass(frozen=True)
class Told:
    """A detector that flags the left half of class 0, a corner of class 1, and the top row of a single image."""

    def fit(self, model: nn.Module, samples: Samples, progress: Progress = silent, label: str = "") -> Findings:
        count = len(samples)
        y = samples[list(range(count))].y
        segments = Grid(cells=4)(torch.zeros(count, 3, SIDE, SIDE))
        score = torch.full((count, SEGMENTS), 0.2)
        score[y == 0] = torch.tensor([2.0, 2.0, 0.1, 0.1] * 4)
        score[y == 1, 15] = 3.0
        score[0, :4] = 1.5
        return Findings(torch.arange(count), y, segments, score, torch.zeros(3, SIDE, SIDE))


def some(count: int = 12) -> Memory:
    pixels = torch.randint(
        0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Memory(pixels, torch.arange(count) % 3, ("a", "b", "c"))


def places(by_class: bool = True, share: float = 0.5) -> Findings:
    return Aggregated(detector=Told(), share=share, by_class=by_class).fit(nn.Identity(), some())


def test_places_of_a_class_are_those_flagged_most_often_in_it() -> None:
    findings = places()
    left, corner = torch.zeros(SIDE, SIDE, dtype=torch.bool), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    left[:, :8], corner[12:, 12:] = True, True
    assert len(findings.index) == len(findings.segments) == 0
    assert torch.equal(findings.by_class[0] >= 1, left)
    assert (findings.by_class[1] >= 1)[corner].all()
    assert (findings.by_class >= 1).float().mean((1, 2)).le(0.5).all()
    assert not (findings.by_class[2] >= 1).any()  # no image of that class is flagged anywhere
    few = places(share=1 / 16)
    assert torch.equal(few.by_class[1] >= 1, corner)
    together = places(by_class=False, share=0.25)
    assert torch.equal(together.by_class[0], together.by_class[2])
    assert (together.by_class[0] >= 1).float().mean() == 0.25


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("count", [10, 4000])
def test_how_often_comes_first_and_the_score_decides_between_equal_ones(count: int, by_class: bool) -> None:
    half, y = count // 2, torch.zeros(count, dtype=torch.int64)
    segments = torch.arange(4).view(1, 2, 2).expand(count, 2, 2)
    for often, rival in ((0, 3), (3, 0)):
        for more, best in ((1, often), (0, rival)):
            score = torch.full((count, 4), 0.1)
            score[: half + more, often], score[:half, rival] = 1.0, 50.0
            findings = Findings(torch.arange(count), y, segments, score, torch.zeros(1, 2, 2))
            values = frequency(findings, by_class)
            assert values[0].flatten()[often].item() == pytest.approx((half + more) / count, abs=1 / count)
            assert top(values, 0.25).flatten().nonzero().flatten().tolist() == [best]


def test_places_without_images_are_masks_and_count_as_such(tmp_path: Path) -> None:
    findings = places()
    batch = some()[[5, 0, 1]]._replace(index=torch.tensor([5, 0, 1]))
    assert torch.equal(found(findings, batch), findings.by_class[batch.y] >= 1)
    mask = Masked(some(), findings)[[0]].mask
    assert mask is not None and torch.equal(~mask[0], findings.by_class[0] >= 1)
    assert findings.area() == pytest.approx((findings.by_class >= 1).float().mean().item())
    other = places(share=1 / 16)
    assert other.new_since(findings) == 0
    assert findings.new_since(other) > 0.5
    joined = other.joined(findings)
    assert joined.area() == findings.area() and joined.new_since(findings) == 0
    shifted = moved(findings, 1)
    assert shifted.area() == pytest.approx(findings.area())
    assert not torch.equal(shifted.by_class, findings.by_class)
    assert quality(findings, torch.zeros(0, SIDE, SIDE, dtype=torch.bool)).auroc is None
    store.keep_findings(tmp_path / "f.safetensors", findings)
    kept = store.load_findings(tmp_path / "f.safetensors")
    assert kept is not None and all(torch.equal(a, b) for a, b in zip(kept, findings, strict=True))


def test_places_come_from_any_detector() -> None:
    lime = LIME(segmenter=Grid(cells=4), samples=16)
    detector = Aggregated(detector=Spurious(rule=Signed(runs=2), lime=lime, images=8, pool=8), share=0.1)
    findings = detector.fit(Cells(EACH), Memory(some().pixels, some().labels % 2, ("a", "b")))
    assert findings.by_class.shape == (2, SIDE, SIDE)
    assert 0 < findings.area() <= 0.11


def test_a_map_that_never_changes_is_stable_and_one_of_chance_is_not() -> None:
    @dataclass(frozen=True)
    class Chance:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            return torch.rand(x.shape[0], SIDE, SIDE)

    @dataclass(frozen=True)
    class Fixed:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            return torch.arange(SIDE**2.0).view(1, SIDE, SIDE).expand(len(x), -1, -1) + target.view(-1, 1, 1)

    batch, model = some()[list(range(8))], Cells(EACH)
    torch.testing.assert_close(Stability(explainer=Fixed())(model, batch), torch.ones(8))
    assert Stability(explainer=Chance(), copies=8)(model, batch).abs().mean() < 0.1


def test_more_noise_is_less_stable_and_none_is_none() -> None:
    class Curved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.square().sum((1, 2, 3)), 0 * x.sum((1, 2, 3))], 1)

    batch = some()[list(range(8))]
    values = [Stability(explainer=InputGradient(), sigma=s)(Curved(), batch).mean() for s in (0.0, 0.05, 0.3)]
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2] > 0.3


def test_stability_explains_the_class_that_was_predicted() -> None:
    asked: list[Tensor] = []

    @dataclass(frozen=True)
    class Asking:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            asked.append(target)
            return x.sum(1)

    batch, model = some()[list(range(8))], Cells(EACH)
    Stability(explainer=Asking(), copies=2)(model, batch)
    assert len(asked) == 3
    assert all(torch.equal(target, model(batch.x).argmax(1)) for target in asked)


def test_a_gradient_that_never_changes_is_stable_and_one_that_is_zero_has_no_order() -> None:
    batch, model = some()[list(range(12))], Cells(EACH)
    predicted = model(batch.x).argmax(1)
    assert predicted.unique().tolist() == [0, 1]
    values = Stability(explainer=InputGradient())(model, batch)
    torch.testing.assert_close(values[predicted == 0], torch.ones(int((predicted == 0).sum())))
    assert values[predicted == 1].isnan().all()  # the second logit is constant


def test_stability_is_the_mean_over_copies_and_falls_below_0_where_maps_are_turned_over() -> None:
    calls: list[int] = []

    @dataclass(frozen=True)
    class Turning:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            calls.append(len(x))
            ramp = torch.arange(SIDE**2.0).view(1, SIDE, SIDE).expand(len(x), -1, -1)
            return ramp if len(calls) % 2 else -ramp

    values = Stability(explainer=Turning(), copies=3)(Cells(EACH), some()[list(range(4))])
    torch.testing.assert_close(values, -torch.ones(4) / 3)  # the copies have -1, 1 and -1


def test_every_copy_and_every_image_has_noise_of_its_own_within_the_range() -> None:
    seen: list[Tensor] = []

    @dataclass(frozen=True)
    class Seeing:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            seen.append(x)
            return x.sum(1)

    grey = Batch(0.4 + 0.02 * torch.arange(8.0).view(-1, 1, 1, 1).expand(8, 3, SIDE, SIDE), torch.zeros(8).long())
    for batch in (some()[list(range(8))], grey):
        seen.clear()
        Stability(explainer=Seeing(), sigma=0.1, copies=3)(Cells(EACH), batch)
        assert len(seen) == 4 and torch.equal(seen[0], batch.x)
        assert all(x.min() >= 0 and x.max() <= 1 for x in seen)
    noise = (torch.stack(seen[1:]) - grey.x).flatten(2).flatten(0, 1)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert (noise.corrcoef() - torch.eye(len(noise))).abs().max() < 0.25


def test_a_metric_under_corruption_is_the_metric_of_corrupted_images() -> None:
    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([0.7 - x.mean((1, 2, 3)), x.mean((1, 2, 3)) - 0.7], 1)

    batch = Batch(0.5 + 0.05 * torch.rand(6, 3, SIDE, SIDE), torch.zeros(6, dtype=torch.int64))
    assert Accuracy()(Bright(), batch).mean() == 1
    assert Under(metric=Accuracy(), corruption=Brightness(severity=5))(Bright(), batch).mean() == 0
    # Neither the attack nor the corruption is enough by itself.
    attack, corruption = PGD(ball=Linf(eps=0.15)), Brightness(severity=1)
    assert Accuracy(attack=attack)(Bright(), batch).mean() == 1
    assert Under(metric=Accuracy(), corruption=corruption)(Bright(), batch).mean() == 1
    assert Under(metric=Accuracy(attack=attack), corruption=corruption)(Bright(), batch).mean() == 0


def test_every_object_stands_before_a_background_of_another_class() -> None:
    y = torch.tensor([0, 0, 0, 2, 2, 5, 0, 2])
    for seed in range(20):
        donors = of_other_classes(y, seed)
        assert (y[donors] != y).all()
    drawn = torch.stack([of_other_classes(y, seed) for seed in range(200)])
    for i in range(len(y)):
        assert set(drawn[:, i].tolist()) == set((y != y[i]).nonzero()[:, 0].tolist())
    with pytest.raises(ValueError, match="two classes"):
        of_other_classes(torch.zeros(4, dtype=torch.int64), 0)


def test_a_background_keeps_the_object_and_hides_the_other_one() -> None:
    x, donor = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    mask, donor_mask = torch.zeros(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0], donor_mask[0, 1] = True, True
    donor[:, :, 1], donor[:, :, 2], donor[:, :, 3] = 1.0, 0.2, 0.8
    changed = before(x, mask, donor, donor_mask)
    assert (changed[0, :, 0] == 0).all()
    torch.testing.assert_close(changed[0, :, 1], torch.full((3, 4), 0.5))
    assert (changed[0, :, 2] == 0.2).all() and (changed[0, :, 3] == 0.8).all()


def test_backgrounds_change_in_the_splits_that_are_named() -> None:
    plain = Digits(decoy=GreyDecoy())  # the mean grey behind another object is another one
    data = OtherBackgrounds(data=plain)
    own, same = (next(iter(batches(d("train"), 8))) for d in (plain, data))
    assert torch.equal(own.x, same.x)
    batch, other = (next(iter(batches(d("test"), 8))) for d in (plain, data))
    assert batch.mask is not None and other.mask is not None
    inside = batch.mask[:, None].expand_as(batch.x)
    assert not torch.equal(other.x, batch.x)
    assert torch.equal(other.x[inside], batch.x[inside])
    assert torch.equal(other.mask, batch.mask) and torch.equal(other.y, batch.y)
    single = data("test")[[3]]
    assert torch.equal(single.x[0], other.x[3])
    with pytest.raises(ValueError, match="needs data with masks"):
        OtherBackgrounds(data=Digits(decoy=None))("test")
