"""Which class is explained: a check that the model knows it, and its score."""

from __future__ import annotations

import torch
from torch import Tensor


def checked_target(logits: Tensor, target: Tensor) -> Tensor:
    """``target`` itself, where it names one class of the model for each image.

    Shape: logits ``[B, classes]``, target ``[B]``, whole numbers from 0 to classes - 1.
    Raises:
        ValueError: on anything else; torch itself would name an index and no class.
    """
    if logits.ndim != 2:
        raise ValueError(f"the model gives {tuple(logits.shape)}, not logits [B, classes]")
    images, classes = logits.shape
    if target.shape != (images,) or target.is_floating_point():
        given = f"{target.dtype} of shape {tuple(target.shape)}"
        raise ValueError(f"target is a whole number for each of {images} images, not {given}")
    if bool(((target < 0) | (target >= classes)).any()):
        told = ", ".join(map(str, sorted(set(target.tolist()))[:10]))
        raise ValueError(f"the model has {classes} classes, 0 to {classes - 1}; target holds {told}")
    return target


def target_score(logits: Tensor, target: Tensor, probability: bool = False) -> Tensor:
    """The logit of each image's target, or its softmax probability, ``[B]``; ValueError as above."""
    scores = logits.softmax(1) if probability else logits
    return scores.gather(1, checked_target(logits, target)[:, None])[:, 0]


def log_odds(logits: Tensor, target: Tensor) -> Tensor:
    """log p / (1 - p) of the target, ``[B]``; finite where a probability has long saturated."""
    own = logits.gather(1, target[:, None])
    return (own - logits.scatter(1, target[:, None], -torch.inf).logsumexp(1, keepdim=True))[:, 0]
