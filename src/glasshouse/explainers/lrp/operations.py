"""How relevance passes what has no weights: activations, pooling, sums, and whatever only moves values about.

The tables go by the plain names of torch's functions. What is in none of them has no rule, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .rules import stabilised
from .tape import Entry, Ref, Tape, called
from .weighted import normalisation


def _named(*words: str) -> frozenset[str]:
    return frozenset(word for some in words for word in some.split())


# Increasing functions that leave 0 at 0, or (softplus) stand for one that does: what is passed on speaks for what
# came in. A sigmoid is at half its height where nothing comes in; SiLU, GELU and hardswish fall before they rise.
ACTIVATIONS = _named(
    "relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ celu selu softplus hardtanh hardtanh_ tanh tanh_ softsign"
)
_NOT_NEGATIVE = ("relu", "relu_", "relu6", "softplus")
SAME = _named(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout",
    "clone contiguous to float double positive pos",
)
MOVES = _named(
    "flatten view view_as reshape reshape_as unflatten permute transpose swapaxes movedim squeeze unsqueeze expand",
    "expand_as repeat repeat_interleave T mT getitem narrow select index_select chunk split split_with_sizes unbind",
    "cat concat concatenate stack pad flip roll pixel_shuffle pixel_unshuffle channel_shuffle unfold",
    "masked_fill masked_fill_",
)
_DIFFERENCES = _named("sub sub_ isub rsub subtract")
_DIVIDES = _named("div div_ truediv itruediv true_divide divide")
_TERMS = _DIFFERENCES | _named("add add_ iadd radd")  # sums of what is given side by side
_JOINS = _named("cat concat concatenate stack")
AFFINE = _TERMS | _DIVIDES | _named("mul mul_ imul rmul multiply neg negative batch_norm")
POOLS = frozenset(f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3))
MIXES = _TERMS | POOLS | _named("mean sum interpolate")
_KEEPS_SIGN = (SAME | MOVES | ACTIVATIONS | MIXES) - _DIFFERENCES - _named("interpolate masked_fill masked_fill_")

Shares = dict[int, Tensor]  # relevance [B, T, ...] by the number of the entry that it goes to


def passed(tape: Tape, entry: Entry, relevance: Tensor, stabiliser: float) -> Shares:
    """Each value has one origin, in the same place, which takes all."""
    return {entry.parents[0]: relevance}


def moved(tape: Tape, entry: Entry, relevance: Tensor, stabiliser: float) -> Shares:
    """Relevance goes where the values came from; what came from nowhere (padding) keeps its own, which is lost."""
    return transposed(tape, entry, relevance)


def mixed(tape: Tape, entry: Entry, relevance: Tensor, stabiliser: float) -> Shares:
    """Relevance in proportion to the signed contributions to a sum."""
    s = relevance / stabilised(entry.value, stabiliser)[:, None]
    return {k: tape.entries[k].value[:, None] * c for k, c in transposed(tape, entry, s).items()}


def won(tape: Tape, entry: Entry, relevance: Tensor, stabiliser: float) -> Shares:
    """The largest value of each window takes all."""
    assert entry.indices is not None
    (parent,) = entry.parents
    a = tape.entries[parent].value
    index = entry.indices.flatten(2)[:, None].expand(-1, relevance.shape[1], -1, -1)
    empty = relevance.new_zeros(*relevance.shape[:3], a[0, 0].numel())
    return {parent: empty.scatter_add(3, index, relevance.flatten(3)).view(*relevance.shape[:2], *a.shape[1:])}


def apportioned(tape: Tape, entry: Entry, relevance: Tensor, stabiliser: float) -> Shares:
    """Values whose exponentials are summed share as their softmax does, which is the derivative of the log-sum-exp."""
    (parent,) = entry.parents
    a = tape.entries[parent].value
    with torch.enable_grad():
        leaf = a if a.requires_grad else a.detach().requires_grad_()
        result = called(entry, {parent: leaf})
        each = [
            torch.autograd.grad(result, leaf, r, retain_graph=True, create_graph=leaf is a)[0]
            for r in relevance.unbind(1)
        ]
    return {parent: torch.stack(each, 1)}


def transposed(tape: Tape, entry: Entry, s: Tensor) -> Shares:
    """The adjoint of a linear operation, by its derivative: differentiable in ``s``."""
    parents = sorted(set(entry.parents))
    with torch.enable_grad():
        leaves = {k: torch.zeros_like(tape.entries[k].value).requires_grad_() for k in parents}
        result = called(entry, leaves)
        each = [
            torch.autograd.grad(result, list(leaves.values()), s[:, t], retain_graph=True, create_graph=s.requires_grad)
            for t in range(s.shape[1])
        ]
    return {k: torch.stack(found, 1) for k, found in zip(parents, zip(*each, strict=True), strict=True)}


def sharing(tape: Tape, entry: Entry) -> tuple[str, Callable[..., Shares]] | None:
    """In words and as a function, how an operation shares its relevance out; None if there is no rule for it."""
    parents = [tape.entries[k].value for k in entry.parents]
    alone = len(parents) == 1
    in_place = alone and parents[0].shape == entry.value.shape
    if len(entry.value) != len(parents[0]):  # mixes images, or turns their axis away
        return None
    if entry.indices is not None:
        return "the winner takes all", won
    if in_place and (entry.kind in ACTIVATIONS | SAME or is_affine(tape, entry)):
        return "passed on", passed
    if entry.kind in MOVES and (alone or entry.kind in _JOINS):
        return "moved along", moved
    if entry.kind == "logsumexp" and alone:
        return "in proportion to the exponentials", apportioned
    if entry.kind in MIXES and alone != (entry.kind in _TERMS):
        return "in proportion to the contributions", mixed
    return None


def is_affine(tape: Tape, entry: Entry) -> bool:
    """Whether an operation scales and shifts each value by itself, by what does not depend on the pixels."""
    parents = entry.parents
    if entry.kind not in AFFINE or len(parents) != 1 or tape.entries[parents[0]].value.shape != entry.value.shape:
        return False
    if entry.kind == "batch_norm":
        return normalisation(entry) is not None
    return entry.kind not in _DIVIDES or isinstance(entry.args[0], Ref)


def stays_nonnegative(entry: Entry, parents: bool) -> bool:
    """Whether a result is certainly >= 0, where ``parents`` says whether all that it is made from is."""
    if entry.kind in _NOT_NEGATIVE:
        return True
    if entry.kind.startswith("hardtanh") and entry.kwargs.get("min_val", -1) >= 0:
        return True
    constants = entry.kind in _TERMS | _JOINS and len(entry.parents) < 2
    padded = entry.kind == "pad" and (len(entry.args) > 3 or bool(entry.kwargs.get("value")))
    known = entry.kind in _KEEPS_SIGN or entry.indices is not None
    return parents and known and not constants and not padded
