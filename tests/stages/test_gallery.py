"""What the gallery draws is what the maps say."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from glasshouse.explainers import Grid
from glasshouse.report import figures, gallery, marks
from glasshouse.report.agreement import agreement
from glasshouse.report.explanations import Column, Explanations
from glasshouse.statistics import rank_correlation
from glasshouse.titles import brief
from glasshouse.types import Surrogate

HOSTILE = "<script>alert(1)</script>"


def surrogate(beta: list[list[float]], error: float = 0.1, side: int = 8) -> Surrogate:
    """Over a grid of 2 x 2."""
    weights = torch.tensor(beta)
    segments = Grid(cells=2)(torch.zeros(len(beta), 3, side, side))
    count = len(beta)
    return Surrogate(segments, weights, torch.zeros(count), torch.full_like(weights, error), torch.full((count,), 9))


def column(name: str, attribution: Tensor, given: Surrogate | None = None) -> Column:
    return Column(name, name, f"{name}()", attribution, given, 1.5, 30)


def explanations(*columns: Column, side: int = 8) -> Explanations:
    """Of two images of three classes: one right, one of unknown class."""
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    probability = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    names = ("cat", "dog", HOSTILE)
    y, target = torch.tensor([0, -1]), torch.tensor([0, 1])
    return Explanations(x, y, probability, target, columns, names, ("a.png", HOSTILE), torch.tensor([5, 9]))


def ramp(sign: float = 1.0, side: int = 8) -> Tensor:
    return sign * torch.linspace(-1, 1, 2 * side * side).view(2, side, side)


def pixels(address: str) -> np.ndarray:
    kind, _, content = address.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert kind == f"data:image/{(image.format or '').lower()};base64"
        return np.asarray(image).astype(float) / 255


def test_red_speaks_for_the_class_and_blue_against() -> None:
    picture = figures.overlay(torch.full((3, 2, 2), 0.5), torch.tensor([[1.0, -1.0], [0.0, 0.5]]))
    (red, blue), (none, pale) = picture
    assert red[0] > 0.6 > 0.3 > red[2] and blue[2] > 0.6 > 0.3 > blue[0]
    assert np.ptp(none) < 1e-9 and none[0] > pale[2] > red[2]


def test_a_map_that_only_selects_leaves_the_rest_in_the_dark() -> None:
    selected = torch.zeros(2, 8, 8)
    selected[:, :4] = 1
    found = explanations(column("Chosen", selected))
    picture = pixels(gallery.cell(found.columns[0], found.x[0], 0)["picture"])
    image = figures.photo(found.x[0])
    np.testing.assert_allclose(picture[:4], image[:4], atol=0.01)
    np.testing.assert_allclose(picture[4:], 0.18 * image[4:], atol=0.01)
    assert "what is not selected is dark" in gallery.fragment(found)
    assert "what is not selected is dark" not in gallery.fragment(explanations(column("Signed", ramp())))


def test_single_pixels_do_not_dim_a_map_but_superpixels_count_in_full() -> None:
    values = torch.full((2, 20, 20), 0.1)
    values[:, 0, 0] = 100.0
    x = torch.full((3, 20, 20), 0.5)
    plain = gallery.drawn(column("Plain", values), x, 0)
    by_pieces = gallery.drawn(column("Pieces", values, surrogate([[1.0] * 4] * 2, side=20)), x, 0)
    assert np.ptp(plain[9, 9]) > 0.3 and np.ptp(by_pieces[9, 9]) < 0.01


def test_small_pictures_are_lossless_and_large_ones_are_small() -> None:
    for side, kind in ((96, "png"), (97, "jpeg")):
        picture = np.linspace(0, 1, side * side * 3).reshape(side, side, 3)
        address = figures.encoded(picture)
        assert address.startswith(f"data:image/{kind};") and np.abs(pixels(address) - picture).max() < 0.1


def test_the_border_of_a_region_is_every_edge_between_inside_and_outside() -> None:
    inside = np.zeros((5, 6), bool)
    inside[1:3, 2:5] = True
    inside[3, 2] = True
    drawn = set()
    for stroke in marks.border(inside):
        x, y, direction, end = re.fullmatch(r"M(\d+) (\d+)([HV])(\d+)", stroke).groups()  # type: ignore[union-attr]
        start = int(x) if direction == "H" else int(y)
        drawn |= {(direction, int(y) if direction == "H" else int(x), k) for k in range(start, int(end))}
    padded = np.pad(inside, 1)
    expected = {("H", y, x) for y in range(6) for x in range(6) if padded[y, x + 1] != padded[y + 1, x + 1]}
    expected |= {("V", x, y) for y in range(5) for x in range(7) if padded[y + 1, x] != padded[y + 1, x + 1]}
    assert drawn == expected


def test_the_strongest_superpixels_are_outlined_where_they_are_on_either_side() -> None:
    given = surrogate([[0.1, -0.5, 0.3, 0.0]])
    assert marks.strongest(given, 0, 5) == [1, 2, 0] and marks.strongest(given, 0, 2) == [1, 2]
    first, second = marks.outlines(given.segments[0], [1, 2])
    assert (first.number, second.number) == (1, 2)
    assert first.x > 4 > first.y and second.x < 4 < second.y
    ring = torch.ones(9, 9, dtype=torch.int64)
    ring[2:7, 2:7] = 0
    y, x = marks.heart((ring == 1).numpy())
    assert ring[int(y), int(x)] == 1


def test_bars_have_their_weights_with_95_percent_whiskers_on_one_axis() -> None:
    chart = marks.chart(surrogate([[0.5, -0.25, 0.0, 0.0]], error=0.25), 0, [0, 1])
    lowest, span = -0.25 - 1.96 * 0.25, 0.5 + 0.25 + 2 * 1.96 * 0.25
    first, second = chart.bars
    assert chart.zero == pytest.approx(-lowest / span)
    assert (first.start, first.end) == pytest.approx((chart.zero, (0.5 - lowest) / span))
    assert (second.start, second.end) == pytest.approx(((-0.25 - lowest) / span, chart.zero))
    assert (second.low, first.high) == pytest.approx((0, 1)) and first.high - first.low == pytest.approx(0.98 / span)
    assert (first.text, second.text) == ("+0.500", "-0.250")
    endless = marks.chart(surrogate([[0.5, 0.2, 0.0, 0.0]], error=float("inf")), 0, [0])
    assert endless.bars[0].high == endless.bars[0].end == 1


def test_explainers_agree_with_themselves_and_not_with_their_opposite() -> None:
    flat = torch.zeros(2, 8, 8)
    found = explanations(
        column("Up", ramp()), column("Twice", 2 * ramp()), column("Down", ramp(-1)), column("Flat", flat)
    )
    table = np.array(agreement(found))
    np.testing.assert_allclose(table[:3, :3], [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert np.isnan(table[3]).all() and np.isnan(table[:, 3]).all()
    page = gallery.page(found)
    assert "–</td>" in page and "+1.00</td>" in page and "nothing speaks for or against" in page


def test_an_image_of_which_a_map_says_nothing_does_not_count() -> None:
    once = ramp()
    once[0] = 0
    assert agreement(explanations(column("Up", ramp()), column("Once", once)))[0][1] == pytest.approx(1)


def test_agreement_is_over_superpixels_where_an_explainer_has_some() -> None:
    pieces = surrogate([[4.0, 3.0, 2.0, 1.0]] * 2)
    painted = pieces.beta.gather(1, pieces.segments.flatten(1)).view(2, 8, 8)
    other = painted.clone()
    other[:, 0, 0] = 0  # within a superpixel, no rank changes
    table = agreement(explanations(column("Pieces", painted, pieces), column("Other", other)))
    assert table[0][1] == pytest.approx(1)


def test_rank_correlation_is_spearmans_with_ties() -> None:
    a, b = np.array([1.0, 2, 2, 4, 5]), np.array([3.0, 1, 4, 4, 9])
    assert rank_correlation(a, b) == pytest.approx(7.25 / 9.5)  # ranks 1, 2.5, 2.5, 4, 5 and 2, 1, 3.5, 3.5, 5
    assert rank_correlation(a, a**3) == pytest.approx(1) and np.isnan(rank_correlation(a, np.ones(5)))


def test_the_page_escapes_what_it_is_given_and_tells_right_from_wrong() -> None:
    pieces = surrogate([[0.3, -0.2, 0.1, 0.0]] * 2)
    given = column("Pieces", ramp(), pieces)._replace(heading=HOSTILE, text=HOSTILE)
    found = replace(explanations(given, column("Other", ramp())), model=HOSTILE, data=HOSTILE)
    for text in (gallery.page(found), found._repr_html_()):
        assert "<script" not in text and text.count("&lt;script&gt;") >= 6
        assert "1 of 1 are classified rightly" in text and "explained: dog (30.0 %)" in text
        assert text.count('class="edge"') == 2 * 3 and text.count("<rect") == 2 * 3
    assert found._repr_html_().startswith('<div class="glasshouse">')


def test_a_figure_has_a_row_for_each_image_and_changes_nothing_else() -> None:
    backend, settings = mpl.get_backend(), dict(mpl.rcParams)
    found = explanations(column("Up", ramp()), column("Down", ramp(-1)))
    figure = found.figure()
    assert len(figure.axes) == 2 * 3 and figure.axes[0].get_title() == "cat, 70 %"
    figure.savefig(io.BytesIO(), format="png")
    assert mpl.get_backend() == backend and dict(mpl.rcParams) == settings


def test_saving_is_whole_and_refuses_what_is_taken(tmp_path: Path) -> None:
    found = explanations(column("Up", ramp()))
    page = found.save(tmp_path / "a" / "b")
    assert page.read_text() == gallery.page(found)
    assert sorted(p.name for p in page.parent.iterdir()) == ["explanations.json", "explanations.npz", "index.html"]
    with pytest.raises(ValueError, match="is not empty"):
        found.save(page.parent)
    with np.load(page.parent / "explanations.npz", allow_pickle=False) as kept:
        assert kept["index"].tolist() == [5, 9] and kept["y"].tolist() == [0, -1]
    again = found.save(tmp_path / "again")
    assert (again.parent / "explanations.npz").read_bytes() == (page.parent / "explanations.npz").read_bytes()


def test_a_brief_text_has_only_what_differs_from_the_defaults() -> None:
    from glasshouse.attacks import PGD, Linf
    from glasshouse.explainers import LIME

    assert brief(LIME()) == "LIME" and brief(LIME(samples=9, segmenter=Grid())) == "LIME(segmenter=Grid, samples=9)"
    assert brief(PGD(ball=Linf(eps=0.25))) == "PGD(ball=Linf(eps=0.25))"
