"""Curves and bars of a study's page: what was handed over is there, and nothing else is."""

from __future__ import annotations

import base64
import itertools
import math
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from glasshouse.explainers import Grid
from glasshouse.report import plots, write_document
from glasshouse.report.documents import MARKS
from glasshouse.study import (
    NOT_REPRODUCED,
    REPRODUCED,
    Bars,
    Chart,
    Claim,
    Document,
    Line,
    Lines,
    Section,
    Series,
)

NAN = math.nan
SVG = "{http://www.w3.org/2000/svg}"
RED, TEAL = "#b91c1c", "#0f766e"
STRAIGHT = tuple((float(x), x / 10) for x in range(5))
BAND = tuple((y - 0.05, y + 0.05) for _, y in STRAIGHT)


def svg(drawing: str) -> str:
    return base64.b64decode(drawing.removeprefix("data:image/svg+xml;base64,")).decode()


def texts(drawing: str) -> list[str]:
    """Everything written: glyphs are outlines, and before them stands what they say."""
    return [
        text.strip().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for text in re.findall(r"<!--(.*?)-->", svg(drawing), re.DOTALL)
    ]


def styled(element: ElementTree.Element) -> dict[str, str]:
    return dict(part.strip().split(": ", 1) for part in element.get("style", "").split(";") if part.strip())


def drawn(drawing: str, kind: str) -> list[ElementTree.Element]:
    """What lies on the axes, without ticks, grids and legend; of one kind."""
    root = ElementTree.fromstring(svg(drawing))
    panels = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("axes_")]
    return [g for panel in panels for g in panel if re.fullmatch(rf"{kind}_\d+", g.get("id", ""))]


def marks(drawing: str) -> Counter[tuple[str, bool]]:
    """How many marks there are of a colour, and whether they are hollow."""
    styles = [styled(use) for group in drawn(drawing, "line2d") for use in group.iter(f"{SVG}use")]
    # A mark filled in the colour of its rim is told in one of the two only.
    return Counter((style["stroke"], style.get("fill", "") == "#ffffff") for style in styles)


def curves(drawing: str) -> list[dict[str, str]]:
    """The styles of the lines that join points."""
    found = [path for group in drawn(drawing, "line2d") for path in group.findall(f"{SVG}path")]
    return [styled(path) for path in found if styled(path).get("stroke") not in (None, "none")]


def joined(drawing: str) -> int:
    """How many points are joined to the one before."""
    found = [path.get("d", "") for group in drawn(drawing, "line2d") for path in group.findall(f"{SVG}path")]
    return sum(d.count("L") for d in found)


def whiskers(drawing: str) -> int:
    groups = drawn(drawing, "LineCollection")
    return sum(len(group.findall(f".//{SVG}path[@clip-path]")) for group in groups)


def chart(*lines: Line, together: bool = True) -> str:
    return plots.lines(Lines("t", "n", ("steps", "accuracy"), (Chart("one", lines),), together))


def grouped(*series: Series, names: tuple[str, ...] = ("fog", "snow")) -> str:
    return plots.bars(Bars("t", "n", "accuracy, %", names, (("one", series),)))


def fills(drawing: str) -> Counter[str]:
    """How many bars there are of a colour."""
    found = [styled(path).get("fill", "") for group in drawn(drawing, "patch") for path in group]
    return Counter(fill for fill in found if fill in plots.COLOURS)


def heights(path: ElementTree.Element) -> list[float]:
    """The vertical places of a path's corners; they grow downwards."""
    return [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path.get("d", ""))]


# curves


def test_a_curve_has_its_line_its_marks_its_band_and_its_name() -> None:
    drawing = chart(Line("refined", STRAIGHT, BAND), Line("plain", STRAIGHT))
    assert {"refined", "plain", "one", "steps", "accuracy"} <= set(texts(drawing))
    assert [style["stroke"] for style in curves(drawing)] == [RED, TEAL]
    assert marks(drawing) == {(RED, False): 5, (TEAL, False): 5}
    assert len(drawn(drawing, "FillBetweenPolyCollection")) == 1
    assert "published" not in texts(drawing)


def test_a_name_keeps_its_colour_over_all_charts_and_stands_once_in_the_legend() -> None:
    left, right = Chart("a", (Line("x", STRAIGHT), Line("y", STRAIGHT))), Chart("b", (Line("y", STRAIGHT),))
    drawing = plots.lines(Lines("t", "n", ("steps", "accuracy"), (left, right)))
    assert [style["stroke"] for style in curves(drawing)] == [RED, TEAL, TEAL]
    assert texts(drawing).count("y") == 1


def test_published_numbers_are_hollow_marks_that_nothing_joins() -> None:
    drawing = chart(Line("plain", STRAIGHT), Line("plain", STRAIGHT[:3], BAND[:3], published=True))
    assert marks(drawing) == {(RED, False): 5, (RED, True): 3}
    assert len(curves(drawing)) == 1 and whiskers(drawing) == 3
    assert "published" in texts(drawing)


def test_what_is_only_published_is_hollow_in_the_legend_too() -> None:
    drawing = chart(Line("plain", STRAIGHT), Line("theirs", STRAIGHT, published=True))
    legend = next(g for g in ElementTree.fromstring(svg(drawing)).iter() if g.get("id") == "legend_1")
    told = [styled(use) for use in legend.iter(f"{SVG}use") if "stroke" in styled(use)]
    assert [(s["stroke"], s.get("fill") == "#ffffff") for s in told] == [(RED, False), (TEAL, True), ("#111827", True)]


def test_a_single_point_is_seen_with_its_band() -> None:
    drawing = chart(Line("plain", ((3.0, 0.5),), ((0.4, 0.6),)))
    assert marks(drawing) == {(RED, False): 1} and whiskers(drawing) == 1


def test_what_is_not_a_number_leaves_a_gap() -> None:
    points = (*STRAIGHT[:2], (2.0, NAN), *STRAIGHT[3:], (5.0, math.inf), (6.0, 0.2))
    drawing = chart(Line("plain", points, tuple((0.1, 0.3) for _ in points)))
    assert marks(drawing) == {(RED, False): 5}
    assert joined(drawing) == 2 and whiskers(drawing) == 1
    assert "nan" not in svg(drawing).lower() and "inf " not in svg(drawing)


def test_nothing_at_all_is_drawn_as_nothing() -> None:
    assert marks(chart(Line("plain", ()), Line("other", ((0.0, NAN),)))) == {}
    assert marks(plots.lines(Lines("t", "n", ("steps", "accuracy"), ()))) == {}
    assert fills(plots.bars(Bars("t", "n", "accuracy", (), ()))) == {}
    assert fills(grouped(names=())) == {}


def test_a_long_curve_is_a_line_without_marks() -> None:
    drawing = chart(Line("plain", tuple((float(x), math.sin(x)) for x in range(500))))
    assert marks(drawing) == {} and len(curves(drawing)) == 1


def test_more_names_than_colours_differ_in_their_lines_and_all_are_told() -> None:
    names = [f"_name {i}" for i in range(20)]
    drawing = chart(*(Line(name, STRAIGHT) for name in names))
    assert set(names) <= set(texts(drawing))
    assert len({(style["stroke"], style.get("stroke-dasharray")) for style in curves(drawing)}) == 20


@pytest.mark.parametrize("together", [True, False])
def test_charts_share_their_vertical_axis_unless_told_otherwise(together: bool) -> None:
    large = Chart("large", (Line("plain", tuple((x, 100 * y) for x, y in STRAIGHT)),))
    section = Lines("t", "n", ("steps", "loss"), (Chart("small", (Line("plain", STRAIGHT),)), large), together)
    told = texts(plots.lines(section))
    assert told.count("40") == 1 and told.count("0.20") == (0 if together else 1)


def test_a_band_for_some_of_the_points_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        chart(Line("plain", STRAIGHT, BAND[:1]))


# bars


def test_bars_stand_under_their_names_with_intervals_and_published_values() -> None:
    ours = Series("refined", ((70.0, 68.0, 72.0), (60.0, 57.0, 63.0)), (71.0, None))
    drawing = grouped(ours, Series("plain", ((50.0, 48.0, 52.0), (40.0, 37.0, 43.0))))
    assert {"refined", "plain", "published", "fog", "snow", "one", "accuracy, %"} <= set(texts(drawing))
    assert fills(drawing) == {RED: 2, TEAL: 2} and whiskers(drawing) == 4
    assert marks(drawing) == {("#111827", True): 1}


def test_a_bar_begins_at_zero_and_ends_within_its_interval() -> None:
    drawing = grouped(Series("plain", ((70.0, 60.0, 75.0), (-10.0, -12.0, -5.0))))
    first, second = (heights(p) for g in drawn(drawing, "patch") for p in g if styled(p).get("fill") == RED)
    low, high = (heights(p) for g in drawn(drawing, "LineCollection") for p in g.iter(f"{SVG}path"))
    zero = max(first)
    scale = (zero - min(first)) / 70
    assert min(second) == pytest.approx(zero) and max(second) == pytest.approx(zero + 10 * scale, abs=0.01)
    assert [(zero - y) / scale for y in low] == pytest.approx([60, 75], abs=0.01)
    assert [(zero - y) / scale for y in high] == pytest.approx([-12, -5], abs=0.01)


def test_a_bar_without_a_value_is_left_out_and_one_without_an_interval_is_not() -> None:
    drawing = grouped(Series("plain", ((NAN, 1.0, 2.0), (40.0, NAN, NAN)), (NAN, None)))
    assert fills(drawing) == {RED: 1} and whiskers(drawing) == 0
    assert marks(drawing) == {} and "published" not in texts(drawing)


def test_bars_of_a_group_stand_side_by_side() -> None:
    drawing = grouped(*(Series(f"s{i}", ((1.0, 0.9, 1.1),)) for i in range(3)), names=("fog",))
    bars = [p.get("d", "") for g in drawn(drawing, "patch") for p in g if styled(p).get("fill") in plots.COLOURS]
    edges = [sorted(float(x) for x in re.findall(r"[ML] (\S+) ", bar)) for bar in bars]
    assert len(edges) == 3 and all(left[-1] < right[0] for left, right in itertools.pairwise(edges))


def test_more_series_than_colours_are_hatched_and_all_are_told() -> None:
    drawing = grouped(*(Series(f"s{i}", ((1.0, 0.9, 1.1),)) for i in range(10)), names=("fog",))
    assert {f"s{i}" for i in range(10)} <= set(texts(drawing))
    assert svg(drawing).count("<pattern") == 2


def test_many_names_are_turned_and_panels_stand_in_rows_over_them() -> None:
    names = tuple(f"corruption_{i}" for i in range(19))
    rows = tuple((f"panel {i}", (Series("plain", ((1.0, 0.9, 1.1),) * 19),)) for i in range(2))
    drawing = plots.bars(Bars("t", "n", "accuracy", names, rows))
    assert all(texts(drawing).count(name) == 1 for name in names)
    assert svg(drawing).count("rotate(-40)") == 19 and fills(drawing) == {RED: 38}
    assert "rotate(-40)" not in svg(grouped(Series("plain", ((1.0, 0.9, 1.1),) * 2)))


def test_figures_are_no_wider_than_a_page() -> None:
    six = Lines("t", "n", ("x", "y"), tuple(Chart("c", (Line("plain", STRAIGHT),)) for _ in range(6)))
    series = tuple(Series(f"a rather long name of a series {i}", ((1.0, 0.9, 1.1),) * 19) for i in range(7))
    names = tuple(f"corruption_{i}" for i in range(19))
    for drawing in (plots.lines(six), plots.bars(Bars("t", "n", "y", names, (("one", series),)))):
        points = float(ElementTree.fromstring(svg(drawing)).get("width", "").removesuffix("pt"))
        assert 600 < points <= 979 * 0.75  # of what a section holds on a wide screen


# the page


def page(out: Path, *sections: Section) -> str:
    claims = (Claim("a", "paper", REPRODUCED, "1", "1"), Claim("b", "paper", NOT_REPRODUCED, "1", "2"))
    document = Document("title", "verdict", claims, sections, (), {})
    return write_document(document, Grid(cells=4), out).read_text()  # type: ignore[arg-type]


def test_a_page_shows_both_kinds_and_wide_ones_can_be_moved_on_a_phone(tmp_path: Path) -> None:
    one = Lines("<i>curves</i>", "n", ("x", "y"), (Chart("c", (Line("plain", STRAIGHT),)),))
    bars = Bars("bars", "n", "y", ("fog",), (("one", (Series("plain", ((1.0, 0.9, 1.1),)),)),))
    shown = page(tmp_path, one, one._replace(charts=one.charts * 2), bars)
    assert re.findall(r'<div class="wide"><img( class="long")? src="data:image/svg', shown) == [
        *("", ' class="long"', ' class="long"')
    ]
    assert "&lt;i&gt;curves" in shown and "<i>curves" not in shown


def test_verdicts_of_a_study_of_its_own_are_marked(tmp_path: Path) -> None:
    assert (MARKS[REPRODUCED], MARKS[NOT_REPRODUCED]) == ("pass", "fail")
    shown = page(tmp_path)
    assert '<span class="pass">reproduced</span>' in shown and '<span class="fail">not reproduced</span>' in shown


def test_names_are_text_and_never_formulas_or_tags() -> None:
    odd = ("$x_1$", "<b>bold</b> & more", "$\\frac{$", "_hidden")
    series = tuple(Series(name, ((1.0, 0.9, 1.1),) * len(odd)) for name in odd)
    section = Lines(odd[1], odd[0], (odd[0], odd[2]), (Chart(odd[2], tuple(Line(n, STRAIGHT) for n in odd)),))
    for drawing in (plots.lines(section), plots.bars(Bars("t", "n", odd[2], odd, ((odd[2], series),)))):
        assert set(odd) <= set(texts(drawing))
        assert "<b>" not in re.sub(r"<!--.*?-->", "", svg(drawing), flags=re.DOTALL)
