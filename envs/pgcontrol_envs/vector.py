"""The batched environment: a task and a physics make a VecEnv of N copies with explicit reset."""

from collections import UserDict
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs import contract
from pgcontrol_envs.arrays import join
from pgcontrol_envs.physics import CpuPhysics
from pgcontrol_envs.task import Task

Ids = Tensor | Sequence[int] | np.ndarray
Seed = int | Sequence[int | None]


class UnknownEnv(ValueError):
    """There is no env of this name; the message suggests similar names."""


class BrokenEnv(ValueError):
    """An environment (mostly a Gymnasium one) breaks its contract. One line: its name, the value, what is expected."""


class OneEngine(ValueError):
    """A process cannot hold another copy of an environment."""


def as_ids(ids: Ids | None, num_envs: int) -> np.ndarray:
    """Env ids [n], int64 and sorted, from a bool mask [N], sorted ints, or None for all; else raises ValueError."""
    if ids is None:
        return np.arange(num_envs)
    ids = ids.numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if ids.dtype == np.bool_:
        if ids.shape != (num_envs,):
            raise ValueError(f"a mask of envs must have shape ({num_envs},), got {ids.shape}")
        return np.flatnonzero(ids)
    if ids.ndim != 1 or (len(ids) and (ids[0] < 0 or ids[-1] >= num_envs or not (np.diff(ids) > 0).all())):
        raise ValueError(f"env ids must be sorted, unique and in [0, {num_envs}), got {ids.tolist()}")
    return ids.astype(np.int64)


def as_seeds(seed: Seed | None, num_envs: int) -> list[int | None]:
    """One seed per env: seed + i for an int, None for None, a sequence as it is. Raises ValueError for its length."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + i for i in range(num_envs)]
    seeds = list(seed)
    if len(seeds) != num_envs:
        raise ValueError(f"seed: expected {num_envs} seeds, got {len(seeds)}")
    return seeds


class Step(NamedTuple):
    """The result of one step of N envs, in memory that later steps do not overwrite.

    Attributes:
        obs: the true observations after the step, including final ones (reset is explicit). Float64 [N, O + P]: the
            policy's observation, then the additional one of the critic.
        reward: float64 [N].
        terminated: the episode ended in a terminal state; bool [N].
        truncated: the episode reached its time limit; bool [N]. Both may be True.
        terms: the reward's terms by name, [N] each.
        unstable: whose simulation became unstable in this step, bool [N]; None: no one's. MuJoCo has reset it to the
            model's defaults in the middle of the episode, so obs and reward do not belong to a transition. `terminated`
            and `truncated` do not show it.
    """

    obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    terms: Mapping[str, Tensor]
    unstable: Tensor | None = None


class Shapes(NamedTuple):
    """The env's own shapes of one observation and one action; a VecEnv's are flat.

    Attributes:
        whole: whether actions are rounded to whole numbers.
    """

    obs: tuple[int, ...]
    action: tuple[int, ...]
    whole: bool


class VecEnv(Protocol):
    """N envs that are stepped together. An env whose episode has ended must be reset before its next step.

    Attributes:
        obs_size: O, size of the policy's observation.
        privileged: P, size of the critic's additional observation; 0 for most envs.
        action_low: float32 [A].
        action_high: float32 [A].
        control_dt: seconds per env step.
        device: of the actions that `step` takes, and of everything that it returns.
        exact_resume: whether load_state() continues episodes bit for bit, and copy() works. If not, load_state()
            starts new episodes.
    """

    env_id: str
    num_envs: int
    obs_size: int
    privileged: int
    action_low: Tensor
    action_high: Tensor
    control_dt: float
    device: torch.device
    exact_resume: bool

    @property
    def task(self) -> Task | None:
        """The task; None for a Gymnasium env."""

    @property
    def shapes(self) -> Shapes | None:
        """The env's own shapes of observation and action; None if these are flat float vectors as well."""

    @property
    def time_limit(self) -> int | None:
        """Env steps after which an episode is truncated; None: no limit."""

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes in envs ids (bool mask [N] or sorted ints; None: all).

        An int `seed` restarts the random stream of env i from seed + i. A sequence has one seed per env; None in it
        leaves a stream as it is. Returns the observations of the reset envs, float64 [n, O + P].
        """
        ...

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those in the bool mask `active` [N], with action [N, A].

        The others do not move: they return their current observation, reward and terms 0, and flags False.
        """
        ...

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of env i's generalised positions, for rendering; None if there are none."""

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of env i's own values of model fields, by name, for rendering."""
        ...

    def before(self, i: int) -> dict[str, Tensor] | None:
        """The state at the start of env i's last step, as the tensors of `state` for one env; None if not available.

        After loading it into a single env, the same action repeats the step bit for bit.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the future depends on: tensors, and other values that JSON can hold."""
        ...

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue from what state() returned. Raises ValueError if the state belongs to other envs."""

    def copy(self, source: Ids, target: Ids) -> None:
        """Copy the physics state and the episode clock of envs source [n] to envs target [n] (sorted).

        Bit for bit: equal actions then have equal results until an episode ends. Each env keeps its own random stream.
        Raises ValueError if states cannot be copied (`exact_resume` is False).
        """

    def close(self) -> None:
        """Release all resources."""


def require_state_of(env: VecEnv, extra: dict[str, Any]) -> None:
    """Check that state() was called on the same number of the same envs; raises ValueError otherwise."""
    saved = (extra.get("env"), len(extra.get("streams", ())))
    if saved != (env.env_id, env.num_envs):
        raise ValueError(f"env state: expected {env.num_envs} x {env.env_id}, found {saved[1]} x {saved[0]}")


class TaskVecEnv:
    """VecEnv of N copies of a task on the CPU's batched physics, with `threads` threads (0: one per logical CPU).

    Results do not depend on the number of threads. seed None: entropy from the operating system. time_limit replaces
    the task's limit; inf: no limit. Raises TaskError if the task breaks its contract; see contract.py.

    Attributes:
        streams: the envs' random streams.
    """

    exact_resume, shapes, device = True, None, torch.device("cpu")

    def __init__(
        self, task: type[Task], num_envs: int, seed: int | None = 0, threads: int = 0, time_limit: float | None = None
    ):
        contract.require(task)
        self.task, self.env_id, self.num_envs = task(), task.id, num_envs
        self.action_low, self.action_high = self.task.action_low, self.task.action_high
        limit = task.time_limit if time_limit is None else time_limit
        self.control_dt, self.time_limit = self.task.dt, None if limit == inf else int(limit)
        self._limit = limit
        persistent = task.stage != "none"
        self.physics = CpuPhysics(self.task.model, num_envs, threads, task.derived, seed, persistent)
        self.task.bind(self.physics)
        self.streams = task.streams.seeded(num_envs, seed)
        # one clock for all envs, and its value at the start of each env's episode
        self._clock, self._began = 0, np.zeros(num_envs, np.int64)
        self._action_shape = (num_envs, len(self.action_low))
        self.obs_size = self.task.observe().shape[-1]
        more = self.task.privileged()
        self.privileged = 0 if more is None else more.shape[-1]

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes; see VecEnv.reset."""
        chosen, seeds = as_ids(ids, self.num_envs), as_seeds(seed, self.num_envs)
        for i in chosen.tolist():
            if (one := seeds[i]) is not None:
                self.streams.reseed(i, one)
                self.physics.reseed(i, one)
        self.physics.reset(chosen)
        self.task.reset(self.physics, chosen, self.streams.narrow(chosen))
        self.physics.forward(chosen)
        self._began[chosen] = self._clock
        return torch.from_numpy(self._observe()[chosen])

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those in the mask `active`; see VecEnv.step. Raises ValueError for a wrong action shape."""
        task, physics, controls = self.task, self.physics, action.numpy()
        if controls.shape != self._action_shape:
            raise ValueError(f"{self.env_id}: expected actions of shape {self._action_shape}, got {controls.shape}")
        before = task.before()
        if before is not None:
            before = before.copy()
        if active is None:
            unstable = physics.step(task.frame_skip, None, task.stage, controls)
        else:
            ids = as_ids(active, self.num_envs)
            unstable = physics.step(task.frame_skip, ids, task.stage, controls)
            self._began += ~active.numpy()  # the clocks of the others stand still
        task.remember()
        self._clock += 1
        obs, truncated, terminated = self._observe(), self._began <= self._clock - self._limit, task.terminated()
        if terminated is None:
            terminated = np.zeros(self.num_envs, np.bool_)
        reward, terms = task.reward(controls, before, terminated)
        tensor = torch.from_numpy
        step = Step(tensor(obs), tensor(reward), tensor(terminated), tensor(truncated), _LazyTensors(terms))
        if unstable is not None:
            step = step._replace(unstable=tensor(unstable))
        return step if active is None else masked(step, active)

    def _observe(self) -> np.ndarray:
        """Observations [N, O + P], not a view. Raises BrokenEnv if the size has changed."""
        obs, more = self.task.observe(), self.task.privileged()
        sizes = obs.shape[-1], 0 if more is None else more.shape[-1]
        if sizes != (self.obs_size, self.privileged):
            came = "observe() returned {} numbers per environment and privileged() {}".format(*sizes)
            raise BrokenEnv(f"{self.env_id}: {came}; at first it was {self.obs_size} and {self.privileged}")
        return obs if more is None else join(obs, more)

    def qpos(self, i: int) -> np.ndarray:
        """A copy of env i's generalised positions [nq]."""
        return self.physics.qpos[i].copy()

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of env i's own values of model fields."""
        return self.physics.own(i)

    def before(self, i: int) -> dict[str, Tensor]:
        """The state at the start of env i's last step; see VecEnv.before."""
        physics = {f"physics.{name}": value for name, value in self.physics.before(i).items()}
        return physics | {"elapsed": torch.from_numpy(self._clock - 1 - self._began[i : i + 1])}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The physics, the episodes' clocks, and the random streams."""
        tensors = {f"physics.{name}": value for name, value in self.physics.state().items()}
        tensors["elapsed"] = torch.from_numpy(self._clock - self._began)
        return tensors, {"env": self.env_id, "streams": self.streams.state()}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue bit for bit from what state() returned. Raises ValueError if the state belongs to other envs."""
        require_state_of(self, extra)
        if "elapsed" not in tensors:
            raise ValueError("env state: expected a tensor 'elapsed', found none")
        self.physics.load_state({name.removeprefix("physics."): tensor for name, tensor in tensors.items()})
        self._began[:] = self._clock - tensors["elapsed"].numpy()
        self.streams.load_state(extra["streams"])

    def copy(self, source: Ids, target: Ids) -> None:
        """Copy the state of envs source to envs target; see VecEnv.copy."""
        origins, targets = np.asarray(source), as_ids(target, self.num_envs)
        if origins.shape != targets.shape or set(origins.tolist()) & set(targets.tolist()):
            raise ValueError(f"copy: expected as many sources as targets, and no env in both: {origins}, {targets}")
        self.physics.copy(origins, targets)
        self._began[targets] = self._began[origins]

    def close(self) -> None:
        """Nothing to do: the physics is freed with its last array."""


class _LazyTensors(UserDict[str, Any]):
    """Reward terms that become tensors when they are read: a learner rarely reads them, and each costs 4 µs."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.data = arrays

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.data[name])


def masked(step: Step, active: Tensor) -> Step:
    """The step with reward, terms and flags cleared for the inactive envs."""
    still = ~active
    reward = step.reward.masked_fill(still, 0)  # filled, not multiplied: a NaN times 0 is NaN
    terms = {name: term.masked_fill(still, 0) for name, term in step.terms.items()}
    return Step(step.obs, reward, step.terminated & active, step.truncated & active, terms, step.unstable)
