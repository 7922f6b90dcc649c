"""What an attack did as a page, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import figures, shift_figure, two_levels, words
from .templates import setting, template

if TYPE_CHECKING:
    from .attacked import Attacked

SHOWN = 200  # images on the page; the files hold all


def page(found: Attacked) -> str:
    """A whole page that needs nothing beside it."""
    return template("attacked.html").render(content(found))


def fragment(found: Attacked) -> str:
    """The same for a place within another page."""
    return template("attacked_body.html").render(content(found))


def content(found: Attacked) -> dict[str, Any]:
    """What the templates fill in: broken images first."""
    order = found.order.tolist()[:SHOWN]
    return {
        "heading": found.heading,
        "verdict": verdict(found),
        "summary": found.summary,
        "rows": [row(found, i) for i in order],
        "relevance": relevance(found),
        "more": len(found.x) - len(order),
        "small": max(found.x.shape[2:]) <= 96,
        "attack": repr(found.attack),
        "setup": setting(
            {
                "model": found.model,
                "data": found.data,
                "device": found.device,
                "seed": found.seed,
                "seconds": f"{found.seconds:.1f}",
            }
        ),
    }


def relevance(found: Attacked) -> dict[str, Any] | None:
    """What two classes of a hierarchical model rest on before and after, or why that cannot be told."""
    if found.levels is None:
        return None
    shown = [(shift.title, shift_figure.picture(shift)) for shift in found.levels.shifts.values()]
    return {
        "level": "fine" if found.levels.fine else "coarse",
        "shown": shown,
        "more": len(found.x) - len(shown),
        "unexplained": found.levels.unexplained,
    }


def verdict(found: Attacked) -> str:
    """What came of it in a sentence."""
    right, broken = int(found.right.sum()), int(found.broken.sum())
    if not right:
        return f"None of {len(found.x)} images was classified rightly before, so there was nothing to break."
    return f"Of {right} images that were classified rightly, {broken} ({words.percent(broken / right)}) are so no more."


def row(found: Attacked, i: int) -> dict[str, Any]:
    """One image before, its change, and after."""
    y, before, after = (int(t[i]) for t in (found.y, found.predicted, found.predicted_adv))
    reach = float(found.delta[i].abs().max())
    was, now = found.classes[before], found.classes[after]
    if found.levels:
        was = two_levels.path(found.levels, int(found.levels.before[i]), was)
        now = two_levels.path(found.levels, int(found.levels.after[i]), now)
    return {
        "title": found.titles[i],
        "true": found.classes[y] if y >= 0 else "",
        "was": f"{was}, {words.percent(float(found.probability[i, before]), 0)}",
        "now": f"{now}, {words.percent(float(found.probability_adv[i, after]), 0)}",
        "aim": two_levels.status(found.levels, i) if found.levels else "",
        "status": "broken" if found.broken[i] else "stands" if found.right[i] else "wrong already",
        "reach": words.in_steps(reach),
        "pictures": {
            "before": figures.encoded(figures.photo(found.x[i])),
            "change": figures.encoded(figures.photo(figures.stretched(found.delta[i]))),
            "after": figures.encoded(figures.photo(found.x_adv[i])),
        },
    }
