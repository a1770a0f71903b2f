"""The loop that plays to the end of an episode, on a world that counts."""

import itertools

import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.play import episodes
from pgcontrol.play.episodes import Episodes
from tests.learning.worlds import Clockwork


def counting(horizon: int, asked: list):
    """An agent whose actions are its choice's number and their number within it; notes what it was asked."""

    def act(obs):
        asked.append(obs)
        choice = torch.full((len(obs), horizon), float(len(asked)))
        return torch.stack((choice, torch.arange(horizon).expand(len(obs), -1)), -1)

    return act


def test_a_choice_is_played_to_its_end_before_the_next_one():
    env, asked = Clockwork(2, period=5, terminates=True), []
    played = list(Episodes(env, counting(2, asked), env.reset()))
    assert [p.action[0].tolist() for p in played] == [[1, 0], [1, 1], [2, 0], [2, 1], [3, 0]]
    assert [p.part for p in played] == [0, 1, 0, 1, 0]
    for before, after in itertools.pairwise(played):
        assert torch.equal(before.step.obs, after.obs)
    assert [torch.equal(a, p.obs) for a, p in zip(asked, played[::2], strict=True)] == [True] * 3


def test_each_plays_to_the_end_of_its_own_episode_and_stands_still_then():
    env = Clockwork(3, period=4, terminates=False)
    obs = env.reset()
    env.step(torch.zeros(3, 2), active=torch.tensor([True, False, False]))
    playing = Episodes(env, counting(1, []), obs, torch.tensor([True, True, False]))
    assert [p.going.tolist() for p in playing] == [[True, True, False]] * 3 + [[False, True, False]]
    assert not playing.going.any()


def test_stopped_from_outside_or_moved():
    env, asked = Clockwork(2, period=9, terminates=True), []
    playing = Episodes(env, counting(3, asked), env.reset())
    playing.step()
    playing.stop(torch.tensor([True, False]))
    assert playing.step().going.tolist() == [False, True]
    elsewhere = torch.full_like(playing.obs, 7.0)
    playing.moved(elsewhere)
    played = playing.step()  # a choice from there, though one action of the last was left
    assert played.part == 0
    assert torch.equal(played.obs, elsewhere)
    assert torch.equal(asked[-1], elsewhere)


def test_without_a_time_limit_an_episode_is_cut_off(monkeypatch):
    monkeypatch.setattr(episodes, "LONGEST", 5)
    env = Clockwork(2, period=9, terminates=True)
    with pytest.warns(UserWarning, match="no time limit; 2 episodes truncated after 5 steps"):
        assert len(list(Episodes(env, counting(2, []), env.reset()))) == 5


@pytest.mark.parametrize("grad", [True, False])
def test_the_callers_gradients_are_its_own(grad):
    env = Clockwork(1, period=3, terminates=True)
    with torch.set_grad_enabled(grad):
        for _ in Episodes(env, counting(1, []), env.reset()):
            assert torch.is_grad_enabled() is grad


def test_an_episode_whose_simulation_breaks_down_is_truncated_there():
    env = pgcontrol_envs.make("HalfCheetah-v5", 2, threads=1)
    assert isinstance(env, TaskVecEnv)
    playing = Episodes(env, lambda obs: torch.zeros(len(obs), 1, 6), env.reset())
    first = playing.step()
    env.physics.qvel[1, 0] = 1e12
    with pytest.warns(UserWarning, match="MuJoCo in env 1"):
        last = playing.step()
    assert playing.going.tolist() == [True, False]
    assert (last.step.truncated.tolist(), last.step.terminated.tolist()) == ([False, True], [False, False])
    assert torch.equal(last.step.obs[1], first.step.obs[1])
    assert last.step.reward[1] == 0
    assert last.step.reward[0] != 0
