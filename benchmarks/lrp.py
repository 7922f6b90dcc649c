"""LRP's time (z-beta first, z+ elsewhere) against a forward and a backward pass down to the pixels, next to zennit.

python benchmarks/lrp.py [--repetitions 5] [--images 2]        about three minutes on two cores; make bench installs zennit
"""  # noqa: E501

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import torch
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import Tensor, nn

from glasshouse.explainers import LRP, OneHot
from glasshouse.explainers.lrp.composites import z_plus
from glasshouse.models import TorchVision

FIGURES = ("lrp", "lrp_gradient", "zennit", "zennit_gradient")
SIDE, CLASSES = 224, 1000


def forward_backward(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The gradient of the targets' logits with respect to the pixels: what everything is measured against."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).gather(1, target[:, None]).sum(), x)[0]


def by_us(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The map of one target."""
    return LRP(composite=z_plus(), start=OneHot())(model, x, target)


def our_gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The gradient of sum R^2 with respect to the pixels."""
    x = x.clone().requires_grad_()
    relevance = LRP(composite=z_plus(), start=OneHot()).relevance(model, x, target[:, None], create_graph=True).map
    return torch.autograd.grad(relevance.square().sum(), x)[0]


def by_zennit(network: nn.Module, x: Tensor, target: Tensor, gradient: bool) -> Tensor:
    """The same rules by zennit, on the bare network and normalised pixels; ``gradient`` as above."""
    from zennit.attribution import Gradient
    from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base
    from zennit.rules import ZBox, ZPlus
    from zennit.types import Convolution, Linear

    low, high = (torch.full((1, 3, 1, 1), end) for end in (-2.2, 2.7))
    composite = SpecialFirstLayerMapComposite(
        [*layer_map_base(), (Linear, ZPlus(zero_params="bias"))],
        [(Convolution, ZBox(low=low, high=high, zero_params="bias"))],
    )
    x = x.clone().requires_grad_()
    start = nn.functional.one_hot(target, CLASSES).float()
    with Gradient(model=network, composite=composite, create_graph=gradient, retain_graph=gradient) as attributor:
        _, relevance = attributor(x, start)
    if not gradient:
        return relevance
    return torch.autograd.grad(relevance.square().sum(), x)[0]


def measure(name: str, images: int, repetitions: int) -> tuple[Table, dict[str, float]]:
    """Ratios to a forward and a backward pass."""
    torch.manual_seed(0)
    model = TorchVision(name=name)(CLASSES).eval().requires_grad_(False)
    bare = model.get_submodule("network")
    x, target = torch.rand(images, 3, SIDE, SIDE), torch.arange(images)
    functions: dict[str, Callable[[], object]] = {
        "forward_backward": partial(forward_backward, model, x, target),
        "lrp": partial(by_us, model, x, target),
        "lrp_gradient": partial(our_gradient, model, x, target),
        "zennit": partial(by_zennit, bare, 4 * x - 2, target, gradient=False),
        "zennit_gradient": partial(by_zennit, bare, 4 * x - 2, target, gradient=True),
    }
    seconds = interleaved(functions, repetitions)
    table = Table("what", "seconds", "over forward + backward", title=f"{name}, {images} x {SIDE} x {SIDE}")
    for what, taken in seconds.items():
        table.add_row(what, f"{min(taken):.2f}", f"{ratio(seconds, what, 'forward_backward'):.2f}")
    return table, {f"{what}_over_forward_backward": ratio(seconds, what, "forward_backward") for what in FIGURES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--model", default="vgg16")
    chosen = parser.parse_args()
    table, figures = measure(chosen.model, chosen.images, chosen.repetitions)
    Console().print(table)
    last_line(figures, setup(zennit=version("zennit"), **vars(chosen)))


if __name__ == "__main__":
    main()
