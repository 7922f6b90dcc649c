"""Which rule stands at which layer."""

from __future__ import annotations

from dataclasses import dataclass

from ...spec import require
from .layer import Rule
from .rules import AlphaBeta, Epsilon, Flat, Gamma, ZBeta, ZPlus


@dataclass(frozen=True)
class Composite:
    """A rule for each place in a network (Montavon et al., 2019, https://doi.org/10.1007/978-3-030-28954-6_10).

    ``first`` stands at every layer that sees pixels, through no more than an affine normalisation; ``last`` at those
    behind which no weighted layer comes, ``None`` for the rule of their kind. ``stabiliser`` is for the operations
    without weights, sums and average pooling.
    """

    first: Rule = ZBeta()
    convolution: Rule = ZPlus()
    dense: Rule = Epsilon()
    last: Rule | None = None
    stabiliser: float = 1e-9

    def __post_init__(self) -> None:
        require(self, self.stabiliser > 0, "stabiliser is above 0")

    def __call__(self, dense: bool, first: bool, last: bool) -> Rule:
        """The rule at a place."""
        if first:
            return self.first
        if last and self.last is not None:
            return self.last
        return self.dense if dense else self.convolution


def z_plus() -> Composite:
    """z-beta first and z+ everywhere else, without biases: Dombrowski et al., NeurIPS 2019, https://arxiv.org/abs/1906.07983."""
    return Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus())


def epsilon_gamma_box() -> Composite:
    """z-beta first, gamma in convolutions, epsilon above: Montavon et al., 2019, https://doi.org/10.1007/978-3-030-28954-6_10."""
    return Composite(first=ZBeta(), convolution=Gamma(), dense=Epsilon())


def epsilon_plus_flat() -> Composite:
    """Flat first, z+ in convolutions, epsilon above: Kohlbrenner et al., IJCNN 2020, https://arxiv.org/abs/1910.09840."""
    return Composite(first=Flat(), convolution=ZPlus(), dense=Epsilon())


def epsilon_alpha2_beta1_flat() -> Composite:
    """Flat first, alpha-beta in convolutions, epsilon above: Kohlbrenner et al., IJCNN 2020, https://arxiv.org/abs/1910.09840."""
    return Composite(first=Flat(), convolution=AlphaBeta(), dense=Epsilon())
