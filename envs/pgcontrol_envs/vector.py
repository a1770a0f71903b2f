"""Task x Physics -> VecEnv: N copies of a task with explicit reset."""

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
    """There is no env of that name; the message says which names are close to it."""


class BrokenEnv(ValueError):
    """An environment, most often one of Gymnasium's, breaks its contract; one line: which, what came, what should."""


class OneEngine(ValueError):
    """A process can hold no further copy of an environment."""


def as_ids(ids: Ids | None, num_envs: int) -> np.ndarray:
    """Env ids [n], int64 and sorted, from a bool mask [N], sorted ints, or None for all; else raises ValueError."""
    if ids is None:
        return np.arange(num_envs)
    ids = ids.numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if ids.dtype == np.bool_:
        if ids.shape != (num_envs,):
            raise ValueError(f"a mask of envs has shape ({num_envs},), got {ids.shape}")
        return np.flatnonzero(ids)
    if ids.ndim != 1 or (len(ids) and (ids[0] < 0 or ids[-1] >= num_envs or not (np.diff(ids) > 0).all())):
        raise ValueError(f"env ids are sorted, unique and in [0, {num_envs}), got {ids.tolist()}")
    return ids.astype(np.int64)


def as_seeds(seed: Seed | None, num_envs: int) -> list[int | None]:
    """One seed an env: seed + i from an int, Nones from None, a sequence as it is. Raises ValueError for its length."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + i for i in range(num_envs)]
    seeds = list(seed)
    if len(seeds) != num_envs:
        raise ValueError(f"seed: expected {num_envs} seeds, got {len(seeds)}")
    return seeds


class Step(NamedTuple):
    """What one step of N envs returned, in memory that later steps leave alone.

    Attributes:
        obs: the true observations after the step, final ones included: reset is explicit. Float64 [N, O + P]: what a
            policy sees, and behind it what only its critic does.
        reward: float64 [N].
        terminated: the episode ended in a terminal state; bool [N].
        truncated: the episode ran into its time limit; bool [N]. Both may hold at once.
        terms: the reward's parts by name, [N] each.
        unstable: whose simulation broke down in this step, bool [N], None for none: MuJoCo has put it back to the
            model's defaults in the middle of the episode, so that obs and reward are of no transition. The flags say
            nothing of it.
    """

    obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    terms: Mapping[str, Tensor]
    unstable: Tensor | None = None


class Shapes(NamedTuple):
    """What one observation and one action are in an env's own terms; a VecEnv's are flat.

    Attributes:
        whole: actions are rounded to whole numbers.
    """

    obs: tuple[int, ...]
    action: tuple[int, ...]
    whole: bool


class VecEnv(Protocol):
    """N envs stepped together; an env whose episode ended must be reset before its next step.

    Attributes:
        obs_size: O, the numbers that a policy sees.
        privileged: P, the further numbers of an observation here, which only a critic sees; 0 for most envs.
        action_low: float32 [A].
        action_high: float32 [A].
        control_dt: seconds per env step.
        exact_resume: whether load_state() continues episodes bit for bit, and copy() is there; otherwise it restarts
            them.
    """

    env_id: str
    num_envs: int
    obs_size: int
    privileged: int
    action_low: Tensor
    action_high: Tensor
    control_dt: float
    exact_resume: bool

    @property
    def task(self) -> Task | None:
        """The task; None for an env of Gymnasium's."""

    @property
    def shapes(self) -> Shapes | None:
        """One observation and one action in the env's own terms; None where those are flat and of floats, too."""

    @property
    def time_limit(self) -> int | None:
        """Env steps after which an episode is truncated, if the env has such a limit."""

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes in the envs ids (bool mask [N] or sorted ints; None for all).

        seed restarts the random stream of env i from seed + i; a sequence gives each env its own, None leaving a
        stream as it is. Returns the observations of the envs reset, float64 [n, O + P].
        """
        ...

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those of the bool mask active [N], under action [N, A].

        The others stand still: their obs is the present one, their reward and terms are 0, their flags False.
        """
        ...

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of env i's generalised positions, to render it from later; None where there are none to be had."""

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of the model fields that env i has of its own, by their names, to render it from later."""
        ...

    def before(self, i: int) -> dict[str, Tensor] | None:
        """The state in which env i's last step began, as the tensors of `state` of one env; None where there is none.

        Loaded into an env alone, it makes the step again bit for bit.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything the future depends on: tensors, and the rest as JSON can hold it."""
        ...

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue from what state() returned. Raises ValueError if it is the state of other envs."""

    def copy(self, source: Ids, target: Ids) -> None:
        """Put the envs target [n] (sorted) where the envs source [n] are: the same physics state and episode clock.

        Bit for bit: equal actions lead to equal futures until an episode ends; random streams stay each env's own.
        Raises ValueError where states cannot be copied (`exact_resume` is False).
        """

    def close(self) -> None:
        """Release what the envs hold."""


def require_state_of(env: VecEnv, extra: dict[str, Any]) -> None:
    """What state() returned is of such envs, and of as many; else raises ValueError."""
    saved = (extra.get("env"), len(extra.get("streams", ())))
    if saved != (env.env_id, env.num_envs):
        raise ValueError(f"env state: expected {env.num_envs} x {env.env_id}, found {saved[1]} x {saved[0]}")


class TaskVecEnv:
    """VecEnv of N copies of a task on the CPU's batched physics, on `threads` threads (0: one per logical CPU).

    Results do not depend on the number of threads. seed None takes entropy from the operating system. time_limit
    replaces the task's; with inf an episode has none. Raises TaskError for a task that breaks its contract; see
    contract.py.

    Attributes:
        streams: the envs' random streams.
    """

    exact_resume, shapes = True, None

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
        # the reading of one clock, and what it was when each episode began
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
        """Step all envs, or those of the mask active; see VecEnv.step. Raises ValueError for actions of wrong shape."""
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
            self._began += ~active.numpy()  # the others do not age
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
        return step if active is None else _masked(step, active)

    def _observe(self) -> np.ndarray:
        """[N, O + P], in memory of its own. Raises BrokenEnv if it is not as wide as it was."""
        obs, more = self.task.observe(), self.task.privileged()
        sizes = obs.shape[-1], 0 if more is None else more.shape[-1]
        if sizes != (self.obs_size, self.privileged):
            came = "observe() returned {} numbers an environment and privileged() {}".format(*sizes)
            raise BrokenEnv(f"{self.env_id}: {came}; at first it was {self.obs_size} and {self.privileged}")
        return obs if more is None else join(obs, more)

    def qpos(self, i: int) -> np.ndarray:
        """A copy of env i's generalised positions [nq]."""
        return self.physics.qpos[i].copy()

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of the model fields that env i has of its own."""
        return self.physics.own(i)

    def before(self, i: int) -> dict[str, Tensor]:
        """The state in which env i's last step began; see VecEnv.before."""
        physics = {f"physics.{name}": value for name, value in self.physics.before(i).items()}
        return physics | {"elapsed": torch.from_numpy(self._clock - 1 - self._began[i : i + 1])}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The physics, the episodes' clocks, and the random streams."""
        tensors = {f"physics.{name}": value for name, value in self.physics.state().items()}
        tensors["elapsed"] = torch.from_numpy(self._clock - self._began)
        return tensors, {"env": self.env_id, "streams": self.streams.state()}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue bit for bit from what state() returned. Raises ValueError if it is the state of other envs."""
        require_state_of(self, extra)
        if "elapsed" not in tensors:
            raise ValueError("env state: expected a tensor 'elapsed', found none")
        self.physics.load_state({name.removeprefix("physics."): tensor for name, tensor in tensors.items()})
        self._began[:] = self._clock - tensors["elapsed"].numpy()
        self.streams.load_state(extra["streams"])

    def copy(self, source: Ids, target: Ids) -> None:
        """Put the envs target where the envs source are, natively; see VecEnv.copy."""
        origins, targets = np.asarray(source), as_ids(target, self.num_envs)
        if origins.shape != targets.shape or set(origins.tolist()) & set(targets.tolist()):
            raise ValueError(f"copy: expected as many sources as targets, none of them both: {origins}, {targets}")
        self.physics.copy(origins, targets)
        self._began[targets] = self._began[origins]

    def close(self) -> None:
        """Nothing to release: the physics goes with its last array."""


class _LazyTensors(UserDict[str, Any]):
    """A reward's terms, made tensors when somebody asks: a learner rarely does, and each costs 4 µs after a step."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.data = arrays

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.data[name])


def _masked(step: Step, active: Tensor) -> Step:
    """The step with nothing but observations for the envs that stood still."""
    still = ~active
    reward = step.reward.masked_fill(still, 0)  # filled, not multiplied: a NaN times 0 is NaN
    terms = {name: term.masked_fill(still, 0) for name, term in step.terms.items()}
    return Step(step.obs, reward, step.terminated & active, step.truncated & active, terms, step.unstable)
