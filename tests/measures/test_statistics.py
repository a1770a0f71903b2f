"""Statistics over seeds against numbers worked out by hand, and intervals that cover."""

import numpy as np
import pytest
from scipy import stats

from pgcontrol.measures.statistics import (
    difference,
    iqm,
    iqm_band,
    iqm_interval,
    mann_whitney,
    mean_interval,
    pairs_won,
    probability_of_improvement,
    profile,
    reached,
    share_interval,
    welch,
)


def test_iqm_cuts_a_quarter_at_each_end():
    assert iqm(np.array([0.0, 1, 2, 3, 4, 5, 6, 1000])) == 3.5
    assert iqm(np.array([1.0, 2, 9])) == 4  # too few to cut


def test_the_interval_covers_as_often_as_stated():
    """A percentile bootstrap of 20 draws covers about 92 % of the time; 300 trials measure it within 3 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        found = iqm_interval(rng.normal(size=20))
        assert found.low <= found.estimate <= found.high
        hits += found.low <= 0 <= found.high
    assert 0.87 < hits / 300 < 0.98


def test_a_band_is_the_interval_at_every_point():
    curves = np.random.default_rng(1).normal(size=(5, 3))
    middle, low, high = iqm_band(curves)
    assert middle == pytest.approx([float(iqm(curves[:, p])) for p in range(3)])
    assert (low <= middle).all()
    assert (middle <= high).all()


@pytest.mark.parametrize(
    ("ours", "baseline", "expected"),
    [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1, 1], [1, 1], 0.5), ([0, 2], [1], 0.5)],
)
def test_probability_of_improvement(ours, baseline, expected):
    found = probability_of_improvement([(ours, baseline)])
    assert found.estimate == expected
    assert 0 <= found.low <= expected <= found.high <= 1


def test_what_is_not_known_makes_the_iqm_unknown():
    assert iqm(np.array([[1.0, 1], [2, np.nan]]), axis=0).tolist() == pytest.approx([1.5, np.nan], nan_ok=True)
    assert np.isnan(iqm(np.array([1, 2, 3, np.nan])))  # though it would be cut off as the highest


def test_strata_are_resampled_within_themselves():
    """Two tasks without any spread of their own: however runs are drawn, the pooled IQM is the same."""
    middle, low, high = iqm_band(np.zeros((4, 1)), np.ones((4, 1)))
    assert middle == low == high == 0.5


def test_a_difference_is_that_of_the_iqms():
    found = difference([3, 4, 5, 100], [1, 2, 3, 4])  # (4 + 5) / 2 − (2 + 3) / 2
    assert found.estimate == 2
    assert found.low < 2 < found.high


def test_probability_of_improvement_over_tasks_is_the_mean():
    assert probability_of_improvement([([2, 3], [0, 1]), ([0], [1])]).estimate == 0.5


def test_a_profile_is_the_share_of_runs_above():
    shares, low, high = profile([np.array([1.0, 2]), np.array([5.0])], np.array([0.0, 1, 3, 5]))
    assert shares.tolist() == [1, 0.75, 0.5, 0]  # (2/2 + 1)/2, (1/2 + 1)/2, (0 + 1)/2
    assert (low <= shares).all()
    assert (shares <= high).all()


@pytest.mark.parametrize(
    ("curve", "threshold", "expected"),
    [
        ([0, 4, 2, 8], 1, 12.5),  # a quarter of the way from 10 to 20
        ([0, 4, 2, 8], 4, 20),  # at a point
        ([0, 4, 2, 8], 3, 17.5),  # the first time, not the last
        ([0, np.nan, 4, 8], 2, 25),  # halfway from 10 to 40: what is not known is passed
        ([np.nan, 3, 4, 8], 2, 20),  # it may have been there before, of which nothing is known
        ([5, 1, 4, 8], 2, 10),
        ([1, 1, 1, np.nan], 2, None),
        ([np.nan] * 4, 2, None),
    ],
)
def test_a_threshold_is_reached_on_the_straight_line_to_the_first_point_at_it(curve, threshold, expected):
    assert reached(np.array([10.0, 20, 40, 80]), np.array(curve, float), threshold) == expected


def test_a_goal_is_interpolated_between_thinned_points():
    """Straight curves, each 5,000 steps behind the last, of points 20,408 steps apart."""
    steps, behind = np.linspace(0, 1e6, 50), np.arange(0, 100_000, 5_000)
    assert [reached(steps, steps - late, 3e5) for late in behind] == pytest.approx(3e5 + behind)


def test_three_against_three_are_never_settled():
    assert mann_whitney([([4, 5, 6], [1, 2, 3])]) == pytest.approx(2 / 20)  # of C(6, 3) orders, the two extreme ones
    assert mann_whitney([([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])]) == pytest.approx(2 / 252)


def test_ties_are_permuted_as_ties():
    """Of the 6 ways to deal out 0, 1, 1, 1 to two and two, three are as one-sided as [1, 1] against [0, 1]: and so are
    the three that are the other way round."""
    assert mann_whitney([([1, 1], [0, 1])]) == 1
    # 0, 0, 1, 1: one way of six gives ours both ones, one both noughts, and four are even
    assert mann_whitney([([1, 1], [0, 0])]) == pytest.approx(2 / 6)
    assert mann_whitney([([1, 1, 1], [1, 1, 1])]) == 1


def test_without_ties_the_test_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for n, m in ((2, 7), (5, 5), (8, 3), (20, 20)):
        x, y = rng.normal(0.7, size=n), rng.normal(size=m)
        assert mann_whitney([(list(x), list(y))]) == pytest.approx(stats.mannwhitneyu(x, y, method="exact").pvalue)


def test_two_tasks_together_are_surer_than_one():
    three = ([4, 5, 6], [1, 2, 3])  # 1 of 20 deals is as good, and 1 as bad
    assert mann_whitney([three, three]) == pytest.approx(2 / 20**2)
    assert mann_whitney([three, (three[1], three[0])]) == 1  # a win and a defeat are even


def test_pairs_won():
    # 1 beats 0; 2 beats 0 and ties with 2; 3 beats both
    assert pairs_won([1, 2, 3], [0, 2]).tolist() == [[1, 0], [1, 0.5], [1, 1]]


def test_welch_worked_by_hand():
    """Variances 1 and 16 of three each: (1 + 16)² / (1² / 2 + 16² / 2) degrees of freedom, deviation √(17 / 3)."""
    x, y = [1.0, 2, 3], [1.0, 5, 9]
    assert welch(x, y) == pytest.approx(stats.t.ppf(0.975, 2 * 17**2 / (1 + 16**2)) * np.sqrt(17 / 3))
    assert welch(np.ones(3), np.zeros(3)) == 0
    assert welch(np.ones(1), np.zeros(3)) == np.inf


def test_the_interval_of_a_mean_worked_by_hand():
    """1, 2, 3: standard error 1 / √3, two degrees of freedom."""
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert mean_interval(np.array([1.0, 2, 3])) == pytest.approx((2, 2 - half, 2 + half))
    assert mean_interval(np.ones(3)) == (1, 1, 1)
    assert mean_interval(np.ones(1)) == (1, -np.inf, np.inf)


def test_the_interval_of_a_share_is_wilsons():
    """Of 2 in 20, worked by hand: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96."""
    share, low, high = share_interval(np.array([1.0, 1.0] + [0.0] * 18))
    assert (share, low, high) == pytest.approx((0.1, 0.0279, 0.3010), abs=1e-4)
    assert share_interval(np.zeros(20))[:2] == (0, 0)


@pytest.mark.filterwarnings("error")
def test_scores_that_are_equal_to_rounding_have_an_interval():
    assert 0 < welch([1000.0, 1000.0 + 1e-12, 1000.0], [1000.0, 1000.0, 1000.0 + 2e-12]) < 1e-9
