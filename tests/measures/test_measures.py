"""Spread and health: closed forms, and the same scale for every head."""

import math

import numpy as np
import pytest
import torch

from pgcontrol.heads import normal
from pgcontrol.measures import health, spread
from pgcontrol.measures.curves import height

LOW, HIGH = torch.tensor([-2.0, 0.0]), torch.tensor([2.0, 0.5])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_spread_is_in_half_ranges_and_knows_the_named_values():
    uniform = LOW + (HIGH - LOW) * torch.rand(4000, 8, 2, generator=rng())
    coin = torch.where(torch.rand(4000, 8, 2, generator=rng()) < 0.5, LOW, HIGH)
    assert spread.spread(spread.unit(uniform, LOW, HIGH)).tolist() == pytest.approx([0.577, 0.577], abs=0.01)
    assert spread.spread(spread.unit(coin, LOW, HIGH)).tolist() == pytest.approx([1, 1], abs=0.01)


def test_spread_is_within_states_not_between_them():
    means = torch.linspace(-1, 1, 50)[None, :, None].expand(64, 50, 2)
    narrow = means + 0.01 * torch.randn(64, 50, 2, generator=rng())
    assert spread.spread(narrow).tolist() == pytest.approx([0.01, 0.01], rel=0.1)
    # ... while it acts as variously as its states are
    assert spread.executed_entropy(narrow.flatten(0, 1)) > 0.95
    assert spread.executed_entropy(torch.zeros(100, 2)) == 0


def test_saturation_counts_the_bounds():
    assert spread.saturation(torch.tensor([[-1.0, 0.0], [0.995, 0.98]])) == 0.5


def test_perplexity_and_dead_values():
    assert spread.perplexity(torch.full((5,), 3 * math.log(11)), entries=3, values=11) == pytest.approx(1)
    assert spread.perplexity(torch.zeros(5), entries=3, values=11) == pytest.approx(1 / 11)
    choices = torch.randint(0, 5, (4000, 2), generator=rng())
    assert spread.dead(choices, 5) == 0
    assert spread.dead(choices, 10) == 0.5


@pytest.mark.parametrize("std", [1.0, 0.1, 0.01])
def test_sensitivity_of_a_gaussian_is_its_closed_form(std):
    """trace F = A (1/σ² + 2), of A means and A log σ."""
    params = torch.stack((torch.zeros(50_000, 3), torch.full((50_000, 3), math.log(std))), 1)
    choice = std * torch.randn(50_000, 3, generator=rng())
    measured = health.sensitivity(lambda p: normal.log_density(p[:, 0], p[:, 1], choice), params, joints=3)
    assert float(measured) == pytest.approx(math.sqrt(std**-2 + 2), rel=0.02)


def test_noise_scale_of_known_noise():
    """Gradients G + noise of variance Σ per sample: tr(Σ) = P·4, |G|² = P·0.25."""
    P, size, n = 50, 64, 4000
    gradients = 0.5 + 2 / math.sqrt(size) * torch.randn(n, P, generator=rng())
    trace, square = health.noise_scale(gradients, size)
    assert float(trace) == pytest.approx(4 * P, rel=0.03)
    assert float(square) == pytest.approx(0.25 * P, rel=0.03)


def test_ratios_and_skew():
    low, high = health.ratios(torch.tensor([0.0, 0.0]), torch.tensor([math.log(0.5), math.log(3.0)]))
    assert (float(low), float(high)) == (pytest.approx(0.5), pytest.approx(3))
    assert health.skew(torch.tensor([-1.0, 0.0, 1.0])) == pytest.approx(0)
    assert health.skew(torch.ones(4)) == 0
    # one in a hundred: p (1 − p) (1 − 2p) / (p (1 − p))^1.5 with p = 0.01
    assert float(health.skew(torch.cat((torch.zeros(99), torch.ones(1))))) == pytest.approx(9.85, abs=0.01)


def test_the_pull_on_a_gaussian_is_that_on_its_log_sigma():
    """At a peak of reward, A = 1 − z², every surprise costs: −1. On a slope, A = z, nothing pulls. In a valley: 1."""
    z = torch.randn(4000, 1, generator=rng())
    log_prob = -0.5 * z.square().sum(-1)
    peak, slope = 1 - z.square().squeeze(1), z.squeeze(1)
    assert float(health.pull(log_prob, peak)) == pytest.approx(-1)
    assert float(health.pull(log_prob, -peak)) == pytest.approx(1)
    assert float(health.pull(log_prob, slope)) == pytest.approx(0, abs=4 / math.sqrt(4000))
    assert health.pull(log_prob, torch.zeros(4000)) == 0


@pytest.mark.parametrize(
    ("curve", "end", "mean"),
    [
        ([2.0, 4, 8], 40, (2 * 10 + 3 * 10 + 6 * 20) / 40),  # constant before 10, then straight
        ([2.0, 4, 8], 80, (2 * 10 + 3 * 10 + 6 * 20 + 8 * 40) / 80),  # a run that ended early keeps its last value
        ([2.0, 4, 8], 30, (2 * 10 + 3 * 10 + 5 * 10) / 30),
        ([np.nan, 4, np.nan], 40, 4),
        ([2.0, np.nan, 8], 40, (2 * 10 + 5 * 30) / 40),
        ([np.nan] * 3, 40, np.nan),
    ],
)
def test_the_height_of_a_curve_worked_by_hand(curve, end, mean):
    """Known at 10, 20 and 40."""
    assert height(np.array([10.0, 20, 40]), np.array(curve), end) == pytest.approx(mean, nan_ok=True)
