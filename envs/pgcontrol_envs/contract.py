"""Checks a task on a few steps: what its methods return must fit the contract of `Task`."""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import copy
import functools
import inspect
import json
import traceback
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from pgcontrol_envs.physics import CpuPhysics
from pgcontrol_envs.reflection import Image, NoImage
from pgcontrol_envs.task import Mirror, Task, TaskError
from pgcontrol_envs.values import require_values

N = 3
OURS = "pgcontrol_envs"
DYNAMICS = "body_", "dof_", "geom_", "tendon_", "actuator_", "eq_"  # prefixes of model arrays that affect the dynamics


def require(task: type[Task]) -> None:
    """Run `check`, once for each class. Classes of this package are skipped: the tests check them.

    Raises:
        TaskError: the class breaks the contract. One line names the class, the method, the result and what is expected.
    """
    if task.__module__.partition(".")[0] != OURS:
        _once(task)


def check(task: type[Task]) -> None:
    """Step a temporary instance a few times and check shapes, dtypes and memory of everything that its methods return.

    Raises:
        TaskError: see `require`.
    """
    _Trial(task).run()


@functools.cache
def _once(task: type[Task]) -> None:
    check(task)


class _Trial:
    """N simulations of a task, for the check only."""

    def __init__(self, cls: type[Task]):
        self.cls = cls
        if missing := sorted(cls.__abstractmethods__):
            raise TaskError(f"{cls.__name__}: defines no {', no '.join(missing)}")
        for name in ("id", "frame_skip", *(("xml",) if cls.make_model is Task.make_model else ())):
            if not hasattr(cls, name):
                raise TaskError(f"{cls.__name__}: defines no {name}")
        for name in ("frame_skip", "time_limit"):  # with 0 substeps, MuJoCo ends the process without a message
            if type(value := getattr(cls, name)) is not int or value < 1:
                raise TaskError(f"{cls.__name__}: {name}: expected a whole number, at least 1, got {value!r}")
        self.call("settings", require_values, cls)
        self.task: Task = self.call("__init__", cls)
        track, names = self.task.camera.track, _bodies(self.task)
        if track is not None and track not in (*names, *range(len(names))):
            raise self.error("camera", f"tracks {track!r}; the bodies are {', '.join(names)}")
        self.physics = CpuPhysics(self.task.model, N, 1, self.task.derived)
        self.call("bind", self.task.bind, self.physics)
        if cls.observe is Task.observe and not hasattr(self.task, "posture"):
            raise self.error("observe", "is not defined, and the default needs that `bind` calls super().bind(physics)")
        self.privileged: int | None = None  # P, known after the first observation
        interface = self.call("interface", self.task.interface)
        try:
            json.dumps(interface)
        except (TypeError, ValueError) as error:
            raise self.error("interface", f"returned a value that JSON cannot hold: {error}") from None
        if (mirror := self.call("mirror", self.symmetry)) is not None:
            self.mirrored(mirror)

    def run(self) -> None:
        """Reset all simulations, step twice, reset some, step once."""
        streams, middle = self.cls.streams.seeded(N, 0), np.zeros((N, self.task.model.nu), np.float32)
        middle[:] = 0.5 * (self.task.action_low + self.task.action_high).numpy()
        for ids, steps in ((np.arange(N), 2), (np.array([0, 2]), 1)):
            self.physics.reset(ids)
            self.call("reset", self.task.reset, self.physics, ids, streams.narrow(ids))
            self.physics.forward(ids)
            self.constants("reset")
            self.observation()
            for _ in range(steps):
                self.step(middle)
        self.image()

    def step(self, action: np.ndarray) -> None:
        """One step, with the calls that an environment makes."""
        before = self.call("before", self.task.before)
        if before is not None:
            self.array("before", before, "[N, ...]", (N, *np.shape(before)[1:]), None)
            before = before.copy()
        self.physics.ctrl[:] = action
        self.physics.step(self.task.frame_skip, stage=self.task.stage)
        self.call("remember", self.task.remember)
        self.constants("remember")
        self.observation()
        for name, meter in self.call("meters", self.task.meters).items():
            self.array("meters", meter, "[N, 2]", (N, 2), None, f"{name!r}: ")
        terminated = self.call("terminated", self.task.terminated)
        if terminated is None:
            terminated = np.zeros(N, np.bool_)
        else:
            self.array("terminated", terminated, "[N]", (N,), np.bool_)
            self.own("terminated", terminated, self.call("terminated", self.task.terminated))
        answers = [self.call("reward", self.task.reward, action, before, terminated) for _ in range(2)]
        for answer in answers:
            if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
                came = f"{_words(answer)}; expected a tuple of the rewards [N] and a dict of their terms"
                raise self.error("reward", f"returned {came}")
        (reward, terms), (again, others) = answers
        self.array("reward", reward, "[N]", (N,), np.float64)
        self.own("reward", reward, again)
        for name, term in terms.items():
            self.array("reward", term, "[N]", (N,), None, f"the term {name!r}: ")
            self.own("reward", term, others.get(name), f"the term {name!r}: ")

    def observation(self) -> None:
        """Check what observe() and privileged() return."""
        obs = self.call("observe", self.task.observe)
        size = np.shape(obs)[-1] if np.ndim(obs) == 2 else "O"
        self.array("observe", obs, "[N, O]", (N, size), np.float64)
        self.own("observe", obs, self.call("observe", self.task.observe))
        self.finite("observe", obs)
        more = self.call("privileged", self.task.privileged)
        if more is not None:
            size = np.shape(more)[-1] if np.ndim(more) == 2 and not self.privileged else self.privileged or "P"
            self.array("privileged", more, "[N, P]", (N, size), np.float64)
            self.own("privileged", more, self.call("privileged", self.task.privileged))
            self.finite("privileged", more)
        seen = 0 if more is None else more.shape[-1]
        if self.privileged not in (None, seen):
            raise self.error("privileged", f"returned {seen} numbers; it returned {self.privileged} before")
        self.privileged = seen

    def constants(self, method: str) -> None:
        """Fields that MuJoCo derives from masses, inertias, sizes and positions must be up to date everywhere."""
        if stale := outdated(self.task, self.physics):
            wrote = ", ".join(self.physics.own(0))
            what = f"wrote {wrote}, but {', '.join(stale[:3])} were not updated"
            raise self.error(method, f"{what}: call physics.set_const(ids) after the last write")

    def mirrored(self, mirror: Any) -> None:
        """Mirroring twice must give the same observation and action, and action bounds must be symmetric as well."""
        if not isinstance(mirror, Mirror):
            raise self.error("mirror", f"returned {_words(mirror)}; expected a pgcontrol_envs.task.Mirror")
        sizes = {"obs": self.task.observe().shape[-1], "action": self.task.model.nu}
        for name, size in sizes.items():
            parts = [self.call("mirror", np.asarray, part) for part in self.call("mirror", list, getattr(mirror, name))]
            fits = [(part.shape, part.dtype.kind in "iuf") for part in parts] == [((size,), True)] * 2
            if not fits or parts[0].dtype.kind == "f" or not {*parts[1].tolist()} <= {-1, 1}:
                raise self.error("mirror", f"{name}: expected {size} indices and {size} signs, each 1 or -1")
            order, sign = parts
            if sorted(order.tolist()) != list(range(size)) or not np.array_equal(order[order], np.arange(size)):
                raise self.error(
                    "mirror", f"{name}: mirroring twice must be the identity; its order is {order.tolist()}"
                )
            if not np.array_equal(sign, sign[order]):
                raise self.error("mirror", f"{name}: mirroring twice must be the identity; its signs: {sign.tolist()}")
        order, sign = (np.asarray(part) for part in mirror.action)
        low, high = self.task.action_low.numpy(), self.task.action_high.numpy()
        ends = np.sort(np.stack((low[order], high[order])) * sign, axis=0)
        if not np.allclose(ends, (low, high), atol=1e-6):
            wrong = np.flatnonzero(~np.isclose(ends, (low, high), atol=1e-6).all(0)).tolist()
            raise self.error("mirror", f"the bounds of the actions {wrong} differ from the mirrored bounds")

    def symmetry(self) -> Mirror | None:
        """The task's mirror(); None if its model has no image, which matters only to a symmetric policy."""
        try:
            return self.task.mirror()
        except NoImage:
            return None

    def image(self) -> None:
        """The observation of the mirrored state must be the mirrored observation.

        This cannot be tested without a reflection, or if the observation depends on more than positions and speeds.
        """
        mirror = self.symmetry()
        if mirror is None or (found := self.task.reflection()) is None:
            return
        for mirrored in (False, True):
            for image, state in ((found.positions, self.physics.qpos), (found.velocities, self.physics.qvel)):
                state[1] = image.of(state[0]) if mirrored else state[0]
            self.physics.forward(np.arange(N))
            obs = self.call("observe", self.task.observe)
            if not mirrored and not np.array_equal(obs[0], obs[1]):
                return
        wrong = np.flatnonzero(~np.isclose(obs[1], Image(*mirror.obs).of(obs[0]), atol=1e-6))
        if len(wrong):
            own = self.cls.mirror is not Task.mirror
            what = f"the entries {wrong.tolist()} of the observation are not mirrored"
            raise self.error("mirror" if own else "reflection", what if own else f"{what}; define mirror()")

    def finite(self, method: str, obs: np.ndarray) -> None:
        """Check that there is no infinite or NaN entry."""
        if not np.isfinite(obs).all():
            wrong = np.flatnonzero(~np.isfinite(obs).all(0)).tolist()
            raise self.error(method, f"infinite or NaN values in the columns {wrong}")

    def array(self, method: str, got: Any, letters: str, shape: tuple[Any, ...], dtype: Any, of: str = "") -> None:
        """Check that it is an array of this shape and dtype; dtype None: any number type."""
        fits = isinstance(got, np.ndarray) and got.shape == shape
        fits = fits and (got.dtype == dtype if dtype else got.dtype.kind in "biuf")
        if not fits:
            wanted = f"{letters} = [{', '.join(map(str, shape))}] {np.dtype(dtype).name if dtype else 'numbers'}"
            raise self.error(method, f"{of}returned {_words(got)}; expected {wanted}")

    def own(self, method: str, one: Any, other: Any, of: str = "") -> None:
        """Check that two calls did not return the same memory, because the next step would overwrite it."""
        if np.shares_memory(one, other):
            raise self.error(
                method, f"{of}returned the same memory twice: a view or buffer that changes; return a copy"
            )

    def call(self, method: str, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`; an error in the task's code becomes a TaskError that names the method and the line."""
        try:
            return function(*args)
        except TaskError:
            raise
        except Exception as error:
            file = inspect.getfile(self.cls)
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
            where = f"line {lines[-1]}: " if lines else ""
            raise self.error(method, f"{where}{type(error).__name__}: {' '.join(str(error).split())}") from error

    def error(self, method: str, what: str) -> TaskError:
        return TaskError(f"{self.cls.__name__}.{method}: {what}")


def outdated(task: Task, physics: CpuPhysics) -> list[str]:
    """Names of model fields that MuJoCo derives from expanded fields, and that are not up to date in a simulation."""
    if not physics.own(0):
        return []
    data = mujoco.MjData(copy.copy(task.model))
    already, found = _stale(data), set[str]()  # fields of a model that was changed after it was compiled
    for i in range(len(physics.time)):
        physics.mirror(i, data)
        found |= _stale(data) - already
    return sorted(found)


def _stale(data: mujoco.MjData) -> set[str]:
    """Names of the model arrays that mj_setConst changes, except arrays that are only used for rendering."""
    names = [name for name in dir(data.model) if name.startswith(DYNAMICS)]
    fields = {name: field for name in names if isinstance(field := getattr(data.model, name), np.ndarray)}  # live
    kept = {name: field.copy() for name, field in fields.items()}
    mujoco.mj_setConst(data.model, data)
    return {name for name, field in fields.items() if not np.allclose(field, kept[name])}


def _bodies(task: Task) -> list[str]:
    return [task.model.body(i).name for i in range(task.model.nbody)]


def _words(got: Any) -> str:
    """A short description: "[3, 11] float32" for an array, else the type."""
    if isinstance(got, np.ndarray):
        return f"[{', '.join(map(str, got.shape))}] {got.dtype}"
    if isinstance(got, np.generic):
        return f"one {got.dtype} ({got})"
    if isinstance(got, tuple):
        return f"a tuple of {len(got)}"
    return f"{type(got).__name__}" + (f" ({got})" if isinstance(got, int | float) else "")
