"""The paper's figures 3 and 7 to 9, redrawn from our own runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..study import Chart, Line, Lines, Pictures, Section, Shown
from . import consistency_ways as ways
from .consistency_found import Bout, Scene
from .consistency_published import UNBIASED
from .debiasing import Shares, chance
from .few_samples import Learnt
from .gains import spread

if TYPE_CHECKING:
    from .explanation_consistency import ExplanationConsistency

MARKED = 0.5


def figures(b: Bout) -> list[Section]:
    """All drawings of one network."""
    drawn: list[Section] = [robustness(b)] if b.curves() else []
    drawn += [sweep(b)] if len(swept(b)) > 1 else []
    drawn += [over_training(b)] if any(b.counting(way) for way in b.names) else []
    drawn += [pictures(b)] if b.scenes else []
    return [*drawn, filters(b)] if b.filters else drawn


def robustness(b: Bout) -> Lines:
    """Figure 9c, d."""
    lines = []
    for name, points in b.curves().items():
        attacked = [(255 * eps, e) for eps, e in points if eps]
        band = tuple((100 * e.low, 100 * e.high) for _, e in attacked)
        lines.append(Line(name, tuple((eps, 100 * e.mean) for eps, e in attacked), band))
    note = (
        "Per cent of the images that all of these get right which still are under FGSM of each network's own loss, "
        "with 95 % intervals, the first seed. FGSM is the paper's choice; many steps, or margins as a loss, break more."
    )
    title = f"{b.compared.name}: under FGSM (Fig. 9c, d of the paper)"
    return Lines(title, note, ("eps, 1/255", "relative accuracy, %"), (Chart("FGSM", tuple(lines)),), log=True)


def swept(b: Bout) -> list[tuple[float, str]]:
    """Ways that are ours but for the eps of the background."""
    found = []
    for way in b.compared.ways:
        score = getattr(way.weighting, "score", None)
        eps: float | None = getattr(getattr(score, "background", None), "eps", None)
        if eps is not None and (way.name.startswith("ours, eps") or way.name == ways.XGRAD):
            found.append((eps, way.name))
    return sorted(found)


def sweep(b: Bout) -> Lines:
    """Figure 7."""
    charts = []
    for name, metric, scale in (("accuracy, %", ways.CLEAN, 100), ("mIoU, Grad-CAM", ways.GRAD_MIOU, 1)):
        known = [(eps, b.spread(way, metric)) for eps, way in swept(b)]
        points = [(eps, s) for eps, s in known if s is not None]
        band = tuple((scale * s.low, scale * s.high) for _, s in points)
        charts.append(Chart(name, (Line("ours", tuple((eps, scale * s.mean) for eps, s in points), band),)))
    note = "What the eps of the background changes: means over seeds with 95 % intervals over the images."
    title = f"{b.compared.name}: eps of the background (Fig. 7 of the paper)"
    return Lines(title, note, ("eps", ""), tuple(charts), together=False, log=True)


def over_training(b: Bout) -> Lines:
    """The effective share of samples after each reweighting."""
    lines = []
    for way in b.names:
        runs = [run for run in b.counting(way) if run]
        if runs and way not in (ways.SHUFFLED, ways.SMALL_SHUFFLED):
            values = np.array([[100 * y for _, y in run] for run in runs]).mean(0)
            lines.append(Line(way, tuple(zip([x for x, _ in runs[0]], values.tolist(), strict=True))))
    note = (
        "The effective share of the samples, (sum w)^2 / (N sum w^2) in per cent, by the epoch that begins with new "
        "weights: at 100 % all weigh the same, and a weighting does nothing."
    )
    title = f"{b.compared.name}: how many samples count"
    return Lines(title, note, ("epoch", "effective share, %"), (Chart("weights", tuple(lines)),))


def pictures(b: Bout) -> Pictures:
    """Figure 3: the same images under the networks' own maps."""
    names = tuple(b.scenes[0].maps)
    rows = tuple((Shown(s.x, None, s.caption), *(shown(s, name) for name in names)) for s in b.scenes)
    note = "Test images, and in the light where Grad-CAM of the class that a network predicts is above half its range."
    return Pictures(f"{b.compared.name}: where networks look (Fig. 3 of the paper)", note, ("image", *names), rows)


def filters(b: Bout) -> Pictures:
    """Figures 5 and 6."""
    names = tuple(b.filters[0].maps)
    rows = tuple((Shown(s.x, None, ""), *(shown(s, name) for name in names)) for s in b.filters)
    note = "Test images, and in the light where the filters of a group, one of the three largest, are most active."
    return Pictures(
        f"{b.compared.name}: what groups of filters see (Fig. 5, 6 of the paper)", note, ("image", *names), rows
    )


def shown(scene: Scene, name: str) -> Shown:
    """One network's map of an image."""
    maps, predicted = scene.maps[name]
    return Shown(scene.x, maps >= MARKED, predicted)


def share_figure(shares: Shares, study: ExplanationConsistency) -> Lines:
    """Figure 8."""
    every, level = (study.debiasing.every, chance(study.debiasing)) if study.debiasing else (1, 0.2)
    charts = []
    for setting, by in shares.items():
        lines = []
        for way, runs in by.items():
            values = 100 * np.array(runs)
            epochs = [every * (i + 1) for i in range(values.shape[1])]
            band = tuple(zip(values.min(0).tolist(), values.max(0).tolist(), strict=True)) if len(runs) > 1 else ()
            lines.append(Line(way, tuple(zip(epochs, values.mean(0).tolist(), strict=True)), band))
            if setting.startswith(("brighter", "darker")):  # of the third the paper gives no number
                lines.append(Line(way, ((epochs[-1], UNBIASED[way]),), published=True))
        lines.append(Line("at random", tuple((e, 100 * level) for e in epochs)))
        charts.append(Chart(setting, tuple(lines)))
    note = (
        "Per cent of samples without the bias among the fifth that is ranked highest, from the lowest to the highest "
        "seed. Marks without a line: about what the paper reports."
    )
    return Lines("Do weights find what is not biased? (Fig. 8 of the paper)", note, ("epoch", "%"), tuple(charts))


def few_figures(few: Learnt, study: ExplanationConsistency) -> list[Section]:
    """Figure 9a, b."""
    if study.few is None:
        return []
    charts = []
    for name, metric, scale in (("accuracy, %", ways.CLEAN, 100), ("mIoU, Grad-CAM", ways.GRAD_MIOU, 1)):
        lines = []
        for strategy, by in few.items():
            if repr(metric) in by:
                values = torch.stack([run.double() for run in by[repr(metric)]])  # seeds, shares, images
                means = [scale * spread(values[:, i]).mean for i in range(values.shape[1])]
                shares = [100 * share for share in study.few.shares]
                lines.append(Line(strategy, tuple(zip(shares, means, strict=True))))
        charts += [Chart(name, tuple(lines))] if lines else []
    note = (
        "Means over images and seeds. Every strategy begins with the same labels, drawn at random, and goes on "
        "training on what it chose; ALL has all labels from the first on, and is trained as often."
    )
    title = "Which samples to label next (Fig. 9a, b of the paper)"
    return [Lines(title, note, ("labels, %", ""), tuple(charts), together=False)]
