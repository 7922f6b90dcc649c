"""Networks that really learned something, in seconds, once in a process."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from glasshouse.attacks import FGSM, Linf
from glasshouse.data import Digits
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial, CrossEntropy
from glasshouse.train import Adam, Training, fit
from glasshouse.types import Batch

DIGITS = Digits(decoy=None, size=16)


@cache
def digits_net(eps: float = 0.0) -> nn.Module:
    """Ten digits; trained under attack if ``eps`` is above 0."""
    objective = Adversarial(attack=FGSM(ball=Linf(eps=eps), random_start=True)) if eps else CrossEntropy()
    torch.manual_seed(0)
    net = SmallCNN(width=8)(10)
    fit(net, objective, DIGITS("train"), Training(epochs=6, optimizer=Adam(lr=0.01)))
    return net.eval()


def digits(count: int) -> Batch:
    """Images that no network was trained on."""
    return DIGITS("test")[list(range(count))]
