"""Bins against closed forms."""

import itertools
import math

import pytest
import torch
from scipy import stats

from pgcontrol.heads.binned import Binned

LOW, HIGH = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 10.0])


def head(**options) -> Binned:
    return Binned(4, LOW, HIGH, Binned.Options(**options))


@pytest.mark.parametrize("bins", [2, 3, 11, 41])
def test_bins_are_evenly_spaced_and_reach_the_bounds(bins):
    choice = torch.arange(bins).unsqueeze(1).expand(-1, 2)
    action = head(bins=bins).decode(choice)[:, 0]
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
    """A Gaussian cannot do this: all mass at both ends, none between."""
    params = torch.full((1, 2, 11), -30.0)
    params[..., 0] = params[..., -1] = 0.0
    described = head().describe(params)
    assert float(described["saturation"]) == pytest.approx(1.0)
    assert float(described["std"]) == pytest.approx(1.0)
    assert float(described["dead_bins"]) == pytest.approx(9 / 11)


@pytest.mark.parametrize("bins", [2, 5, 11, 40])
def test_quantile_bins_have_equal_mass_between_them(bins):
    values = head(bins=bins, quantile_std=0.4).centres.double().numpy()
    assert values[[0, -1]].tolist() == [-1.0, 1.0]
    mass = stats.norm.cdf(values, scale=0.4)
    assert mass[1:] - mass[:-1] == pytest.approx((mass[-1] - mass[0]) / (bins - 1), abs=1e-6)


def test_inside_density_worked():
    # 4 bins of ½ over −1 … 1: mass ¼ each, density ½
    inside = head(bins=4, inside=True)
    assert float(inside.log_prob(torch.zeros(1, 2, 4), torch.tensor([[0.3, -0.9]])).exp()) == pytest.approx(0.25)
    assert float(inside.entropy(torch.zeros(1, 2, 4))) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("quantile_std", [None, 0.4])
def test_inside_samples_are_uniform_within_each_bin(quantile_std):
    inside = head(bins=4, inside=True, quantile_std=quantile_std)
    params = torch.tensor([0.0, 1.0, -1.0, 2.0]).expand(40_000, 2, 4)
    choice = inside.sample(params, torch.Generator().manual_seed(0))[:, 0]
    for k, (low, high) in enumerate(itertools.pairwise(inside.edges.tolist())):
        within = choice[(choice >= low) & (choice < high)]
        share = float(torch.softmax(params[0, 0], 0)[k])
        assert stats.binomtest(len(within), 40_000, share).pvalue > 1e-4
        assert stats.kstest(within.numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-4


@pytest.mark.parametrize("quantile_std", [None, 0.4])
def test_inside_starts_uniform_over_the_range(quantile_std):
    """Without a shape, all actions are equally likely, for any spacing of the bins."""
    inside = head(bins=6, inside=True, quantile_std=quantile_std)
    params = inside(torch.zeros(1, 4)).detach().expand(20, 2, 6)
    density = inside.log_prob(params, torch.linspace(-1, 1, 20).unsqueeze(1).expand(20, 2)).exp()
    assert torch.allclose(density, torch.full((20,), 0.25), atol=1e-5)
