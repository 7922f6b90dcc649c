"""The passes through a model that a piece of work takes, and the same passes with nothing around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glasshouse.modes import frozen


@dataclass
class Pass:
    """One call of a model."""

    shape: tuple[int, ...]
    backward: bool = False  # whether a backward pass down to the pixels followed


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Pass]]:
    """All calls of a model, those of its copies included: hooks are copied with it."""
    passes: list[Pass] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found = Pass(tuple(inputs[0].shape))
        passes.append(found)
        if output.requires_grad and inputs[0].requires_grad:
            output.register_hook(lambda _: setattr(found, "backward", True))  # type: ignore[no-untyped-call]

    handle = model.register_forward_hook(note)
    try:
        yield passes
    finally:
        handle.remove()


def passes_of(model: nn.Module, work: Callable[[], object]) -> list[Pass]:
    """The passes that a piece of work takes."""
    with recorded(model) as passes:
        work()
    return passes


def bare(model: nn.Module, passes: list[Pass]) -> Callable[[], None]:
    """The same number of passes in the same batch sizes, and nothing else."""
    generator = torch.Generator().manual_seed(0)
    images = {shape: torch.rand(*shape, generator=generator) for shape in dict.fromkeys(p.shape for p in passes)}

    def function() -> None:
        with frozen(model):
            for each in passes:
                if each.backward:
                    there_and_back(model, images[each.shape])
                else:
                    with torch.no_grad():
                        model(images[each.shape])

    return function


def there_and_back(model: nn.Module, x: Tensor) -> None:
    """A forward pass and a backward pass down to the pixels."""
    x = x.detach().requires_grad_()
    torch.autograd.grad(model(x)[:, 0].sum(), x)


def images_in(passes: list[Pass]) -> tuple[int, int]:
    """Images that went forward and, of those, images that came back."""
    return sum(p.shape[0] for p in passes), sum(p.shape[0] for p in passes if p.backward)
