"""The squashed Gaussian against the change of variables done by hand."""

import math

import pytest
import torch
from scipy import integrate, stats

from pgcontrol.heads.gaussian_tanh import GaussianTanh, log_slope

LOW, HIGH = torch.tensor([-2.0]), torch.tensor([4.0])


def head(**options) -> GaussianTanh:
    return GaussianTanh(4, LOW, HIGH, GaussianTanh.Options(**options)).requires_grad_(False)


def params(mean: float, std: float) -> torch.Tensor:
    return torch.tensor([[[mean], [math.log(std)]]])


def density(a: float, mean: float, std: float) -> float:
    return float(stats.norm.pdf(math.atanh(a), mean, std) / (1 - a * a))


@pytest.mark.parametrize("a", [-0.99, -0.2, 0.0, 0.7, 0.999])
def test_log_prob_is_that_of_the_squashed_value(a):
    ours = head().log_prob(params(0.3, 0.5), torch.tensor([[math.atanh(a)]]))
    assert float(ours) == pytest.approx(math.log(density(a, 0.3, 0.5)), rel=1e-4)


@pytest.mark.parametrize("u", [-200.0, -20.0, -9.0, 0.0, 9.0, 20.0, 200.0])
def test_the_slope_is_finite_where_tanh_is_1_in_float32(u):
    # log(1 − tanh²u) = −2 log cosh u, and log cosh u -> |u| − log 2
    exact = -2 * (abs(u) + math.log1p(math.exp(-2 * abs(u))) - math.log(2))
    assert float(log_slope(torch.tensor(u))) == pytest.approx(exact, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.05), (0.0, 0.37), (1.0, 0.37), (0.5, 1.0), (0.0, 2.0), (3.0, 0.5)])
def test_the_error_of_the_entropy_is_below_the_stated_bound(mean, std):
    def term(u: float) -> float:
        return float(stats.norm.pdf(u, mean, std)) * -2 * (abs(u) + math.log1p(math.exp(-2 * abs(u))) - math.log(2))

    stretch = integrate.quad(term, mean - 9 * std, mean + 9 * std, points=[0.0])[0]
    exact = float(stats.norm(mean, std).entropy()) + stretch
    assert abs(float(head().entropy(params(mean, std))) - exact) < GaussianTanh.estimates["entropy"]


def test_the_mode_is_the_median():
    p = params(0.8, 0.5)
    below = head().sample(p.expand(20_000, 2, 1), torch.Generator().manual_seed(0)) < head().mode(p)
    assert stats.binomtest(int(below.sum()), 20_000).pvalue > 1e-4


def test_decode_squashes_into_the_bounds():
    # bounds −2 … 4: centre 1, half-range 3
    action = head().decode(torch.tensor([[-30.0], [0.0], [math.atanh(0.5)], [30.0]]))
    assert torch.allclose(action.flatten(), torch.tensor([-2.0, 1.0, 2.5, 4.0]))


def test_saturation_is_the_mass_within_a_percent_of_the_bounds():
    p = params(1.0, 1.0)
    edge = math.atanh(0.99)
    exact = stats.norm.sf(edge, 1, 1) + stats.norm.cdf(-edge, 1, 1)
    assert float(head().describe(p)["saturation"]) == pytest.approx(exact, rel=1e-4)
