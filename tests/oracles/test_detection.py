"""Detection where it is known what the model relies on, and findings sample by sample."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from glasshouse.data.samples import Memory, Subset
from glasshouse.detectors import Absolute, AnyCriterion, Marked, Quantile, Spurious, Transplanted
from glasshouse.detectors.criteria import carried, instability, log_odds, other_class, sensitivity
from glasshouse.detectors.findings import Findings, Masked, Quality, auroc, found, moved, quality
from glasshouse.detectors.rules import existing
from glasshouse.detectors.spurious import aggregated, masks_of
from glasshouse.explainers import LIME, Grid, ImageMeanFill
from glasshouse.types import Batch
from nets import Net

CELLS, PLACE = 4, 5  # 16 superpixels; the model reads the sixth only


class PatchReader(nn.Module):
    """Class k as far as channel k of one 4 x 4 cell is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return 4 * x[:, :, 4:8, 4:8].mean((2, 3))


def patched(count: int = 12) -> Batch:
    """Noise with a patch that tells the class."""
    y = torch.arange(count) % 3
    x = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x[:, :, 4:8, 4:8] = nn.functional.one_hot(y, 3)[:, :, None, None].float()
    mask = torch.ones(count, 16, 16, dtype=torch.bool)
    mask[:, 4:8, 4:8] = False
    return Batch(x, y, mask, index=torch.arange(count))


def test_the_patch_that_a_model_reads_carries_its_class_and_nothing_else_does() -> None:
    batch = patched()
    segments = Grid(cells=CELLS)(batch.x)
    every = torch.arange(16).expand(12, -1)
    found_shares = carried(PatchReader(), batch, segments, every, batch, 4, 100)
    expected = torch.zeros(12, 16)
    expected[:, PLACE] = 1
    torch.testing.assert_close(found_shares, expected, atol=1e-5, rtol=0)


def test_what_depends_on_its_surroundings_carries_less() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 8 * x[:, :, 4:8, 4:8].mean((2, 3)) * x[:, :, :4].mean((1, 2, 3), keepdim=True)[..., 0, 0]

    batch = patched()
    batch.x[:, :, :4] *= torch.linspace(0.1, 2, 12).view(-1, 1, 1, 1).clamp(max=1)
    segments, every = Grid(cells=CELLS)(batch.x), torch.arange(16).expand(12, -1)
    shares = carried(Product(), batch, segments, every, batch, 4, 7)
    assert 0 < shares[:, PLACE].mean() < 0.9


def test_a_model_that_barely_prefers_a_class_has_little_to_carry() -> None:
    class Faint(PatchReader):
        def forward(self, x: Tensor) -> Tensor:
            return 0.01 * super().forward(x)

    batch = patched()
    shares = carried(Faint(), batch, Grid(cells=CELLS)(batch.x), torch.full((12, 1), PLACE), batch, 4, 64)
    assert (shares < 0.1).all()


def test_other_class_gives_images_of_other_classes_spread_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        y, pool = (torch.randint(4, (n,), generator=generator) for n in (30, 17))
        hosts = other_class(y, pool, 6)
        assert hosts.shape == (30, 6) and (pool[hosts] != y[:, None]).all()
    assert other_class(torch.tensor([0]), torch.tensor([0, 1, 1, 1, 1]), 4).unique().numel() == 4
    first = other_class(torch.zeros(4).long(), torch.arange(1, 30), 2)[:, 0]
    assert first.unique().numel() == 4
    with pytest.raises(ValueError, match="two classes"):
        other_class(torch.tensor([0, 1]), torch.tensor([0, 0]), 2)


def test_log_odds_are_finite_where_probabilities_have_saturated() -> None:
    logits = torch.tensor([[500.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    odds = log_odds(logits, torch.tensor([0, 2]))
    p = logits[1].softmax(0)[2]
    torch.testing.assert_close(odds, torch.stack([500 - torch.tensor(2.0).log(), (p / (1 - p)).log()]))


def test_the_automatic_rule_finds_the_patch_in_every_image() -> None:
    batch = patched()
    lime = LIME(segmenter=Grid(cells=CELLS), samples=64, fill=ImageMeanFill())
    score = Transplanted(candidates=4)(PatchReader(), batch, lime.segmenter(batch.x), lime, batch)
    expected = torch.zeros(12, 16, dtype=torch.bool)
    expected[:, PLACE] = True
    assert torch.equal(score >= 1, expected)
    torch.testing.assert_close(score[:, PLACE], torch.full((12,), 1 / 0.15), atol=1e-3, rtol=0)


def test_a_marked_superpixel_is_flagged_only_outside_the_mask() -> None:
    batch = patched()
    lime = LIME(segmenter=Grid(cells=CELLS), samples=64, fill=ImageMeanFill())
    segments = lime.segmenter(batch.x)
    inside = batch._replace(mask=~batch.mask)
    assert torch.equal(Marked()(PatchReader(), batch, segments, lime, batch).argmax(1), torch.full((12,), PLACE))
    assert (Marked()(PatchReader(), batch, segments, lime, batch)[:, PLACE] >= 1).all()
    assert (Marked()(PatchReader(), inside, segments, lime, inside)[:, PLACE] < 1).all()
    with pytest.raises(ValueError, match=r"Batch\.mask"):
        Marked()(PatchReader(), batch._replace(mask=None), segments, lime, batch)


def test_any_criterion_flags_what_is_strictly_above_a_bar() -> None:
    batch = patched()
    lime = LIME(segmenter=Grid(cells=CELLS), samples=64, fill=ImageMeanFill())
    segments = lime.segmenter(batch.x)
    high = Absolute(value=1e9)
    value = sensitivity(PatchReader(), batch, segments)
    for bar, flagged in ((value.max() * 0.99, True), (value.max() * 1.01, False)):
        rule = AnyCriterion(importance=high, sensitivity=Absolute(value=float(bar)), instability=high)
        assert bool((rule(PatchReader(), batch, segments, lime, batch) >= 1).any()) is flagged
    assert not value[:, :PLACE].any() and (value[:, PLACE] > 0).all()


def test_instability_is_nothing_where_neither_noise_nor_maskings_matter() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 3)

    batch, lime = patched(), LIME(segmenter=Grid(cells=CELLS), samples=32, fill=ImageMeanFill())
    segments = lime.segmenter(batch.x)
    assert instability(Constant(), batch, segments, lime, 3, 0.1).abs().max() < 1e-12
    assert (instability(PatchReader(), batch, segments, lime, 3, 0.1)[:, PLACE] > 1e-9).all()


def test_thresholds_look_at_the_superpixels_an_image_has() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0, 99.0], [4.0, 3.0, 2.0, 1.0]])
    exists = torch.tensor([[True, True, True, False], [True] * 4])
    assert Quantile(share=0.5)(values, exists).tolist() == [[2.0], [2.5]]
    assert Quantile(share=1.0)(values, exists).tolist() == [[3.0], [4.0]]
    assert Absolute(value=0.25)(values, exists).tolist() == [[0.25], [0.25]]
    with pytest.raises(ValueError, match="share is between 0 and 1"):
        Quantile(share=1.5)
    with pytest.raises(ValueError, match="value is above 0"):
        Absolute(value=0.0)


def test_only_the_superpixels_an_image_has_exist() -> None:
    segments = torch.tensor([[[0, 1]], [[0, 2]], [[0, 0]]])
    assert existing(segments).tolist() == [[True, True, False], [True] * 3, [True, False, False]]


def findings(score: Tensor | None = None, by_class: Tensor | None = None) -> Findings:
    """Samples 2, 5 and 7 on 2 x 4 pixels: four superpixels each, the last of sample 7 missing."""
    segments = torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]]).repeat(3, 1, 1)
    segments[2, 1, 2:] = 2
    if score is None:
        score = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.5, 0.0], [0.5, 0.0, 3.0, -torch.inf]])
    by_class = torch.zeros(2, 2, 4) if by_class is None else by_class
    return Findings(torch.tensor([2, 5, 7]), torch.tensor([0, 1, 0]), segments, score, by_class)


def split(count: int = 9) -> Memory:
    pixels = torch.zeros(count, 3, 2, 4).byte()
    own = torch.zeros(count, 2, 4, dtype=torch.bool)
    return Memory(pixels, torch.tensor([0, 1, 0, 1, 0, 1, 0, 0, 1]), ("a", "b"), own)


def test_masks_are_the_complement_of_what_was_found_by_index() -> None:
    batch = Masked(split(), findings())[[7, 0, 2, 8, 5]]
    spurious = (~batch.mask).int().tolist()
    nothing = [[0] * 4] * 2
    assert spurious == [
        [[0, 0, 0, 0], [1, 1, 1, 1]],
        nothing,
        [[1, 1, 0, 0], [0, 0, 0, 0]],
        nothing,
        [[0, 0, 1, 1], [1, 1, 0, 0]],
    ]
    assert batch.index.tolist() == [7, 0, 2, 8, 5]


def test_what_was_said_of_a_class_speaks_for_the_samples_not_looked_at() -> None:
    by_class = torch.zeros(2, 2, 4)
    by_class[1, 0, 0], by_class[0, 1, 3] = 1.0, 0.99
    batch = Masked(split(), findings(by_class=by_class))[[8, 0, 5]]
    assert (~batch.mask).nonzero().tolist()[:1] == [[0, 0, 0]] and batch.mask[1].all()
    assert batch.mask[2, 0, 0] and not batch.mask[2, 0, 2]  # looked at: its own flags alone, or controls get more area


def test_masks_of_the_data_itself_are_not_to_be_seen() -> None:
    assert Masked(split(), None)[[0, 1]].mask.all()
    masked = Masked(split(), findings())
    assert len(masked) == 9 and masked.classes == ("a", "b")
    with pytest.raises(ValueError, match=r"Batch\.index"):
        found(findings(), split()[[0]]._replace(index=None))


def test_a_batch_beyond_the_last_sample_looked_at_has_nothing_of_its_own() -> None:
    assert Masked(split(), findings())[[8]].mask.all()


@pytest.mark.parametrize("seed", range(8))
def test_moved_keeps_the_number_of_flags_of_every_image(seed: int) -> None:
    before = findings()
    after = moved(before, seed)
    assert torch.equal(after.flagged.sum(1), before.flagged.sum(1))
    assert torch.equal(after.score == -torch.inf, before.score == -torch.inf)
    for a, b in zip(after.score, before.score, strict=True):
        assert sorted(a.tolist()) == sorted(b.tolist())
    assert torch.equal(moved(before, seed).score, after.score)
    assert torch.equal(after.segments, before.segments) and torch.equal(after.index, before.index)


def test_moved_moves() -> None:
    places = {tuple(moved(findings(), seed).flagged[0].tolist()) for seed in range(40)}
    assert len(places) == 4
    by_class = torch.zeros(2, 2, 4)
    by_class[0, 0, :2] = 2.0
    rolled = [moved(findings(by_class=by_class), seed).by_class for seed in range(10)]
    assert all(float(r[0].sum()) == 4.0 and not r[1].any() for r in rolled)
    assert len({tuple(r.flatten().tolist()) for r in rolled}) > 2


def test_findings_add_up_over_the_rounds() -> None:
    first = findings()
    later = findings(torch.tensor([[0.0, 5.0, 0.0, 0.0], [0.0] * 4, [0.0, 0.0, 1.0, -torch.inf]]), torch.ones(2, 2, 4))
    joined = later.joined(first)
    assert joined.flagged.int().tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    assert joined.by_class.eq(1).all() and torch.equal(first.joined(later).score, joined.score)
    assert joined.new_since(first) == pytest.approx(1 / 5)
    assert first.new_since(joined) == 0 and first.new_since(first) == 0
    none = findings(torch.zeros(3, 4))
    assert none.new_since(first) == 0 and none.area() == 0
    assert first.area() == pytest.approx((2 + 4 + 4) / 24)


def test_a_score_of_exactly_1_is_flagged() -> None:
    assert findings(torch.tensor([[1.0, 0.9999, 0.0, 0.0]] * 3)).flagged[0].tolist() == [True, False, False, False]


def test_the_class_aggregate_is_the_mean_over_its_images_and_lifts_their_scores() -> None:
    score = torch.tensor([[4.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [2.0, 0.0, 0.0, -torch.inf]])
    lifted = aggregated(findings(score))
    assert lifted.by_class[0].tolist() == [[3.0, 3.0, 0.0, 0.0], [0.0] * 4]
    assert lifted.by_class[1].tolist() == [[0.0] * 4, [0.0, 0.0, 1.0, 1.0]]
    assert lifted.score.tolist() == [[4.0, 0, 0, 0], [0, 0, 0, 1.0], [3.0, 0, 0, -torch.inf]]


def test_auroc_is_that_of_scikit_learn_with_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    for levels in (2, 5, 1000):
        score = torch.randint(levels, (200,), generator=generator).float()
        truth = torch.rand(200, generator=generator) < 0.3
        assert auroc(score, truth) == pytest.approx(roc_auc_score(truth.numpy(), score.numpy()))
    assert auroc(torch.ones(4), torch.tensor([True, False, True, False])) == 0.5
    assert auroc(torch.ones(2), torch.tensor([True, True])) is None


def test_quality_counts_superpixels_that_lie_mostly_outside_their_mask() -> None:
    masks = torch.ones(3, 2, 4, dtype=torch.bool)
    masks[0, 0, :2] = False  # superpixel 0 of the first: flagged
    masks[1, 0, 2] = False  # half of superpixel 1 of the second: not spurious, but flagged
    masks[2, 0, :2] = False  # superpixel 0 of the third: missed
    judged = quality(findings(), masks)
    assert judged == Quality(1 / 4, 1 / 2, pytest.approx((8 + 6) / 18))
    assert quality(findings(torch.zeros(3, 4)), torch.ones(3, 2, 4).bool()) == Quality(None, None, None)


def test_a_detector_looks_at_a_subset_and_keeps_the_numbers_of_the_whole_split() -> None:
    batch = patched(24)
    samples = Memory((batch.x * 255).byte(), batch.y, ("r", "g", "b"), batch.mask)
    detector = Spurious(lime=LIME(segmenter=Grid(cells=CELLS), samples=64, fill=ImageMeanFill()), images=9)
    result = detector.fit(PatchReader(), samples)
    assert len(result.index) == 9 and torch.equal(result.y, samples.labels[result.index])
    assert torch.equal(result.spurious(), ~batch.mask[result.index])
    assert torch.equal(Masked(samples, result)[list(range(24))].mask, batch.mask)  # by class, the others too
    judged = quality(result, masks_of(samples, result.index))
    assert judged == Quality(1.0, 1.0, 1.0)


def test_without_the_class_aggregate_nothing_is_said_of_other_samples() -> None:
    batch = patched(24)
    samples = Memory((batch.x * 255).byte(), batch.y, ("r", "g", "b"))
    lime = LIME(segmenter=Grid(cells=CELLS), samples=64, fill=ImageMeanFill())
    result = Spurious(lime=lime, images=9, by_class=False).fit(PatchReader(), samples)
    rest = [i for i in range(24) if i not in result.index.tolist()]
    assert not result.by_class.any() and Masked(samples, result)[rest].mask.all()
    assert masks_of(samples, result.index) is None


def test_the_datas_own_masks_are_looked_up_by_position(net: Net) -> None:
    masks = torch.zeros(9, 2, 4, dtype=torch.bool)
    masks[5] = True
    samples = Memory(torch.zeros(9, 3, 2, 4).byte(), torch.zeros(9).long(), ("a", "b"), masks)
    assert masks_of(samples, torch.tensor([2, 5])).flatten(1).all(1).tolist() == [False, True]
    assert Subset(samples, (5,))[[0]].mask.all()
