"""Whether the pixels that an attribution ranks high are those that the model's answer rests on.

What is replaced looks like no image that the model was trained on: a model may change its answer for that alone. Such
a change is the same for any order of the pixels, so compare with a random map, and models only beside one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..explainers import BlurFill, ConstantFill
from ..spec import require
from ..types import Batch, Fill
from .removal import evenly, removed, require_score
from .verdicts import Verdicts


def pixels_of(verdicts: Verdicts) -> int:
    """Pixels of an image."""
    return verdicts.batch.x[0, 0].numel()


def shares_of_image(counts: tuple[int, ...], verdicts: Verdicts) -> Tensor:
    """Numbers of pixels as shares of the image."""
    return torch.tensor(counts, device=verdicts.batch.x.device) / pixels_of(verdicts)


@dataclass(frozen=True)
class Deletion:
    """Area under the probability of the predicted class while pixels are removed, most relevant first; lower is better.
    Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421

    ``steps`` + 1 points from the whole image to none, equally far apart; ``fill`` stands where a pixel was. Lots are
    drawn among pixels of equal attribution, so that a flat map is removed in a random order.

    Compares explainers on one model. Between models, one that is surer, or more easily thrown off by black pixels, has
    another area for any map, a random one included: compare differences from ``RandomMap``. A map that merely breaks
    up the image scores well.

    Shape: ``[B]`` in [0, 1]; with ``score="logit"`` any number.
    Cost: ``steps`` - 1 forward passes, and one that all explainers share.
    Raises:
        ValueError: if the batch has no attribution.
    """

    steps: int = 32
    fill: Fill = ConstantFill(0.0)
    score: str = "probability"
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        gone, scores = self.curve(verdicts)
        return torch.trapezoid(scores, gone)

    def curve(self, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
        """Shares of pixels removed ``[P]``, and the score then, ``[B, P]``."""
        counts = evenly(pixels_of(verdicts), self.steps)
        told = removed(self, verdicts, True, self.fill, counts)
        return shares_of_image(counts, verdicts), told.scores(self.score)


@dataclass(frozen=True)
class Insertion:
    """Area under the probability of the predicted class while pixels appear, most relevant first; higher is better.
    Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421

    ``steps`` + 1 points from ``fill`` alone, by default the image out of focus, to the whole image. Lots are drawn
    among pixels of equal attribution.

    Compares explainers on one model; between models as :class:`Deletion`. What the model makes of the blurred image
    alone counts for every map.

    Shape: ``[B]`` in [0, 1]; with ``score="logit"`` any number.
    Cost: ``steps`` - 1 forward passes, and one that all explainers share.
    Differs from the paper: the blur grows with the image, 22 pixels at 224, where the paper's kernel of 11 pixels would
        leave an image of 32 as good as sharp.
    Raises:
        ValueError: if the batch has no attribution.
    """

    steps: int = 32
    fill: Fill = BlurFill()
    score: str = "probability"
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        shown, scores = self.curve(verdicts)
        return torch.trapezoid(scores, shown)

    def curve(self, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
        """Shares of pixels shown ``[P]``, and the score then, ``[B, P]``."""
        pixels = pixels_of(verdicts)
        shown = evenly(pixels, self.steps)
        told = removed(self, verdicts, False, self.fill, tuple(pixels - count for count in shown))
        return shares_of_image(shown, verdicts), told.scores(self.score)


@dataclass(frozen=True)
class PixelFlipping:
    """Area under what the model says of the predicted class while pixels are removed, most relevant first, divided by
    what it says of the whole image; lower is better. Bach et al., PLoS ONE 2015,
    https://doi.org/10.1371/journal.pone.0130140; Samek et al., TNNLS 2017, https://arxiv.org/abs/1509.06321

    ``features`` pixels go at a time, all channels of each; 0 is a 32nd of the image. Lots are drawn among pixels of
    equal attribution. With the same points and the same ``fill`` it shares all passes with :class:`Deletion`.

    Divided by f(x), sure and unsure models compare better than by :class:`Deletion`; what black pixels do to a model,
    they still do: compare beside ``RandomMap``. A logit has no natural 0: its quotient changes when a constant is
    added to all logits, and "probability" does not.

    Shape: ``[B]``, about [0, 1]; NaN where ``score`` is "logit" and f(x) is not above 0.
    Cost: a forward pass for each step but the last, which all explainers share.
    Differs from the papers: which flip binary pixels, and replace blocks of 9 x 9 by uniform noise; ``relative=False``
        leaves out the quotient.
    Raises:
        ValueError: if the batch has no attribution.
    """

    features: int = 0
    fill: Fill = ConstantFill(0.0)
    score: str = "probability"
    relative: bool = True
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.features >= 0, "features is 0 (by image size) or more")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        gone, scores = self.curve(verdicts)
        area, whole = torch.trapezoid(scores, gone), scores[:, 0]
        return (area / whole).masked_fill(whole <= 0, torch.nan) if self.relative else area

    def curve(self, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
        """Shares of pixels removed ``[P]``, and the score then, ``[B, P]``."""
        pixels = pixels_of(verdicts)
        counts = (*range(0, pixels, self.features), pixels) if self.features else evenly(pixels, 32)
        told = removed(self, verdicts, True, self.fill, counts)
        return shares_of_image(counts, verdicts), told.scores(self.score)


@dataclass(frozen=True)
class Sufficiency:
    """What the probability of the predicted class loses when the most relevant pixels alone remain, the mean over
    ``shares`` of pixels; lower is better. DeYoung et al., ACL 2020, https://arxiv.org/abs/1911.03429

    Another sufficiency, of Dasgupta et al., ICML 2022, https://arxiv.org/abs/2202.00734, asks whether images that are
    explained alike are classified alike. It is a property of a set: the value of an image hangs on those it is measured
    beside, and where no two explanations are alike there is none. Here an image's value is its own.

    Compares explainers on one model. Between models, few pixels on ``fill`` are far from any image, and a model that is
    thrown off by that has the same value for all maps; a model that is less sure has less to lose.

    Shape: ``[B]`` in [-1, 1], with ``score="logit"`` any number.
    Cost: a forward pass for each share.
    Raises:
        ValueError: if the batch has no attribution.
    """

    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.5)
    fill: Fill = ConstantFill(0.0)
    score: str = "probability"
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, bool(self.shares) and all(0 <= s <= 1 for s in self.shares), "shares are between 0 and 1")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        pixels = pixels_of(verdicts)
        counts = (0, *(pixels - round(share * pixels) for share in self.shares))
        scores = removed(self, verdicts, False, self.fill, counts).scores(self.score)
        return scores[:, 0] - scores[:, 1:].mean(1)
