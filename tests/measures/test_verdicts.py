"""Verdicts on logs with a known story."""

import numpy as np
import pytest

from pgcontrol.measures.collapse import Gain, collapse, onset, spending
from pgcontrol.measures.curves import RETURN, column, spreads
from pgcontrol.measures.judge import Known, judge
from pgcontrol.measures.returns import Reach, learning, played, standstill
from pgcontrol.measures.verdicts import Limits, summary, to_prove, words

BUDGET, N = 100_000, 100
STEPS = np.linspace(1000, BUDGET, N)
FLAT, WIDE = np.zeros(N), np.full(N, 0.4)
WOBBLE = 0.5 * np.sin(np.arange(N) * 2.1)


def log(spread, returns=None, kl=None, joints=2):
    returns, kl = FLAT if returns is None else returns, np.full(N, 0.01) if kl is None else kl
    return [
        {
            "time/total_timesteps": int(STEPS[i]),
            "rollout/ep_rew_mean": float(returns[i]),
            "train/kl": float(kl[i]),
            # clipped where the policy no longer goes: no ground for a verdict
            **{f"health/spread_joint{j}": 0.0 for j in range(joints)},
            **{f"health/visited_spread_joint{j}": float(spread[i]) if j == 0 else 0.4 for j in range(joints)},
        }
        for i in range(N)
    ]


def falling(at, to=0.01):
    """Spread 0.4, and `to` from a share of the run on."""
    return np.where(np.arange(N) >= at * N, to, 0.4)


def rising(until, top=100.0):
    return top * np.minimum(np.arange(N) / (until * N), 1) + WOBBLE


def found(spread, **limits):
    return onset(STEPS, np.atleast_2d(spread.T).T, BUDGET, Limits(**limits))


def test_onset_is_the_first_step_that_lasts():
    spread = falling(0.5)
    spread[20:23] = 0.01  # 3 % of the budget: too short
    once = found(spread)
    assert once is not None
    assert once.step == STEPS[50]
    assert once.joints == [0]
    assert found(np.where(np.arange(N) >= 96, 0.01, 0.4)) is None  # too short before the end
    assert found(np.full(N, 0.4)) is None


def test_onset_by_the_share_of_the_start_and_from_the_start():
    assert found(np.where(np.arange(N) > 50, 0.08, 1.0)) is not None  # a tenth of 1
    assert found(np.where(np.arange(N) > 50, 0.08, 0.6)) is None
    first = found(np.full(N, 0.03))
    assert first is not None
    assert first.step == STEPS[0]


def test_joints_may_take_turns():
    two = np.full((N, 2), 0.4)
    two[50:, 0], two[50:70, 1] = 0.01, 0.01
    once = found(two)
    assert once is not None
    assert once.joints == [0, 1]
    three = np.full((N, 3), 0.4)  # each narrow for a third of the time: the verdict still names whom it is about
    three[np.arange(50, N), np.arange(50, N) % 3] = 0.01
    once = found(three)
    assert once is not None
    assert once.joints
    turns = np.full((N, 2), 0.4)
    turns[::2, 0], turns[1::2, 1] = 0.01, 0.01  # the least is always narrow
    assert found(turns) is not None


@pytest.mark.parametrize(
    ("spread", "returns", "word"),
    [
        (np.full(N, 0.3), rising(0.5), "healthy"),
        (falling(0.7), rising(0.4), "sharp"),  # solved, then sharp
        (falling(0.3), rising(1.0), "sharp"),  # sharp, and learns on
        (falling(0.4), np.minimum(rising(1.0), 40.0 + WOBBLE), "suspected"),  # rising, then not
        (falling(0.1), WOBBLE, "suspected"),  # learns nothing
        (falling(0.5), np.where(np.arange(N) < 50, rising(0.4), 20.0 + WOBBLE), "suspected"),  # falls
        (np.full(N, 0.02), rising(0.9), "suspected"),  # narrow from the start: what would it have learned wider?
        (falling(0.3), np.where(np.arange(N) < 70, rising(0.7), 60.0 + WOBBLE), "suspected"),  # rose on, and fell
    ],
)
def test_words_without_a_counterfactual(spread, returns, word):
    assert collapse(log(spread, returns), BUDGET, Limits()).word == word


def shrinking(by, to=0.15):
    """Spread of both joints from 0.4 to `to`, in a straight line until a share of the run: never narrow."""
    return np.maximum(0.4 - (0.4 - to) * np.arange(N) / (by * N), to)


@pytest.mark.parametrize(
    ("spread", "returns", "reached", "word"),
    [
        (shrinking(0.2), rising(1.0, 40.0), 100.0, "suspected"),  # it still rises, but the spread went first
        (shrinking(0.2), rising(1.0, 60.0), 100.0, "healthy"),  # more than half of the way
        (shrinking(0.2), rising(1.0, 40.0), None, "healthy"),  # nothing to compare with
        (shrinking(0.2), rising(1.0, 40.0), -50.0, "healthy"),  # others became worse
        (shrinking(0.2, to=0.25), rising(1.0, 40.0), 100.0, "healthy"),  # most of the spread is left
        (shrinking(1.0), rising(0.2, 40.0), 100.0, "healthy"),  # it had learned what it can before
        (falling(0.3), rising(1.0, 40.0), 100.0, "suspected"),  # narrow, and far behind: not sharp
        (falling(0.7), rising(0.4, 40.0), 100.0, "sharp"),
        (falling(0.9, to=0.15), rising(0.2, 20.0), 100.0, "healthy"),  # it had stopped learning with a wide spread
        (np.where(np.arange(N) < 20, shrinking(0.1), 0.4), rising(1.0, 40.0), 100.0, "healthy"),  # wide again
        (shrinking(0.2), 100.0 - rising(1.0, 40.0), 50.0, "healthy"),  # it began above the others
    ],
)
def test_spread_that_is_lost_before_the_run_learns_what_others_learn(spread, returns, reached, word):
    rows = log(spread, returns)
    for row in rows:
        row["health/visited_spread_joint1"] = row["health/visited_spread_joint0"]
    known = Known(reach=None if reached is None else Reach(reached, "the median of 3 runs"))
    verdict = judge(rows, BUDGET, "finished", known=known)[0]
    assert verdict.word == word
    if word == "suspected":
        assert verdict.step is not None
        assert "; the median of 3 runs reached 100" in verdict.why
        assert "--branches 5" in to_prove("pgcontrol diagnose run", [verdict])


def spent_in(rows):
    return spending(spreads(rows), column(rows, RETURN))


def gained(gain, half, low=0.8, scale=100.0):
    return Gain(gain, half, (1.0, low, 1.0), 5, scale)


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (gained(40.0, 10.0), "collapsed"),
        (gained(5.0, 20.0, low=0.3), "suspected"),  # undecided: the reason in the log still holds
        (gained(0.0, 5.0), "healthy"),
    ],
)
def test_branches_of_a_run_that_lost_its_spread_early(gain, word):
    rows = log(shrinking(0.2), rising(1.0, 40.0), joints=1)
    verdict = judge(rows, BUDGET, "finished", known=Known((), [gain], Reach(100.0, "the median of 3 runs")))[0]
    assert verdict.word == word
    assert verdict.branched
    assert verdict.proved == (word != "suspected")
    assert ("half of this fall was over at step" in verdict.why) == (word == "suspected")


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (gained(40.0, 10.0), "collapsed"),
        (gained(4.0, 1.0), "sharp"),  # sure, and too little to count
        (gained(0.0, 5.0), "sharp"),
        (gained(-30.0, 10.0), "sharp"),
        (gained(30.0, 50.0), "suspected"),  # cannot tell
        (gained(40.0, 10.0, low=0.4), "suspected"),
        (gained(0.0, 5.0)._replace(catching_up=6.0), "suspected"),  # the widened still rise: too short
        (gained(-30.0, 10.0)._replace(catching_up=6.0), "sharp"),  # still rising, and far behind
    ],
)
def test_words_with_one(gain, word):
    verdict = collapse(log(falling(0.5), rising(0.5)), BUDGET, Limits(), [gain])
    assert verdict.word == word
    assert verdict.joints == ("joint 0",)


def test_the_reason_names_the_joint_and_says_what_its_numbers_are():
    verdict = collapse(log(falling(0.5), rising(0.5)), BUDGET, Limits(), [gained(40.123, 10.456)], ("hip", "knee"))
    assert verdict.joints == ("hip",)
    higher = "a widened branch ends higher than an unchanged one with probability 1, 0.8 … 1; 5 branches each"
    assert verdict.why.endswith(f" in hip; widened at step 0 it ends higher: cost 40 ± 10 ({higher})")


@pytest.mark.parametrize(
    ("gains", "word", "proved"),
    [
        ([gained(40.0, 10.0)], "collapsed", True),  # no joint is narrow, and yet it was too narrow
        ([gained(0.0, 5.0), gained(40.0, 10.0)], "collapsed", True),
        ([gained(30.0, 50.0)], "suspected", False),  # widened branches usually end higher, but the gain may be chance
        ([gained(0.0, 5.0), gained(30.0, 50.0)], "suspected", False),
        ([gained(30.0, 50.0, low=0.4)], "healthy", False),  # nothing is proved: the word of the log stays
        ([gained(8.0, 50.0)], "healthy", False),  # too little to count
        ([gained(0.0, 5.0)], "healthy", True),
    ],
)
def test_branches_judge_a_run_without_an_onset(gains, word, proved):
    verdict = collapse(log(np.full(N, 0.4)), BUDGET, Limits(), gains)
    assert verdict.word == word
    assert verdict.branched
    assert verdict.proved == proved
    assert (verdict.step is None) == (word == "healthy")


def test_joints_have_their_names():
    verdict = collapse(log(falling(0.5), rising(0.5)), BUDGET, Limits(), joints=["hip", "knee"])
    assert verdict.joints == ("hip",)
    assert "in hip" in verdict.why


def test_half_of_the_spread_is_lost_where_its_logarithm_is_halfway():
    spread = np.where(np.arange(N) < 20, 0.4, np.where(np.arange(N) < 40, 0.1, 0.025))
    found = spent_in(log(spread, 100 * np.arange(N) / N, joints=1))
    assert found is not None
    assert found.step == STEPS[20]
    assert found.fall == pytest.approx(16)
    assert found.gained == pytest.approx(0.2, abs=0.03)
    assert spent_in(log(np.full(N, 0.4), joints=1)) is None  # nothing was spent


@pytest.mark.parametrize(
    ("returns", "reach", "word"),
    [
        (rising(0.3, 40.0), 100.0, "stuck"),
        (rising(0.3, 60.0), 100.0, "healthy"),  # more than half of the way
        (rising(1.0, 40.0), 100.0, "healthy"),  # it still rises
        (WOBBLE, 100.0, "stuck"),
        (WOBBLE, None, "no gain"),
        (-rising(0.3, 40.0) - 60, -10.0, "stuck"),  # returns may be negative
        (np.concatenate((rising(0.3, 80.0)[: N // 2], np.linspace(80, 20, N - N // 2))), 300.0, "declined"),
    ],
)
def test_a_run_that_stands_still_far_below_others_is_stuck(returns, reach, word):
    known = Reach(reach, "others") if reach is not None else None
    verdict = learning(log(WIDE, returns), "finished", Limits(), known)
    assert verdict.word == word
    if word == "stuck":
        assert "others" in verdict.why
        assert verdict.step is not None


def test_a_run_that_is_far_below_others_and_still_rises_is_healthy_and_says_so():
    rows, reach = log(WIDE, rising(1.0, 40.0)), Reach(100.0, "its 3 runs with other seeds")
    verdict = learning(rows, "finished", Limits(), reach)
    assert verdict.word == "healthy"
    assert verdict.why.endswith(", and still rising; its 3 runs with other seeds reached 100")
    assert "rising" not in learning(rows, "finished", Limits(), Reach(70.0, "others")).why
    assert "rising" not in learning(rows, "finished", Limits()).why


def test_a_standstill_begins_where_the_curve_levels_off():
    assert standstill(STEPS, rising(0.3, 40.0), 100.0, Limits()) == pytest.approx(0.3 * BUDGET, rel=0.1)


@pytest.mark.parametrize(
    ("mode", "sampled", "weak"),
    [(10.0, 90.0, True), (80.0, 90.0, True), (84.0, 90.0, False), (90.0, 10.0, False)],
)
def test_a_mode_that_samples_beat_is_weak(mode, sampled, weak):
    rows = log(WIDE, rising(0.5, 90.0))
    for row in rows[::9]:
        row |= {"eval/mean_reward": mode, "eval/mean_reward_sampled": sampled}
    assert bool(played(rows, Limits())) == weak
    rows[-1] |= {"eval/mean_reward": 95.0, "eval/mean_reward_sampled": 90.0}
    assert not played(rows, Limits())  # once is chance
    assert not played(log(WIDE), Limits())  # no evaluation


SPIKE = np.where(np.arange(N) == 60, 2.0, 0.01)
LOST = np.where(np.arange(N) <= 60, rising(0.5), 10.0 + WOBBLE)
RECOVERED = np.where((np.arange(N) > 60) & (np.arange(N) < 80), 10.0, rising(0.5))
LUCKY = np.where(np.arange(N) == 90, 100.0, LOST)


@pytest.mark.parametrize(
    ("returns", "kl", "word"),
    [
        (LOST, SPIKE, "destroyed"),
        (LUCKY, SPIKE, "destroyed"),  # one good row is no recovery
        (RECOVERED, SPIKE, "healthy"),
        (rising(0.5), SPIKE, "healthy"),  # no drop
        (LOST, None, "declined"),  # no spike
        (WOBBLE, np.full(N, 200.0), "destroyed"),  # every update replaces the policy
        (LOST, np.full(N, 200.0), "destroyed"),
        (rising(0.9), np.full(N, 2.0), "healthy"),  # large updates, and it learns
        (WOBBLE, None, "no gain"),
        (-rising(0.9), None, "no gain"),
    ],
)
def test_words_for_the_return(returns, kl, word):
    rows = log(WIDE, returns, kl)
    assert learning(rows, "finished", Limits()).word == word
    assert words(judge(rows, BUDGET, "finished")) == word


@pytest.mark.parametrize(("returns", "worse"), [(-rising(0.9), True), (WOBBLE, False)])
def test_no_gain_says_whether_the_return_became_worse(returns, worse):
    assert learning(log(WIDE, returns), "finished", Limits()).why.startswith("it became worse, ") == worse


def test_destroyed_says_when_and_how():
    text = summary(judge(log(WIDE, LOST, SPIKE), BUDGET, "finished"))
    assert text.startswith(
        "destroyed (KL 2 at step 61,000, 200 times the median before it; the return then fell from 1"
    )


def test_a_healthy_run_has_a_summary():
    text = summary(judge(log(WIDE, rising(0.5)), BUDGET, "finished"))
    assert text.startswith("healthy (spread: smallest joint spread at the end 0.4 half-ranges; return: from ")


def test_a_run_that_diverged_is_destroyed_and_an_empty_log_is_not_judged():
    assert words(judge(log(WIDE), BUDGET, "diverged")) == "destroyed"
    assert words(judge([], BUDGET, "stopped")) == "not judged"


@pytest.mark.parametrize("updates", [9, 10])
def test_a_run_too_short_to_judge_says_so(updates):
    rows = log(falling(0.0), rising(0.5))[:updates]
    rows[-1] |= {"eval/mean_reward": 3.0, "eval/mean_reward_sampled": 18.0, "rollout/quarantined": 1}
    said = judge(rows, 1000 * updates, "finished")
    assert (words(said) == "not judged") == (updates < 10)
    if updates < 10:
        line = "not judged (return: too short: 9 updates with a return, and a verdict needs 10; numbers: 1 transition"
        assert summary(said).startswith(line)


@pytest.mark.parametrize(("entropy", "word"), [(1.0, "healthy"), (0.1, "fewer routes")])
def test_routes_of_the_last_episodes(entropy, word):
    rows = log(WIDE, rising(0.5))
    for i, row in enumerate(rows):
        row["health/route_entropy"] = 1.0 if i < 50 else entropy
    assert words(judge(rows, BUDGET, "finished")) == word


def test_an_onset_is_to_be_proved_until_it_is():
    rows, command = log(falling(0.5), rising(0.5)), "pgcontrol diagnose run"
    assert f"{command} --branches 5" in to_prove(command, judge(rows, BUDGET, "finished"))
    assert not to_prove(command, judge(rows, BUDGET, "finished", known=Known(gains=[gained(40, 10)])))
    assert not to_prove(command, judge(log(WIDE), BUDGET, "finished"))


def test_bad_numbers_are_part_of_the_line():
    rows = [
        {"time/total_timesteps": i, "rollout/quarantined": i == 3, "rollout/outliers": 2 * (i in (5, 6))}
        for i in range(9)
    ]
    (found,) = [v for v in judge(rows, 100, "finished") if v.about == "numbers"]
    assert found.why == "1 transition in quarantine, outliers bounded in 2 updates, first at step 5"
    assert not [v for v in judge(rows[:3], 100, "finished") if v.about == "numbers"]
