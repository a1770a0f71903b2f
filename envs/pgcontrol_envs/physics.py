"""Batched physics: what a task sees of a simulator, and the simulator on the CPU."""

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
from pgcontrol_envs.mujoco_batch import STAGES, Batch
from pgcontrol_envs.random_streams import Noise

UNSTABLE = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{what}")) for what in ("QPOS", "QVEL", "QACC")]


class Physics(Protocol):
    """What a task sees of N simulations, and all that it sees, so that another simulator can take this one's place.

    `qpos` [N, nq], `qvel` [N, nv] and `ctrl` [N, nu] are live views of the state: a write is the simulation's state at
    its next call. So are `time` [N], simulated seconds since the reset, and `userdata` [N, nuserdata], numbers that the
    simulator carries along and leaves alone: what a task has to remember of an episode, saved and reset with the rest.
    Arrays are of one kind; see pgcontrol_envs.arrays. `noise` gives what is random inside a step.
    """

    qpos: Array
    qvel: Array
    ctrl: Array
    time: Array
    userdata: Array

    @property
    def noise(self) -> Noise:
        """What is random inside a step."""
        ...

    def array(self, constant: np.ndarray) -> Array:
        """A constant as one of this physics' arrays."""

    def bind(self, field: str) -> Array:
        """A live view [N, ...] of the MjData field. Derived fields lag one substep after step(), as after mj_step."""

    def expand(self, field: str) -> Array:
        """A live view [N, ...] of the MjModel field, which may differ between simulations from now on.

        A reset leaves it alone: what randomises a model writes it in Task.reset. It belongs to the saved state.
        """

    def set_const(self, ids: Array) -> None:
        """Compute what depends on masses, inertias, sizes, positions or gears (mj_setConst) of simulations ids [n].

        To be called after such a field was written; friction, gains and damping need no call.
        """

    def forward(self, ids: Array) -> None:
        """Compute the derived fields of simulations ids [n] at their present state, contacts included: mj_forward."""

    def step(self, nstep: int, ids: Array, stage: str = "none") -> Any:
        """Advance simulations ids [n] by nstep calls of mj_step, and compute the stages up to `stage`.

        For a reset that lets a body settle; between resets the environment makes the steps.
        """


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
        seed: of `noise`; simulation i's is that of seed + i. None takes entropy from the operating system.
        persistent: keep what a step's last stages computed for the next step, which begins with the same stages. It
            saves up to a third of a step and costs an MjData a simulation; the results are the same to the bit.
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
        self.model, self._num_envs, self._seed = model, num_envs, seed
        self._expanded: dict[str, np.ndarray] = {}
        self._noise: Noise | None = None
        self._constants = np.zeros((num_envs, 1), np.bool_)  # whose own, by set_const
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
        self._before = {name: field.copy() for name, field in self._saved.items()}  # when the last step began
        self._warned = np.zeros_like(self._batch.warning[..., 1])

    @property
    def noise(self) -> Noise:
        """What is random inside a step; part of the state from the first time that it is asked for."""
        if self._noise is None:
            self._noise = Noise(self._num_envs, self._seed)
        return self._noise

    def reseed(self, i: int, seed: int) -> None:
        """Simulation i's noise is that of a seed from its next reset on."""
        if self._noise:
            self._noise.reseed(i, seed)

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

    def expand(self, field: str) -> np.ndarray:
        """See Physics.expand. Raises ValueError if MuJoCo keeps the field the same for all simulations."""
        if field not in self._expanded:
            self._expanded[field] = self._batch.expand(field)
        return self._expanded[field]

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of the model fields that simulation i has of its own, by name."""
        return {name: field[i].copy() for name, field in self._expanded.items()}

    def set_const(self, ids: np.ndarray | None = None) -> None:
        """See Physics.set_const."""
        self._constants[slice(None) if ids is None else ids] = True
        self._batch.set_const(ids)

    def step(
        self, nstep: int, ids: np.ndarray | None = None, stage: str = "none", ctrl: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Advance by nstep calls of mj_step, and compute the stages up to `stage`: none, pos, vel or acc.

        Derived fields of later stages lag one substep. `ctrl` [N, nu] are new controls; what `before` says has the old.

        Returns which simulations were unstable, bool [N], or None for none: MuJoCo found something infinite, NaN or
        huge in them and, unless the model says not to, has put them back to the model's defaults. It warns of them.

        Raises SimulationError.
        """
        rows = slice(None) if ids is None else ids
        for name, field in self._saved.items():
            self._before[name][rows] = field[rows]
        if ctrl is not None:
            self.ctrl[rows] = ctrl[rows]
        with self._notes_aside():
            self._batch.step(nstep, ids, STAGES[stage])
        if self._noise:
            self._noise.advance(ids)
        if self._contact_forces:
            self._batch.post_constraint(ids)
        if not self._batch.warned():
            return None
        if (unstable := self._warn()) is not None:
            self.userdata[unstable] = 0.0  # as all else that MuJoCo has put back
        return unstable

    @contextmanager
    def _notes_aside(self) -> Iterator[None]:
        """Within it userdata are 0 for MuJoCo, which forgets what it has computed for a state that is written to."""
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
        if self._noise:
            self._noise.restart(rows)

    def mirror(self, i: int, data: mujoco.MjData) -> None:
        """Put simulation i's state into a MjData of the same model, derived fields included (mj_forward).

        Of a simulation with fields of its own, the MjData's model gets them, too.
        """
        if self._expanded:
            self._batch.model_of(i, data.model)
        mujoco.mj_setState(self.model, data, self._batch.state[i], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, data)

    def state(self) -> dict[str, Tensor]:
        """A copy of all that the future depends on.

        The integration state; the derived fields, which cannot be recomputed: they lag; model fields that simulations
        have of their own; and the noise.
        """
        return {name: torch.from_numpy(field.copy()) for name, field in self._rows().items()}

    def before(self, i: int) -> dict[str, Tensor]:
        """A copy of the state in which simulation i's last step began, as `state` of one simulation gives it."""
        rows = self._rows() | self._before  # the rest does not change in a step, but for the noise
        before = {name: torch.from_numpy(field[i : i + 1].copy()) for name, field in rows.items()}
        if self._noise:
            before["noise"][:, 1::2] -= 1
        return before

    def load_state(self, state: dict[str, Tensor], ids: np.ndarray | None = None) -> None:
        """Continue from what state() returned, or its rows ids, bit for bit. Raises ValueError if it does not fit."""
        for name, field in self._rows().items():
            if name not in state or state[name].shape != field.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(f"physics state {name!r}: expected {field.shape}, found {found}")
        self.reset(ids)  # forgets what the state does not hold: warnings, and data that a persistent batch keeps
        rows = slice(None) if ids is None else ids
        for name, field in self._rows().items():
            field[rows] = state[name].numpy()[rows]
        self._renew_constants(np.arange(self._num_envs) if ids is None else ids)

    def copy(self, source: np.ndarray, target: np.ndarray) -> None:
        """Put the simulations target [n] (sorted) into the states of source [n], bit for bit, as load_state does."""
        self.reset(target)
        for name, field in self._rows().items():
            columns = slice(2, None) if name == "noise" else slice(None)  # the target keeps its own key
            field[target, columns] = field[source, columns]
        self._renew_constants(target)

    def _renew_constants(self, ids: np.ndarray) -> None:
        """Of simulations ids [n] that have been given a state, as far as it had constants of its own."""
        if len(own := ids[self._constants[ids, 0]]):
            self._batch.set_const(own)

    def _rows(self) -> dict[str, np.ndarray]:
        """All that a simulation's future depends on, one row each."""
        own = {f"model.{name}": field for name, field in self._expanded.items()}
        own |= {"constants": self._constants} if own else {}
        return self._saved | own | ({"noise": self._noise.state} if self._noise else {})

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


def set_fields(model: mujoco.MjModel, fields: Mapping[str, np.ndarray]) -> None:
    """Write fields that a simulation has of its own (CpuPhysics.own) into a model, to show it.

    Raises:
        ValueError: the model has no such field, or one of another shape.
    """
    for name, value in fields.items():
        field = np.asarray(attrgetter(name)(model)) if hasattr(model, name.partition(".")[0]) else None
        if field is None or field.shape != value.shape:
            found = "none" if field is None else list(field.shape)
            raise ValueError(f"it has a {name} {list(value.shape)}, this one {found}")
        field[...] = value
