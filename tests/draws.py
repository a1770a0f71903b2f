"""The random draws that heads request from torch, with their distributions."""

import pytest
import torch
from scipy import stats

DRAWS = pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda g: torch.rand(20_000, 1, generator=g), stats.uniform()),
        (lambda g: torch.randn((20_000, 1), generator=g), stats.norm()),
        (lambda g: torch.empty(20_000, 1).exponential_(generator=g), stats.expon()),
    ],
    ids=["uniform", "normal", "exponential"],
)
