"""Batched physics on a GPU: MuJoCo Warp, float32. It also runs, slowly, on Warp's CPU device, for tests."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from pgcontrol_envs.arrays import Array
from pgcontrol_envs.device_noise import DeviceNoise
from pgcontrol_envs.vector import BrokenEnv

# the state, without what MuJoCo computes from it; fields of size 0 are left out
STATE = ("qpos", "qvel", "act", "ctrl", "time", "userdata", "xfrc_applied", "qfrc_applied", "qacc_warmstart")
STATE += ("mocap_pos", "mocap_quat", "eq_active")
# model fields that mj_setConst computes, and that affect the dynamics
CONSTANTS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "tendon_length0", "tendon_invweight0")
CONSTANTS += ("actuator_acc0", "geom_rbound")
HUGE = 1e10  # MuJoCo's limit for positions, velocities and accelerations
# kinds of overflow that make results wrong, and the setting to raise. A model's iteration limits are not among them
OVERFLOWS = {"NEFC": "njmax", "NJMAX_NNZ": "njmax", "BROADPHASE": "nconmax", "NARROWPHASE": "nconmax", "CCD": "nconmax"}


class Warp(NamedTuple):
    """Settings of this physics.

    Attributes:
        device: a torch device, cpu or cuda:i.
        nconmax: contacts per env for which there is room; None: a guess from the model.
        njmax: constraints per env for which there is room; None: a guess from the model.
    """

    device: str = "cpu"
    nconmax: int | None = None
    njmax: int | None = None


DEFAULT = Warp()


class WarpPhysics:
    """Physics with MuJoCo Warp: all fields are float32 torch tensors on one device, without copies.

    All worlds are stepped together. For a subset, the other worlds are put back afterwards; ids are bool masks [N] or
    ints [n], and None means all. A step does not wait for the device.

    In addition to Physics, `xfrc_applied` [N, nbody, 6] is a live view: external forces (N) and torques (N·m).

    Args:
        model: the model of all simulations.
        num_envs: N.
        derived: the derived MjData fields that are part of the state, because they lag one substep after a step. With
            "cfrc_ext", each step computes contact forces.
        seed: seed of `noise`, as in CpuPhysics.

    Raises:
        ValueError: MuJoCo Warp is not installed, or cannot load the model.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        derived: Sequence[str] = (),
        seed: int | None = 0,
        settings: Warp = DEFAULT,
    ):
        self._wp, self._mjw = library()
        self.model, self.settings, self._num_envs = model, settings, num_envs
        self.device = torch.device(settings.device)
        self._on = self._wp.device_from_torch(self.device)
        self._m, self._d = self._loaded(num_envs)
        self._noise, self._noisy = DeviceNoise(num_envs, seed, self.device), False
        self._contact_forces = "cfrc_ext" in derived
        self._own: dict[str, Tensor] = {}  # expanded model fields
        self._graphs: dict[tuple[int, str], Any] = {}  # captured steps; None: to be captured at the next call
        defaults = mujoco.MjData(model)
        mujoco.mj_forward(model, defaults)
        names = [*STATE, *(name for name in derived if isinstance(getattr(self._d, name, None), self._wp.array))]
        self._fields = {name: field for name in names if (field := self._view(name, defaults)).numel()}
        self._default = {name: self.array(np.asarray(getattr(defaults, name))) for name in self._fields}
        none = torch.zeros(num_envs, 0, device=self.device)
        self.qpos, self.qvel, self.time = self._fields["qpos"], self._fields["qvel"], self._fields["time"]
        self.ctrl, self.userdata = (self._fields.get(name, none) for name in ("ctrl", "userdata"))
        self.xfrc_applied, self._qacc = self._fields["xfrc_applied"], self._wp.to_torch(self._d.qacc)
        # kinds of overflow since the last `overflowed`, as bits [N]
        self._overflow, self._seen = self._wp.to_torch(self._d.overflow), torch.zeros_like(self._view("overflow"))
        self.put(None, self._default)

    def _loaded(self, num_envs: int) -> tuple[Any, Any]:
        """The model and the data of N worlds on the device. Raises ValueError."""
        with self._wp.ScopedDevice(self._on):
            try:
                model = self._mjw.put_model(self.model)
                limits = {name: getattr(self.settings, name) for name in ("nconmax", "njmax")}
                data = self._mjw.make_data(self.model, nworld=num_envs, **limits)
            except (NotImplementedError, ValueError) as error:
                what = str(error).rstrip(".")
                raise ValueError(f"physics warp cannot load this model: {what}; physics native can") from None
        model.opt.warn_overflow = 0  # `overflowed` tells it, once
        return model, data

    def _view(self, name: str, like: mujoco.MjData | None = None) -> Tensor:
        """A field [N, ...] of the data, with the shape of `like`'s."""
        field = self._wp.to_torch(getattr(self._d, name))
        return field if like is None else field.reshape(self._num_envs, *np.shape(getattr(like, name)))

    @property
    def noise(self) -> DeviceNoise:
        """The randomness inside a step."""
        self._noisy = True
        return self._noise

    def reseed(self, env: int, seed: int) -> None:
        """Restart the noise of an env from a seed."""
        self._noise.reseed(env, seed)

    def array(self, constant: np.ndarray) -> Tensor:
        """A constant as a tensor on the device; numbers become float32."""
        tensor = torch.as_tensor(np.array(constant), device=self.device)  # a copy: it may be read-only
        return tensor.float() if tensor.is_floating_point() else tensor

    def bind(self, field: str) -> Tensor:
        """A live view [N, ...]; see Physics.bind. Raises ValueError for a field that is neither state nor derived."""
        if field not in self._fields:
            raise ValueError(f"physics warp cannot bind {field!r}; it has {', '.join(self._fields)}")
        return self._fields[field]

    def expand(self, field: str) -> Tensor:
        """See Physics.expand. Raises ValueError if the field must be the same in all simulations."""
        if not self._own:
            self._own = {name: self._wide(name) for name in CONSTANTS if np.size(getattr(self.model, name))}
        if field not in self._own:
            self._own[field] = self._wide(field)
        return self._own[field]

    def _wide(self, field: str) -> Tensor:
        """Give each world its own copy of a model field."""
        owner, _, name = field.rpartition(".")
        owner = self._m.opt if owner == "opt" else self._m
        array: Any = getattr(owner, name, None)
        if not getattr(array, "_is_batched", False):
            raise ValueError(f"physics warp cannot give each simulation its own {field!r}")
        wide = self._wp.to_torch(array).repeat_interleave(self._num_envs, 0)
        setattr(owner, name, self._wp.from_torch(wide, dtype=array.dtype))
        getattr(owner, name)._is_batched = True
        self._graphs.clear()  # captured steps use the old array
        return wide.reshape(self._num_envs, *np.shape(attrgetter(field)(self.model)))

    def own(self, i: int) -> dict[str, np.ndarray]:
        """Copies of simulation i's values of all expanded model fields, by name."""
        return {name: field[i].double().cpu().numpy() for name, field in self._own.items()}

    @property
    def fields(self) -> list[str]:
        """Names of what `put` can overwrite; expanded model fields are `model.X`."""
        return list(self._rows())

    def set_const(self, ids: Array | None = None) -> None:
        """See Physics.set_const."""
        with self._others_kept(ids):
            self._launch(lambda: self._mjw.set_const(self._m, self._d))

    def step(self, nstep: int, ids: Array | None = None, stage: str = "none", ctrl: Tensor | None = None) -> Tensor:
        """Advance by nstep calls of mj_step, then compute the stages up to `stage`; see CpuPhysics.step.

        Returns which simulations were unstable, bool [N]. These were set to the model's defaults.
        """
        mask = self._mask(ids)
        with self._others_kept(mask):
            if ctrl is not None:
                self.ctrl.copy_(ctrl)
            self._advance(nstep, stage)
            state = (self.qpos, self.qvel, self._qacc)
            unstable = ~torch.stack([(field.abs() < HUGE).all(1) for field in state]).all(0)
            self.put(unstable, self._default)
        if mask is not None:
            unstable &= mask
        self._noise.advance(mask)
        return unstable

    def forward(self, ids: Array | None = None) -> None:
        """Compute the derived fields for the current state: mj_forward."""
        with self._others_kept(ids):
            self._launch(lambda: self._mjw.forward(self._m, self._d))

    def put(self, mask: Tensor | None, rows: Mapping[str, Tensor]) -> None:
        """Overwrite fields by name, for the simulations of a bool mask [N], with rows [N, ...], or [...] for all."""
        live = self._rows()
        for name, row in rows.items():
            field = live[name]
            if mask is None:
                field.copy_(row)
            else:
                field.copy_(torch.where(mask.view(-1, *[1] * (field.ndim - 1)), row.to(field.dtype), field))

    def restart(self, mask: Tensor) -> None:
        """Start an episode of `noise` in the simulations of a bool mask [N]."""
        self._noise.restart(mask)

    def overflowed(self) -> Tensor:
        """Kinds of overflow since the last call, as bits [N] on the device; `require_room` reads them."""
        seen = self._seen.clone()
        self._seen.zero_()
        return seen

    def require_room(self, bits: int) -> None:
        """Raises BrokenEnv if `bits` say that there was no room for contacts or constraints; names the setting."""
        for kind, knob in OVERFLOWS.items():
            if bits & int(getattr(self._mjw.OverflowType, kind)):
                room = {"njmax": self._d.njmax, "nconmax": self._d.naconmax // self._num_envs}[knob]
                what = {"njmax": "constraints", "nconmax": "contacts"}[knob]
                raise BrokenEnv(f"{knob} = {room}: physics warp had no room for more {what}; set --{knob} {2 * room}")

    def state(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of everything that the future depends on."""
        return {name: field.to("cpu", copy=True) for name, field in self._rows(noise=True).items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what state() returned. Raises ValueError if it does not fit.

        States that older versions saved have no noise if the task did not use it.
        """
        for name, field in self._rows(noise="noise" in state or self._noisy).items():
            if name not in state or state[name].shape != field.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(f"physics state {name!r}: expected {tuple(field.shape)}, found {found}")
            field.copy_(state[name])

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Copy the state of simulations source [n] to target [n]; each keeps its own noise key."""
        for name, field in self._rows(noise=True).items():
            columns = field[:, 2:] if name == "noise" else field
            columns[target] = columns[source]

    def _rows(self, noise: bool = False) -> dict[str, Tensor]:
        """All live fields that a simulation's future depends on, with one row per simulation."""
        own = {f"model.{name}": field for name, field in self._own.items()}
        return self._fields | own | ({"noise": self._noise.state} if noise else {})

    def _mask(self, ids: Array | None) -> Tensor | None:
        if ids is None:
            return None
        ids = torch.as_tensor(ids, device=self.device)
        if ids.dtype == torch.bool:
            return ids
        mask = torch.zeros(self._num_envs, dtype=torch.bool, device=self.device)
        mask[ids] = True
        return mask

    @contextmanager
    def _others_kept(self, ids: Array | None) -> Iterator[None]:
        """A context after which the simulations that are not among ids are as they were before it."""
        if (mask := self._mask(ids)) is None:
            yield
            return
        before = {name: row.clone() for name, row in self._rows().items()}
        yield
        self.put(~mask, before)

    def _advance(self, nstep: int, stage: str) -> None:
        """Launch a step. The second call of each kind is captured as a graph, which later calls replay."""

        def kernels() -> None:
            for _ in range(nstep):
                self._mjw.step(self._m, self._d)
            if stage in ("pos", "vel"):  # not step1, which clears the sensors of later stages: they lag
                self._mjw.fwd_position(self._m, self._d)
                self._mjw.sensor_pos(self._m, self._d)
            if stage == "vel":
                self._mjw.fwd_velocity(self._m, self._d)
                self._mjw.sensor_vel(self._m, self._d)
            if stage == "acc":
                self._mjw.forward(self._m, self._d)
            if self._contact_forces:
                self._mjw.rne_postconstraint(self._m, self._d)

        kind = nstep, stage
        if kind not in self._graphs:  # the first call compiles and loads kernels
            self._launch(kernels)
            self._graphs[kind] = None
            return
        if self._graphs[kind] is None:
            with self._wp.ScopedDevice(self._on), self._wp.ScopedCapture(force_module_load=False) as capture:
                kernels()
            self._graphs[kind] = capture.graph
        self._launch(lambda: self._wp.capture_launch(self._graphs[kind]))

    def _launch(self, kernels: Any) -> None:
        """Launch kernels after what torch has launched, and before what it launches next."""
        with self._wp.ScopedDevice(self._on):
            if self.device.type == "cuda":
                stream, torchs = self._on.stream, self._wp.stream_from_torch(torch.cuda.current_stream(self.device))
                stream.wait_stream(torchs)
                kernels()
                torchs.wait_stream(stream)
            else:
                kernels()
        self._seen |= self._overflow


@cache
def library() -> tuple[Any, Any]:
    """The modules warp and mujoco_warp. Raises ValueError if they are not installed."""
    try:
        import warp

        with suppress(AttributeError):  # its banner and a line for every kernel it loads
            warp.config.log_level = warp.LOG_WARNING
        import mujoco_warp

        warp.init()
    except ImportError as error:
        raise ValueError(f"physics = 'warp' needs {error.name}: pip install 'pgcontrol[gpu]'") from None
    return warp, mujoco_warp


def bytes_per_env(model: mujoco.MjModel, settings: Warp) -> int:
    """Bytes of device memory of one simulation, a lower bound. Raises ValueError; see WarpPhysics."""
    warp, _ = library()

    def size(data: Any) -> int:
        parts = vars(data).values()
        arrays = sum(part.capacity for part in parts if isinstance(part, warp.array))
        return arrays + sum(size(part) for part in parts if is_dataclass(part))

    one, two = (size(WarpPhysics(model, n, settings=settings._replace(device="cpu"))._d) for n in (1, 2))
    return two - one
