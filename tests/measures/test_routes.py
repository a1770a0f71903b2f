"""The entropy of routes by hand, and conclusions from it about the policy."""

import numpy as np
import pytest

from pgcontrol.measures.routes import occupancy, route_entropy


def test_route_entropy():
    assert route_entropy(np.array([0, 1, 2, 3, -1]), 4) == pytest.approx(1, abs=1e-12)
    assert route_entropy(np.array([2, 2, -1]), 4) == 0
    # −½ log ½ − ½ log ½ = log 2, in units of log 4: one half
    assert route_entropy(np.array([0, 3, 3, 0]), 4) == pytest.approx(0.5, abs=1e-12)
    # ¼ log 4 + ¾ log 4/3 = 0.5623, in units of log 24
    assert route_entropy(np.array([7, 1, 1, 1]), 24) == pytest.approx(0.56233514 / np.log(24), abs=1e-8)
    assert route_entropy(np.array([0, 0]), 1) == 0
    assert np.isnan(route_entropy(np.array([-1]), 2))


def test_an_estimate_from_few_episodes_is_not_too_low():
    """24 routes taken alike: 100 episodes have an entropy of 0.96, and half of what they lack is 23 / 200 / log 24."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(24, size=100) for _ in range(200)]
    assert np.mean([route_entropy(sample, 24) for sample in samples]) == pytest.approx(0.96, abs=0.003)
    assert np.mean([occupancy(sample, 24, resamples=1)[0] for sample in samples]) == pytest.approx(1, abs=0.006)


def test_occupancy_of_even_and_of_single_routes():
    even = np.random.default_rng(0).integers(24, size=400)
    estimate, low, high = occupancy(even, 24)
    assert low < estimate <= high
    assert estimate > 0.98
    single, low, high = occupancy(np.zeros(50, int), 2)
    assert single == low == 0
    assert 0 < high < 0.3
    assert all(np.isnan(occupancy(np.full(9, -1), 2)))
    assert occupancy(np.zeros(9, int), 1) == (0, 0, 0)


def test_the_interval_of_occupancy_covers():
    share, R = np.array([0.7, 0.2, 0.1, 0.0]), 4
    truth = float(-(share[:3] * np.log(share[:3])).sum() / np.log(R))
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        _, low, high = occupancy(rng.choice(R, 100, p=share), R, resamples=400)
        covered += low <= truth <= high
    assert covered >= 176
