"""Bins against closed forms."""

import math

import pytest
import torch
from scipy import stats

from pgcontrol.heads.binned import Binned, Options

LOW, HIGH = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 10.0])


def head(**options) -> Binned:
    return Binned(4, LOW, HIGH, Options(**options))


@pytest.mark.parametrize("bins", [2, 3, 11, 41])
def test_bins_are_evenly_spaced_and_reach_the_bounds(bins):
    choice = torch.arange(bins).unsqueeze(1).expand(-1, 2)
    action = head(bins=bins).decode(choice)
    assert torch.allclose(action[:, 0], torch.linspace(-1, 1, bins), atol=1e-6)
    assert torch.allclose(action[:, 1], torch.linspace(0, 10, bins), atol=1e-5)
    assert action[0].tolist() == LOW.tolist()
    assert action[-1].tolist() == HIGH.tolist()


def test_mass_sums_to_one():
    params = torch.randn(3, 2, 11, generator=torch.Generator().manual_seed(0)) * 5
    mass = torch.stack(
        [head().log_prob(params, torch.tensor([[i, j]] * 3)).exp() for i in range(11) for j in range(11)]
    )
    assert torch.allclose(mass.sum(0), torch.ones(3), atol=1e-5)


def test_sampled_frequencies():
    params = torch.tensor([0.0, 1.0, -1.0, 2.0]).expand(50_000, 2, 4)
    choice = head(bins=4).sample(params, torch.Generator().manual_seed(0))
    expected = torch.softmax(params[0, 0], 0).double().numpy()
    for joint in range(2):
        counts = torch.bincount(choice[:, joint], minlength=4).numpy()
        assert stats.chisquare(counts, expected / expected.sum() * 50_000).pvalue > 1e-4
    # joints are drawn independently
    table = torch.bincount(choice[:, 0] * 4 + choice[:, 1], minlength=16).numpy()
    product = (expected[:, None] * expected).flatten()
    assert stats.chisquare(table, product / product.sum() * 50_000).pvalue > 1e-4


def test_entropy_worked():
    # two joints, uniform over 11: 2 log 11
    assert float(head().entropy(torch.zeros(1, 2, 11))) == pytest.approx(2 * math.log(11), abs=1e-5)


def test_initial_logits_shaped_like_a_gaussian():
    shaped = head(bins=41, initial_std=0.4)
    described = shaped.describe(shaped(torch.zeros(1, 4)).detach())
    # a Gaussian of deviation 0.4 cut at ±1: its deviation by SciPy
    assert float(described["std"]) == pytest.approx(stats.truncnorm(-2.5, 2.5, scale=0.4).std(), rel=0.02)
    uniform = head(bins=41)
    assert float(uniform.describe(uniform(torch.zeros(1, 4)).detach())["perplexity"]) == pytest.approx(1.0, abs=1e-4)


def test_two_peaks_at_once():
    """What a Gaussian cannot: all mass at both ends, none between."""
    params = torch.full((1, 2, 11), -30.0)
    params[..., 0] = params[..., -1] = 0.0
    described = head().describe(params)
    assert float(described["saturation"]) == pytest.approx(1.0)
    assert float(described["std"]) == pytest.approx(1.0)
    assert float(described["dead_bins"]) == pytest.approx(9 / 11)
