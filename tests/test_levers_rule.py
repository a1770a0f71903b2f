"""The rule that keeps levers."""

import numpy as np
import pytest

from experiments.levers import judged, table

DEFAULT = [100.0, 101.0, 99.0, 100.5, 100.2, 99.6, 100.8, 99.4]


def lever(*shares):
    """A lever with these differences on tasks a, b and c, and its p-value."""
    pairs = {task: ([x * (1 + share) for x in DEFAULT], DEFAULT) for task, share in zip("abc", shares, strict=True)}
    return judged("lever", pairs, 1.0)


@pytest.mark.parametrize(
    ("shares", "kept"),
    [
        ((0.2, 0.2, 0.0), True),
        ((0.2, 0.2, -0.2), False),  # hurts one
        ((0.5, 0.0, 0.0), False),  # pays on one task only
        ((0.04, 0.04, 0.04), False),  # too little
    ],
)
def test_two_tasks_must_gain_and_none_may_lose(shares, kept):
    found = lever(*shares)
    assert (found.word == "**yes**") == kept
    assert [*found.effects.values()] == pytest.approx(shares)


def test_a_gain_that_may_be_chance_is_not_enough():
    rng = np.random.default_rng(3)  # gains of 18 % and 26 %
    noisy = {task: ([*rng.normal(110, 60, 8)], [*rng.normal(100, 60, 8)]) for task in "ab"}
    found = judged("lever", noisy, 1.0)
    assert found.p > 0.05
    assert found.word == "no"


def test_a_small_loss_that_is_certain_hurts():
    pays = ([x * 1.2 for x in DEFAULT], DEFAULT)
    found = judged("lever", {"a": pays, "b": pays, "c": ([x * 0.96 for x in DEFAULT], DEFAULT)}, 1.0)
    assert found.pays == ["a", "b"]
    assert found.hurts == ["c"]
    assert found.word == "no"


def test_a_lever_that_loses_most_pairs_is_not_kept():
    half = [60.0, 70, 80, 90, 100, 130, 140, 150]  # the IQM rises by 7 %, but most runs lose
    pays = ([59.0, 69, 79, 104, 116, 129, 139, 149], half)
    found = judged("lever", {"a": pays, "b": pays}, 1.0)
    assert len(found.pays) == 2
    assert not found.hurts
    assert found.word == "no"


def test_a_loss_that_may_be_chance_does_not_hurt():
    noisy = ([40.0, 55, 70, 85, 95, 110, 125, 140], [50.0, 65, 80, 95, 105, 120, 135, 150])
    pays = ([x * 1.2 for x in DEFAULT], DEFAULT)
    found = judged("lever", {"a": pays, "b": pays, "c": noisy}, 1.0)
    assert found.effects["c"] < -0.05
    assert not found.hurts
    assert found.word == "**yes**"


def test_without_all_runs_of_the_baseline_nothing_is_judged():
    assert judged("lever", {task: ([50.0] * 2, DEFAULT[:1]) for task in "abc"}, 1.0).word == "more seeds"


@pytest.mark.parametrize(("shares", "word"), [((0.3, 0.1, 0.0), "more seeds"), ((0.1, 0.1, 0.05), "no")])
def test_two_seeds_only_decide_who_gets_more(shares, word):
    pairs = {task: ([100 * (1 + share)] * 2, DEFAULT) for task, share in zip("abc", shares, strict=True)}
    assert judged("lever", pairs, 1.0).word == word


def test_between_the_stages_nothing_is_judged():
    pairs = {task: ([150.0] * 5, DEFAULT) for task in "abc"}
    assert judged("lever", pairs, 1.0).word == "more seeds"


def test_those_that_are_kept_come_first():
    text = table([lever(0.5, 0.0, 0.0), lever(0.2, 0.2, 0.0)], ["a", "b", "c"])
    lines = text.splitlines()[2:]
    assert lines[0].endswith("| **yes** |")
    assert lines[1].startswith("| lever | +50\u00a0% | 0\u00a0% | 0\u00a0% |")
