"""A small network that knows real digits, trained once a session, and some of these that it gets right."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from glasshouse.data import Digits
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy
from glasshouse.train import Adam, Training, fit

DIGITS = Digits(decoy=None, size=16)


@cache
def digit_net() -> nn.Module:
    """Right on most test digits."""
    torch.manual_seed(0)
    model = SmallCNN(width=6)(10)
    fit(model, CrossEntropy(), DIGITS("train"), Training(epochs=3, optimizer=Adam(lr=5e-3)))
    return model.eval()


def digits(count: int) -> tuple[Tensor, Tensor]:
    """That many test digits that the network gets right, and their classes."""
    model, batch = digit_net(), DIGITS("test")[range(2 * count)]
    with torch.no_grad():
        right = model(batch.x).argmax(1) == batch.y
    x, y = batch.x[right][:count], batch.y[right][:count]
    assert len(x) == count
    return x, y
