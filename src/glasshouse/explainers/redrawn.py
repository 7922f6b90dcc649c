"""A network with weights drawn anew."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from ..draws import seeded_globally
from ..modes import device_of


@torch.no_grad()
def redrawn(model: nn.Module, seed: int) -> nn.Module:
    """A copy of the model with all weights drawn as when it was built, the same on every device by ``seed`` alone.

    Each module draws by its own ``reset_parameters``, which brings BatchNorm back to weight 1, bias 0, mean 0 and
    variance 1: its running statistics are remains of the training, and those of a batch would make an image's map hang
    on the others. Parameters of a module that has no such method are drawn from a normal distribution with mean 0 and
    their own root mean square. All other buffers stay, normalisation of the pixels among them.
    """
    device = device_of(model)
    copy = deepcopy(model).cpu()
    with seeded_globally(seed, 0):
        for module in drawn_modules(copy).values():
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                parameter.copy_(torch.randn(parameter.shape) * parameter.square().mean().sqrt())
    return copy.to(device)


def drawn_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that have weights of their own, by name and in the order in which the model names them."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, "reset_parameters") or next(module.parameters(recurse=False), None) is not None
    }


def tensors_of(module: nn.Module) -> list[Tensor]:
    """What a module has drawn: its own parameters and buffers."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
