"""How far perturbations explain themselves against how much of them can be seen, and the paper's figures 1 and 2."""

from __future__ import annotations

from math import isnan

from ..study import Chart, Line, Lines, Section, Shifts
from . import hierarchical_ways as ways
from .hierarchical_compared import TITLES, named, tried
from .hierarchical_found import LEVELS, Bout
from .hierarchical_measured import SHARE
from .hierarchical_published import PUBLISHED

FAMILIES = {"LRP": ways.LRP, "margin": ways.MARGIN, "PGD": ways.SAME_PGD}
DRAWN = ("overlap_original", "rank_original", "overlap_judge", "gini")


def figures(b: Bout) -> list[Section]:
    """All drawings of one classifier."""
    drawn: list[Section] = [fooling(b)] if len(tried(b, ways.LRP)) > 1 else []
    drawn += [figure for level in LEVELS if (figure := tradeoff(b, level)).charts]
    return [*drawn, shifts(b)] if b.pictures else drawn


def fooling(b: Bout) -> Lines:
    """The share of images by eps, next to the paper's."""
    charts = []
    for level in LEVELS:
        lines = []
        for name, family in FAMILIES.items():
            found = [(eps, e) for eps, way in tried(b, family).items() if (e := b.fooling(level, way)).count]
            band = tuple((100 * e.low, 100 * e.high) for _, e in found)
            lines += [Line(name, tuple((eps, 100 * e.mean) for eps, e in found), band)] if found else []
        published = tuple((float(eps), PUBLISHED[level][ways.LRP.format(eps)].fooling) for eps in ways.EPS)
        charts.append(Chart(level, (*lines, Line("LRP", published, published=True))))
    note = (
        "Per cent of the images that were right, with 95 % intervals. Marks without a line: what the paper reports, of "
        "all images. All three take the same number of steps of the same length."
    )
    return Lines(f"{b.trial.name}: fooled by eps", note, ("eps, 1/255", "fooled, %"), tuple(charts), log=True)


def tradeoff(b: Bout, level: str) -> Lines:
    """Measures of explainability against the size of the perturbation, over the images that are fooled."""
    charts = []
    for measure in DRAWN:
        lines = [
            Line(name, points, band)
            for name, ways_of in families(b).items()
            if (drawn := curve(b, level, ways_of, measure))[0]
            for points, band in (drawn,)
        ]
        charts += [Chart(TITLES[measure], tuple(lines))] if lines else []
    note = (
        "Each point is an eps, from the smallest to the largest: means over the images that it fools, with 95 % "
        f"intervals. Rank is 0 and overlap {SHARE:g} where perturbation and relevance have nothing to do with each "
        "other. The higher a curve, the more is explained by what can be seen as well."
    )
    title = f"{b.trial.name}, {level}: explained against seen"
    return Lines(title, note, (named("rho_2"), ""), tuple(charts), together=False)


def families(b: Bout) -> dict[str, list[str]]:
    """What makes a curve: the ways of each family, and DeepFool by itself."""
    found = {name: list(tried(b, family).values()) for name, family in FAMILIES.items()}
    return found | {ways.DEEPFOOL: [ways.DEEPFOOL]} if b.has("coarse", ways.DEEPFOOL) else found


Points = tuple[tuple[float, float], ...]


def curve(b: Bout, level: str, names: list[str], measure: str) -> tuple[Points, Points]:
    """Points and their intervals, without those that fool nothing."""
    found = [(b.value(level, way, "rho_2"), b.value(level, way, measure)) for way in names]
    known = [(size.mean, e) for size, e in found if e.count and not isnan(size.mean)]
    return tuple((x, e.mean) for x, e in known), tuple((e.low, e.high) for _, e in known)


def shifts(b: Bout) -> Shifts:
    """Figures 1 and 2."""
    note = (
        "What speaks for the true class and for the one that takes its place, before and after attacks, by the paper's "
        "rules and from 1: the maps of each class in one colour scale. Below each map the sums of what speaks for and "
        "against the class."
    )
    return Shifts(f"{b.trial.name}: where relevance goes (Fig. 1, 2 of the paper)", note, b.pictures)
