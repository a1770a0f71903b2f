"""The state before a breakdown: written, and made again to the bit."""

import json

import pytest
import torch
from pgcontrol_envs.task import Task
from pgcontrol_envs.tasks.half_cheetah import HalfCheetah
from pgcontrol_envs.vector import TaskVecEnv

import pgcontrol
from pgcontrol.cli import main
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner
from pgcontrol.training.train import begin, loop

SMALL = {"num_envs": 4, "rollout_steps": 32, "total_steps": 512, "algorithm.epochs": 1, "algorithm.minibatch": 32}
QUIET = {"eval_every": 0, "video": False, "threads": 1}


def trained(tmp_path, env, broken, at=40):
    """A training in which environment 2's state is spoilt before its step number `at`."""
    learner = Learner(configure({"env": env, "run_dir": str(tmp_path / "run")} | SMALL | QUIET))
    step, calls = learner.env.step, []

    def spoilt(action, active=None):
        calls.append(1)
        if len(calls) == at:
            broken(learner.env)
        return step(action, active)

    learner.env.step = spoilt
    with pytest.warns(UserWarning, match="unstable"), begin(learner) as folder:
        loop(learner, folder)
    return tmp_path / "run"


def burst(env):
    env.physics.qvel[2, 4] = 1e12


@pytest.mark.parametrize("env", ["HalfCheetah-v5", "Ant-v5"])
def test_a_breakdown_is_written_and_replayed(env, tmp_path, capsys):
    run = trained(tmp_path, env, burst)
    (file,) = (run / "breakdowns").iterdir()
    assert file.name == "step_000000156-env_2.json"  # 39 choices of four environments before it
    seen = pgcontrol.replay(file)
    assert seen.reproduced
    assert seen.recorded == "the simulation became unstable"
    assert "unstable" in seen.why
    assert "qvel 1e+12" in seen.lines[0]
    with pytest.raises(SystemExit, match="0"):
        main(["replay", str(file)])
    said = capsys.readouterr().out
    assert said.startswith(f"{env}: the simulation became unstable\n")
    assert "reproduced: MuJoCo in env 0: " in said
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["rollout/quarantined"] for row in rows] == [0, 1, 0, 0]


class Blind(HalfCheetah):
    """Its observation is infinite beyond a position that is reached soon, and its simulation is well."""

    id = "Blind-v0"

    def observe(self):
        obs = super().observe()
        obs[self.physics_time > 0.4, 3] = float("inf")
        return obs

    def bind(self, physics):
        super().bind(physics)
        self.physics_time = physics.time


def test_a_state_is_that_in_which_the_step_began(tmp_path):
    """Of an observation that becomes infinite the step before is kept, and leads there."""
    assert issubclass(Blind, Task)
    learner = Learner(configure({"env": Blind, "run_dir": str(tmp_path / "run")} | SMALL | QUIET))
    assert isinstance(learner.env, TaskVecEnv)
    physics, step, calls = learner.env.physics, learner.env.step, []

    def staggered(action, active=None):  # not all at once
        calls.append(1)
        if len(calls) == 2:
            physics.time[0] += 0.2
        return step(action, active)

    learner.env.step = staggered
    with pytest.warns(UserWarning, match="infinite or NaN"), begin(learner) as made:
        loop(learner, made)
    file = min((tmp_path / "run" / "breakdowns").iterdir())
    seen = pgcontrol.replay(file)
    assert seen.reproduced
    assert seen.recorded == "input 3 of the observation is inf"


def test_the_step_is_made_again_to_the_bit():
    env = TaskVecEnv(HalfCheetah, 3, seed=1, threads=1)
    env.reset()
    rng = torch.Generator().manual_seed(0)
    for _ in range(5):
        made = env.step(2 * torch.rand(3, 6, generator=rng) - 1)
    action = torch.full((3, 6), 0.3)
    made = env.step(action)
    alone = TaskVecEnv(HalfCheetah, 1, threads=1)
    tensors, extra = alone.state()
    alone.load_state(tensors | env.before(1), extra)
    again = alone.step(action[:1])
    assert torch.equal(again.obs[0], made.obs[1])
    assert torch.equal(again.reward[0], made.reward[1])


def test_a_damaged_file_is_refused(tmp_path, capsys):
    file = trained(tmp_path, "HalfCheetah-v5", burst) / "breakdowns" / "step_000000156-env_2.json"
    text = file.read_text()
    for spoilt in (text[:200], text.replace('"action"', '"actions"'), text.replace("HalfCheetah-v5", "Ant-v5"), "[]"):
        file.write_text(spoilt)
        with pytest.raises(InputError, match="damaged"):
            pgcontrol.replay(file)
    with pytest.raises(SystemExit, match="2"):
        main(["replay", str(tmp_path / "none.json")])
    assert "none.json: no such file" in capsys.readouterr().err
