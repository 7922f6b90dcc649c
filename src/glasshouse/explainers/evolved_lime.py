"""E-LIME: the superpixels that alone make the prediction, by a genetic algorithm.

Bin Wang, Wenbin Pei, Bing Xue, Mengjie Zhang, 2022, https://arxiv.org/abs/2211.15143
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..modes import frozen
from ..spec import require
from ..types import Fill, Segmenter
from .designs import existing, uniform
from .masked import Maskable, Score, maskable, probability_of_target, scores_of
from .superpixels import ConstantFill, Slic, painted


class Evolved(NamedTuple):
    """The best mask that a search found for each image, and what it took."""

    segments: Tensor  # [B, H, W] int64
    mask: Tensor  # [B, S] bool, the superpixels selected
    fitness: Tensor  # [B] probability of the target under the mask
    unmasked: Tensor  # [B] probability of the target for the whole image
    trace: Tensor  # [B, G] best fitness after each generation, the first included
    asked: Tensor  # [B, G] int64, forward passes until then

    @property
    def evaluations(self) -> Tensor:
        """Forward passes of each image."""
        return self.asked[:, -1]

    @property
    def selected(self) -> Tensor:
        """Superpixels selected, ``[B]``."""
        return self.mask.sum(1)

    @property
    def share(self) -> Tensor:
        """Share of the image's superpixels selected, ``[B]``."""
        return self.selected / (self.segments.flatten(1).amax(1) + 1)


def tournament(fitness: Tensor, entrants: Tensor) -> Tensor:
    """The fittest of each group of entrants: fitness ``[B, P]``, entrants ``[K, size]`` -> ``[B, K]``."""
    winner = fitness[:, entrants].argmax(2)
    return entrants.expand(len(fitness), -1, -1).gather(2, winner[:, :, None])[:, :, 0]


def crossed(first: Tensor, second: Tensor, exchange: Tensor) -> Tensor:
    """Uniform crossover: two children of each pair, ``[B, K, S]`` twice -> ``[B, 2 K, S]``."""
    children = torch.stack([torch.where(exchange, second, first), torch.where(exchange, first, second)], 2)
    return children.flatten(1, 2)


class Memory:
    """Every string that was evaluated, by a hash of it, and its fitness.

    Hashes are sums of random 62-bit numbers: two of a thousand strings share one with probability 1e-13.
    """

    def __init__(self, images: int, size: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.numbers = torch.randint(2**62, (size,), generator=generator).to(device)
        self.hashes = torch.zeros(images, 0, dtype=torch.int64, device=device)
        self.fitness = torch.zeros(images, 0, device=device)

    def hashed(self, strings: Tensor) -> Tensor:
        return (strings * self.numbers).sum(2)

    def recalled(self, strings: Tensor) -> tuple[Tensor, Tensor]:
        """Fitness of the strings ``[B, P, S]``, and which of them are known."""
        match = self.hashed(strings)[:, :, None] == self.hashes[:, None]
        if not match.shape[2]:
            return torch.zeros(strings.shape[:2], device=strings.device), match.any(2)
        return self.fitness.gather(1, match.int().argmax(2)), match.any(2)

    def kept(self, strings: Tensor, fitness: Tensor) -> None:
        self.hashes = torch.cat([self.hashes, self.hashed(strings)], 1)
        self.fitness = torch.cat([self.fitness, fitness], 1)


def evaluated(
    model: nn.Module, images: Maskable, strings: Tensor, memory: Memory, batch_size: int, score: Score
) -> tuple[Tensor, Tensor]:
    """Fitness of strings ``[B, P, S]``, and how many of each image's had to be evaluated; the others are remembered."""
    fitness, known = memory.recalled(strings)
    hashes = memory.hashed(strings)
    earlier = (hashes[:, :, None] == hashes[:, None]).tril(-1)
    first = torch.where(earlier.any(2), earlier.int().argmax(2), torch.arange(strings.shape[1], device=strings.device))
    image, place = (~known & ~earlier.any(2)).nonzero(as_tuple=True)
    values = scores_of(model, images, strings[image, place].float(), image, batch_size, score)
    fitness = fitness.index_put((image, place), values.to(fitness.dtype)).gather(1, first)
    memory.kept(strings, fitness)
    return fitness, torch.bincount(image, minlength=len(strings))


@dataclass(frozen=True)
class ELIME:
    """The best mask over superpixels that a textbook genetic algorithm finds.

    Fitness is the softmax probability of the target with all other superpixels replaced; nothing counts how many are
    selected. Strings start with each superpixel selected with probability ``density``; ``elites`` survive unchanged,
    the others are children of tournament winners, by uniform crossover and mutation of each gene with probability
    ``mutation`` (0: one over the number of superpixels). ``whole`` puts the unmasked image into the first population.

    Differs from the paper: operators, rates, population and generations are not public; these are the usual ones, at
    the budget of ``lime``'s default. Images are segmented at the size the model takes them.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, 1 where selected, else 0.
    Cost: at most population * (generations + 1) + 1 forward passes an image; no string is evaluated twice.
    Raises:
        ValueError: if an image has a single superpixel, or with ``create_graph``: a selection has no derivative.
    """

    segmenter: Segmenter = Slic()
    fill: Fill = ConstantFill()
    population: int = 50
    generations: int = 20
    elites: int = 1
    tournament: int = 3
    crossover: float = 0.9
    mutation: float = 0.0
    density: float = 0.5
    whole: bool = False
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.population >= 2, "population is at least 2")
        require(self, self.generations >= 0, "generations is at least 0")
        require(self, 1 <= self.elites < self.population, "elites is at least 1 and below population")
        require(self, self.tournament >= 1, "tournament is at least 1")
        require(self, 0 <= self.crossover <= 1, "crossover is between 0 and 1")
        require(self, 0 <= self.mutation <= 1, "mutation is between 0 and 1")
        require(self, 0 < self.density < 1, "density is between 0 and 1")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        if create_graph:
            raise ValueError("ELIME has no create_graph: a selection of superpixels has no derivative")
        evolved = self.evolved(model, x, target)
        return painted(evolved.mask.to(x.dtype), evolved.segments)

    @torch.no_grad()
    def evolved(self, model: nn.Module, x: Tensor, target: Tensor, segments: Tensor | None = None) -> Evolved:
        """The search itself, on given or on its own superpixels."""
        with frozen(model):
            images = maskable(self.segmenter, self.fill, x, target, segments)
            size = int(images.count.max())
            memory = Memory(len(x), size, x.device)
            everything = existing(torch.ones(1, size, device=x.device), images.count) > 0
            unmasked, spent = evaluated(model, images, everything, memory, self.batch_size, probability_of_target)
            strings = existing(self.drawn(0, 0, self.population, images.count) < self.density, images.count) > 0
            strings[:, :1] |= everything & self.whole
            trace, asked = [], []
            for generation in range(self.generations + 1):
                fitness, new = evaluated(model, images, strings, memory, self.batch_size, probability_of_target)
                spent = spent + new
                trace.append(fitness.amax(1))
                asked.append(spent)
                if generation < self.generations:
                    strings = self.bred(strings, fitness, images.count, generation + 1)
        best = fitness.argmax(1)[:, None, None].expand(-1, 1, size)
        found = (images.segments, strings.gather(1, best)[:, 0], fitness.amax(1), unmasked[:, 0])
        return Evolved(*found, torch.stack(trace, 1), torch.stack(asked, 1))

    def bred(self, strings: Tensor, fitness: Tensor, count: Tensor, generation: int) -> Tensor:
        """The next population, in which the fittest come first."""
        device = strings.device
        ranked = fitness.argsort(dim=1, descending=True, stable=True)
        pairs = -(-(self.population - self.elites) // 2)
        generator = torch.Generator().manual_seed(self.salted(generation, 0))
        entrants = torch.randint(self.population, (2 * pairs, self.tournament), generator=generator).to(device)
        crossing = torch.rand(pairs, generator=generator).to(device) < self.crossover
        parents = chosen(strings, tournament(fitness, entrants))
        exchange = (self.drawn(generation, 1, pairs, count) < 0.5) & crossing[:, None]
        children = crossed(parents[:, :pairs], parents[:, pairs:], exchange)
        rate = torch.full_like(count, self.mutation, dtype=torch.float32) if self.mutation else 1 / count
        flipped = self.drawn(generation, 2, 2 * pairs, count) < rate[:, None, None]
        children = existing((children ^ flipped), count) > 0
        return torch.cat([chosen(strings, ranked[:, : self.elites]), children], 1)[:, : self.population]

    def drawn(self, generation: int, purpose: int, rows: int, count: Tensor) -> Tensor:
        """Uniform numbers ``[rows, S]``; those of a superpixel do not depend on how many follow."""
        return uniform(rows, int(count.max()), self.salted(generation, purpose)).to(count.device)

    def salted(self, generation: int, purpose: int) -> int:
        return (self.seed * 100_003 + generation) * 3 + purpose


def chosen(strings: Tensor, index: Tensor) -> Tensor:
    """Rows of each image's population: ``[B, P, S]``, ``[B, K]`` -> ``[B, K, S]``."""
    return strings.gather(1, index[:, :, None].expand(-1, -1, strings.shape[2]))
