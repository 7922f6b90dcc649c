"""Context managers that borrow a model and give it back exactly as it was, also after an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode; every module gets its own mode back. Parameters stay trainable."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def untrainable(model: nn.Module) -> Iterator[nn.Module]:
    """No parameter wants a gradient."""
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield model.requires_grad_(False)
    finally:
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode and no parameter gradients."""
    with evaluating(model), untrainable(model):
        yield model


@contextmanager
def borrowed(model: nn.Module, create_graph: bool) -> Iterator[nn.Module]:
    """:func:`frozen`, or only :func:`evaluating` where gradients must reach the parameters."""
    with evaluating(model) if create_graph else frozen(model):
        yield model


def module_at(model: nn.Module, layer: str) -> nn.Module:
    """The module of that dotted name; ValueError, with names that there are, if there is none."""
    modules = dict(model.named_modules())
    if layer not in modules:
        shown = [name for name in modules if name.count(".") < 2 and name]
        raise ValueError(f"the model has no layer {layer!r}; it has, among others: {', '.join(shown[:40])}")
    return modules[layer]


@contextmanager
def tap(model: nn.Module, layer: str, *, begin: bool = False) -> Iterator[list[Tensor]]:
    """Collect the outputs of ``layer`` (a dotted module name), still attached to the graph.

    With ``begin`` a graph begins there if none leads to it: nothing is kept of what comes before the layer.
    Downstream gets a clone, so that an in-place activation after ``layer`` cannot overwrite what was collected.

    Raises:
        ValueError: if the model has no such module, or what it gives is no tensor.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(f"layer {layer!r} gives a {type(output).__name__}, not a tensor")
        if begin and not output.requires_grad:
            output = output.detach().requires_grad_()
        outputs.append(output)
        return output.clone()

    handle = module_at(model, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def device_of(model: nn.Module) -> str:
    """The device of the first parameter or buffer, ``"cpu"`` for a model without any."""
    for tensor in [*model.parameters(), *model.buffers()]:
        return str(tensor.device)
    return "cpu"
