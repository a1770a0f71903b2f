"""The heads of `experiments/ablations.yaml` differ from each other in the one property that is compared."""

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.heads.test_laws import rng

FILE = Path(__file__).parents[2] / "experiments" / "ablation_heads.py"
COUNT = 100_000


def ablation_heads():
    spec = importlib.util.spec_from_file_location("ablation_heads", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("std", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("mean", [0.0, 0.93, -2.0])
def test_gaussian_bins_play_what_the_rounded_gaussian_plays(std, mean):
    heads, one = ablation_heads(), torch.ones(1)
    options = heads.Rounded(initial_std=std)
    rounded, bins = heads.RoundedGaussian(4, -one, one, options), heads.GaussianBins(4, -one, one, options)
    with torch.no_grad():
        for head in (rounded, bins):
            head.mean.weight.zero_()
            head.mean.bias.fill_(mean)
        played = rounded.decode(rounded.sample(rounded(torch.zeros(COUNT, 4)), rng())).flatten()
        share = torch.stack([(played == value).float().mean() for value in bins.centres])
        p = bins(torch.zeros(1, 4)).exp().flatten()
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    error = (p * (1 - p) / COUNT).sqrt()
    assert ((share - p).abs() <= 5 * error + 1e-4).all()


@pytest.mark.parametrize("mean", [0.0, 1.0, 30.0])
def test_gaussian_bins_far_from_the_mean_have_finite_gradients(mean):
    heads, one = ablation_heads(), torch.ones(1)
    bins = heads.GaussianBins(4, -one, one, heads.Rounded(initial_std=0.01))
    bins.mean.bias.data.fill_(mean)
    bins(torch.zeros(3, 4)).sum().backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in bins.parameters())
