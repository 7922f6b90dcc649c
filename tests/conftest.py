"""Fixtures that several stages share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from glasshouse.types import Batch
from nets import SIDE, Linear, Net, full_batch, mixed_net

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other


@pytest.fixture
def net() -> Net:
    """BatchNorm, mixed training and evaluation modes, one frozen parameter."""
    return mixed_net()


@pytest.fixture
def batch() -> Batch:
    """Six images with mask, attribution, weight and index."""
    return full_batch()


@pytest.fixture
def linear() -> Callable[[], Linear]:
    """A linear model of two classes with random weights, the same each time."""
    weight = 0.1 * torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    return lambda: Linear(weight.clone())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not part of the repository."""
    folder = Path(os.environ.get("GLASSHOUSE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no shared data: neither $GLASSHOUSE_SHARED_DATA nor ../shared/data is a folder")
    return folder
