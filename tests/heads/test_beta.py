"""Beta against SciPy."""

import math
from typing import Any

import pytest
import torch
from scipy import stats

from pgcontrol.heads.beta import PROPOSALS, Beta, gamma

LOW, HIGH = torch.tensor([-2.0]), torch.tensor([4.0])


def head(**options) -> Beta:
    return Beta(4, LOW, HIGH, Beta.Options(**options)).requires_grad_(False)


def params(alpha: float, beta: float) -> torch.Tensor:
    return torch.tensor([[[math.log(math.expm1(x - 1)) if x < 30 else x - 1] for x in (alpha, beta)]])


SHAPES = [(1.01, 1.01), (1.5, 4.0), (30.0, 2.0), (800.0, 900.0)]


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_everything_is_scipys(alpha, beta):
    exact: Any = stats.beta(alpha, beta, loc=-1, scale=2)
    p = params(alpha, beta)
    for x in exact.ppf([0.01, 0.3, 0.9]):
        assert float(head().log_prob(p, torch.tensor([[x]]).float())) == pytest.approx(exact.logpdf(x), abs=2e-3)
    assert float(head().entropy(p)) == pytest.approx(float(exact.entropy()), abs=1e-4)
    described = head().describe(p)
    assert float(described["std"]) == pytest.approx(exact.std(), rel=1e-4)
    sample = head().sample(p.expand(20_000, 2, 1), torch.Generator().manual_seed(0))
    assert stats.kstest(sample.flatten().numpy(), exact.cdf).pvalue > 1e-4


def test_kl_worked():
    # Beta(2, 2) against Beta(3, 2): log B(3,2)/B(2,2) + (2−3)(ψ(2) − ψ(4)) = log(1/12 · 6) + 1/2 + 1/3 = 0.14019
    assert float(head().kl(params(2, 2), params(3, 2))) == pytest.approx(0.14019, abs=1e-5)


@pytest.mark.parametrize("std", [0.05, 0.2, 0.37, 0.57])
def test_initial_std(std):
    fresh = head(initial_std=std)
    assert float(fresh.describe(fresh(torch.zeros(1, 4)))["std"]) == pytest.approx(std, rel=1e-4)


def test_the_density_is_finite_at_the_bounds_and_beyond_reach():
    for x in (-1.0, 1.0):
        assert head().log_prob(params(1000, 1.01), torch.tensor([[x]])).isfinite().all()


def test_concentrations_are_bounded():
    """For any weights: at α = β = 1000 the deviation is 1 / √2001."""
    large = head()
    large.raw.weight.fill_(1e4)
    described = large.describe(large(torch.ones(2, 4)))
    assert float(described["std"]) == pytest.approx(2001**-0.5, rel=1e-3)
    assert float(described["std_at_bound"]) == 1.0


def test_mode_worked():
    # Beta(3, 2): (3 − 1) / (3 + 2 − 2) = 2/3 of the range −2 … 4
    assert float(head().decode(head().mode(params(3, 2)))) == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("shape", [1.0, 1.5, 80.0])
def test_gamma_from_noise_has_its_distribution(shape):
    """Kolmogorov-Smirnov at 20 000 draws; `noise` of 0 and at the ends of the normal stays finite."""
    g = torch.Generator().manual_seed(0)
    noise = torch.stack((torch.randn(20_000, PROPOSALS, generator=g), torch.rand(20_000, PROPOSALS, generator=g)), -1)
    noise[0], noise[1, :, 0], noise[2, :, 0] = 0.0, 6.0, -6.0
    drawn = gamma(torch.full((20_000,), shape), noise)
    assert drawn.isfinite().all()
    assert (drawn > 0).all()
    assert stats.kstest(drawn.numpy(), stats.gamma(shape).cdf).pvalue > 1e-4
