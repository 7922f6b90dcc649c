"""What a label says of an image: its class, or all classes that are in it.

One class an image is ``y`` ``[B]`` int64. Several are ``y`` ``[B, classes]`` float32, 1 for each class that is there
and 0 elsewhere: then a network's logits are read one by one, each as the log-odds that its class is there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def several(y: Tensor) -> bool:
    """Whether labels name all classes of an image rather than one."""
    return y.ndim == 2 and y.is_floating_point()


def one_class(y: Tensor, component: object) -> Tensor:
    """Labels themselves; ValueError that names the component if they name several classes an image."""
    if several(y):
        raise ValueError(f"{component!r} is for images of one class each, and these labels name several")
    return y


def losses(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each image, ``[B]``; with several classes the binary one, summed over the classes."""
    if several(y):
        return F.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(1)
    return F.cross_entropy(logits, y, reduction="none")


def right(predicted: Tensor, y: Tensor) -> Tensor:
    """Whether a predicted class ``[B]`` is the true one, or one of those that are there, ``[B]`` bool."""
    return y.gather(1, predicted[:, None])[:, 0] > 0 if several(y) else predicted == y


def indicators(y: Tensor, classes: int) -> Tensor:
    """Labels of either kind as ``[B, classes]`` float32, 1 for each class that is there."""
    return y.float() if several(y) else F.one_hot(y, classes).float()


def entropy(logits: Tensor, y: Tensor) -> Tensor:
    """How unsure a prediction is, in nats, ``[B]``; of labels ``y`` only their kind counts."""
    if several(y):
        p = torch.stack([logits, -logits])
        return (F.sigmoid(p) * -F.logsigmoid(p)).sum((0, 2))
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
