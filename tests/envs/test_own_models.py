"""Models that differ between simulations, noise within steps, and observations for the critic only."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from pgcontrol_envs import BrokenEnv
from pgcontrol_envs.physics import CpuPhysics
from pgcontrol_envs.random_streams import Noise
from pgcontrol_envs.task import GYMNASIUM_ASSETS, Mirror, TaskError, load_model
from pgcontrol_envs.tasks.go1 import Go1
from pgcontrol_envs.tasks.half_cheetah import HalfCheetah
from pgcontrol_envs.tasks.hopper import Hopper
from pgcontrol_envs.vector import TaskVecEnv

from pgcontrol.laws import tasks as laws
from pgcontrol.laws.base import Broken, laws_of
from pgcontrol.runs.config import configure
from pgcontrol.training.learner import Learner
from tests.laws.asking import ask


class Varied(HalfCheetah):
    """Bodies of 0.5 to 1.5 times their mass, slippery or not, sensors that err, pushes; the critic sees them."""

    id = "Varied-v0"

    def bind(self, physics):
        super().bind(physics)
        self.mass, self.friction = physics.expand("body_mass"), physics.expand("geom_friction")
        self.noise, self.push = physics.noise, physics.xfrc_applied[:, 1, :1]
        self.plain = self.model.body_mass.copy()

    def reset(self, physics, ids, rng):
        super().reset(physics, ids, rng)
        self.mass[ids] = self.plain * rng.uniform(0.5, 1.5, self.model.nbody)
        self.friction[ids, :, 0] = rng.uniform(0.3, 1.0, 1)
        physics.set_const(ids)
        self.push[ids] = self.pushes()[ids]

    def pushes(self):
        return self.noise.uniform("push", -5.0, 5.0, 1)

    def remember(self):
        self.push[:] = self.pushes()

    def observe(self):
        obs = super().observe()
        return obs + 0.01 * self.noise.normal("sensors", obs.shape[-1])

    def privileged(self):
        return np.concatenate((self.mass, self.friction[:, 1, :1], self.push), -1)


class Gusty(HalfCheetah):
    """Uses the noise in its steps only: neither `bind` nor `reset` does."""

    id = "Gusty-v0"

    def bind(self, physics):
        super().bind(physics)
        self.physics = physics

    def remember(self):
        wind = self.physics.noise.uniform("wind", -9.0, 9.0, 1)
        self.physics.xfrc_applied[:, 1, :1] = wind * (self.physics.time[:, None] > 0)


class Built(Hopper):
    """A hopper with a model made in code."""

    id = "Built-v0"

    def make_model(self):
        spec = mujoco.MjSpec.from_file(str(GYMNASIUM_ASSETS / "hopper.xml"))
        spec.body("torso").add_site(name="top", pos=[0, 0, 0.2])
        return spec.compile()


@pytest.mark.parametrize("law", laws_of(laws))
@pytest.mark.parametrize("cls", [Varied, Built, Gusty], ids=["varied", "built", "gusty"])
def test_laws_hold(law, cls):
    ask(laws, law, cls)


def test_a_state_from_before_the_noise_was_used_continues_exactly():
    env, action = TaskVecEnv(Gusty, 2, seed=3, threads=1), torch.zeros(2, 6)
    env.reset()
    tensors, extra = env.state()
    expected = env.step(action).obs
    other = TaskVecEnv(Gusty, 2, seed=9, threads=1)
    other.load_state(tensors, extra)
    assert torch.equal(other.step(action).obs, expected)
    env.reset(seed=3)
    assert torch.equal(env.step(action).obs, expected)


def test_a_state_without_noise_of_an_older_version_is_read_unless_the_task_needs_it():
    for task in (Hopper, Varied):
        env = TaskVecEnv(task, 2, seed=0, threads=1)
        env.reset()
        tensors, extra = env.state()
        tensors = {name: field for name, field in tensors.items() if not name.endswith("noise")}
        if task is Hopper:
            env.load_state(tensors, extra)
            continue
        with pytest.raises(ValueError, match=r"physics state 'noise': expected \(2, 4\), found nothing"):
            env.load_state(tensors, extra)


def test_each_simulation_has_the_model_that_was_written():
    """Equal to a loop over MjData with models of these masses and frictions."""
    model = load_model("hopper.xml")
    physics = CpuPhysics(model, 3, 1)
    mass, friction = physics.expand("body_mass"), physics.expand("geom_friction")
    assert np.array_equal(mass, np.tile(model.body_mass, (3, 1)))
    rng = np.random.default_rng(0)
    mass[:] *= rng.uniform(0.5, 2, mass.shape)
    friction[..., 0] *= rng.uniform(0.3, 1, (3, 1))
    physics.set_const()
    physics.ctrl[:] = 0.5
    physics.step(50)
    for i in range(3):
        own = load_model("hopper.xml")
        own.body_mass[:], own.geom_friction[:] = mass[i], friction[i]
        data = mujoco.MjData(own)
        mujoco.mj_setConst(own, data)
        mujoco.mj_resetData(own, data)
        data.ctrl[:] = 0.5
        for _ in range(50):
            mujoco.mj_step(own, data)
        assert np.array_equal(physics.qpos[i], data.qpos)
        seen = mujoco.MjData(load_model("hopper.xml"))
        physics.mirror(i, seen)
        assert np.array_equal(seen.model.body_mass, mass[i])


def test_a_field_of_assets_is_refused():
    with pytest.raises(ValueError, match="cannot give each simulation its own 'mesh_vert'"):
        CpuPhysics(load_model("hopper.xml"), 2).expand("mesh_vert")


@pytest.mark.parametrize("stage", ["none", "pos", "vel", "acc"])
def test_stages_of_a_step(stage):
    """With vel, derived positions are those of the state that the step ended in; without, of the one before."""
    physics = CpuPhysics(load_model("hopper.xml"), 2, 1, ("xpos",))
    physics.ctrl[:] = 1.0
    physics.step(4, stage=stage)
    data = mujoco.MjData(physics.model)
    seen = physics.bind("xpos")[0].copy()
    physics.mirror(0, data)
    assert np.array_equal(seen, data.xpos) == (stage != "none")


def test_copies_have_the_same_model_and_the_same_noise():
    env = TaskVecEnv(Varied, 4, seed=0, threads=1)
    env.reset()
    for _ in range(3):
        env.step(torch.zeros(4, 6))
    env.copy([0, 0], [2, 3])
    step = env.step(torch.full((4, 6), 0.2))
    assert torch.equal(step.obs[0], step.obs[2])
    assert torch.equal(step.obs[0], step.obs[3])
    assert not torch.equal(step.obs[0], step.obs[1])
    again = env.reset([2, 3])
    assert not torch.equal(again[0], again[1])


@pytest.mark.parametrize("threads", [1, 2])
def test_noise_does_not_depend_on_how_many_there_are(threads):
    whole, part = TaskVecEnv(Varied, 6, 10, threads), TaskVecEnv(Varied, 2, 14)
    a, b = whole.reset(), part.reset()
    assert torch.equal(a[4:], b)
    for _ in range(20):
        a, b = whole.step(torch.zeros(6, 6)).obs, part.step(torch.zeros(2, 6)).obs
    assert torch.equal(a[4:], b)


def test_noise_has_the_stated_distribution():
    """Uniform and normal to within four standard errors; no two names, steps, envs or places go together."""
    noise, seen = Noise(500, 0), []
    for _ in range(60):
        noise.advance()
        seen.append(noise.uniform("a", 0, 1, 10))
        assert np.array_equal(seen[-1], noise.uniform("a", 0, 1, 10))
    u = np.array(seen)
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
    assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / u.size)
    bound = 4 / np.sqrt(u.size)
    for axis in range(3):
        one, two = np.delete(u, 0, axis).ravel(), np.delete(u, -1, axis).ravel()
        assert abs(np.corrcoef(one, two)[0, 1]) < bound
    assert abs(np.corrcoef(noise.uniform("a", 0, 1, 500).ravel(), noise.uniform("b", 0, 1, 500).ravel())[0, 1]) < 0.01
    z = noise.normal("z", 400)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))
    assert np.isfinite(z).all()


def test_the_critic_sees_more_than_the_actor():
    settings = {"num_envs": 4, "rollout_steps": 32, "total_steps": 512, "algorithm.minibatch": 32, "threads": 1}
    learner = Learner(configure({"env": Varied, "eval_every": 0} | settings))
    learner.update()
    policy, more = learner.policy, learner.env.privileged
    assert learner.env.task is not None
    assert more == learner.env.task.model.nbody + 2
    assert policy.normaliser.mean.shape == (17 + more,)
    obs = learner.collector.obs.clone()
    action, value = policy.act(obs, None)[0], policy.value(policy.normaliser(obs))
    obs[:, 17:] += 1.0
    assert torch.equal(policy.act(obs, None)[0], action)
    assert not torch.equal(policy.value(policy.normaliser(obs)), value)
    assert torch.equal(policy.act(obs[:, :17], None)[0], action)
    assert policy.predict(obs[0, :17].numpy()).shape == (6,)


def test_privileged_numbers_that_change_in_number_are_refused():
    class Odd(Varied):
        id = "Odd-v0"

        def bind(self, physics):
            super().bind(physics)
            self.asked = 0

        def privileged(self):
            self.asked += 1
            return super().privileged()[:, : 3 if self.asked > 3 else 4]

    with pytest.raises(TaskError, match=r"Odd.privileged: returned \[3, 3\] float64; expected \[N, P\] = \[3, 4\]"):
        TaskVecEnv(Odd, 2)


def test_privileged_numbers_that_appear_later_are_refused():
    class Shy(Varied):
        id = "Shy-v0"

        def bind(self, physics):
            super().bind(physics)
            self.time = physics.time

        def privileged(self) -> Any:
            return super().privileged() if self.time.any() else None

    with pytest.raises(TaskError, match=r"Shy.privileged: returned 10 numbers; it returned 0 before"):
        TaskVecEnv(Shy, 2)


@pytest.mark.parametrize("part", [None, 3, ((0, 1),)])
def test_a_mirror_of_another_kind_is_one_line(part):
    class Odd(Hopper):
        id = "Odd-v0"

        def mirror(self):
            return Mirror(part, part)

    with pytest.raises(TaskError, match=r"^Odd.mirror: ") as error:
        TaskVecEnv(Odd, 2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cls", [Varied, Go1], ids=["varied", "go1"])
def test_a_step_is_made_again_from_the_state_before_it(cls):
    """In a single environment that was never reset: models, constants, noise and the last action are state."""
    env = TaskVecEnv(cls, 3, seed=1, threads=1)
    env.reset()
    middle, half = (env.action_high + env.action_low) / 2, (env.action_high - env.action_low) / 2
    rng = torch.Generator().manual_seed(0)
    *earlier, action = middle + 0.3 * half * (2 * torch.rand(6, 3, len(half), generator=rng) - 1)
    for one in earlier:
        env.step(one)
    made = env.step(action)
    alone = TaskVecEnv(cls, 1, threads=1)
    tensors, extra = alone.state()
    alone.load_state(tensors | env.before(1), extra)
    again = alone.step(action[1:2])
    assert torch.equal(again.obs[0], made.obs[1])
    assert torch.equal(again.reward[0], made.reward[1])


@pytest.mark.parametrize("early", [False, True], ids=["never", "too early"])
@pytest.mark.parametrize("method", ["reset", "remember"])
def test_what_needs_set_const_and_does_not_get_it_is_refused(method, early):
    class Forgetful(Varied):
        id = "Forgetful-v0"

        def bind(self, physics):
            super().bind(physics)
            self.physics = physics

        def forget(self, ids):
            if early:
                self.physics.set_const(ids)
            self.mass[ids] *= 1.01

        def reset(self, physics, ids, rng):
            super().reset(physics, ids, rng)
            if method == "reset":
                self.forget(ids)

        def remember(self):
            if method == "remember":
                self.forget(np.arange(len(self.mass)))

    says = rf"Forgetful.{method}: wrote body_mass, .*, but .*body_subtreemass.* call physics.set_const\(ids\) after"
    with pytest.raises(TaskError, match=says):
        laws.methods_return_what_the_contract_says(Forgetful)


def test_a_write_late_in_the_episode_needs_set_const_as_well():
    class Late(Varied):
        id = "Late-v0"

        def bind(self, physics):
            super().bind(physics)
            self.time = physics.time

        def remember(self):
            self.mass[self.time > 0.5] = 2 * self.plain

    laws.methods_return_what_the_contract_says(Late)
    with pytest.raises(Broken, match=r"of the model: call physics.set_const\(ids\) after the last write"):
        laws.derived_fields_of_the_model_are_up_to_date(Late)


def test_the_constants_of_constraints_need_set_const_as_well():
    class Tied(Hopper):
        """The foot is tied to a body of the world that has another place in each simulation."""

        id = "Tied-v0"

        def make_model(self):
            spec = mujoco.MjSpec.from_file(str(GYMNASIUM_ASSETS / "hopper.xml"))
            spec.worldbody.add_body(name="anchor")
            names = {"name1": "foot", "name2": "anchor", "objtype": mujoco.mjtObj.mjOBJ_BODY}
            spec.add_equality(type=mujoco.mjtEq.mjEQ_CONNECT, **names)
            return spec.compile()

        def bind(self, physics):
            super().bind(physics)
            self.places = physics.expand("body_pos")

        def reset(self, physics, ids, rng):
            super().reset(physics, ids, rng)
            self.places[ids, self.body("anchor"), 2] += 0.1

    with pytest.raises(TaskError, match=r"Tied.reset: wrote body_pos, but eq_data were not updated: call physics"):
        laws.methods_return_what_the_contract_says(Tied)


@pytest.mark.parametrize("sizes", [(11, 3), (11, None), (10, 2)])
def test_an_observation_that_changes_its_size_is_refused_when_it_does(sizes):
    class Growing(Hopper):
        id = "Growing-v0"

        def bind(self, physics):
            super().bind(physics)
            self.time = physics.time

        @property
        def sizes(self):
            return sizes if self.time.max() > 0.1 else (11, 2)

        def observe(self):
            return super().observe()[:, : self.sizes[0]].copy()

        def privileged(self):
            more = self.sizes[1]
            return None if more is None else np.zeros((len(self.time), more))

    env = TaskVecEnv(Growing, 2, threads=1)
    env.reset()
    says = f"^Growing-v0: observe\\(\\) returned {sizes[0]} numbers .* {sizes[1] or 0}; at first it was 11 and 2$"
    with pytest.raises(BrokenEnv, match=says):
        laws.play(env, torch.zeros(30, 2, 3))


@pytest.mark.parametrize("persistent", [False, True])
def test_userdata_outlive_a_step_but_not_a_simulation_that_broke_down(persistent):
    physics = CpuPhysics(Go1().model, 3, 1, persistent=persistent)
    for number in (1.0, 2.0):
        physics.userdata[:] = number
        physics.step(2, stage="acc")
        assert (physics.userdata == number).all()
    physics.qvel[1] = np.nan
    with pytest.warns(UserWarning, match="MuJoCo in env 1"):
        unstable = physics.step(2, stage="acc")
    assert unstable is not None
    assert unstable.tolist() == [False, True, False]
    assert physics.userdata.any(1).tolist() == [True, False, True]
