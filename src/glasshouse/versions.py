"""With what something was made."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from . import __version__


def versions() -> dict[str, str]:
    """Packages and their versions."""
    packages = {name: version(name) for name in ("torchvision", "numpy")}
    return {"glasshouse": __version__, "python": platform.python_version(), "torch": torch.__version__} | packages


def device_named(device: str) -> str:
    """A device in words: the GPU's name, or how many threads a CPU has."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"
