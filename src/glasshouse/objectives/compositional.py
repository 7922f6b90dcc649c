"""Filters that stand for parts of things. Shen et al., IJCAI 2021, https://arxiv.org/abs/2107.04474"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.samples import at_most, batches
from ..draws import seeded_globally
from ..explainers.layers import chosen_layer, feature_map
from ..labels import indicators
from ..modes import device_of, frozen, module_at, tap
from ..spec import require
from ..types import Batch, Objective, Samples
from .combine import advanced, looked
from .cross_entropy import CrossEntropy

_READ = 32  # images of a batch in which filters are looked at


@dataclass(frozen=True)
class Compositional:
    """An objective with the two losses of icCNN on the feature map at ``layer`` of its own forward pass. Shen et al.,
    IJCAI 2021, https://arxiv.org/abs/2107.04474

    Before every ``every``-th epoch the filters are put into ``clusters`` groups by how alike they are active on some
    training ``images`` (0: all), by spectral clustering; ``groups`` says in which group each filter is, and without
    any only the objective's own terms come out. From then on :func:`part_loss` makes filters of a group alike and
    different from all others, and :func:`category_loss` makes images of one class use the same groups. A sample's
    weight counts in both. :func:`filter_groups` lists the groups.

    ``layer=""`` is found as in :class:`GradCAM` at the first look, and named from then on. The authors take the last
    activation of a VGG (``network.features.42`` of ``vgg16_bn``) and ``network.layer3`` of a ResNet. The network's
    padding is part of the method: see :class:`ICCNN`.

    What counts is the first pass over the whole batch in which parameters can be trained: the clean images in
    :class:`TRADES`, the attacked ones in :class:`Adversarial`. :class:`WeightPerturbed` goes around this, not into it.

    Shape: those of the objective; ``part`` from -``clusters`` to 0 and ``category`` from -classes to 0, each times its
    weight.
    Cost: that of the objective and a product of matrices; a forward pass of ``images`` every ``every`` epochs.
    Differs from the authors' code: filters are compared with the mean map of the batch, not with a running average
    over batches; an epoch begins with clustering and trains as well, where theirs does one or the other, and
    clustering goes on until the end, where theirs stops at epoch 200; what is negative on average counts as not
    active in ``category``.
    Raises:
        ValueError: if the layer has fewer filters than ``clusters``, or another number than ``groups``.
    """

    objective: Objective = CrossEntropy()
    layer: str = ""
    clusters: int = 16
    part: float = 0.1
    category: float = 0.1
    every: int = 2
    images: int = 256
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self, self.clusters >= 2, "clusters is at least 2")
        require(self, self.part >= 0, "part is at least 0")
        require(self, self.category >= 0, "category is at least 0")
        require(self, self.every >= 1, "every is at least 1")
        require(self, self.images >= 0, "images is at least 0")
        require(self, all(k >= 0 for k in self.groups), "groups are counted from 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        if not self.groups:
            return self.objective(model, batch)
        layer = chosen_layer(model, batch.x, self.layer)
        with training_output(model, layer, len(batch.x)) as outputs:
            terms = self.objective(model, batch)
        maps = only(outputs, layer, batch.x)
        count = maps.shape[1]
        require(self, len(self.groups) == count, f"groups has a number for each of the {count} filters of {layer!r}")
        member, share = members(self.groups, maps), shares(batch)
        similar = similarity(maps, maps.detach().mean(0), share)
        own = {
            "part": self.part * part_loss(similar, member),
            "category": self.category * category_loss(maps, batch.y, member, share),
        }
        return terms | {name: terms[name] + value if name in terms else value for name, value in own.items()}

    def advance(self, terms: dict[str, float]) -> Compositional:
        return replace(self, objective=advanced(self.objective, terms))

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> Compositional:
        own = replace(self, objective=looked(self.objective, model, samples, epoch))
        return own if self.groups and epoch % self.every else own.grouped(model, samples)

    def grouped(self, model: nn.Module, samples: Samples) -> Compositional:
        """The same with groups of the filters as they are now."""
        some = at_most(samples, self.images)
        with frozen(model), torch.no_grad(), seeded_globally(0, 0):  # to read batches takes a random number
            layer = chosen_layer(model, some[[0]].x.to(device_of(model)), self.layer)
            found = correlation(feature_maps(model, layer, some))
        enough = len(found) >= self.clusters
        require(self, enough, f"clusters is at most {len(found)}, the number of filters of {layer!r}")
        return replace(self, layer=layer, groups=clustered(found, self.clusters))


def part_loss(similar: Tensor, member: Tensor) -> Tensor:
    """-sum_k sum_{i,j in k} s_ij / sum_{i in k, any j} s_ij, over groups k of filters.

    Shape: similar ``[K, K]``, member ``[groups, K]`` of 0 and 1 -> scalar, at least -groups and at most 0.
    """
    toward = member @ similar
    return -((toward * member).sum(1) / toward.sum(1).clamp_min(1e-12)).sum()


def similarity(maps: Tensor, mean: Tensor, share: Tensor) -> Tensor:
    """1 + sum_b share_b cos(map_bi - mean_i, map_bj - mean_j) for filters i and j; those that are constant count as 0.

    Shape: maps ``[B, K, h, w]``, mean ``[K, h, w]``, share ``[B]`` with sum 1 -> ``[K, K]`` from 0 to 2.
    """
    flat = maps.flatten(2)
    # What is left of a constant filter is rounding, and has no direction.
    along = unit(flat - mean.flatten(1), 1e-10 * flat.square().sum(2, keepdim=True))
    weighted = share.view(-1, 1, 1) * along
    return 1 + weighted.transpose(0, 1).flatten(1) @ along.transpose(0, 1).flatten(1).T


def category_loss(maps: Tensor, y: Tensor, member: Tensor, share: Tensor) -> Tensor:
    """-sum_c sum_{x,x' of c} <a,a'> / sum_{x of c, any x'} <a,a'>, over the classes c of a batch.

    ``a`` is an image's activation of each group, at length 1: the number of its filters times their sum of mean
    activations. A group that is negative counts as 0, or the quotient would have a pole. A class counts as much as its
    images weigh on average: weights within the sums would make what has hardly any weight matter most, as the last
    thing that is left of a quotient.

    Shape: maps ``[B, K, h, w]``, y ``[B]`` or ``[B, classes]`` where an image has several, member ``[groups, K]``,
    share ``[B]`` with sum 1 -> scalar, at least -classes and at most 0.
    """
    active = unit((maps.mean((2, 3)) @ member.T * member.sum(1)).relu(), 0.0)
    of = indicators(y, int(y.max()) + 1).to(active)
    together = of.T @ active
    ratio = together.square().sum(1) / (together @ active.sum(0)).clamp_min(1e-12)
    weight = (share @ of) / of.mean(0).clamp_min(1e-12)
    return -(weight * ratio).sum()


def unit(vectors: Tensor, floor: Tensor | float) -> Tensor:
    """Vectors ``[..., N]`` at length 1; 0, and their gradient with them, where their square is not above ``floor``."""
    square = vectors.square().sum(-1, keepdim=True)
    some = square > floor
    return torch.where(some, vectors * torch.where(some, square, 1.0).rsqrt(), 0.0)


def members(groups: tuple[int, ...], like: Tensor) -> Tensor:
    """Which filters are in which group, ``[groups, K]`` of 0 and 1."""
    return F.one_hot(torch.tensor(groups, device=like.device)).T.to(like)


def shares(batch: Batch) -> Tensor:
    """Weights of the samples with sum 1, ``[B]``; all alike without any."""
    weight = batch.x.new_ones(len(batch.x)) if batch.weight is None else batch.weight
    return weight / weight.sum().clamp_min(1e-12)


def filter_groups(objective: Compositional) -> list[tuple[int, ...]]:
    """The filters of each group, for ``FilterMap(layer=objective.layer, filters=...)`` to show; none before a look."""
    numbers = sorted(set(objective.groups))
    return [tuple(i for i, k in enumerate(objective.groups) if k == number) for number in numbers]


def correlation(found: Iterable[Tensor]) -> Tensor:
    """How filters correlate over images and places, each place about its own mean over the images.

    Shape: batches of ``[B, K, h, w]`` -> ``[K, K]`` float64 from -1 to 1, 0 for a filter that never changes.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for maps in found:
        flat = maps.flatten(2).double()
        rows = flat.transpose(0, 1).flatten(1)
        count, total, products = count + len(flat), total.to(flat) + flat.sum(0), products.to(flat) + rows @ rows.T
    covariance = products - total @ total.T / count
    variance = covariance.diagonal()
    some = variance > 1e-10 * products.diagonal()
    scale = torch.where(some, torch.where(some, variance, 1.0).rsqrt(), 0.0)
    return scale[:, None] * covariance * scale


def clustered(correlated: Tensor, clusters: int) -> tuple[int, ...]:
    """The group of each filter, numbered in the order of their first filters. Shi & Malik, TPAMI 2000,
    https://doi.org/10.1109/34.868688, by scikit-learn."""
    if len(correlated) == clusters:
        return tuple(range(clusters))
    from sklearn.cluster import SpectralClustering  # slow to import, and only needed here

    affinity = (correlated + 1).clamp(0, 2).cpu().numpy()
    method = SpectralClustering(n_clusters=clusters, affinity="precomputed", random_state=21)
    labels = method.fit_predict(affinity).tolist()
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return tuple(numbers[label] for label in labels)


def feature_maps(model: nn.Module, layer: str, samples: Samples) -> Iterator[Tensor]:
    """What the layer gives for the samples, in batches ``[B, K, h, w]``."""
    for batch in batches(samples, _READ, device=device_of(model)):
        with tap(model, layer) as outputs:
            model(batch.x)
        yield only(outputs[:1], layer, batch.x)


@contextmanager
def training_output(model: nn.Module, layer: str, count: int) -> Iterator[list[Tensor]]:
    """What the layer gives for ``count`` images when it is first called with parameters that want a gradient.

    Attacks borrow the model without gradients for its parameters; what they saw could train nothing.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        if outputs or len(output) != count or not any(p.requires_grad for p in model.parameters()):
            return output
        outputs.append(output)
        return output.clone()  # what comes next may write into it

    handle = module_at(model, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def only(outputs: list[Tensor], layer: str, x: Tensor) -> Tensor:
    """The feature map that was found; ValueError if there is none."""
    if not outputs:
        raise ValueError(f"the model never calls its layer {layer!r} on a whole batch to train it")
    return feature_map(outputs[0], layer, x)
