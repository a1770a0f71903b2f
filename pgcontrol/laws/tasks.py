"""Laws of tasks: results of methods, random streams, resets, exact continuation, bounds, reward terms, and the
interface.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import json
import warnings

import mujoco
import numpy as np
import torch
from pgcontrol_envs import contract
from pgcontrol_envs.task import Task
from pgcontrol_envs.vector import TaskVecEnv, VecEnv
from safetensors.torch import load, save
from torch import Tensor

from pgcontrol.exporting import second
from pgcontrol.exporting.interface import read
from pgcontrol.laws.base import Broken, NotJudged, finite, law, require, rng, same, within
from pgcontrol.options import InputError


def make(cls: type[Task]) -> type[Task]:
    """The class itself: the laws make environments of it."""
    return cls


def short(task: type[Task], num_envs: int, seed: int = 0, threads: int = 1, time_limit: int = 40) -> TaskVecEnv:
    """N environments with short episodes, after a reset."""
    env = TaskVecEnv(task, num_envs, seed, threads, time_limit)
    env.reset()
    return env


def actions(env: VecEnv, steps: int, seed: int = 0) -> Tensor:
    """Random actions within the bounds, [steps, N, A]."""
    uniform = torch.rand(steps, env.num_envs, len(env.action_low), generator=rng(seed))
    return env.action_low + (env.action_high - env.action_low) * uniform


def play(env: TaskVecEnv, actions: Tensor) -> Tensor:
    """Step through actions and reset ended episodes; returns everything seen, [steps, N, O + 3 + number of terms]."""
    seen = []
    for action in actions:
        step = env.step(action)
        rest = step.reward, step.terminated, step.truncated, *step.terms.values()
        seen.append(torch.cat((step.obs, torch.stack([x.double() for x in rest], -1)), -1))
        over = step.terminated | step.truncated
        if over.any():
            env.reset(over)
    return torch.stack(seen)


@law
def methods_return_what_the_contract_says(task: type[Task]) -> None:
    """observe [N, O] and reward [N] are float64, terminated is bool [N]; none of them is a view."""
    contract.check(task)


@law
def terms_add_up_to_the_reward(task: type[Task]) -> None:
    """The reward is the sum of its named terms and `unnamed`."""
    env = short(task, 4)
    for action in actions(env, 20):
        step = env.step(action)
        total = sum((term.double() for term in step.terms.values()), torch.zeros(4, dtype=torch.float64))
        names = ", ".join(step.terms) or "none"
        within(f"reward: the sum of its terms ({names})", total + task.unnamed, step.reward, 1e-9)


@law
def what_a_step_returned_stays_as_it_was(task: type[Task]) -> None:
    """Later steps do not overwrite what an earlier one returned."""
    env = short(task, 3)
    kept, copies = [], []
    for action in actions(env, 10):
        step = env.step(action)
        first = {"observe": step.obs, "reward": step.reward, "terminated": step.terminated}
        kept.append(first | {f"the term {name!r}": term for name, term in step.terms.items()})
        copies.append({name: tensor.clone() for name, tensor in kept[-1].items()})
    for then, now in zip(copies, kept, strict=True):
        for name, tensor in now.items():
            same(f"{name}, at its step and later", tensor, then[name])


@law
def resets_differ_between_environments_and_episodes(task: type[Task]) -> None:
    """No two episodes begin in the same state: `reset` uses the given random streams."""
    env = short(task, 4)
    starts = torch.cat([env.reset() for _ in range(3)])
    distinct = len(starts.unique(dim=0))
    require(
        distinct == len(starts),
        f"reset: {distinct} of {len(starts)} starts differ; use rng in reset, or set a reset_noise",
    )


@law
def equal_seeds_give_equal_trajectories(task: type[Task]) -> None:
    """The same seed and actions give bit-identical trajectories; another seed gives another trajectory."""
    one, again, other = (short(task, 3, seed) for seed in (5, 5, 6))
    a = actions(one, 60)
    walked = play(one, a)
    same("trajectories of one seed", walked, play(again, a))
    require(not torch.equal(walked, play(other, a)), "reset: seeds 5 and 6 give the same trajectory; use rng")
    one.reset(seed=9)
    again.reset(seed=9)
    same("trajectories after reset(seed=9)", play(one, a), play(again, a))


@law
def a_partial_reset_leaves_the_others_alone(task: type[Task]) -> None:
    """Resetting one environment does not change the state or the future of another."""
    env, alone = short(task, 3), short(task, 3)
    first, *rest = actions(env, 11)
    env.step(first)
    alone.step(first)
    chosen = torch.tensor([False, True, False])
    before = env.physics.state()
    env.reset(chosen)
    for name, value in env.physics.state().items():
        same(f"reset of env 1: {name!r} of envs 0 and 2", value[~chosen], before[name][~chosen])
    for action in rest:
        step, other = env.step(action), alone.step(action)
        same("observations of envs 0 and 2 with env 1 reset or not", step.obs[~chosen], other.obs[~chosen])
        same("rewards of envs 0 and 2 with env 1 reset or not", step.reward[~chosen], other.reward[~chosen])


@law
def an_environment_does_not_depend_on_its_neighbours(task: type[Task]) -> None:
    """An environment has the same trajectory alone and among others."""
    many, lone = short(task, 3, seed=5), short(task, 1, seed=6)
    a = actions(many, 60)
    same("env 1 of three and the same one alone", play(many, a)[:, 1:2], play(lone, a[:, 1:2]))


@law
def threads_change_nothing(task: type[Task]) -> None:
    """One and two threads give the same trajectories."""
    walks = []
    for threads in (1, 2):
        env = short(task, 5, threads=threads)
        walks.append(play(env, actions(env, 100)))
    same("trajectories on one thread and on two", *walks)


@law
def it_continues_to_the_bit_through_files(task: type[Task]) -> None:
    """After state() was written and read, everything continues: a task has no state of its own."""
    env = short(task, 3, threads=2)
    before, after = actions(env, 170).split([70, 100])
    play(env, before)
    tensors, extra = env.state()
    tensors, extra = load(save(tensors)), json.loads(json.dumps(extra))
    expected = play(env, after)
    fresh = short(task, 3, seed=99)
    play(fresh, before[:9])
    new = TaskVecEnv(task, 3, 7, 1, 40)  # never reset, as in a resumed run
    for name, resumed in {"a new environment": new, "another one": fresh, "the same one": env}.items():
        resumed.load_state(tensors, extra)
        same(f"trajectories after load_state in {name}", play(resumed, after), expected)


@law
def inactive_environments_stand_still(task: type[Task]) -> None:
    """Environments that a step leaves out keep their state; the others are not affected."""
    env, alone = short(task, 3), short(task, 3)
    active = torch.tensor([True, False, True])
    a = actions(env, 1)[0]
    step, full = env.step(a, active), alone.step(a)
    same("observations of active envs", step.obs[active], full.obs[active])
    same("rewards of active envs", step.reward[active], full.reward[active])
    still = env.step(a, torch.zeros(3, dtype=torch.bool))
    same("observations of inactive envs", still.obs, step.obs)
    for tensor in (still.reward, still.terminated, still.truncated, *still.terms.values()):
        require(not tensor.any(), "a reward, a term or an end of inactive envs")
    require(not step.reward[1], "a reward of an inactive env")
    same("the observation after an inactive step", env.step(a, ~active).obs[1], full.obs[1])


@law
def a_second_call_of_remember_changes_nothing(task: type[Task]) -> None:
    """Calling `remember` again in the same state, or after a reset, does not change the physics' userdata."""
    env = short(task, 4)
    for action in (None, *actions(env, 20)):
        if action is not None:
            env.step(action)
        noted = torch.from_numpy(env.physics.userdata.copy())
        env.task.remember()
        same("remember a second time: userdata", torch.from_numpy(env.physics.userdata.copy()), noted)


@law
def derived_fields_of_the_model_are_up_to_date(task: type[Task]) -> None:
    """In every step, what MuJoCo derives from fields that the task has written was computed after the last write."""
    env = short(task, 2)
    for action in actions(env, 40):
        over = env.step(action)
        stale = contract.outdated(env.task, env.physics)
        require(not stale, f"{', '.join(stale[:3])} of the model: call physics.set_const(ids) after the last write")
        if (ended := over.terminated | over.truncated).any():
            env.reset(ended)


@law
def actions_at_the_bounds_stay_finite(task: type[Task]) -> None:
    """Actions at the bounds, constant and alternating, lead to finite observations and rewards."""
    env = short(task, 4, time_limit=(limit := min(200, task.time_limit)))
    low, high = env.action_low, env.action_high
    side = torch.stack([torch.ones_like(low), -torch.ones_like(low), (-1.0) ** torch.arange(len(low)), low * 0])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for t in range(limit):
            side[3] = (-1.0) ** (t // 5)
            step = env.step(torch.where(side > 0, high, low))
            finite("observe", step.obs, f" in step {t} at the bounds")
            finite("reward", step.reward, f" in step {t} at the bounds")
            over = step.terminated | step.truncated
            if over.any():
                env.reset(over)
    unstable = [str(one.message) for one in heard if str(one.message).startswith("MuJoCo")]
    require(not unstable, f"at the bounds of its actions: {unstable[0] if unstable else ''}")


@law
def its_interface_describes_it(task: type[Task]) -> None:
    """A robot made from `interface` observes the same as the task, within the noise, and moves the same way."""
    env = short(task, 4)
    said = env.task.interface()
    if said is None:
        raise NotJudged("the task defines no interface")
    try:
        interface = read(json.loads(json.dumps(said)), "interface")
        robot = second.SecondSimulation(interface, env.num_envs, second.same(interface))
    except (InputError, TypeError) as error:
        raise Broken(f"interface: {error}") from None
    action, model = interface.action, env.task.model
    for what, found, expected in (
        ("observation: all sizes", interface.size, env.obs_size),
        ("timestep · substeps", interface.control_dt, env.control_dt),
        ("mjcf: degrees of freedom", robot.model.nv, model.nv),
    ):
        require(found == expected, f"interface.{what}: {found}, expected {expected}")
    for name, bound in (("low", env.action_low), ("high", env.action_high)):
        within(f"interface.action.{name}", getattr(action, name), bound, 1e-6)
    ends = np.cumsum([len(part.scale) for part in interface.observation])
    noise = torch.from_numpy(np.concatenate([part.noise for part in interface.observation]))
    theirs = mujoco.MjData(model)
    for chosen in actions(env, 20):
        step = env.step(chosen)
        obs = step.obs[:, : env.obs_size].numpy()
        command = np.zeros((env.num_envs, len(interface.commands)))
        for part, end in zip(interface.observation, ends, strict=True):
            if part.name == "command":  # only the task knows it
                command = obs[:, end - len(part.scale) : end] / part.scale + part.offset
        robot.last = chosen.double().numpy()
        for i, ours in enumerate(robot.copies):
            mujoco.mj_resetData(robot.model, ours)
            ours.ctrl[:] = robot.last[i]
            robot.place(i, env.physics.qpos[i], env.physics.qvel[i])
        within("interface.observation", robot.observe(command), obs, noise + 1e-6)
        mujoco.mj_resetData(model, theirs)
        theirs.qpos[:], theirs.qvel[:], theirs.ctrl[:] = env.physics.qpos[0], env.physics.qvel[0], robot.last[0]
        mujoco.mj_forward(model, theirs)
        for field, what in (("qfrc_actuator", "action: forces"), ("qacc", "mjcf: accelerations")):
            expected = getattr(theirs, field)
            within(f"interface.{what}", getattr(robot.copies[0], field), expected, 1e-3 * (1 + abs(expected).max()))
        over = step.terminated | step.truncated
        if over.any():
            env.reset(over)
