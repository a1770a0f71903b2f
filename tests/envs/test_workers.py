"""Copies of a Gymnasium environment in worker processes."""

import multiprocessing
from contextlib import closing

import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs import BrokenEnv
from pgcontrol_envs.gym_workers import WorkerDied
from pgcontrol_envs.names import GymName

HOME = "tests.envs.unruly"


def test_workers_and_this_process_give_the_same_numbers():
    name = str(GymName(HOME, "Unruly-v0", {"info": "number", "stream": "MT19937"}))
    with closing(pgcontrol_envs.make(name, 5, 3)) as here, closing(pgcontrol_envs.make(name, 5, 3, workers=2)) as there:
        assert torch.equal(here.reset(), there.reset())
        for t in range(20):
            action = torch.full((5, 2), 0.04 * t)
            active = None if t % 3 else torch.tensor([True, False, False, True, t > 9])
            ours, theirs = here.step(action, active), there.step(action, active)
            for mine, other in zip(ours[:4], theirs[:4], strict=True):
                assert torch.equal(mine, other)
            assert ours.terms.keys() == theirs.terms.keys()
            assert all(torch.equal(ours.terms[term], theirs.terms[term]) for term in ours.terms)
            if (over := ours.truncated | ours.terminated).any():
                assert torch.equal(here.reset(over), there.reset(over))
        assert here.state() == there.state()
        there.load_state(*here.state())
        here.load_state(*here.state())
        assert torch.equal(here.step(torch.zeros(5, 2)).obs, there.step(torch.zeros(5, 2)).obs)


@pytest.mark.slow
def test_workers_show_the_positions_of_each_copy():
    with closing(pgcontrol_envs.make("gym:InvertedPendulum-v5", 3, workers=2)) as env:
        obs = env.reset()
        for i in range(3):
            qpos = env.qpos(i)
            assert qpos is not None
            assert qpos.tolist() == obs[i, :2].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "kind", "says"),
    [
        ({"begins": 2, "obs": "too short"}, BrokenEnv, r"step\(\) returned the observation as .*\(2,\)"),
        ({"dies": 2}, WorkerDied, r"worker process \d ended \(exit code 7\) at step"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_one_line(args, kind, says):
    name = str(GymName(HOME, "Unruly-v0", args))
    with closing(pgcontrol_envs.make(name, 3, workers=2)) as env:
        env.reset()
        env.step(torch.zeros(3, 2))
        with pytest.raises(kind, match=says) as error:
            env.step(torch.zeros(3, 2))
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_engine_that_a_process_can_hold_once():
    name = f"gym:{HOME}:Engine-v0"
    with pytest.raises(pgcontrol_envs.OneEngine, match=r"only one engine a process; .*--num-envs 1.*--env-workers"):
        pgcontrol_envs.make(name, 2)
    with closing(pgcontrol_envs.make(name, 2, workers=2)) as env:
        assert env.reset().shape == (2, 3)
    with pytest.raises(pgcontrol_envs.OneEngine):
        pgcontrol_envs.make(name, 3, workers=2)


def test_tasks_of_our_own_have_no_workers():
    with pytest.raises(ValueError, match="HalfCheetah-v5: workers are only for gym: environments"):
        pgcontrol_envs.make("HalfCheetah-v5", 2, workers=2)
