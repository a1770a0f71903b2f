"""The number of physics threads of a run."""

import pytest

from pgcontrol.machine import threads


def test_more_threads_must_be_worth_it():
    assert threads.fewest({1: 1.0, 2: 0.6, 4: 0.58}) == 2
    assert threads.fewest({1: 1.0, 2: 1.1}) == 1
    assert threads.fewest({1: 2.0, 2: 1.0}) == 2


def test_threads_are_measured_without_a_setting():
    chosen = threads.choose("InvertedPendulum-v5", 4, 0, cpus=2)
    assert set(chosen.measured) == {"1", "2"}
    assert all(0 < seconds < 1 for seconds in chosen.measured.values())
    assert chosen.physics == threads.fewest({int(n): s for n, s in chosen.measured.items()})


@pytest.mark.parametrize(("env_id", "num_envs"), [("gym:Pusher-v5", 8), ("Hopper-v5", 1)])
def test_nothing_to_measure(env_id, num_envs):
    assert threads.choose(env_id, num_envs, 0, cpus=8) == (1, 1, {})


def test_the_user_decides_and_hears_of_too_many():
    assert threads.choose("Hopper-v5", 16, 3, cpus=4) == (3, 1, {})
    with pytest.warns(UserWarning, match="threads = 8, but this process may only use 2 processors"):
        assert threads.choose("Hopper-v5", 16, 8, cpus=2).physics == 8
