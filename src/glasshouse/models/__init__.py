"""Networks that take pixels in [0, 1] and return logits, each a component."""

from .cifar_resnet import ResNet18, ResNet20, ResNet32, ResNet56
from .coarse_to_fine import CoarseToFine, Grouped
from .iccnn import ICCNN
from .small_cnn import SmallCNN
from .torchvision_models import TorchVision

__all__ = [
    "ICCNN",
    "CoarseToFine",
    "Grouped",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet56",
    "SmallCNN",
    "TorchVision",
]
