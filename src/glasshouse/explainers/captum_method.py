"""Any attribution method of captum. Kokhlikyan et al., 2020, https://arxiv.org/abs/2009.07896"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..modes import frozen, module_at
from ..spec import require
from ..types import Segmenter
from .layers import chosen_layer, feature_map, resized
from .superpixels import Slic
from .targets import checked_target

# What is left out, and why.
UNFIT = {
    "DataLoaderAttribution": "it explains a whole data set at once",
    "FeaturePermutation": "it mixes the images of a batch",
    "LRP": "it is silently wrong on skip connections; take glasshouse's LRP",
    "LayerActivation": "it explains no class",
    "LayerFeaturePermutation": "it mixes the images of a batch",
    "LayerLRP": "it is silently wrong on skip connections; take glasshouse's LRP",
    "LimeBase": "it is made of functions, which have no text; take Lime",
    "NoiseTunnel": "it wraps another method; take glasshouse's SmoothGrad",
    "ShapleyValues": "it tries every order of the features; take ShapleyValueSampling",
}
_AT_ONCE = 32  # perturbed images, where captum takes one at a time
Value = bool | int | float | str | None | tuple[Any, ...]


@dataclass(frozen=True)
class Captum:
    """A class of ``captum.attr`` by its name, with ``options`` for its ``attribute``.

    ``layer`` is for methods of a layer; ``""`` takes the last one that still has a spatial extent. ``segmenter`` makes
    the features of methods that switch features off. Where a method wants several baselines it gets a black, a grey
    and a white image. In-place activations work out of place while it explains.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, the sum over channels of the
        method's own, of a layer resized bilinearly; of superpixels their values.
    Cost: the method's; methods that draw or switch superpixels off explain image by image.
    Raises:
        ValueError: if captum is not installed, there is no such method or option, a model is none that captum can
            explain, or for ``create_graph``: captum's graphs are detached, or silently partial.
    """

    method: str = "LayerGradCam"
    layer: str = ""
    options: tuple[tuple[str, Value], ...] = ()
    segmenter: Segmenter = Slic()
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in self.options]
        require(self, len(set(names)) == len(names), f"options names one twice: {', '.join(names)}")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        if create_graph:
            raise ValueError("captum's maps cannot be trained on: create_graph is not possible with Captum")
        method = known_method(self.method)
        accepted = inspect.signature(method.attribute).parameters
        self.check(method, accepted)
        alone = "n_samples" in accepted or "feature_mask" in accepted
        with (
            frozen(model),
            out_of_place(model),
            as_they_were(model),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            with torch.no_grad():
                checked_target(model(x), target)
            parts = range(len(x)) if alone else [slice(None)]
            maps = [self.explained(method, model, *(t[p][None] if alone else t for t in (x, target))) for p in parts]
        return torch.cat(maps).detach()

    def check(self, method: Any, accepted: Any) -> None:
        """Raise ValueError on an option that the method does not know, or a layer that it does not take."""
        free = [name for name in accepted if name not in ("self", "inputs", "target", "feature_mask", "kwargs")]
        if unknown := [name for name, _ in self.options if name not in free]:
            raise ValueError(f"captum's {self.method} has no option {unknown[0]!r}; it has: {', '.join(free)}")
        if self.layer and not takes_layer(method):
            raise ValueError(f"captum's {self.method} takes no layer, not {self.layer!r}")

    def explained(self, method: Any, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
        """Maps of a batch, or of one image where the method needs it alone."""
        layer = chosen_layer(model, x, self.layer) if takes_layer(method) else ""
        x = x.detach().clone().requires_grad_()
        made = method(model, module_at(model, layer)) if layer else method(model)
        options = self.completed(method, x) | dict(self.options)
        with drawing(self.seed, x.device), in_one_sentence(self.method):
            found = made.attribute(x, target=target, **options)
        found = found[0] if isinstance(found, tuple) else found
        if "feature_mask" in options:
            return found.mean(1)
        if found.shape[-2:] == x.shape[-2:]:
            return found.sum(1)
        return resized(feature_map(found, layer, x).sum(1), x)

    def completed(self, method: Any, x: Tensor) -> dict[str, Any]:
        """Arguments that captum does not choose by itself, or chooses for tables rather than images."""
        parameters = inspect.signature(method.attribute).parameters
        options: dict[str, Any] = {}
        if "feature_mask" in parameters:
            options["feature_mask"] = self.segmenter(x)[:, None].expand_as(x).contiguous()
        if "perturbations_per_eval" in parameters and not takes_layer(method):
            options["perturbations_per_eval"] = _AT_ONCE
        if "baselines" in parameters and parameters["baselines"].default is inspect.Parameter.empty:
            levels = torch.tensor([0.0, 0.5, 1.0], device=x.device, dtype=x.dtype)
            options["baselines"] = levels[:, None, None, None].expand(-1, *x.shape[1:]).contiguous()
        if "sliding_window_shapes" in parameters:
            size, step = (max(1, min(x.shape[-2:]) // part) for part in (7, 14))
            options |= {"sliding_window_shapes": (x.shape[1], size, size), "strides": (x.shape[1], step, step)}
        return options


def captum_attr() -> ModuleType:
    """``captum.attr``; ValueError if it is not installed."""
    try:
        import captum.attr
    except ImportError:
        raise ValueError("Captum needs the package 'captum': pip install 'glasshouse[captum]'") from None
    module: ModuleType = captum.attr
    return module


def methods() -> list[str]:
    """The names of captum's methods that explain a class of an image classifier."""
    attr = captum_attr()
    classes = {name: getattr(attr, name) for name in attr.__all__}
    found = [n for n, c in classes.items() if inspect.isclass(c) and hasattr(c, "attribute")]
    return sorted(n for n in found if n not in UNFIT and not n.startswith("Neuron") and "LLM" not in n)


def known_method(name: str) -> Any:
    """A class of captum by its name; ValueError, naming those there are, if it is none that can be used."""
    known = methods()
    if name not in known:
        why = f" ({UNFIT[name]})" if name in UNFIT else ""
        raise ValueError(
            f"captum has no method {name!r} that explains an image's class{why}; known: {', '.join(known)}"
        )
    return getattr(captum_attr(), name)


def takes_layer(method: Any) -> bool:
    """Whether a class of captum is made for a layer."""
    return "layer" in inspect.signature(method).parameters


@contextmanager
def drawing(seed: int, device: torch.device) -> Iterator[None]:
    """The global generators that captum draws from, seeded within the block and as they were after it."""
    kept = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])


@contextmanager
def in_one_sentence(method: str) -> Iterator[None]:
    """What captum says of a model or of options that it cannot use, as a ValueError; the model's own errors pass."""
    try:
        yield
    except (AssertionError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError) as error:
        raise ValueError(f"captum's {method} cannot explain this model: {told(error)}") from None
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        raise ValueError(f"captum's {method} cannot explain this model: {told(error)}") from None


def told(error: Exception) -> str:
    """An exception in a line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """Activations that write over their input do not: captum's hooks need it as it was."""
    changed = [m for m in model.modules() if getattr(m, "inplace", False) is True]
    try:
        for module in changed:
            module.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]


@contextmanager
def as_they_were(model: nn.Module) -> Iterator[None]:
    """Attributes that modules got are taken away: DeepLift leaves tensors there after an error, of layers always."""
    before = [(module, set(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, names in before:
            for name in set(vars(module)) - names:
                delattr(module, name)
