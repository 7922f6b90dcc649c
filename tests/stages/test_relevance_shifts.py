"""Relevance of two classes before and after attacks: what is computed, what is drawn, and where it is shown."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from torch import Tensor, nn

from glasshouse.attack import attack
from glasshouse.attacks import FGSM, PGD, AtLevel, CoarseChanges, FineChanges, Linf
from glasshouse.explainers import LRP
from glasshouse.explainers.lrp.composites import Composite
from glasshouse.explainers.lrp.rules import Epsilon
from glasshouse.hierarchy import Hierarchy, grouped
from glasshouse.models.two_levels import CoarseToFineNetwork, GroupedNetwork, OnlyClass
from glasshouse.report import two_levels
from glasshouse.report.documents import drawn
from glasshouse.report.shift_figure import figure, number, picture, rounded
from glasshouse.shifts import Moment, RelevanceShift, norms, relevance_shifts
from glasshouse.study import Shifts
from glasshouse.titles import attack_title
from trained import digits, digits_net

SIDE, IMAGES = 4, 3
HIERARCHY = grouped({"left": (3, 0), "right": (4, 1, 2)}, ("a", "b", "c", "d", "e"))
EXACT = LRP(composite=Composite(first=Epsilon(epsilon=1e-9)))  # of a linear network: the pixel times its weight
FINE = FineChanges()


def linear(classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, classes, bias=False)).eval()


@pytest.fixture
def model() -> CoarseToFineNetwork:
    return CoarseToFineNetwork(linear(2, 0), [linear(2, 1), linear(3, 2)], HIERARCHY)


def images(seed: int, count: int = IMAGES) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def weights(network: Any, k: int) -> Tensor:
    found: Tensor = network[1].weight[k].detach().view(3, SIDE, SIDE)
    return found


# what is computed


def test_relevance_of_both_superclasses_is_that_of_the_coarse_network(model: CoarseToFineNetwork) -> None:
    x, x_adv, y = images(1), images(2), torch.tensor([0, 1, 4])
    found = relevance_shifts(model, x, y, {"one": x_adv, "two": x}, lrp=EXACT, titles=("i", "j", "k"))
    assert [one.title for one in found] == ["i", "j", "k"] and {one.level for one in found} == {"coarse"}
    for i, (shift, own) in enumerate(zip(found, (0, 1, 1), strict=True)):
        assert [m.name for m in (shift.before, *shift.after)] == ["before", "one", "two"]
        for moment, seen in zip((shift.before, *shift.after), (x[i], x_adv[i], x[i]), strict=True):
            assert moment.classes == (("left", "right"), ("right", "left"))[own] and torch.equal(moment.x, seen)
            logits = model.coarse(seen[None])[0].detach()
            assert moment.met == bool(logits.argmax() != own)
            assert moment.scores == pytest.approx(logits.softmax(0)[[own, 1 - own]].tolist())
            for k, maps in zip((own, 1 - own), moment.relevance, strict=True):
                torch.testing.assert_close(maps, (seen * weights(model.coarse, k)).sum(0), atol=1e-5, rtol=1e-4)


def test_on_the_fine_level_each_image_asks_the_network_of_its_own_superclass(model: CoarseToFineNetwork) -> None:
    x, y = images(1), torch.tensor([0, 1, 4])
    found = relevance_shifts(model, x, y, {"none": x}, FINE, EXACT)
    for shift, own, seen in zip(found, y.tolist(), x, strict=True):
        group = 0 if own in (0, 3) else 1
        classes, network = HIERARCHY.groups[group], model.fine[group]
        logits = network(seen[None])[0].detach()
        place = classes.index(own)
        ranked = [k for k in logits.argsort(descending=True).tolist() if k != place]
        assert shift.level == "fine" and shift.before.classes == ("abcde"[own], "abcde"[classes[ranked[0]]])
        assert shift.before.scores == pytest.approx(logits.softmax(0)[[place, ranked[0]]].tolist())
        for k, maps in zip((place, ranked[0]), shift.before.relevance, strict=True):
            torch.testing.assert_close(maps, (seen * weights(network, k)).sum(0), atol=1e-5, rtol=1e-4)


class Told(nn.Module):
    """Logits that the first pixels spell out."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.read = nn.Linear(3 * SIDE**2, classes, bias=False)
        with torch.no_grad():
            self.read.weight.copy_(torch.eye(classes, 3 * SIDE**2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.read(x.flatten(1))
        return found


def spelt(*logits: float) -> Tensor:
    x = torch.zeros(1, 3 * SIDE**2)
    x[0, : len(logits)] = torch.tensor(logits)
    return x.view(1, 3, SIDE, SIDE)


FOUR = grouped({name: (k,) for k, name in enumerate("pqrs")}, ("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("after", "shared", "each"),
    [
        ((spelt(0.9, 0.1, 0.5, 0.2), spelt(0.9, 0.1, 0.2, 0.8)), "q", "qq"),  # neither succeeds: the runner-up before
        ((spelt(0.9, 0.1, 0.5, 0.2), spelt(0.1, 0.2, 0.9, 0.0)), "r", "rr"),  # one does
        ((spelt(0.0, 0.1, 0.2, 0.9), spelt(0.1, 0.2, 0.9, 0.0)), "s", "sr"),  # both, to different ends
        ((spelt(0.9, 0.8, 0.1, 0.2), spelt(0.1, 0.2, 0.9, 0.0), spelt(0.0, 0.0, 0.1, 0.9)), "r", "rrs"),
    ],
)
def test_the_adversarial_class_is_where_an_attack_ended(after: tuple[Tensor, ...], shared: str, each: str) -> None:
    model = CoarseToFineNetwork(Told(4), [OnlyClass()] * 4, FOUR)
    known = {str(i): x for i, x in enumerate(after)}
    (shift,) = relevance_shifts(model, spelt(0.9, 0.3, 0.2, 0.1), torch.tensor([0]), known)
    assert shift.before.classes == ("p", shared) and not shift.before.met
    assert [m.classes for m in shift.after] == [("p", name) for name in each]
    assert [m.met for m in shift.after] == [bool(x.flatten()[:4].argmax()) for x in after]


def test_one_pass_of_relevance_is_for_both_classes(model: CoarseToFineNetwork, monkeypatch: Any) -> None:
    asked = []

    def noted(self: LRP, network: nn.Module, x: Tensor, targets: Tensor, **more: Any) -> Any:
        asked.append(tuple(targets.shape))
        return plain(self, network, x, targets, **more)

    plain = LRP.relevance
    monkeypatch.setattr(LRP, "relevance", noted)
    relevance_shifts(model, images(1), torch.tensor([0, 1, 4]), {"one": images(2), "two": images(3)})
    assert asked == [(3, 2)] * 3


def test_how_images_are_batched_changes_nothing_and_the_model_comes_back(model: CoarseToFineNetwork) -> None:
    x, y, known = images(1, 5), torch.tensor([0, 1, 4, 3, 2]), {"one": images(2, 5)}
    model.coarse = nn.Sequential(nn.Dropout(0.9), *model.coarse)
    model.fine = nn.ModuleList(nn.Sequential(nn.Dropout(0.9), *network) for network in model.fine)
    model.train()
    for criterion in (CoarseChanges(), FINE):
        whole, parts = (relevance_shifts(model, x, y, known, criterion, EXACT, batch_size=n) for n in (8, 2))
        for one, other in zip(whole, parts, strict=True):
            assert (one.title, one.after[0].classes) == (other.title, other.after[0].classes)
            assert one.before.scores == pytest.approx(other.before.scores)
            torch.testing.assert_close(one.after[0].relevance, other.after[0].relevance)
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_norms_are_the_sums_of_what_speaks_for_and_against() -> None:
    assert norms(torch.tensor([[1.0, -2.0], [3.0, 0.5]])) == (4.5, 2.0)
    assert str(norms(torch.ones(2, 2))) == "(4.0, 0.0)"  # and not -0


def test_what_cannot_be_shown_is_a_sentence(model: CoarseToFineNetwork) -> None:
    x = spelt(0.9, 0.3, 0.2, 0.1)
    with pytest.raises(ValueError, match="alone in their superclass"):
        relevance_shifts(CoarseToFineNetwork(Told(4), [OnlyClass()] * 4, FOUR), x, torch.tensor([0]), {}, FINE)
    with pytest.raises(ValueError, match="needs a model of two levels"):
        relevance_shifts(model.coarse, x, torch.tensor([0]), {})


# what is drawn


def moment(name: str, side: int, seed: int, other: str = "reptile", met: bool = True) -> Moment:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, side, side, generator=generator)
    maps = torch.randn(2, side, side, generator=generator) * torch.tensor([1.0, 10.0]).view(2, 1, 1)
    return Moment(name, x, ("electronic equipment and devices", other), maps, (0.987, 0.004), met)


def shift_of(attacks: int, side: int = 8) -> RelevanceShift:
    names = [
        "LRPCoarse, ε = 10/255",
        "<b>$x$</b>",
        "$\\frac{$ a name that is long, and goes on and on for ever",
        "c",
        "d",
    ]
    after = tuple(moment(names[i], side, i + 1, "food" if i == 1 else "reptile", i != 0) for i in range(attacks))
    return RelevanceShift("one", "coarse", moment("before", side, 0, met=False), after)


def texts(drawing: Figure) -> Iterator[Text]:
    return (text for text in drawing.findobj(Text) if text.get_text().strip() and text.get_visible())


def captions(drawing: Figure, row: int, columns: int) -> list[str]:
    return [axis.get_xlabel() for axis in drawing.axes[row * columns : (row + 1) * columns]]


@pytest.mark.parametrize(("attacks", "side"), [(1, 32), (2, 224), (5, 32), (5, 224)])
def test_nothing_overlaps(attacks: int, side: int) -> None:
    drawing = figure(shift_of(attacks, side))
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()).shrunk(0.98, 0.9) for text in texts(drawing)]
    boxes += [axis.get_window_extent() for axis in drawing.axes if axis.images]
    assert len(boxes) > 5 * attacks + 8
    hit = [(a, b) for a, b in combinations(boxes, 2) if Bbox.intersection(a, b) is not None]
    assert [pair for pair in hit if area(*pair) > 1] == []
    whole = drawing.get_tightbbox(canvas.get_renderer())
    assert whole.width <= drawing.get_figwidth() + 0.6 and whole.height <= drawing.get_figheight() + 0.3


def area(first: Bbox, second: Bbox) -> float:
    both = Bbox.intersection(first, second)
    return 0.0 if both is None else float(both.width * both.height)


def test_rows_show_both_classes_on_one_scale_the_image_and_its_change() -> None:
    shift = shift_of(3)
    shift.after[0].relevance[0, 0, 0] = 1e6  # one pixel alone does not dim all others
    drawing = figure(shift)
    pictures = [[axis.images[0] for axis in drawing.axes[4 * r : 4 * r + 4] if axis.images] for r in range(4)]
    assert [len(row) for row in pictures] == [4, 4, 4, 3]
    moments = (shift.before, *shift.after)
    for k in (0, 1):
        limits = {image.get_clim() for image in pictures[k]}
        ((low, high),) = limits
        assert low == -high and (1, 10)[k] < high < (10, 100)[k]
        for image, one in zip(pictures[k], moments, strict=True):
            assert np.allclose(image.get_array(), one.relevance[k].numpy())
            red, _, blue, _ = image.get_cmap()(1.0)
            assert red > blue and image.get_cmap()(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)
    for image, one in zip(pictures[2], moments, strict=True):
        assert np.allclose(image.get_array(), one.x.permute(1, 2, 0).numpy())


def test_numbers_stand_beneath() -> None:
    shift = shift_of(2)
    drawing = figure(shift)
    for k in (0, 1):
        for told, one in zip(captions(drawing, k, 3), (shift.before, *shift.after), strict=True):
            positive, negative = norms(one.relevance[k])
            assert told.startswith(f"‖R⁺‖₁ {positive:.3g}   ‖R⁻‖₁ {negative:.3g}")
    assert [told.endswith("of food") for told in captions(drawing, 1, 3)] == [False, False, True]
    assert captions(drawing, 2, 3)[2] == "electronic equipment … 98.7 %\nfood  0.4 %".replace("… ", "…  ")
    assert [axis.get_ylabel() for axis in drawing.axes[:12:3]] == [
        *("original class\nelectronic equipment …", "adversarial class\nreptile", "image", "change")
    ]
    told_aims = [text.get_text() for text in texts(drawing) if text.get_text().startswith("superclass")]
    assert told_aims == ["superclass kept", "superclass changed"]
    wrong = figure(shift._replace(before=shift.before._replace(met=True), level="fine"))
    told_aims = [text.get_text() for text in texts(wrong) if "class" in text.get_text()]
    assert "class wrong already" in told_aims and "not changed within the superclass" in told_aims


def test_a_change_is_enlarged_around_grey_by_a_round_factor_that_is_told() -> None:
    before = moment("before", 8, 0)
    delta = torch.full((3, 8, 8), 0.012)
    delta[:, :4] *= -1
    after = tuple(before._replace(name=n, x=before.x + d) for n, d in (("a", delta), ("b", torch.zeros_like(delta))))
    drawing = figure(RelevanceShift("one", "coarse", before, after))
    assert captions(drawing, 3, 3) == ["", "× 20   ‖η‖∞ 3.06/255\n‖η‖₂ 0.166", "no change"]
    shown = np.asarray(drawing.axes[10].images[0].get_array())
    assert np.allclose(shown[:4], 0.26, atol=1e-4) and np.allclose(shown[4:], 0.74, atol=1e-4)
    assert [rounded(f) for f in (1.0, 1.99, 2.0, 4.9, 49.9999, 73.0, 0.3)] == [1.0, 1.0, 2.0, 2.0, 50.0, 50.0, 0.2]
    assert [number(v) for v in (0.0, 0.01234, 12.34, 4061.7)] == ["0", "0.0123", "12.3", "4062"]


def test_a_study_shows_shifts_one_below_another() -> None:
    told = drawn(Shifts("t", "n", (shift_of(1), shift_of(1)._replace(title="two"))))
    assert [title for title, _ in told["shifts"]] == ["one", "two"]
    assert all(address.startswith("data:image/png;base64,") for _, address in told["shifts"])
    assert picture(shift_of(1)) == told["shifts"][0][1]


# where it is shown

PARITY = grouped({"even": (0, 2, 4, 6, 8), "odd": (1, 3, 5, 7, 9)}, tuple("0123456789"))
STRONG = PGD(ball=Linf(eps=0.06), steps=4)


def parity(network: nn.Module | None = None, hierarchy: Hierarchy = PARITY) -> nn.Module:
    return GroupedNetwork(network or digits_net(), hierarchy).eval()


def lines(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "table.csv").open()))


@pytest.mark.parametrize("method", [AtLevel(STRONG), AtLevel(STRONG, FINE), STRONG])
def test_the_page_tells_both_levels_and_shows_relevance(method: Any, tmp_path: Path) -> None:
    model, batch = parity(), digits(5)
    titles = [f"<i>{i}</i>" for i in range(5)]
    found = attack(model, batch.x, method, y=batch.y, classes=PARITY.fine, titles=titles)
    text = found.save(tmp_path / "out").read_text()
    fine = getattr(method, "criterion", None) == FINE
    rows = lines(tmp_path / "out")
    names = [[PARITY.coarse[k % 2] for k in t.tolist()] for t in (found.predicted, found.predicted_adv)]
    assert [row["coarse"] for row in rows] == names[0] and [row["coarse_adv"] for row in rows] == names[1]
    kept = found.predicted_adv % 2 == batch.y % 2
    expected = kept & (found.predicted_adv != batch.y) if fine else ~kept
    assert [row["criterion_met"] for row in rows] == [str(int(met)) for met in expected.tolist()] and expected.any()
    first = int(expected.nonzero()[0, 0])
    assert f"{names[0][first]} › {int(found.predicted[first])}, " in text
    assert f"{names[1][first]} › {int(found.predicted_adv[first])}, " in text
    assert ("another class of the superclass" if fine else "superclass changed") in text
    assert text.count("relevance of two classes before and after") == 5 and "<i>0</i>" not in text
    assert f"on the {'fine' if fine else 'coarse'} level" in text
    level = "of these led to another class of the same superclass" if fine else "of these led to another superclass"
    right = (found.predicted == batch.y) if fine else (found.predicted % 2 == batch.y % 2)
    assert dict(found.summary)[level].startswith(f"{int((right & expected).sum())} (")
    assert found.levels is not None and list(found.levels.shifts) == found.order.tolist()
    shown = found.levels.shifts[first]
    assert shown.title == titles[first] and torch.equal(shown.after[0].x, found.x_adv[first])
    assert shown.after[0].met and shown.before.classes[0] == (str(int(batch.y[first])) if fine else names[0][first])


def test_only_the_first_images_are_explained_broken_ones_before_all(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(two_levels, "DRAWN", 2)
    batch = digits(6)
    found = attack(parity(), batch.x, FGSM(Linf(eps=0.02)), y=batch.y)
    assert found.levels is not None and list(found.levels.shifts) == found.order[:2].tolist()
    assert "4 more images are without maps" in found.save(tmp_path / "out").read_text()


def test_a_network_that_relevance_has_no_rule_for_still_has_its_page(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.GELU(), nn.Linear(8, 10))
    found = attack(parity(network), digits(3).x, AtLevel(STRONG))
    text = found.save(tmp_path / "out").read_text()
    assert "There are no maps of relevance: " in text and "gelu" in text.lower()
    assert "relevance of two classes before and after" not in text and len(lines(tmp_path / "out")) == 3


def test_a_class_that_is_alone_has_no_maps_on_the_fine_level(tmp_path: Path) -> None:
    alone = grouped({"zero": (0,), "more": range(1, 10)}, PARITY.fine)
    x, y = digits(8).x, torch.tensor([0, 1] * 4)
    found = attack(parity(hierarchy=alone), x, AtLevel(STRONG, FINE), y=y)
    assert found.levels is not None and set(found.levels.shifts) == {1, 3, 5, 7}
    none = attack(parity(hierarchy=alone), x, AtLevel(STRONG, FINE), y=0 * y)
    assert "alone in its superclass" in none.save(tmp_path / "out").read_text()


def test_what_was_wrong_before_is_not_said_to_have_changed() -> None:
    model, batch = parity(), digits(4)
    shifted = attack(model, batch.x, AtLevel(STRONG), y=(batch.y + 1) % 10).levels
    assert shifted is not None and not shifted.right.all()
    wrong = int((~shifted.right).nonzero()[0, 0])
    assert two_levels.status(shifted, wrong) == "superclass wrong already"
    assert two_levels.summary(shifted)[0][1] == f"{int(shifted.right.sum())} of 4"


def test_pages_of_other_models_say_nothing_of_levels(tmp_path: Path) -> None:
    batch = digits(3)
    found = attack(digits_net(), batch.x, STRONG, y=batch.y)
    text = found.save(tmp_path / "out").read_text()
    assert found.levels is None and "superclass" not in text and "two classes" not in text
    assert list(lines(tmp_path / "out")[0])[-1] == "relative_l2"
    with np.load(tmp_path / "out" / "adversarial.npz") as kept:
        assert "coarse" not in kept


def test_an_attack_on_a_level_is_called_by_both() -> None:
    assert attack_title(AtLevel(PGD(steps=10), FINE)).startswith("PGD-10 on the fine level")
    assert attack_title(AtLevel()).startswith("PGD-40 on the coarse level")
