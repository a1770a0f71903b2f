"""Batched physics: the interface of a simulator to a task, and the simulator on the CPU."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.device_noise import DeviceNoise
from pgcontrol_envs.mujoco_batch import STAGES, Batch
from pgcontrol_envs.random_streams import Noise

UNSTABLE = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{what}")) for what in ("QPOS", "QVEL", "QACC")]


class Physics(Protocol):
    """The complete interface of N simulations to a task, so that another simulator can replace this one.

    `qpos` [N, nq], `qvel` [N, nv] and `ctrl` [N, nu] are live views of the state: a written value is used by the next
    call. So are `time` [N], simulated seconds since the reset, and `userdata` [N, nuserdata], numbers that the
    simulator stores but does not use. A task keeps its memory of an episode there; it is saved and reset with the rest.
    All arrays are of one kind; see pgcontrol_envs.arrays. `noise` provides the randomness inside a step.
    """

    qpos: Array
    qvel: Array
    ctrl: Array
    time: Array
    userdata: Array

    @property
    def noise(self) -> Noise | DeviceNoise:
        """The randomness inside a step."""
        ...

    def array(self, constant: np.ndarray) -> Array:
        """Convert a constant to this physics' kind of array."""

    def bind(self, field: str) -> Array:
        """A live view [N, ...] of an MjData field. Derived fields lag one substep after step(), as after mj_step."""

    def expand(self, field: str) -> Array:
        """A live view [N, ...] of an MjModel field. From now on the field may differ between simulations.

        A reset does not change it: a task that randomises the model writes it in Task.reset. It is part of the state.
        """

    def set_const(self, ids: Array) -> None:
        """Update what depends on masses, inertias, sizes, positions or gears (mj_setConst) in simulations ids [n].

        Call it after writing such a field. Friction, gains and damping do not need it.
        """

    def forward(self, ids: Array) -> None:
        """Compute the derived fields and contacts of simulations ids [n] for their current state: mj_forward."""

    def step(self, nstep: int, ids: Array, stage: str = "none") -> Any:
        """Advance simulations ids [n] by nstep calls of mj_step, then compute the stages up to `stage`.

        Only for a reset that lets a body settle; otherwise the environment makes the steps.
        """


class CpuPhysics:
    """Physics with MuJoCo's batch, in NumPy: float64, bit-identical to a loop of mj_step for any number of threads.

    In addition to Physics, `xfrc_applied` [N, nbody, 6] is a live view: external forces (N) and torques (N·m) on each
    body, for example a push. ids [n] are sorted ints; None means all.

    Args:
        model: the model of all simulations.
        num_envs: N.
        threads: number of threads, including the caller's; 0: one per logical CPU.
        derived: the derived MjData fields that bind() may return. Every call copies them out, so they must be known
            in advance. If "cfrc_ext" is one of them, each step calls mj_rnePostConstraint, which computes contact
            forces; Gymnasium does the same.
        seed: seed of `noise`; simulation i uses seed + i. None: entropy from the operating system.
        persistent: keep the results of a step's last stages for the next step, which begins with the same stages. This
            saves up to a third of a step and costs one MjData per simulation; the results are bit-identical.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        threads: int = 0,
        derived: Sequence[str] = (),
        seed: int | None = 0,
        persistent: bool = False,
    ):
        self.model, self._num_envs = model, num_envs
        self._expanded: dict[str, np.ndarray] = {}
        self._noise, self._noisy = Noise(num_envs, seed), False
        self._constants = np.zeros((num_envs, 1), np.bool_)  # simulations for which set_const was called
        self._contact_forces, self._persistent = "cfrc_ext" in derived, persistent
        self._batch = Batch(model, num_envs, threads, persistent or self._contact_forces)
        self._default = self._batch.state[0].copy()
        self._saved = {"integration": self._batch.state, **{name: self._batch.output(name) for name in derived}}
        live = "qpos", "qvel", "ctrl", "time", "userdata", "xfrc_applied"
        self._bound = {name: self._batch.component(name) for name in (*live, "qacc_warmstart")}
        self.qpos, self.qvel, self.ctrl, self.time, self.userdata, self.xfrc_applied, _ = self._bound.values()
        for name in derived:
            self._bound[name] = self._saved[name].view()
            self._bound[name].flags.writeable = False
        self._before = {name: field.copy() for name, field in self._saved.items()}  # at the start of the last step
        self._warned = np.zeros_like(self._batch.warning[..., 1])

    @property
    def noise(self) -> Noise:
        """The randomness inside a step."""
        self._noisy = True
        return self._noise

    def reseed(self, i: int, seed: int) -> None:
        """Use the noise of `seed` in simulation i from its next reset on."""
        self._noise.reseed(i, seed)

    def array(self, constant: np.ndarray) -> np.ndarray:
        return constant

    def bind(self, field: str) -> np.ndarray:
        """A live view [N, ...] of a part of the state, or a read-only view of a field in `derived`; without a copy.

        Derived fields lag one substep after step(), as after mj_step. Raises ValueError for any other field.
        """
        if field not in self._bound:
            raise ValueError(f"{field!r} is not bound; bound are {', '.join(self._bound)}. Add it to Task.derived")
        return self._bound[field]

    def expand(self, field: str) -> np.ndarray:
        """See Physics.expand. Raises ValueError if the field must be the same in all simulations."""
        if field not in self._expanded:
            self._expanded[field] = self._batch.expand(field)
        return self._expanded[field]

    def field(self, name: str) -> np.ndarray:
        """A live view [N, ...] of any part of the state, of a derived field, or of a model field (`model.X`)."""
        if name.startswith("model."):
            return self.expand(name.removeprefix("model."))
        return self._bound[name] if name in self._bound else self._batch.component(name)

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of simulation i's values of all expanded model fields, by name."""
        return {name: field[i].copy() for name, field in self._expanded.items()}

    def set_const(self, ids: np.ndarray | None = None) -> None:
        """See Physics.set_const."""
        self._constants[slice(None) if ids is None else ids] = True
        self._batch.set_const(ids)

    def step(
        self, nstep: int, ids: np.ndarray | None = None, stage: str = "none", ctrl: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Advance by nstep calls of mj_step, then compute the stages up to `stage`: none, pos, vel or acc.

        Derived fields of later stages lag one substep. `ctrl` [N, nu] are new controls; `before` still has the old.

        Returns which simulations were unstable, bool [N]; None if there are none. In these, MuJoCo found an infinite,
        NaN or huge value and (unless the model disables it) reset them to the model's defaults. This also warns.

        Raises SimulationError.
        """
        rows = slice(None) if ids is None else ids
        for name, field in self._saved.items():
            self._before[name][rows] = field[rows]
        if ctrl is not None:
            self.ctrl[rows] = ctrl[rows]
        with self._notes_aside():
            self._batch.step(nstep, ids, STAGES[stage])
        self._noise.advance(ids)
        if self._contact_forces:
            self._batch.post_constraint(ids)
        if not self._batch.warned():
            return None
        if (unstable := self._warn()) is not None:
            self.userdata[unstable] = 0.0  # MuJoCo has reset everything else
        return unstable

    @contextmanager
    def _notes_aside(self) -> Iterator[None]:
        """Set userdata to 0 inside the context: MuJoCo discards what it has computed for a state that was written."""
        if not (self._persistent and self.userdata.size):
            yield
            return
        notes = self.userdata.copy()
        self.userdata[:] = 0.0
        try:
            yield
        finally:
            self.userdata[:] = notes

    def forward(self, ids: np.ndarray | None = None) -> None:
        """Compute the derived fields for the current state: mj_forward."""
        self._batch.forward(ids)

    def reset(self, ids: np.ndarray | None = None) -> None:
        """Reset to the model's defaults (mj_resetData). Write the start state next, then call forward()."""
        rows = slice(None) if ids is None else ids
        if self._contact_forces:
            self._batch.reset(ids)  # a persistent batch keeps contact forces in its MjData
        else:
            self._batch.state[rows] = self._default  # same result as mj_resetData, without starting the threads
            self._batch.warning[rows] = 0
        self._warned[rows] = 0
        self._noise.restart(rows)

    def mirror(self, i: int, data: mujoco.MjData) -> None:
        """Copy simulation i's state into an MjData of the same model, derived fields included (mj_forward).

        If fields are expanded, the MjData's model gets simulation i's values of them.
        """
        if self._expanded:
            self._batch.model_of(i, data.model)
        mujoco.mj_setState(data.model, data, self._batch.state[i], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(data.model, data)

    def state(self) -> dict[str, Tensor]:
        """A copy of everything that the future depends on.

        The integration state; the derived fields (they lag, so they cannot be recomputed); expanded model fields; and
        the noise.
        """
        return {name: torch.from_numpy(field.copy()) for name, field in self._rows().items()}

    def before(self, i: int) -> dict[str, Tensor]:
        """A copy of the state at the start of simulation i's last step, in the form of `state` for one simulation."""
        rows = self._rows() | self._before  # everything else does not change in a step, except the noise
        before = {name: torch.from_numpy(field[i : i + 1].copy()) for name, field in rows.items()}
        before["noise"][:, 1::2] -= 1
        return before

    def load_state(self, state: dict[str, Tensor], ids: np.ndarray | None = None) -> None:
        """Continue bit for bit from what state() returned (or its rows `ids`). Raises ValueError if it does not fit.

        States that older versions saved have no noise if the task did not use it.
        """
        wanted = {
            name: field for name, field in self._rows().items() if name in state or name != "noise" or self._noisy
        }
        for name, field in wanted.items():
            if name not in state or state[name].shape != field.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(f"physics state {name!r}: expected {field.shape}, found {found}")
        self.reset(ids)  # clears what the state does not contain: warnings, and data of a persistent batch
        rows = slice(None) if ids is None else ids
        for name, field in wanted.items():
            field[rows] = state[name].numpy()[rows]
        self._renew_constants(np.arange(self._num_envs) if ids is None else ids)

    def copy(self, source: np.ndarray, target: np.ndarray) -> None:
        """Copy the state of simulations source [n] to target [n] (sorted), bit for bit, as load_state does."""
        self.reset(target)
        for name, field in self._rows().items():
            columns = slice(2, None) if name == "noise" else slice(None)  # the target keeps its own noise key
            field[target, columns] = field[source, columns]
        self._renew_constants(target)

    def _renew_constants(self, ids: np.ndarray) -> None:
        """Call set_const for those of simulations ids [n] whose loaded state needs it."""
        if len(own := ids[self._constants[ids, 0]]):
            self._batch.set_const(own)

    def _rows(self) -> dict[str, np.ndarray]:
        """Everything that a simulation's future depends on, one row per simulation."""
        own = {f"model.{name}": field for name, field in self._expanded.items()}
        own |= {"constants": self._constants} if own else {}
        return self._saved | own | {"noise": self._noise.state}

    def _warn(self) -> np.ndarray | None:
        last, counts = np.moveaxis(self._batch.warning, -1, 0)
        new = counts > self._warned
        for kind in np.flatnonzero(new.any(0)):
            envs = np.flatnonzero(new[:, kind])
            which = ", ".join(map(str, envs[:5])) + (", ..." if len(envs) > 5 else "")
            what = mujoco.mju_warningText(int(kind), int(last[envs[0], kind])).strip()
            warnings.warn(f"MuJoCo in env {which}: {what}", stacklevel=4)
        # a simulation that was reset also resets its counts, so the next warning would look like this one
        counts[:, UNSTABLE] = 0
        self._warned[:] = counts
        unstable = new[:, UNSTABLE].any(-1)
        return unstable if unstable.any() else None


def set_fields(model: mujoco.MjModel, fields: Mapping[str, np.ndarray]) -> None:
    """Write a simulation's own values of model fields (CpuPhysics.own) into a model, to render it.

    Raises:
        ValueError: the model has no such field, or its shape differs.
    """
    for name, value in fields.items():
        field = np.asarray(attrgetter(name)(model)) if hasattr(model, name.partition(".")[0]) else None
        if field is None or field.shape != value.shape:
            found = "none" if field is None else list(field.shape)
            raise ValueError(f"the simulation has {name} {list(value.shape)}, this model {found}")
        field[...] = value
