"""Whether the spread of a natural run cost it something, from made-up branches with a known answer."""

import itertools
import json
import re

import numpy as np
import pytest

from experiments import natural_truth
from experiments.natural import answer, missing
from experiments.natural_truth import ARMS, FRACTIONS, KINDS, SEEDS, Judged, judged, no_gain
from pgcontrol.measures.curves import RETURN, SPREAD, STEPS

# the return rises from 0 to 1,000 while the spread falls
LOG = [{STEPS: 100 * i, RETURN: 10.0 * i, f"{SPREAD}0": 0.4 if i < 2 else 0.1} for i in range(101)]
ABOUT = {"run": "made up", "settings": {"total_steps": 10_000}, "status": "finished"}


def run(score=lambda at, arm, branch: 900 + branch, log=LOG) -> Judged:
    """A run whose branches have this score with all schedules, by the mode and by samples."""
    branches = [
        {"schedule": schedule, "at": at, "arm": arm, "branch": branch, **dict.fromkeys(("mode", "sampled"), end)}
        for schedule, at, arm, branch in itertools.product(("rest", "fresh"), FRACTIONS, ARMS, range(SEEDS))
        if (end := score(at, arm, branch)) != "missing"
    ]
    return Judged(ABOUT, log, branches)


def gains(amount, where=0.25):
    return lambda at, arm, branch: 700 + branch + amount * (arm == "widened" and at == where)


@pytest.mark.parametrize(("schedule", "score"), KINDS)
def test_a_cost_is_found_where_it_is(schedule, score):
    assert run(gains(150)).lost(schedule, score) == 0.25
    assert run(gains(-150)).lost(schedule, score) is False
    assert run().lost(schedule, score) is False


def test_a_small_gain_is_no_cost_however_sure_it_is():
    assert run(gains(90)).lost() is False
    assert run(gains(90), log=LOG[:60]).lost() == 0.25  # the same gain, of a return that rose to 790 only


def test_a_large_gain_that_may_be_chance_is_no_cost():
    rng = np.random.default_rng(5)
    noise = {key: rng.normal(0, 300) for key in itertools.product(FRACTIONS, ARMS, range(SEEDS))}
    noisy = run(lambda at, arm, branch: 500 + noise[at, arm, branch])
    assert max(place.share for place in noisy.costs("rest", "mode")) > 0.1
    assert noisy.lost() is None
    assert noisy.undecided()


def test_no_means_that_the_intervals_exclude_a_cost():
    rng = np.random.default_rng(5)
    draws = {key: rng.normal() for key in itertools.product(FRACTIONS, ARMS, range(SEEDS))}

    def noisy(deviation):
        return run(lambda at, arm, branch: 500 + deviation * draws[at, arm, branch])

    assert answer(noisy(20), "fresh", "mode").startswith("no (")
    assert answer(noisy(300), "fresh", "mode").startswith("not proved (")
    (largest,) = re.findall(r"at most \+(\d+) %", answer(noisy(300), "fresh", "mode"))
    assert int(largest) == round(100 * max(place.most for place in noisy(300).costs("fresh", "mode")))
    assert answer(run(gains(150)), "fresh", "mode") == "at 0.25 (+15 %)"


def test_without_all_branches_there_is_no_answer():
    lacking = run(
        lambda at, arm, branch: "missing" if (at, arm, branch) == (0.75, "alone", 3) else gains(150)(at, arm, 0)
    )
    assert lacking.lost() is None
    assert lacking.branched() is True  # short branches do not begin there


def test_a_branch_that_diverged_counts_as_the_worst():
    def diverged(arm):
        return run(lambda at, name, branch: None if name == arm else 500 + branch + 300 * (at == 0.1))

    assert diverged("alone").lost() == 0.1
    assert diverged("widened").lost() is False


@pytest.mark.parametrize(("widened", "alone", "p"), [([1.0] * 4, [1.0] * 4, 1), ([2.0] * 4, [1.0] * 4, 0)])
def test_equal_scores_have_a_p_value(widened, alone, p):
    assert no_gain(widened, alone) == p


def test_where_the_policy_is_still_wide_there_are_no_branches_and_no_cost():
    """`at` a tenth it is as wide as at the start: both kinds of branches would be the same."""
    log = [row | {f"{SPREAD}0": 0.37 if row[STEPS] < 2000 else 0.2} for row in LOG]
    bare = Judged(ABOUT, log, [])
    assert {at for at, *_ in missing(bare)} == {0.25, 0.5, 0.75}
    assert [(cost.at, cost.p, cost.seeds) for cost in bare.costs("rest", "mode")] == [(0.1, 1.0, 0)]
    at_three = run(lambda at, arm, branch: "missing" if at == 0.1 else gains(150)(at, arm, branch), log)
    assert at_three.lost() == 0.25
    assert at_three.branched() is True
    wide = Judged(ABOUT, [row | {f"{SPREAD}0": 0.7} for row in LOG], [])
    assert (wide.lost(), wide.branched(), [*missing(wide)]) == (False, False, [])
    diverged = Judged(ABOUT | {"status": "diverged"}, wide.log, [])
    assert (diverged.lost(), diverged.branched(), answer(diverged, "rest", "mode")) == (None, None, "diverged")


def test_a_cost_that_is_neither_proved_nor_excluded_leaves_the_truth_open():
    rng = np.random.default_rng(5)
    draws = {key: rng.normal() for key in itertools.product(FRACTIONS, ARMS, range(SEEDS))}
    assert not run().open
    assert not run(gains(150)).open
    assert run(lambda at, arm, branch: 500 + 60 * draws[at, arm, branch]).open


def test_places_that_are_not_decided_get_twice_as_many_branches():
    def noisy(at, arm, branch):
        return 500 + 400 * (branch % 2) + 250 * (arm == "widened" and at == 0.5)

    first = run(noisy)
    assert (first.lost(), first.undecided()) == (None, [0.5])
    wanted = [*missing(first)]
    assert wanted == [(0.5, "rest", branch, arm) for branch in range(SEEDS, 2 * SEEDS) for arm in ARMS]
    for at, schedule, branch, arm in wanted:
        row = {
            "at": at,
            "schedule": schedule,
            "branch": branch,
            "arm": arm,
            "sampled": 0,
            "mode": noisy(at, arm, branch),
        }
        assert first.undecided() == [0.5]  # until the last one is there
        first.branches.append(row)
    assert (first.lost(), first.undecided()) == (False, [])
    assert [*missing(first)] == []
    assert {place.at: place.seeds for place in first.costs("rest", "mode")}[0.5] == 2 * SEEDS
    assert run(gains(150)).undecided() == run(gains(90)).undecided() == []


def test_a_run_that_was_made_twice_counts_once(tmp_path, monkeypatch):
    """Branches belong to the last of the two, and a branch that was made twice counts once."""
    monkeypatch.setattr(natural_truth, "ROWS", tmp_path / "natural.jsonl")
    monkeypatch.setattr(natural_truth, "LOGS", tmp_path)
    (tmp_path / "made up.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LOG))
    about, branches = ABOUT, run().branches
    lines = [about | {"of": "a"}, *(row | {"run": "made up", "of": "a"} for row in branches)]
    lines += [about | {"of": "b"}, *(row | {"run": "made up", "of": "b"} for row in [*branches[:40], *branches[:60]])]
    (tmp_path / "natural.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = judged()["made up"]
    assert found.log == LOG
    assert [row | {"run": "made up", "of": "b"} for row in branches[:60]] == found.branches
    assert len([*missing(found)]) == 4


def test_runs_that_lost_nothing_are_rarely_said_to_have():
    """Scores are equally distributed in both arms, and every undecided place is continued: of 400 such runs at most
    5 % are called lost, with 95 % at most 5 % + 2.1 %."""
    rng, said = np.random.default_rng(1), 0
    for _ in range(400):
        found = run(lambda at, arm, branch: rng.normal(500, 150))
        for at, schedule, branch, arm in [*missing(found)]:
            row = {"at": at, "schedule": schedule, "branch": branch, "arm": arm, "mode": rng.normal(500, 150)}
            found.branches.append(row | {"sampled": 0})
        said += found.lost() is not False
    assert said / 400 < 0.071
