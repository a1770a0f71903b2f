"""The batched environment on a device: a task on MuJoCo Warp, with start states from a twin on the CPU's physics."""

from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.arrays import join
from pgcontrol_envs.task import Task, TaskError
from pgcontrol_envs.vector import Ids, Seed, Step, TaskVecEnv, as_ids, as_seeds, masked, require_state_of
from pgcontrol_envs.warp_physics import DEFAULT, Warp, WarpPhysics


class WarpVecEnv:
    """VecEnv of N copies of a task on MuJoCo Warp; actions and results are tensors on its device.

    A task's `reset` may use all of NumPy and MuJoCo, so a twin on the CPU makes the start states: those of TaskVecEnv.
    Within a rollout, `renew` takes start states from a pool of N on the device, in order, without waiting for the
    device; `check` fills the pool again. If more than N episodes begin between two checks, start states are repeated.

    Attributes:
        physics: the WarpPhysics.

    Raises:
        TaskError: the task breaks its contract, uses NumPy outside `reset`, or its model cannot be loaded.
        ValueError: see WarpPhysics.
    """

    exact_resume, shapes = True, None

    def __init__(
        self,
        task: type[Task],
        num_envs: int,
        seed: int | None = 0,
        threads: int = 0,
        warp: Warp = DEFAULT,
        time_limit: float | None = None,
    ):
        self._twin = TaskVecEnv(task, num_envs, seed, threads, time_limit)
        self.task, self.env_id, self.num_envs = task(), task.id, num_envs
        self.control_dt, self.time_limit = self.task.dt, self._twin.time_limit
        self.action_low, self.action_high = self.task.action_low, self.task.action_high
        self.obs_size, self.privileged = self._twin.obs_size, self._twin.privileged
        self.device = torch.device(warp.device)
        try:
            self.physics = WarpPhysics(self.task.model, num_envs, task.derived, seed, warp)
            self.task.bind(self.physics)
        except TaskError:
            raise
        except ValueError as error:
            raise TaskError(f"{self.env_id}: {error}") from None
        self._limit = inf if self.time_limit is None else self.time_limit
        self._elapsed = torch.zeros(num_envs, dtype=torch.int64, device=self.device)  # steps of each env's episode
        self._pool: dict[str, Tensor] = {}  # start states of the next episodes
        self._taken = torch.zeros((), dtype=torch.int64, device=self.device)  # how many were ever taken
        self._filled = 0  # `_taken` when the pool was filled
        self._action_shape = num_envs, len(self.action_low)
        self._require_tensors()

    def _require_tensors(self) -> None:
        """Call the task's methods once: their results must be tensors."""
        action = torch.zeros(self._action_shape, device=self.device)
        try:
            before, terminated = self.task.before(), self._terminated()
            found = {"observe": self.task.observe(), "terminated": terminated}
            found["reward"] = self.task.reward(action, None if before is None else before.clone(), terminated)[0]
        except (TypeError, AttributeError, RuntimeError) as error:
            what = " ".join(str(error).split())
            raise TaskError(
                f"{self.env_id}: on physics warp, arrays are torch tensors, and it fails: {what}"
            ) from error
        for name, value in found.items():
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                advice = "compute with pgcontrol_envs.arrays, not with NumPy"
                raise TaskError(f"{self.env_id}: {name} returned {kind} for torch tensors, on physics warp; {advice}")

    def reset(self, ids: Ids | None = None, seed: Seed | None = None) -> Tensor:
        """Start new episodes; see VecEnv.reset. With a seed, the pool of start states is forgotten."""
        chosen = as_ids(ids.cpu() if isinstance(ids, Tensor) else ids, self.num_envs)
        self._twin.reset(chosen, seed)
        if seed is not None:
            self._pool = {}
        for i, one in enumerate(as_seeds(seed, self.num_envs)):
            if one is not None and i in chosen:
                self.physics.reseed(i, one)
        mask = torch.zeros(self.num_envs, dtype=torch.bool)
        mask[chosen] = True
        mask = mask.to(self.device)
        self._start(mask, self._starts())
        return self._observe()[mask]

    def renew(self, over: Tensor) -> Tensor:
        """Start new episodes in the envs of a bool mask [N], without waiting for the device.

        Returns:
            the observations of all envs, [N, O + P].
        """
        if not self._pool:
            self._fill(np.arange(self.num_envs))
        place = (self._taken + over.cumsum(0) - 1) % self.num_envs
        self._taken += over.sum()
        self._start(over, {name: rows[place] for name, rows in self._pool.items()})
        return self._observe()

    def check(self) -> None:
        """Wait for the device, and fill the pool of start states again. Call it once per rollout.

        Raises:
            BrokenEnv: contacts or constraints did not fit; the message names the setting to raise.
        """
        bits = self.physics.overflowed()
        powers = torch.arange(32, device=self.device)
        seen = ((bits.unsqueeze(1) >> powers) & 1).any(0)
        *kinds, taken = torch.cat((seen.long(), self._taken.view(1))).tolist()
        self.physics.require_room(sum(1 << i for i, kind in enumerate(kinds) if kind))
        if self._pool:
            self._fill(np.unique(np.arange(max(self._filled, taken - self.num_envs), taken) % self.num_envs))
        self._filled = taken

    def _fill(self, ids: np.ndarray) -> None:
        """Draw start states for the entries ids [n] of the pool."""
        if not len(ids):
            return
        self._twin.reset(ids)
        rows, chosen = self._starts(), torch.from_numpy(ids).to(self.device)
        if not self._pool:
            self._pool = rows
        for name, kept in self._pool.items():
            kept[chosen] = rows[name][chosen]

    def _starts(self) -> dict[str, Tensor]:
        """The state of the twin, by the names of the physics' fields."""
        return {name: self.physics.array(self._twin.physics.field(name)).clone() for name in self.physics.fields}

    def _start(self, mask: Tensor, rows: dict[str, Tensor]) -> None:
        self.physics.put(mask, rows)
        self.physics.restart(mask)
        self._elapsed.masked_fill_(mask, 0)

    def step(self, action: Tensor, active: Tensor | None = None) -> Step:
        """Step all envs, or those in the mask `active`; see VecEnv.step. `unstable` is always a mask.

        Raises ValueError for a wrong action shape.
        """
        task, physics = self.task, self.physics
        if action.shape != self._action_shape:
            raise ValueError(
                f"{self.env_id}: expected actions of shape {self._action_shape}, got {tuple(action.shape)}"
            )
        if active is not None:
            active = torch.as_tensor(active, device=self.device)
        before = task.before()
        if before is not None:
            before = before.clone()
        unstable = physics.step(task.frame_skip, active, task.stage, action)
        task.remember()
        self._elapsed += 1 if active is None else active
        obs, truncated, terminated = self._observe(), self._elapsed >= self._limit, self._terminated()
        reward, terms = task.reward(action, before, terminated)
        step = Step(obs, reward.double(), terminated, truncated, terms, unstable)
        return step if active is None else masked(step, active)

    def _terminated(self) -> Tensor:
        ended = self.task.terminated()
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device) if ended is None else ended

    def _observe(self) -> Tensor:
        """Observations [N, O + P], not a view."""
        obs, more = self.task.observe(), self.task.privileged()
        return (obs if more is None else join(obs, more)).double()

    def qpos(self, i: int) -> np.ndarray:
        """A copy of env i's generalised positions [nq]."""
        return self.physics.qpos[i].double().cpu().numpy()

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of env i's own values of model fields."""
        return self.physics.own(i)

    def before(self, i: int) -> None:
        """Nothing: the state before a step is not kept."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The physics, the episodes' clocks, the pool of start states, and the twin with its random streams."""
        twin, extra = self._twin.state()
        groups = {"physics": self.physics.state(), "pool": self._pool, "twin": twin}
        tensors = {f"{group}.{name}": x.cpu() for group, state in groups.items() for name, x in state.items()}
        tensors["elapsed"] = self._elapsed.cpu()
        return tensors, extra | {"taken": int(self._taken), "filled": self._filled}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue bit for bit from what state() returned. Raises ValueError if the state belongs to other envs."""
        require_state_of(self, extra)
        groups: dict[str, dict[str, Tensor]] = {"physics": {}, "pool": {}, "twin": {}, "": {}}
        for name, tensor in tensors.items():
            group, _, own = name.rpartition(".") if name == "elapsed" else name.partition(".")
            groups.setdefault(group, {})[own] = tensor
        if "elapsed" not in tensors or "taken" not in extra:
            raise ValueError("env state: it was not saved with physics warp")
        self._twin.load_state(groups["twin"], extra)
        self.physics.load_state(groups["physics"])
        self._pool = {name: rows.to(self.device, copy=True) for name, rows in groups["pool"].items()}
        self._elapsed.copy_(tensors["elapsed"])
        self._taken.fill_(extra["taken"])
        self._filled = extra["filled"]

    def copy(self, source: Ids, target: Ids) -> None:
        """Copy the state of envs source to envs target; see VecEnv.copy."""
        origins, targets = (torch.as_tensor(ids, device=self.device) for ids in (source, target))
        self.physics.copy(origins, targets)
        self._elapsed[targets] = self._elapsed[origins]

    def close(self) -> None:
        """Nothing to do: the physics is freed with its last tensor."""
