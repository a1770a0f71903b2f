"""Batched physics: what a task sees of a simulator, and the simulator on the CPU."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import warnings
from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.mujoco_batch import Batch

UNSTABLE = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{what}")) for what in ("QPOS", "QVEL", "QACC")]


class Physics(Protocol):
    """What a task sees of N simulations, and all that it sees, so that another simulator can take this one's place.

    `qpos` [N, nq], `qvel` [N, nv] and `ctrl` [N, nu] are live views of the state: a write is the simulation's state at
    its next call. So are `time` [N], simulated seconds since the reset, and `userdata` [N, nuserdata], numbers that the
    simulator carries along and leaves alone: what a task has to remember of an episode, saved and reset with the rest.
    Arrays are of one kind; see pgcontrol_envs.arrays.
    """

    qpos: Array
    qvel: Array
    ctrl: Array
    time: Array
    userdata: Array

    def array(self, constant: np.ndarray) -> Array:
        """A constant as one of this physics' arrays."""

    def bind(self, field: str) -> Array:
        """A live view [N, ...] of the MjData field. Derived fields lag one substep after step(), as after mj_step."""


class CpuPhysics:
    """Physics on MuJoCo's own batch, in numpy: float64, bit-identical to a loop of mj_step at any thread count.

    Beyond what Physics names, `xfrc_applied` [N, nbody, 6] is a live view, too: forces (N) and torques (N·m) from
    outside on each body, a hand that pushes. ids [n] are sorted ints; None means all.

    Args:
        model: the model of all simulations.
        num_envs: N.
        threads: threads, the caller's included; 0 for one per logical CPU.
        derived: the derived MjData fields that bind() will be asked for. They are copied out after every call, and only
            by calls made after their registration, hence named in advance. With "cfrc_ext" among them each step is
            followed by mj_rnePostConstraint, without which contact forces are not computed; as in Gymnasium.
    """

    def __init__(self, model: mujoco.MjModel, num_envs: int, threads: int = 0, derived: Sequence[str] = ()):
        self.model = model
        self._contact_forces = "cfrc_ext" in derived
        self._batch = Batch(model, num_envs, threads, persistent=self._contact_forces)
        self._default = self._batch.state[0].copy()
        self._saved = {"integration": self._batch.state, **{name: self._batch.output(name) for name in derived}}
        live = "qpos", "qvel", "ctrl", "time", "userdata", "xfrc_applied"
        self._bound = {name: self._batch.component(name) for name in live}
        self.qpos, self.qvel, self.ctrl, self.time, self.userdata, self.xfrc_applied = self._bound.values()
        for name in derived:
            self._bound[name] = self._saved[name].view()
            self._bound[name].flags.writeable = False
        self._before = {name: field.copy() for name, field in self._saved.items()}  # when the last step began
        self._warned = np.zeros_like(self._batch.warning[..., 1])

    def array(self, constant: np.ndarray) -> np.ndarray:
        """The constant as it is."""
        return constant

    def bind(self, field: str) -> np.ndarray:
        """A live, zero-copy view [N, ...] of a part of the state, or, read-only, of one in `derived`.

        Derived fields lag one substep after step(), as after mj_step. Raises ValueError for any other field.
        """
        if field not in self._bound:
            raise ValueError(f"{field!r} is not bound; bound are {', '.join(self._bound)}: name it in Task.derived")
        return self._bound[field]

    def step(self, nstep: int, ids: np.ndarray | None = None) -> np.ndarray | None:
        """Advance by nstep calls of mj_step.

        Returns which simulations were unstable, bool [N], or None for none: MuJoCo found something infinite, NaN or
        huge in them and, unless the model says not to, has put them back to the model's defaults. It warns of them.

        Raises SimulationError.
        """
        for name, field in self._saved.items():
            np.copyto(self._before[name], field)
        self._batch.step(nstep, ids)
        if self._contact_forces:
            self._batch.post_constraint(ids)
        return self._warn() if self._batch.warned() else None

    def forward(self, ids: np.ndarray | None = None) -> None:
        """Compute the derived fields at the present state: mj_forward."""
        self._batch.forward(ids)

    def reset(self, ids: np.ndarray | None = None) -> None:
        """Back to the model's defaults (mj_resetData); follow with writes to the state and forward()."""
        rows = slice(None) if ids is None else ids
        if self._contact_forces:
            self._batch.reset(ids)  # contact forces live on in the MjData that a persistent batch keeps
        else:
            self._batch.state[rows] = self._default  # what mj_resetData does to a row, without waking the threads
            self._batch.warning[rows] = 0
        self._warned[rows] = 0

    def mirror(self, i: int, data: mujoco.MjData) -> None:
        """Put simulation i's state into a MjData of the same model, derived fields included (mj_forward)."""
        mujoco.mj_setState(self.model, data, self._batch.state[i], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, data)

    def state(self) -> dict[str, Tensor]:
        """A copy of the integration state and of the derived fields, which cannot be recomputed: they lag."""
        return {name: torch.from_numpy(field.copy()) for name, field in self._saved.items()}

    def before(self, i: int) -> dict[str, Tensor]:
        """A copy of the state in which simulation i's last step began, as `state` of one simulation gives it."""
        return {name: torch.from_numpy(field[i : i + 1].copy()) for name, field in self._before.items()}

    def load_state(self, state: dict[str, Tensor], ids: np.ndarray | None = None) -> None:
        """Continue from what state() returned, or its rows ids, bit for bit. Raises ValueError if it does not fit."""
        for name, field in self._saved.items():
            if name not in state or state[name].shape != field.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(f"physics state {name!r}: expected {field.shape}, found {found}")
        self.reset(ids)  # forgets what the state does not hold: warnings, and data that a persistent batch keeps
        rows = slice(None) if ids is None else ids
        for name, field in self._saved.items():
            field[rows] = state[name].numpy()[rows]

    def copy(self, source: np.ndarray, target: np.ndarray) -> None:
        """Put the simulations target [n] (sorted) into the states of source [n], bit for bit, as load_state does."""
        self.reset(target)
        for field in self._saved.values():
            field[target] = field[source]

    def _warn(self) -> np.ndarray | None:
        last, counts = np.moveaxis(self._batch.warning, -1, 0)
        new = counts > self._warned
        for kind in np.flatnonzero(new.any(0)):
            envs = np.flatnonzero(new[:, kind])
            which = ", ".join(map(str, envs[:5])) + (", ..." if len(envs) > 5 else "")
            what = mujoco.mju_warningText(int(kind), int(last[envs[0], kind])).strip()
            warnings.warn(f"MuJoCo in env {which}: {what}", stacklevel=4)
        # a simulation that is put back forgets its counts, and the next time would look like this one
        counts[:, UNSTABLE] = 0
        self._warned[:] = counts
        unstable = new[:, UNSTABLE].any(-1)
        return unstable if unstable.any() else None
