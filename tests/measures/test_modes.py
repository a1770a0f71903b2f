"""Distributions with known modes: counts and masses, over many samples of each."""

import numpy as np
import pytest

from pgcontrol.measures import modes
from pgcontrol.measures.modes import WIDTH, relief

TRIALS, RIGHT = 100, 95
"""Samples of each distribution, and how many of them must be right: so far all are."""
DRAWS = 2000


def mixture(centres, mass=None, std=0.05):
    """Centres [M, A] -> a sampler of draws [n, A], and its masses [M]."""
    centres = np.atleast_2d(np.asarray(centres, float).T).T
    mass = np.full(len(centres), 1 / len(centres)) if mass is None else np.asarray(mass)

    def sample(rng, n=DRAWS):
        chosen = rng.choice(len(centres), n, p=mass)
        return (centres[chosen] + std * rng.standard_normal((n, centres.shape[1]))).clip(-1, 1)

    return sample, mass


def bins(count, std):
    """Draws of evenly spaced bins shaped like a Gaussian: one mode, made of atoms."""
    values = np.linspace(-1, 1, count)
    share = np.exp(-0.5 * (values / std) ** 2)
    return lambda rng, n=DRAWS: rng.choice(values, (n, 3), p=share / share.sum())


GRID = [(x, y) for x in np.linspace(-0.9, 0.9, 6) for y in np.linspace(-0.8, 0.8, 4)]
RING = [(np.cos(a), np.sin(a)) for a in np.arange(4) * np.pi / 2]
KNOWN = {
    "one": (mixture([0.3]), WIDTH),
    "one, wide": (mixture([0.0], std=0.4), WIDTH),
    "one, in six joints": (mixture([[0.2] * 6], std=0.37), WIDTH),
    "two": (mixture([-0.8, 0.8]), WIDTH),
    "two, unequal": (mixture([-0.8, 0.8], [0.95, 0.05]), WIDTH),
    "two, close": (mixture([-0.2, 0.2]), WIDTH),
    "two, in both of two joints": (mixture([(-0.7, -0.7), (0.7, 0.7)], std=0.1), WIDTH),
    "four goals of a ring": (mixture(RING, [0.4, 0.3, 0.2, 0.1]), WIDTH),
    "four, in a row": (mixture([-0.9, -0.3, 0.3, 0.9], [0.5, 0.3, 0.15, 0.05]), WIDTH),
    "three, one of them between in one joint": (mixture([(-0.5, -0.9), (0.5, -0.9), (0, 0.9)], std=0.15), WIDTH),
    "24 in a row": (mixture(np.linspace(-0.95, 0.95, 24), std=0.008), 0.015),
    "24 in two joints": (mixture(GRID, std=0.03), 0.05),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_modes_are_counted_and_weighed(name):
    (sample, mass), width = KNOWN[name]
    counts, errors = [], []
    for trial in range(TRIALS):
        found = modes.modes(sample(np.random.default_rng(trial)), width)
        counts.append(len(found))
        if len(found) == len(mass):
            heaviest_first = -np.sort(-mass)
            error = np.sqrt(heaviest_first * (1 - heaviest_first) / DRAWS)
            errors.append(np.abs(found.mass - heaviest_first) / np.maximum(error, 1e-9))
    assert counts.count(len(mass)) >= RIGHT, counts
    # masses are within sampling error: 4.7 standard errors, over at most 100 x 24 of them
    assert np.max(errors) < 4.7


@pytest.mark.parametrize("spread", [0.2, 0.5, 2.0])
def test_bins_around_one_place_are_one_mode(spread):
    counts = [len(modes.modes(bins(11, spread)(np.random.default_rng(t)))) for t in range(TRIALS)]
    assert counts.count(1) >= RIGHT


def test_uniform_has_one_mode():
    counts = [len(modes.modes(np.random.default_rng(t).uniform(-1, 1, (DRAWS, 3)))) for t in range(TRIALS)]
    assert counts.count(1) >= RIGHT


def test_intervals_cover_the_mass():
    sample, mass = mixture([-0.8, 0.8], [0.9, 0.1])
    covered = 0
    for trial in range(200):
        found = modes.modes(sample(np.random.default_rng(trial), 300))
        covered += bool(found.low[1] <= mass[1] <= found.high[1])
    assert covered >= 180  # of 190 expected; fewer less than once in 1000


def test_a_coarse_head_is_seen_at_its_own_width():
    """Three bins with all mass on the two ends are two modes; spread over all three, one."""
    rng = np.random.default_rng(0)
    ends, all_three = rng.choice([-1.0, 1.0], (DRAWS, 1)), rng.choice([-1.0, 0.0, 1.0], (DRAWS, 1), p=[0.25, 0.5, 0.25])
    assert [len(modes.modes(x, width=0.5)) for x in (ends, all_three)] == [2, 1]


def test_the_mean_between_modes_is_far_from_both_and_has_no_density():
    draws = mixture([-0.8, 0.8])[0](np.random.default_rng(0))
    found, mean = modes.modes(draws), draws.mean(0)
    assert modes.distance(mean, found) == pytest.approx(0.8, abs=0.05)
    assert relief(draws, mean) < 0.01
    one = mixture([0.1])[0](np.random.default_rng(0))
    assert modes.distance(one.mean(0), modes.modes(one)) == 0
    assert relief(one, one.mean(0)) > 0.95


def test_each_draw_counts_for_its_own_mode_alone():
    draws = mixture([-0.8, 0.8])[0](np.random.default_rng(0))
    found = modes.modes(draws)
    sides = {side: draws[np.sign(draws[:, 0]) == side] for side in (-1, 1)}
    for centre, mass in zip(found.centre, found.mass, strict=True):
        own = sides[int(np.sign(centre[0]))]
        assert (centre.tolist(), mass) == (own.mean(0).tolist(), len(own) / len(draws))
