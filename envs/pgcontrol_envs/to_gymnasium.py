"""Tasks as gymnasium.Env and gymnasium.vector.VectorEnv, with autoreset and NumPy arrays."""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import copy
from collections.abc import Mapping
from dataclasses import fields
from math import inf
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pgcontrol_envs.rendering import Painter, View
from pgcontrol_envs.settings import configured
from pgcontrol_envs.task import Task
from pgcontrol_envs.tasks import catalog
from pgcontrol_envs.values import hint
from pgcontrol_envs.vector import Step, TaskVecEnv, UnknownEnv

Array = np.ndarray
RENDER_MODES = ("rgb_array",)


class Simulations:
    """N copies of a task with rendering: the common part of GymEnv and GymVectorEnv.

    Args:
        task: a task's id, such as "HalfCheetah-v5".
        num_envs: N.
        threads: threads for the physics; 0: one per logical CPU. Results do not depend on it.
        max_episode_steps: replaces the task's time limit; -1: no limit.
        render_mode: "rgb_array" or None.
        arguments: Gymnasium's keyword arguments for the v5 task (settings.py) and for rendering (rendering.View).

    Attributes:
        envs: the copies.
        render_mode: as given.
        metadata: render modes and frames per second.
        single_action_space: action space of one copy.
        single_observation_space: observation space of one copy.

    Raises:
        ValueError: the task has no such argument, or a value is invalid. One line names it.
    """

    def __init__(
        self,
        task: str,
        num_envs: int,
        threads: int,
        max_episode_steps: int | None,
        render_mode: str | None,
        arguments: Mapping[str, Any],
    ):
        tasks, names = catalog(), {field.name for field in fields(View)}
        if task not in tasks:
            raise UnknownEnv(f"unknown task {task!r}: {hint(task, tasks)}")
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        if threads < 0:
            raise ValueError(f"threads: expected 0 (one per logical CPU) or more, got {threads}")
        self.view = View(**{name: value for name, value in arguments.items() if name in names})
        settings = {name: value for name, value in arguments.items() if name not in names}
        chosen = configured(tasks[task], settings, names)
        if render_mode not in (None, *RENDER_MODES):
            window = "; for a window use gymnasium.wrappers.HumanRendering with 'rgb_array', or `pgcontrol play`"
            why = f"expected None or 'rgb_array', got {render_mode!r}" + window * (render_mode == "human")
            raise ValueError(f"pgcontrol/{task}: render_mode: {why}")
        self.envs = TaskVecEnv(chosen, num_envs, None, threads, _limit(task, max_episode_steps))
        self.render_mode, self._camera = render_mode, self.view.camera(self.envs.task)
        self.metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES)}
        self.metadata["render_fps"] = round(1 / self.envs.control_dt)
        low, high = self.envs.action_low.numpy(), self.envs.action_high.numpy()
        self.single_action_space = Box(low, high, dtype=np.float32)
        self.single_observation_space = Box(-np.inf, np.inf, (self.envs.obs_size,), np.float64)
        self._data: mujoco.MjData | None = None
        self._painter: Painter | None = None

    def data(self, i: int) -> mujoco.MjData:
        """Copy i's state with derived fields. The next call overwrites the same MjData."""
        if self._data is None:
            self._data = mujoco.MjData(copy.copy(self.envs.task.model))
        self.envs.physics.mirror(i, self._data)
        return self._data

    def render(self) -> tuple[Array, ...] | None:
        """An image of each copy, [height, width, 3] uint8; None without a render mode. Raises PictureError."""
        if self.render_mode is None:
            return None
        if self._painter is None:
            self._painter = Painter(self.envs.task, self.view, self._camera)
        return tuple(self._painter.draw(self.data(i)) for i in range(self.envs.num_envs))

    def step(self, actions: Any, active: Array | None = None) -> Step:
        """Step all copies, or those in the mask `active` [N], with actions [N, A] of any number type."""
        actions = np.asarray(actions)
        # Gymnasium computes control costs in the precision of the actions
        controls = actions if actions.dtype in (np.float32, np.float64) else actions.astype(np.float64)
        controls = torch.from_numpy(np.ascontiguousarray(controls))
        return self.envs.step(controls, None if active is None else torch.from_numpy(active))

    def close(self) -> None:
        """Release the envs and the renderer."""
        self.envs.close()
        if self._painter is not None:
            self._painter.close()


class GymVectorEnv(VectorEnv[Array, Array, Array]):
    """N copies of a task for Gymnasium's training loops.

    For equal seeds, actions and arguments, trajectories are bit-identical to those of Gymnasium's SyncVectorEnv with
    the same v5 env; rewards agree to 1e-9. Infos contain only the reward terms, each with its `_` mask; with SAME_STEP
    also `final_obs` and `final_info`.

    Args:
        task: a task's id, such as "HalfCheetah-v5".
        num_envs: N.
        threads: threads for the physics; 0: one per logical CPU. Results do not depend on it.
        max_episode_steps: replaces the task's time limit; -1: no limit.
        render_mode: "rgb_array" or None.
        autoreset_mode: as in SyncVectorEnv. NEXT_STEP: the step after the last step of an episode ignores that env's
            action, resets the env and returns reward 0. SAME_STEP: the last step of an episode returns the first
            observation of the next. DISABLED: the caller resets envs whose episodes ended, with options["reset_mask"].
        arguments: Gymnasium's keyword arguments for the v5 task (settings.py) and for rendering (rendering.View).
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        threads: int = 0,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ):
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            modes = ", ".join(mode.value for mode in AutoresetMode)
            raise ValueError(f"autoreset_mode: expected one of {modes}, got {autoreset_mode!r}") from None
        self.num_envs = num_envs
        self._sims = Simulations(task, num_envs, threads, max_episode_steps, render_mode, arguments)
        self.envs, self.render_mode = self._sims.envs, render_mode
        self.metadata = self._sims.metadata | {"autoreset_mode": self.autoreset_mode}
        self.single_action_space = self._sims.single_action_space
        self.single_observation_space = self._sims.single_observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._over = np.zeros(num_envs, np.bool_)
        self._obs = np.zeros((num_envs, self.envs.obs_size))

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The copies' random generators."""
        return tuple(self.envs.streams.generators)

    @property
    def model(self) -> mujoco.MjModel:
        """The model of all copies."""
        return self.envs.task.model

    @property
    def dt(self) -> float:
        """Seconds per step."""
        return self.envs.control_dt

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes in all envs, or in those of options["reset_mask"] (bool [N]); seeds as in SyncVectorEnv.

        Raises ValueError for a list of seeds or a mask whose length is not num_envs.
        """
        mask = np.array((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            found = f"{mask.dtype} {mask.shape}" + " without a True" * (mask.dtype == np.bool_ and not mask.any())
            raise ValueError(f"options['reset_mask']: expected bool ({self.num_envs},) with some True, got {found}")
        self._obs = self._obs.copy()  # the caller owns the array that was returned last
        self._obs[mask] = _seen(self.envs, self.envs.reset(mask, seed))
        self._over[mask] = False
        return self._obs, {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One step: observations [N, O] float64, rewards [N] float64, terminated [N], truncated [N], infos.

        Raises ValueError if the actions do not have shape [N, A]; ResetNeeded if autoreset is disabled and an episode
        has ended.
        """
        active = None
        if self._over.any():
            if self.autoreset_mode is AutoresetMode.DISABLED:
                which = ", ".join(map(str, np.flatnonzero(self._over)))
                raise gymnasium.error.ResetNeeded(
                    f"autoreset is disabled and the episodes of the envs {which} have ended: reset them with"
                    " options={'reset_mask': terminated | truncated}"
                )
            self.envs.reset(self._over)
            active = ~self._over
        step = self._sims.step(actions, active)
        self._obs, terminated, truncated = _seen(self.envs, step.obs), step.terminated.numpy(), step.truncated.numpy()
        over = terminated | truncated
        terms = {name: term.numpy() for name, term in step.terms.items()}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
            infos = self._begin_anew(over, terms)
        else:
            self._over = over
            infos = _masked(terms, np.ones(self.num_envs, np.bool_) if active is None else active)
        return self._obs, step.reward.numpy(), terminated, truncated, infos

    def _begin_anew(self, over: Array, terms: dict[str, Array]) -> dict[str, Any]:
        """Reset the envs in the mask; returns the infos of the step that ended their episodes."""
        final = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(over):
            final[i] = self._obs[i].copy()
        self._obs[over] = _seen(self.envs, self.envs.reset(over))
        ended = {"final_obs": final, "_final_obs": over.copy()}
        ended |= {"final_info": _masked(terms, over), "_final_info": over.copy()}
        return ended | _masked(terms, ~over)

    def render(self) -> tuple[Array, ...] | None:
        """An image of each copy, [height, width, 3] uint8; None without a render mode."""
        return self._sims.render()

    def close_extras(self, **kwargs: Any) -> None:
        self._sims.close()


class GymEnv(gymnasium.Env[Array, Array]):
    """One copy of a task as gymnasium.Env; gymnasium.make adds the time limit. For many copies use make_vec.

    `arguments` are Gymnasium's for the v5 task (settings.py) and for rendering (rendering.View).
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES)}  # noqa: RUF012

    def __init__(self, task: str, render_mode: str | None = None, threads: int = 1, **arguments: Any):
        if "autoreset_mode" in arguments:
            modes = "with vectorization_mode 'sync' or 'async', pass it in vector_kwargs"
            raise ValueError(f"pgcontrol/{task}: autoreset_mode is only for vector envs; {modes}")
        self._sims = Simulations(task, 1, threads, -1, render_mode, arguments)
        self.render_mode, self.metadata = render_mode, self._sims.metadata
        self.action_space = self._sims.single_action_space
        self.observation_space = self._sims.single_observation_space

    @property
    def model(self) -> mujoco.MjModel:
        """The simulation's model."""
        return self._sims.envs.task.model

    @property
    def data(self) -> mujoco.MjData:
        """A copy of the simulation's current state; use set_state() to change the simulation."""
        return self._sims.data(0)

    @property
    def dt(self) -> float:
        """Seconds per step."""
        return self._sims.envs.control_dt

    @property
    def frame_skip(self) -> int:
        """Physics steps per step."""
        return self._sims.envs.task.frame_skip

    def set_state(self, qpos: Array, qvel: Array) -> None:
        """Set the positions qpos [nq] and velocities qvel [nv]. What the task remembers of the episode stays.

        Raises ValueError for other shapes.
        """
        physics = self._sims.envs.physics
        for name, given, own in (("qpos", qpos, physics.qpos[0]), ("qvel", qvel, physics.qvel[0])):
            if np.shape(given) != own.shape:
                raise ValueError(f"{name}: expected shape {own.shape}, got {np.shape(given)}")
        physics.qpos[0], physics.qvel[0] = qpos, qvel
        physics.forward()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start a new episode: observation [O], {}."""
        super().reset(seed=seed)
        self._sims.envs.streams.follow(self.np_random, seed)
        if seed is not None:
            self._sims.envs.physics.reseed(0, seed)
        return _seen(self._sims.envs, self._sims.envs.reset())[0], {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step: observation [O], reward, terminated, False, and the reward terms."""
        step = self._sims.step(np.asarray(action)[None])
        terms = {name: float(term[0]) for name, term in step.terms.items()}
        obs = _seen(self._sims.envs, step.obs)[0]
        return obs, float(step.reward[0]), bool(step.terminated[0]), False, terms

    def render(self) -> Array | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """An image, [height, width, 3] uint8; None without a render mode."""
        pictures = self._sims.render()
        return None if pictures is None else pictures[0]

    def close(self) -> None:
        self._sims.close()


def _limit(task: str, steps: int | None) -> float | None:
    """Convert a time limit to the form of TaskVecEnv; -1 means no limit, as in Gymnasium."""
    if steps is None or steps == -1:
        return None if steps is None else inf
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
        wanted = "a whole number, at least 1, or -1 for no limit"
        raise ValueError(f"pgcontrol/{task}: max_episode_steps: expected {wanted}, got {steps!r}")
    return int(steps)


def _masked(terms: dict[str, Array], mask: Array) -> dict[str, Any]:
    """The terms of the envs in the mask [N] in the form of Gymnasium's infos: 0 elsewhere, with a copy of the mask."""
    if not mask.any():
        return {}
    infos: dict[str, Any] = {}
    for name, term in terms.items():
        infos[name], infos[f"_{name}"] = (term if mask.all() else np.where(mask, term, 0)), mask.copy()
    return infos


def gymnasium_id(env_id: str) -> str:
    """pgcontrol/<id> with - in place of a colon: Gymnasium reads text before a colon as a module's name."""
    return f"pgcontrol/{env_id.replace(':', '-')}"


def register(tasks: Mapping[str, type[Task]]) -> None:
    """Register tasks with Gymnasium under gymnasium_id(); names that are already registered are left alone."""
    for env_id, task in tasks.items():
        name = gymnasium_id(env_id)
        if name in gymnasium.registry:
            continue
        gymnasium.register(
            name,
            entry_point=f"{__name__}:GymEnv",
            vector_entry_point=f"{__name__}:GymVectorEnv",
            max_episode_steps=task.time_limit,
            kwargs={"task": env_id},
        )


def _seen(envs: TaskVecEnv, obs: torch.Tensor) -> Array:
    """The policy's part [n, O] of observations [n, O + P]."""
    return obs[:, : envs.obs_size].numpy()
