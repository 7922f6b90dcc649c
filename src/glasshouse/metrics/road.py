"""ROAD: whether the class survives when what is relevant is smoothed away, without the mark of a hole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..draws import draws
from ..spec import require
from ..types import Batch
from .imputation import imputed
from .removal import Answers, answers, places_of
from .verdicts import Verdicts

ORDERS = ("gap", "morf", "lerf")


def noise_of(verdicts: Verdicts) -> Tensor:
    """Standard normal noise for each image, ``[B, C, H, W]``, the same for all explainers and shares."""
    x = verdicts.batch.x
    return verdicts.once(noise_of, lambda: draws(x).normal(*x.shape[1:]).to(x))


@dataclass(frozen=True)
class ROAD:
    """Remove and debias. Rong et al., ICML 2022, https://arxiv.org/abs/2202.00449

    A share of the pixels is replaced by the weighted mean of their neighbours, each its own unknown, with normal noise
    of standard deviation ``noise``: unlike black pixels this does not show what was removed. ``order`` "morf" is the
    mean over ``shares`` of 1 where the class is predicted still after the most relevant pixels went (lower is better),
    "lerf" the same for the least relevant (higher is better), and "gap" lerf less morf, the default: 0 for a random
    map. Lots are drawn among pixels of equal attribution.

    The gap compares explainers, and models better than a single order, in which a robust model keeps its class longer
    whatever is removed; yet where a model keeps it throughout there is no gap to find. One image has few values, so
    means want many images. ``better`` is that of the gap and of "lerf".

    Shape: ``[B]`` in [-1, 1] for "gap", otherwise in [0, 1].
    Cost: a forward pass for each share, two for "gap", and the imputation, on the device.
    Differs from the paper: the class is the one predicted, the same as the true one on images that are right; five
        shares by default; the noise of an image is drawn once for all its copies.
    Raises:
        ValueError: if the batch has no attribution.
    """

    shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    order: str = "gap"
    noise: float = 0.01
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, bool(self.shares) and all(0 < s < 1 for s in self.shares), "shares are between 0 and 1")
        require(self, self.order in ORDERS, f"order is one of {', '.join(ORDERS)}")
        require(self, self.noise >= 0, "noise is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        morf, lerf = (
            self.removed(verdicts, most_first).kept.float().mean(1) if self.order in ("gap", name) else 0.0
            for name, most_first in (("morf", True), ("lerf", False))
        )
        return torch.as_tensor(lerf - morf if self.order == "gap" else lerf + morf)

    def removed(self, verdicts: Verdicts, most_first: bool) -> Answers:
        """What the model says after each share, ``[B, len(shares)]``."""

        def find() -> Answers:
            x, noise = verdicts.batch.x, self.noise * noise_of(verdicts)
            place = places_of(self, verdicts, most_first)
            counts = [int(share * place[0].numel() + 1e-6) for share in self.shares]
            below = torch.tensor(counts, dtype=torch.int32, device=x.device).view(-1, 1, 1, 1)

            def altered(images: slice, group: slice) -> Tensor:
                gone = (place[images] < below[group])[:, :, None]
                copies = x[images].expand(len(gone), *x[images].shape)
                return torch.where(gone, imputed(copies, gone) + noise[images], copies)

            return answers(verdicts, len(counts), altered)

        return verdicts.once((ROAD.removed, verdicts.explainer, most_first, self.shares, self.noise), find)
