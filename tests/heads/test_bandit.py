"""What bins can do and a single mode cannot, with the same start, samples and update."""

import pytest
import torch
from scipy import stats

from tests.heads import bandit

SEEDS = 200
START = {"initial_std": 0.37}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small lose more by being shared out
    yield
    torch.set_num_threads(before)


def interval(count: int) -> tuple[float, float]:
    """Clopper-Pearson at 99.9 %."""
    found = stats.binomtest(count, SEEDS).proportion_ci(0.999, "exact")
    return found.low, found.high


def test_the_world_is_two_peaked():
    a = torch.linspace(-1, 1, 2001)
    r = bandit.reward(a)
    peaks = a[1:-1][(r[1:-1] > r[:-2]) & (r[1:-1] > r[2:])]
    assert peaks.tolist() == pytest.approx([bandit.WIDE, bandit.NARROW], abs=0.02)
    assert float(bandit.reward(peaks[1])) > 1.9 * float(bandit.reward(peaks[0]))
    assert r[(a > peaks[0]) & (a < peaks[1])].min() < 0.2
    assert bandit.reward(torch.tensor(bandit.VALLEY)) < 0.2


@pytest.fixture(scope="module")
def bins() -> int:
    return bandit.on_the_high_peak("binned", START, SEEDS)


def test_bins_cross_the_valley(bins):
    assert interval(bins)[0] > 0.9


@pytest.mark.parametrize(
    "head",
    ["gaussian", *(pytest.param(h, marks=pytest.mark.slow) for h in ("gaussian-state", "gaussian-tanh", "beta"))],
)
def test_one_mode_stays_on_its_side(head, bins):
    """The 99.9 % intervals are far apart: with 200 seeds, a difference of 30 points is certain."""
    assert interval(bandit.on_the_high_peak(head, START, SEEDS))[1] < interval(bins)[0] - 0.3
