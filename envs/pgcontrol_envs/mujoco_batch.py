"""MuJoCo's batch (mjbatch.h) through its C interface.

`mujoco.batch.Batch` wraps the same engine in Python, but leaves out `mjb_apply`, which runs a MuJoCo function on every
simulation with the batch's threads. Gymnasium calls `mj_rnePostConstraint` after each step, and `mjb_apply` is the only
way to do this without a Python loop over simulations.
"""
# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import mujoco
import numpy as np

_INT, _POINTER = ctypes.c_int, ctypes.c_void_p


class SimulationError(RuntimeError):
    """MuJoCo raised an error in some simulations; these kept the state that they had before the call."""


class _BatchConfig(ctypes.Structure):
    _fields_ = (("nthread", ctypes.c_int), ("persistent", ctypes.c_bool))


class _Handle(ctypes.c_void_p):
    """Owns the C batch. The batch is freed after the last array that uses its memory, so that no array can dangle."""

    def __del__(self):
        if self:
            _LIBRARY.mjb_deleteBatch(self)


def _library() -> ctypes.CDLL:
    """The MuJoCo library that the Python bindings have loaded, with the signatures that are used here."""
    folder = Path(mujoco.__file__).parent
    found = [*folder.glob("libmujoco*.so*"), *folder.glob("libmujoco*.dylib"), *folder.glob("mujoco.dll")]
    if not found:
        raise ImportError(f"no MuJoCo library in {folder}: reinstall mujoco")
    library = ctypes.CDLL(str(found[0]))
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "mjb_makeBatch": (_Handle, [_POINTER, _INT, ctypes.POINTER(_BatchConfig), ctypes.c_char_p, _INT]),
        "mjb_deleteBatch": (None, [_POINTER]),
        "mjb_state": (_POINTER, [_POINTER]),
        "mjb_warning": (_POINTER, [_POINTER]),
        "mjb_output": (_POINTER, [_POINTER, ctypes.c_char_p, _POINTER, _POINTER]),
        "mjb_step": (_INT, [_POINTER, _POINTER, _INT, _INT, _INT]),
        "mjb_expand": (_POINTER, [_POINTER, ctypes.c_char_p, _POINTER, ctypes.POINTER(_INT)]),
        "mjb_setConst": (_INT, [_POINTER, _POINTER, _INT]),
        "mjb_getModel": (None, [_POINTER, _INT, _POINTER]),
        "mjb_forward": (_INT, [_POINTER, _POINTER, _INT, _INT]),
        "mjb_reset": (_INT, [_POINTER, _POINTER, _INT, _POINTER, _INT]),
        "mjb_apply": (_INT, [_POINTER, _POINTER, _INT, _POINTER, _POINTER, ctypes.c_bool]),
        "mjb_status": (_POINTER, [_POINTER]),
        "mjb_error": (ctypes.c_char_p, [_POINTER, _INT]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_LIBRARY = _library()
STAGES = {name: int(getattr(mujoco.mjtStage, f"mjSTAGE_{name.upper()}")) for name in ("none", "pos", "vel", "acc")}
_NONE, _ACC = STAGES["none"], STAGES["acc"]
_INTEGRATION = int(mujoco.mjtState.mjSTATE_INTEGRATION)
# mjb_apply passes two more arguments than this function takes; C's calling convention ignores them
_RNE_POST_CONSTRAINT = ctypes.cast(_LIBRARY.mj_rnePostConstraint, _POINTER)


class _Hush:
    """A context in which MuJoCo does not log: the counters contain what happened, and in which env.

    The log belongs to the process. With several threads, the first to enter silences it, the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0
        self.listen()
        self._quiet = mujoco.MjLogConfig.get()
        self._quiet.logto_console = self._quiet.logto_file = False

    def listen(self) -> None:
        """Save the log's current settings; called once per episode, because they may have changed."""
        with self._lock:
            if not self._within:
                self._loud = mujoco.MjLogConfig.get()

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._quiet.set()
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._loud.set()


HUSH = _Hush()


class Batch:
    """nsim simulations of one model on nthread threads, including the caller's (0: one per logical CPU).

    The state of each simulation is its mjSTATE_INTEGRATION row of `state` [nsim, nstate]. Results are bit-identical to
    a loop over one MjData per simulation, for any number of threads. Calls release the GIL; `ids` are sorted ints, or
    None for all. `warning` [nsim, mjNWARNING, 2] has, for each kind of warning, the number of the last one and their
    count since the reset. `persistent` keeps an MjData per simulation, which `post_constraint` needs.
    """

    def __init__(self, model: mujoco.MjModel, nsim: int, nthread: int = 0, persistent: bool = False):
        error, config = ctypes.create_string_buffer(1000), _BatchConfig(nthread, persistent)
        self._handle = _LIBRARY.mjb_makeBatch(model._address, nsim, ctypes.byref(config), error, len(error))
        if not self._handle:
            raise ValueError(f"MuJoCo could not make a batch of {nsim}: {error.value.decode()}")
        self._data, self._every = mujoco.MjData(model), np.arange(nsim, dtype=np.int32)
        size = mujoco.mj_stateSize(model, _INTEGRATION)
        self.state = self._array(_LIBRARY.mjb_state(self._handle), (nsim, size), float)
        kinds = int(mujoco.mjtWarning.mjNWARNING)
        self.warning = self._array(_LIBRARY.mjb_warning(self._handle), (nsim, kinds, 2), np.int32)
        self._calm = bytes(self.warning.nbytes)
        self._status = self._array(_LIBRARY.mjb_status(self._handle), (nsim,), np.int32)

    def component(self, name: str) -> np.ndarray:
        """A live, writable view [nsim, ...] of the state component that MjData calls `name`."""
        kind = name.removeprefix("qacc_").upper()  # qacc_warmstart is mjSTATE_WARMSTART
        bit, field = int(getattr(mujoco.mjtState, f"mjSTATE_{kind}")), np.asarray(getattr(self._data, name))
        start = mujoco.mj_stateSize(self._data.model, _INTEGRATION & (bit - 1))  # components are ordered by their bits
        return self.state[:, start : start + field.size].reshape(len(self.state), *field.shape)

    def output(self, name: str) -> np.ndarray:
        """A live array [nsim, ...] of a derived MjData field. It is zero until the next call; every call updates it.

        Raises ValueError if the batch has no such output.
        """
        template = getattr(self._data, name, None)
        if isinstance(template, int):
            template = np.array(template, np.int32)  # a count, such as ncon
        address = _LIBRARY.mjb_output(self._handle, name.encode(), None, None)
        if not address or not isinstance(template, np.ndarray):
            raise ValueError(f"MuJoCo's batch has no output {name!r}")
        return self._array(address, (len(self.state), *template.shape), template.dtype)

    def expand(self, name: str) -> np.ndarray:
        """Live, writable values [nsim, ...] of an MjModel field, separate for each simulation; initially the model's.

        Raises ValueError if there is no such field, or if it must be the same in all simulations (assets).
        """
        size = ctypes.c_int()
        address = _LIBRARY.mjb_expand(self._handle, name.encode(), None, ctypes.byref(size))
        if not address:
            raise ValueError(f"MuJoCo's batch cannot give each simulation its own {name!r}")
        template: Any = self._data.model
        for part in name.split("."):
            template = getattr(template, part)
        template = np.asarray(template)
        dtype = np.dtype(f"{template.dtype.kind}{size.value}")  # Python shows an int where C stores a byte
        return self._array(address, (len(self.state), *template.shape), dtype)

    def set_const(self, ids: np.ndarray | None = None) -> None:
        """mj_setConst on each simulation's model: updates what depends on masses, inertias, sizes and positions."""
        self._call(_LIBRARY.mjb_setConst, ids)

    def model_of(self, i: int, model: mujoco.MjModel) -> None:
        """Write simulation i's model into `model`, a copy of the batch's model."""
        _LIBRARY.mjb_getModel(self._handle, i, model._address)

    def warned(self) -> bool:
        """Whether any simulation has a warning since its reset."""
        return self.warning.tobytes() != self._calm  # called after every step; a quarter of the cost of any()

    def step(self, nstep: int, ids: np.ndarray | None = None, stage: int = _NONE) -> None:
        """nstep calls of mj_step, then the stages up to `stage`, one of STAGES.

        Derived fields of later stages belong to the state before the last substep.
        """
        self._call(_LIBRARY.mjb_step, ids, nstep, stage)

    def forward(self, ids: np.ndarray | None = None) -> None:
        """mj_forward."""
        HUSH.listen()
        self._call(_LIBRARY.mjb_forward, ids, _ACC)

    def reset(self, ids: np.ndarray | None = None) -> None:
        """mj_resetData; no derived field is computed."""
        self._call(_LIBRARY.mjb_reset, ids, None, _NONE)

    def post_constraint(self, ids: np.ndarray | None = None) -> None:
        """mj_rnePostConstraint: cfrc_ext, cfrc_int and cacc of the last step. Needs a persistent batch."""
        self._call(_LIBRARY.mjb_apply, ids, _RNE_POST_CONSTRAINT, None, False)
        self._call(_LIBRARY.mjb_forward, ids, _NONE)  # computes nothing, but copies the outputs, unlike apply

    def _call(self, function: Callable[..., int], ids: np.ndarray | None, *rest: Any) -> None:
        chosen = self._every if ids is None else ids.astype(np.int32)
        if not len(chosen):
            return
        address = None if ids is None else chosen.ctypes.data  # costs 1 µs
        with HUSH:
            failed = function(self._handle, address, len(chosen), *rest)
        if failed:
            bad = int(chosen[self._status[chosen] != 0][0])
            message = _LIBRARY.mjb_error(self._handle, bad).decode().strip()
            raise SimulationError(f"MuJoCo raised in {failed} of {len(self.state)} envs (first: env {bad}): {message}")

    def _array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        memory = (ctypes.c_byte * (int(np.prod(shape)) * np.dtype(dtype).itemsize)).from_address(address)
        memory.owner = self._handle
        return np.frombuffer(cast(Any, memory), dtype).reshape(shape)
