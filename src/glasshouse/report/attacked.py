"""What an attack did to images: to read, to show in a notebook, to keep."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ..files import write_whole
from ..metrics.verdicts import ball_of
from ..store import keep_values
from ..titles import attack_title, ball_title
from ..types import Attack
from ..versions import versions
from . import attacked_page, figures, two_levels, words
from .explanations import vacant
from .two_levels import TwoLevels


@dataclass(frozen=True, eq=False)
class Attacked:
    """Everything on the CPU and in the order of the images; a notebook shows it as a gallery.

    ``y`` is -1 where the true class is not known; there the attack was against the predicted class.
    """

    x: Tensor  # [N, C, H, W]
    x_adv: Tensor  # [N, C, H, W]
    y: Tensor  # [N]
    probability: Tensor  # [N, classes]
    probability_adv: Tensor  # [N, classes]
    predicted_rounded: Tensor  # [N] once x_adv is an image file of 8 bits
    attack: Attack
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    index: Tensor  # [N] position in the data
    seconds: float = 0.0
    model: str = ""
    data: str = ""
    device: str = "cpu"
    seed: int = 0
    levels: TwoLevels | None = None  # of a hierarchical model

    @property
    def predicted(self) -> Tensor:
        """The class before, ``[N]``."""
        return self.probability.argmax(1)

    @property
    def predicted_adv(self) -> Tensor:
        """The class after, ``[N]``."""
        return self.probability_adv.argmax(1)

    @property
    def right(self) -> Tensor:
        """Whether the class was right before, or, where the true one is not known, there was one at all."""
        return (self.predicted == self.y) | (self.y < 0)

    @property
    def broken(self) -> Tensor:
        """Whether an image that was right is so no more, ``[N]`` bool."""
        return self.right & (self.predicted_adv != self.predicted)

    @property
    def order(self) -> Tensor:
        """Positions with broken images first, ``[N]``."""
        return self.broken.int().argsort(descending=True, stable=True)

    @property
    def delta(self) -> Tensor:
        """The perturbations, ``[N, C, H, W]``."""
        return self.x_adv - self.x

    @property
    def heading(self) -> str:
        """The attack, and how many images."""
        return f"{attack_title(self.attack)} on {len(self.x)} images"

    @property
    def summary(self) -> list[tuple[str, str]]:
        """What came of it, as names and values."""
        right, broken = int(self.right.sum()), int(self.broken.sum())
        changed = int((self.predicted_adv != self.predicted).sum())
        kept = int((self.broken & (self.predicted_rounded != self.predicted)).sum())
        ball = ball_of(self.attack)
        told = [
            ("right before", f"{right} of {len(self.x)}"),
            ("of these broken", f"{broken} ({words.percent(broken / right if right else None)})"),
            ("broken still as 8-bit files", f"{kept} of {broken}"),
            ("class changed, right or wrong before", f"{changed} ({words.percent(changed / len(self.x))})"),
            ("largest change of a pixel", f"{255 * float(self.delta.abs().max()):.2f} of 255"),
            ("mean L2 norm of the change", f"{float(self.delta.flatten(1).norm(dim=1).mean()):.4f}"),
        ]
        told += two_levels.summary(self.levels) if self.levels else []
        return told + ([("allowed", ball_title(ball))] if ball else [])

    def _repr_html_(self) -> str:
        return attacked_page.fragment(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``adversarial.npz`` (exact), pictures of 8 bits, ``table.csv``, ``attack.json`` and, last,
        ``index.html``; returns the page.

        Raises:
            ValueError: if the folder is a file or holds anything; it is left as it is then.
        """
        out = vacant(Path(folder))
        for name in ("images", "perturbations"):
            (out / name).mkdir(parents=True, exist_ok=True)
        for i, (after, delta) in enumerate(zip(self.x_adv, self.delta, strict=True)):
            write_whole(out / "images" / f"{i:05d}.png", png(after))
            write_whole(out / "perturbations" / f"{i:05d}.png", png(figures.stretched(delta)))
        keep_values(out / "adversarial.npz", arrays(self))
        write_whole(out / "table.csv", table(self))
        write_whole(out / "attack.json", json.dumps(described(self), indent=1) + "\n")
        write_whole(out / "index.html", attacked_page.page(self))
        return out / "index.html"


def png(x: Tensor) -> bytes:
    """``[C, H, W]`` in [0, 1] as a file of 8 bits, rounded."""
    buffer = io.BytesIO()
    Image.fromarray((figures.photo(x) * 255).round().astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def arrays(found: Attacked) -> dict[str, Tensor]:
    """What ``adversarial.npz`` holds."""
    levels = found.levels
    more = {} if levels is None else {"coarse": levels.before, "coarse_adv": levels.after, "criterion_met": levels.met}
    return more | {
        "index": found.index,
        "y": found.y,
        "x_adv": found.x_adv,
        "delta": found.delta,
        "predicted": found.predicted,
        "predicted_adv": found.predicted_adv,
        "broken": found.broken,
    }


COLUMNS = (
    *("file", "index", "title", "true", "predicted", "probability", "predicted_adv", "probability_adv"),
    *("broken", "broken_as_8_bit", "linf", "l2", "relative_l2"),
)
COARSE = ("coarse", "coarse_adv", "criterion_met")  # of a hierarchical model


def table(found: Attacked) -> str:
    """A line for each image."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS + (COARSE if found.levels else ()))
    writer.writerows(line(found, i) + coarse(found.levels, i) for i in range(len(found.x)))
    return buffer.getvalue()


def line(found: Attacked, i: int) -> tuple[object, ...]:
    """One image's line."""
    y, before, after = (int(t[i]) for t in (found.y, found.predicted, found.predicted_adv))
    delta, x, broken = found.delta[i], found.x[i], bool(found.broken[i])
    kept = broken and int(found.predicted_rounded[i]) != before
    return (
        f"images/{i:05d}.png",
        int(found.index[i]),
        found.titles[i],
        found.classes[y] if y >= 0 else "",
        found.classes[before],
        f"{float(found.probability[i, before]):.6f}",
        found.classes[after],
        f"{float(found.probability_adv[i, after]):.6f}",
        int(broken),
        int(kept),
        f"{float(delta.abs().max()):.6f}",
        f"{float(delta.norm()):.6f}",
        f"{float(delta.norm() / x.norm().clamp_min(1e-12)):.6f}",
    )


def coarse(levels: TwoLevels | None, i: int) -> tuple[object, ...]:
    """What one image's line says of the superclass before and after, and whether the attack's aim is reached."""
    if levels is None:
        return ()
    names = levels.hierarchy.coarse
    return names[int(levels.before[i])], names[int(levels.after[i])], int(levels.met[i])


def described(found: Attacked) -> dict[str, Any]:
    """How it was done and what came of it, as plain data."""
    return {
        "attack": repr(found.attack),
        "model": found.model,
        "data": found.data,
        "images": len(found.x),
        "right": int(found.right.sum()),
        "broken": int(found.broken.sum()),
        "seconds": round(found.seconds, 3),
        "seed": found.seed,
        "device": found.device,
        "versions": versions(),
    }
