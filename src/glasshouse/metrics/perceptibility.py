"""How much of an attack can be seen."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..attacks import PGD
from ..models.weights import read_weights
from ..spec import require
from ..types import Attack, Batch
from .verdicts import Verdicts

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for pixels in [0, 1]
# What torchvision calls the weights of AlexNet in its cache.
_ALEXNET = "alexnet-owt-7be5be79.pth"


def distortion(x: Tensor, x_adv: Tensor, p: float = 2.0) -> Tensor:
    """||x_adv - x||_p / ||x||_p of each image, ``[B]``: 0 where nothing changed, infinite where a black image did."""
    change, whole = (torch.linalg.vector_norm(t.flatten(1).double(), p, dim=1) for t in (x_adv - x, x))
    return torch.where(change == 0, 0.0, change / whole).to(x.dtype)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of images in [0, 1], ``[B, C, H, W]`` twice -> ``[B]`` in [-1, 1].

    A Gaussian window of 11 x 11 pixels, sigma 1.5, at every place where it lies within the image; for images with
    a shorter side the largest odd window that fits. Each channel counts alike. Computed in float64.
    """
    size = min(WINDOW, *a.shape[-2:])
    size -= 1 - size % 2
    x, y = a.double(), b.double()
    x_mean, y_mean, xx, yy, xy = (blurred(t, size) for t in (x, y, x * x, y * y, x * y))
    x_var, y_var, covariance = xx - x_mean**2, yy - y_mean**2, xy - x_mean * y_mean
    luminance = (2 * x_mean * y_mean + C1) / (x_mean**2 + y_mean**2 + C1)
    structure = (2 * covariance + C2) / (x_var + y_var + C2)
    return (luminance * structure).mean((1, 2, 3)).to(a.dtype)


def blurred(images: Tensor, size: int) -> Tensor:
    """Gaussian means over windows that lie within the image, ``[B, C, H - size + 1, W - size + 1]``."""
    away = torch.arange(size, device=images.device, dtype=images.dtype) - size // 2
    window = torch.exp(-(away**2) / (2 * SIGMA**2))
    window = window / window.sum()
    rows = F.conv2d(images.flatten(0, 1)[:, None], window.view(1, 1, -1, 1))
    return F.conv2d(rows, window.view(1, 1, 1, -1)).view(*images.shape[:2], *(n - size + 1 for n in images.shape[2:]))


@dataclass(frozen=True)
class Distortion:
    """How large the perturbation is beside the image, ||x_adv - x||_p / ||x||_p (Moosavi-Dezfooli et al., CVPR 2016,
    https://arxiv.org/abs/1511.04599), with p 1, 2 or inf; lower is harder to see.

    Shape: ``[B]``, >= 0; infinite for a black image that changed.
    Cost: that of the attack.
    """

    attack: Attack = PGD()
    p: float = 2.0

    def __post_init__(self) -> None:
        require(self, self.p in (1, 2, inf), "p is 1, 2 or inf")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return self.of(verdicts.batch.x, verdicts.attacked(self.attack))

    def of(self, x: Tensor, x_adv: Tensor) -> Tensor:
        """The values of images that were attacked already."""
        return distortion(x, x_adv, self.p)


@dataclass(frozen=True)
class SSIM:
    """Structural similarity of the image and the attacked one (Wang et al., IEEE TIP 2004,
    https://doi.org/10.1109/TIP.2003.819861); 1 is the same image.

    Shape: ``[B]`` in [-1, 1]. Images with a side below 11 pixels get the largest odd window that fits.
    Cost: that of the attack.
    """

    attack: Attack = PGD()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return self.of(verdicts.batch.x, verdicts.attacked(self.attack))

    def of(self, x: Tensor, x_adv: Tensor) -> Tensor:
        """The values of images that were attacked already."""
        return ssim(x, x_adv)


@dataclass(frozen=True)
class LPIPS:
    """Distance in the features of a network, as people judge it (Zhang et al., CVPR 2018,
    https://arxiv.org/abs/1801.03924); 0 is the same image. Needs ``pip install lpips``.

    ``weights`` is a file with torchvision's weights of the network: AlexNet, SqueezeNet 1.1 or VGG-16, whichever it
    holds; without one, AlexNet's from torchvision's cache. Nothing is downloaded.

    Shape: ``[B]``, >= 0; images of 3 channels and sides of at least 32 pixels.
    Cost: that of the attack, and two forward passes of the feature network.
    Raises:
        ValueError: if the package or the weights are not there, or images are too small.
    """

    attack: Attack = PGD()
    weights: str = ""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        feature_network(self.weights)  # what is missing shows before the attack takes its time
        return self.of(verdicts.batch.x, verdicts.attacked(self.attack))

    @torch.no_grad()
    def of(self, x: Tensor, x_adv: Tensor) -> Tensor:
        """The values of images that were attacked already."""
        if x.shape[1] != 3 or min(x.shape[2:]) < 32:
            raise ValueError(f"LPIPS needs images of 3 channels and at least 32x32 pixels, not {tuple(x.shape[1:])}")
        network = feature_network(self.weights).to(x)
        return network(x, x_adv, normalize=True).view(-1)


@cache
def feature_network(weights: str = "") -> nn.Module:
    """LPIPS over the network whose weights these are.

    Raises:
        ValueError: if the package is not installed, the file not there, or of none of the three networks.
    """
    try:
        import lpips  # an extra of its own
    except ImportError:
        raise ValueError("LPIPS needs the package lpips: pip install lpips") from None
    path = Path(weights or Path(torch.hub.get_dir()) / "checkpoints" / _ALEXNET)
    if not weights and not path.is_file():
        raise ValueError(
            f"LPIPS needs weights: torchvision's AlexNet is not in its cache ({path}); name a file of AlexNet,"
            " SqueezeNet 1.1 or VGG-16 with weights=..."
        )
    state = {k: v for k, v in read_weights(path).items() if k.startswith("features.")}
    trunk = trunk_of(state, path)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # it builds its networks in a way that torchvision has left behind
        network = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    # "slice2.3.weight" there is "features.3.weight" in torchvision.
    places = {k: "features." + k.split(".", 1)[1] for k in network.net.state_dict()}
    if missing := [place for place in places.values() if place not in state]:
        raise ValueError(f"{path} lacks {len(missing)} tensors, first {missing[0]!r}")
    network.net.load_state_dict({k: state[place] for k, place in places.items()})
    return network.requires_grad_(False)


def trunk_of(state: dict[str, Tensor], path: Path) -> str:
    """What the package calls the network that has these features."""
    first = state.get("features.0.weight")
    if first is not None and first.shape[-1] == 11:
        return "alex"
    if "features.12.expand3x3.weight" in state and first is not None and first.shape[-1] == 3:
        return "squeeze"
    if "features.28.weight" in state and "features.1.weight" not in state:
        return "vgg"
    raise ValueError(f"{path} holds neither torchvision's AlexNet nor its SqueezeNet 1.1 or VGG-16")
