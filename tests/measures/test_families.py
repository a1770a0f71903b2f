"""Error rates, coverage and power of a family of comparisons, by simulation; the tests against SciPy's and by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pgcontrol.measures.families import (
    BETTER,
    EQUAL,
    OPEN,
    POWER,
    WORSE,
    Shares,
    compare,
    holm,
    least_seeds,
    seeds_needed,
)

FAMILIES = 500  # simulated in each case
ARMS = 4
# what a rate of 5 % may look like in so many families: three standard errors more, one false alarm in 700
RATE = 0.05 + 3 * math.sqrt(0.05 * 0.95 / FAMILIES)
DESIGNS = pytest.mark.parametrize("paired", [False, True], ids=["independent", "paired"])


def normal(rng, shape):
    return 100 + 15 * rng.normal(size=shape)


def two_modes(rng, shape):
    """Some runs fail, as they do on Walker2d."""
    return np.where(rng.random(shape) < 0.3, 30, 100) + 5 * rng.exponential(size=shape)


def rounded(rng, shape):
    """A success rate of five episodes: many scores are equal."""
    return rng.binomial(5, 0.7, size=shape) / 5.0


SHAPES = pytest.mark.parametrize("shape", [normal, two_modes, rounded])


def against_one(base, arms):
    """Arms [k, n] against the same baseline [m], on one task."""
    return [[(arm, base)] for arm in arms]


def scipys(x, y, paired, side):
    if paired:
        return stats.wilcoxon(x, y, alternative=side, method="exact")[1]
    return stats.mannwhitneyu(x, y, alternative=side, method="exact").pvalue


@DESIGNS
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [3, 8, 20])
def test_p_values_are_scipys_at_every_share(paired, sign, n):
    """A share s more than scores y is y + s |y|."""
    rng = np.random.default_rng(n)
    x, y = sign * normal(rng, n), sign * normal(rng, n if paired else n + 2)
    shares = Shares.of([(x, y)], paired)
    for at in (-0.1, 0.0, 0.05):
        moved = y + at * np.abs(y)
        assert shares.more(at) == pytest.approx(scipys(x, moved, paired, "greater"))
        assert shares.less(at) == pytest.approx(scipys(x, moved, paired, "less"))
    assert shares.different() == pytest.approx(scipys(x, y, paired, "two-sided"))


@DESIGNS
def test_bounds_are_where_the_tests_begin_to_reject(paired):
    rng = np.random.default_rng(1)
    shares = Shares.of([(normal(rng, 10), normal(rng, 10))], paired)
    low, high = shares.bounds(0.01)
    assert shares.more(low) > 0.01 >= shares.more(np.nextafter(low, -1))
    assert shares.less(high) > 0.01 >= shares.less(np.nextafter(high, 1))
    assert Shares.of([([1.0, 2], [3.0, 4])], paired).bounds(0.01) == (-np.inf, np.inf)


@DESIGNS
def test_ties_count_against_a_claim(paired):
    """Whichever way they were broken, the p-value would be at most as large."""
    x, y = np.array([3.0, 3, 4, 5]), np.array([3.0, 2, 3, 4])
    tied = Shares.of([(x, y)], paired).more(0)
    for broken in itertools.product((-1e-3, 1e-3), repeat=4):
        assert Shares.of([(x + np.array(broken), y)], paired).more(0) <= tied + 1e-12
    alike = Shares.of([(np.ones(10), np.ones(10))], paired)
    assert (alike.different(), alike.bounds(0.025)) == (1, (0, 0))
    assert alike.equal(0.1) < 0.01


def test_holm_worked_by_hand():
    """0.01 × 4; 0.02 × 3; 0.03 × 2, but not less than the one before; 0.9 × 1."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])


@DESIGNS
@SHAPES
def test_a_family_without_differences_rarely_claims_one(paired, shape):
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(FAMILIES):
        common = 20 * rng.normal(size=10) if paired else 0.0  # what a seed does to all arms
        scores = shape(rng, (ARMS + 1, 10)) + common
        words = [found.word for found in compare(against_one(scores[0], scores[1:]), 0.01, paired) if found]
        wrong += bool({BETTER, WORSE} & {*words})
    assert wrong / FAMILIES <= RATE


@DESIGNS
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("edge", [-0.1, 0.1])
def test_at_the_edge_of_the_margin_equality_is_rarely_claimed(paired, sign, edge):
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(FAMILIES):
        scores = sign * (100 + 4 * rng.normal(size=(ARMS + 1, 12)))
        arms = scores[1:] + edge * np.abs(scores[1:])
        wrong += any(found.word == EQUAL for found in compare(against_one(scores[0], arms), 0.1, paired) if found)
    assert 0 < wrong / FAMILIES <= RATE


@DESIGNS
def test_the_intervals_hold_jointly(paired):
    rng, true, missed = np.random.default_rng(4), np.array([-0.3, 0.0, 0.1, 0.5]), 0
    for _ in range(FAMILIES):
        scores = normal(rng, (ARMS + 1, 10))
        found = compare(against_one(scores[0], scores[1:] * (1 + true[:, None])), 0.1, paired)
        missed += any(c is None or not c.bounds[0] <= s <= c.bounds[1] for c, s in zip(found, true, strict=True))
    assert missed / FAMILIES <= RATE


def scores_of(rng, n, paired, deviation):
    """An arm that scores 10 more than the baseline's 100. A seed that does the same to both does not count."""
    base = 100 + deviation * rng.normal(size=n)
    return (
        base + 10 + 2**0.5 * deviation * rng.normal(size=n) if paired else 110 + deviation * rng.normal(size=n)
    ), base


@DESIGNS
@pytest.mark.parametrize(("deviation", "of"), [(5, 1), (8, 15), (12, 4), (15, 1)])
def test_enough_seeds_tell_the_margin_apart_as_often_as_they_should(paired, deviation, of):
    """In 500 trials a power of 0.8 has a standard error of 0.018; three of them are 0.06. With very few seeds p-values
    are so far apart that the power may be anything above that."""
    rng = np.random.default_rng(5)
    n = int(seeds_needed([scores_of(rng, 20_000, paired, deviation)], 0.1, of, paired=paired))
    trials = [Shares.of([scores_of(rng, n, paired, deviation)], paired).different() for _ in range(FAMILIES)]
    detected = np.mean(np.array(trials) <= 0.05 / of)
    assert detected > POWER - 0.06
    assert n < 15 or detected < POWER + 0.06


@DESIGNS
@pytest.mark.parametrize("of", [1, 4, 15, 50])
def test_with_fewer_than_the_least_seeds_nothing_is_settled(paired, of):
    """Every run beats every run of the baseline, in one comparison of the family; the others are not made yet."""
    least = least_seeds(of, paired)
    for n, word in ((least, BETTER), (least - 1, OPEN)):
        pair = (200 + np.arange(n), 100 + np.arange(n) / 10)
        first, *others = compare([[pair], *[None] * (of - 1)], 0.1, paired)
        assert first is not None
        assert (first.word, others) == (word, [None] * (of - 1))
        assert (first.bounds[0] > 0) == (word == BETTER)


def test_words_worked_by_hand():
    """Ten against ten: the least p-value is 2 / 184,756, and no score of the third is 10 % from one of the baseline."""
    base = 100 + 0.1 * np.arange(10)
    arms = (base + 50, base - 50, base + 1.05, np.linspace(50, 150, 10))
    found = compare(against_one(base, arms), 0.1, paired=False)
    assert [c and c.word for c in found] == [BETTER, WORSE, EQUAL, OPEN]
    for comparison, arm in zip(found, arms, strict=True):
        assert comparison is not None
        middle = np.mean(np.sort(arm)[2:8]), np.mean(np.sort(base)[2:8])
        assert comparison.effect.estimate == pytest.approx(middle[0] / middle[1] - 1)
        assert comparison.effect.low < comparison.effect.estimate < comparison.effect.high
    assert found[0] is not None
    assert found[0].different == pytest.approx(2 / math.comb(20, 10) * 4)


def test_scores_of_nought_are_no_error():
    """A share of nothing is infinite, but a difference is one all the same."""
    some = (np.ones(8), np.zeros(8))
    found, same, single = compare([[some], [(np.zeros(8), np.zeros(8))], [([1.0], [2.0])]], 0.1, False)
    assert seeds_needed([some], 0.1, 1, paired=False) == math.inf
    assert math.isnan(seeds_needed([([1.0], [2.0])], 0.1, 1, paired=False))
    assert found is not None
    assert (found.word, found.effect.estimate) == (BETTER, math.inf)
    assert same is not None
    assert (same.word, same.effect.estimate) == (EQUAL, 0)
    assert single is not None
    assert single.word == OPEN


# standard deviations on three tasks, whose scores differ by factors of a hundred
TASKS = {"easy": (100.0, 12.0), "hard": (-4.0, 0.8), "wild": (5000.0, 1500.0)}


def on_tasks(rng, n, m, paired, more=0.0):
    """Scores of an arm that scores a share more than the baseline on each of the tasks."""
    found = []
    for mean, deviation in TASKS.values():
        common = 3 * deviation * rng.normal(size=n) if paired else 0.0  # what a seed does to both
        base = mean + deviation * rng.normal(size=m)
        arm = mean + more * abs(mean) + deviation * rng.normal(size=n)
        found.append((arm + common, base + common))
    return found


@DESIGNS
def test_together_p_values_are_the_shares_of_all_ways_to_shuffle_each_task(paired):
    """Every assignment of scores to arm and baseline (or of signs to differences) on each of two tasks."""
    rng = np.random.default_rng(6)
    tasks = [(rng.normal(1, size=4), rng.normal(size=4)) for _ in range(2)]

    def shuffled(pair):
        x, y = pair
        if paired:
            for sign in itertools.product((0, 1), repeat=len(x)):
                yield np.where(sign, x, y), np.where(sign, y, x)
        else:
            every = np.concatenate([x, y])
            for ours in itertools.combinations(range(len(every)), len(x)):
                yield every[list(ours)], np.delete(every, ours)

    def won(pair):
        x, y = pair
        if paired:
            return (np.add.outer(x - y, x - y)[np.triu_indices(len(x))] > 0).sum()
        return np.greater.outer(x, y).sum()

    seen = sum(map(won, tasks))
    every = [sum(map(won, both)) for both in itertools.product(*map(list, map(shuffled, tasks)))]
    assert Shares.of(tasks, paired).more(0) == pytest.approx(np.mean(np.array(every) >= seen))


@DESIGNS
def test_together_no_difference_is_claimed_rarely_and_the_interval_holds(paired):
    """Two-sided at 5 % each; see `RATE`."""
    rng, wrong, missed = np.random.default_rng(7), 0, 0
    for _ in range(FAMILIES):
        wrong += Shares.of(on_tasks(rng, 8, 8 if paired else 6, paired), paired).different() <= 0.05
        base = on_tasks(rng, 8, 8 if paired else 6, paired)
        low, high = Shares.of([(x + 0.2 * np.abs(x), y) for x, y in base], paired).bounds(0.025)
        missed += not paired and not low <= 0.2 <= high
    assert wrong / FAMILIES <= RATE
    assert missed / FAMILIES <= RATE


@DESIGNS
@pytest.mark.parametrize("of", [1, 5])
def test_together_enough_seeds_tell_the_margin_apart_as_often_as_they_should(paired, of):
    """See the same test of one task."""
    rng = np.random.default_rng(8)
    n = int(seeds_needed(on_tasks(rng, 20_000, 20_000, paired, 0.1), 0.1, of, paired))
    one = [seeds_needed([pair], 0.1, of, paired) for pair in on_tasks(rng, 20_000, 20_000, paired, 0.1)]
    trials = [Shares.of(on_tasks(rng, n, n, paired, 0.1), paired).different() for _ in range(FAMILIES)]
    assert abs(np.mean(np.array(trials) <= 0.05 / of) - POWER) < 0.06
    assert n < min(one)


def test_together_worked_by_hand():
    """Three runs against three on two tasks, all pairs won: 2 / 20². Half of the pairs of the first task are at
    least 100 % apart, all pairs of the second are 50 %."""
    tasks = [([20.0, 21, 22], [10.0, 10.5, 11]), ([-2.0, -2, -2], [-4.0, -4, -4])]
    (found,) = compare([tasks], 0.1, paired=False)
    assert found is not None
    assert found.different == pytest.approx(2 / 20**2)
    shares = sorted([x / y - 1 for x in (20.0, 21, 22) for y in (10.0, 10.5, 11)] + [0.5] * 9)
    assert found.effect.estimate == pytest.approx((shares[8] + shares[9]) / 2)
    assert found.word == BETTER


@pytest.mark.parametrize(("sixth", "word"), [(1.02, EQUAL), (0.25, OPEN)])
def test_together_nothing_is_equal_that_differs_on_one_task(sixth, word):
    """The median of the shares hardly sees the sixth task."""
    rng = np.random.default_rng(0)
    arms = [*[1.02] * 5, sixth]
    tasks = [(factor * (100 + 5 * rng.normal(size=10)), 100 + 5 * rng.normal(size=10)) for factor in arms]
    found = compare([tasks, None, None, None, None], 0.1, paired=False)[0]
    assert found is not None
    assert abs(found.effect.estimate) < 0.05
    assert found.word == word


def test_pairs_by_seed_are_the_signed_ranks_where_the_baseline_changes_its_sign():
    rng = np.random.default_rng(2)
    y = rng.normal(size=12)
    x = y + 0.5 * np.abs(y) + 0.3 * rng.normal(size=12)
    i, j = np.triu_indices(12)
    ahead = x - y - 0.5 * np.abs(y)
    won = int(((ahead[i] + ahead[j]) > 0).sum())
    expected = scipys(x, y + 0.5 * np.abs(y), True, "greater")
    assert Shares.of([(x, y)], paired=True).more(0.5) == pytest.approx(expected)
    assert (Shares.of([(x, y)], paired=True).ordered > 0.5).sum() == won
