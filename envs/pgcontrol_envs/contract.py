"""What a task's methods must return, checked on a few steps before anybody trusts it."""

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
from pgcontrol_envs.task import Mirror, Task, TaskError

N = 3
OURS = "pgcontrol_envs"
DYNAMICS = "body_", "dof_", "geom_", "tendon_", "actuator_"  # arrays of a model that bodies move by


def require(task: type[Task]) -> None:
    """`check`, once for each class that is not of this package: those are checked by its tests.

    Raises:
        TaskError: the class breaks the contract; one line names it and the method, what came and what was expected.
    """
    if task.__module__.partition(".")[0] != OURS:
        _once(task)


def check(task: type[Task]) -> None:
    """Step a throw-away instance twice and look at the shapes, dtypes and memory of all that its methods return.

    Raises:
        TaskError: see `require`.
    """
    _Trial(task).run()


@functools.cache
def _once(task: type[Task]) -> None:
    check(task)


class _Trial:
    """N simulations of a task that nobody else sees."""

    def __init__(self, cls: type[Task]):
        self.cls = cls
        if missing := sorted(cls.__abstractmethods__):
            raise TaskError(f"{cls.__name__}: defines no {', no '.join(missing)}")
        for name in ("id", "frame_skip", *(("xml",) if cls.make_model is Task.make_model else ())):
            if not hasattr(cls, name):
                raise TaskError(f"{cls.__name__}: defines no {name}")
        self.task: Task = self.call("__init__", cls)
        track, names = self.task.camera.track, _bodies(self.task)
        if track is not None and track not in (*names, *range(len(names))):
            raise self.error("camera", f"tracks {track!r}; the bodies are {', '.join(names)}")
        self.physics = CpuPhysics(self.task.model, N, 1, self.task.derived)
        self.call("bind", self.task.bind, self.physics)
        self.privileged: int | None = None  # P, once it has been seen
        interface = self.call("interface", self.task.interface)
        try:
            json.dumps(interface)
        except (TypeError, ValueError) as error:
            raise self.error("interface", f"returned what JSON cannot hold: {error}") from None
        if (mirror := self.call("mirror", self.task.mirror)) is not None:
            self.mirrored(mirror)

    def run(self) -> None:
        """Reset all, two steps, reset some, one step."""
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

    def step(self, action: np.ndarray) -> None:
        """One step, as an environment makes it."""
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
        """What observe() returns."""
        obs = self.call("observe", self.task.observe)
        size = np.shape(obs)[-1] if np.ndim(obs) == 2 else "O"
        self.array("observe", obs, "[N, O]", (N, size), np.float64)
        self.own("observe", obs, self.call("observe", self.task.observe))
        self.finite("observe", obs)
        more = self.call("privileged", self.task.privileged)
        if more is not None:
            size = np.shape(more)[-1] if np.ndim(more) == 2 and self.privileged is None else self.privileged or "P"
            self.array("privileged", more, "[N, P]", (N, size), np.float64)
            self.own("privileged", more, self.call("privileged", self.task.privileged))
            self.finite("privileged", more)
        seen = 0 if more is None else more.shape[-1]
        if self.privileged not in (None, seen):
            raise self.error("privileged", f"returned {seen} numbers, and {self.privileged} before")
        self.privileged = seen

    def constants(self, method: str) -> None:
        """What MuJoCo computes from a model's masses, inertias, sizes and positions fits each simulation's own."""
        if not (own := self.physics.own(0)):
            return
        data = mujoco.MjData(copy.copy(self.task.model))
        already = _stale(data)  # of a model that was changed after it was compiled
        for i in range(N):
            self.physics.mirror(i, data)
            if stale := sorted(_stale(data) - already):
                what = f"wrote {', '.join(own)}, and {', '.join(stale[:3])} do not follow from it"
                raise self.error(method, f"{what}: call physics.set_const(ids) after the last write")

    def mirrored(self, mirror: Any) -> None:
        """Mirrored twice, an observation and an action are what they were, and bounds are the mirrored ones."""
        if not isinstance(mirror, Mirror):
            raise self.error("mirror", f"returned {_words(mirror)}; expected a pgcontrol_envs.task.Mirror")
        sizes = {"obs": self.task.observe().shape[-1], "action": self.task.model.nu}
        for name, size in sizes.items():
            parts = [self.call("mirror", np.asarray, part) for part in getattr(mirror, name)]
            fits = [(part.shape, part.dtype.kind in "iuf") for part in parts] == [((size,), True)] * 2
            if not fits or parts[0].dtype.kind == "f" or not {*parts[1].tolist()} <= {-1, 1}:
                raise self.error("mirror", f"{name}: expected {size} places and as many signs, each 1 or -1")
            order, sign = parts
            if sorted(order.tolist()) != list(range(size)) or not np.array_equal(order[order], np.arange(size)):
                raise self.error(
                    "mirror", f"{name}: mirrored twice it is not what it was; its order is {order.tolist()}"
                )
            if not np.array_equal(sign, sign[order]):
                raise self.error(
                    "mirror", f"{name}: mirrored twice it is not what it was; its signs are {sign.tolist()}"
                )
        order, sign = (np.asarray(part) for part in mirror.action)
        low, high = self.task.action_low.numpy(), self.task.action_high.numpy()
        ends = np.sort(np.stack((low[order], high[order])) * sign, axis=0)
        if not np.allclose(ends, (low, high), atol=1e-6):
            wrong = np.flatnonzero(~np.isclose(ends, (low, high), atol=1e-6).all(0)).tolist()
            raise self.error("mirror", f"the bounds of the actions {wrong} are not those of their mirror images")

    def finite(self, method: str, obs: np.ndarray) -> None:
        """All columns are numbers."""
        if not np.isfinite(obs).all():
            wrong = np.flatnonzero(~np.isfinite(obs).all(0)).tolist()
            raise self.error(method, f"infinite or NaN in the columns {wrong}")

    def array(self, method: str, got: Any, letters: str, shape: tuple[Any, ...], dtype: Any, of: str = "") -> None:
        """It is an array of that shape and dtype; None: any numbers."""
        fits = isinstance(got, np.ndarray) and got.shape == shape
        fits = fits and (got.dtype == dtype if dtype else got.dtype.kind in "biuf")
        if not fits:
            wanted = f"{letters} = [{', '.join(map(str, shape))}] {np.dtype(dtype).name if dtype else 'numbers'}"
            raise self.error(method, f"{of}returned {_words(got)}; expected {wanted}")

    def own(self, method: str, one: Any, other: Any, of: str = "") -> None:
        """What two calls returned does not lie in the same memory, which the next step would write over."""
        if np.shares_memory(one, other):
            raise self.error(method, f"{of}returned the same memory twice, a view or a buffer; return a copy")

    def call(self, method: str, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`; what the task's own lines raise names the method."""
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
        """One line."""
        return TaskError(f"{self.cls.__name__}.{method}: {what}")


def _stale(data: mujoco.MjData) -> set[str]:
    """Which arrays of its model mj_setConst changes, by name; not what only pictures need."""
    names = [name for name in dir(data.model) if name.startswith(DYNAMICS)]
    fields = {name: field for name in names if isinstance(field := getattr(data.model, name), np.ndarray)}  # live
    kept = {name: field.copy() for name, field in fields.items()}
    mujoco.mj_setConst(data.model, data)
    return {name for name, field in fields.items() if not np.allclose(field, kept[name])}


def _bodies(task: Task) -> list[str]:
    return [task.model.body(i).name for i in range(task.model.nbody)]


def _words(got: Any) -> str:
    """[3, 11] float32 of an array; what else it is otherwise."""
    if isinstance(got, np.ndarray):
        return f"[{', '.join(map(str, got.shape))}] {got.dtype}"
    if isinstance(got, np.generic):
        return f"one {got.dtype} ({got})"
    if isinstance(got, tuple):
        return f"a tuple of {len(got)}"
    return f"{type(got).__name__}" + (f" ({got})" if isinstance(got, int | float) else "")
