"""Copies of one Gymnasium environment in this process, with a check that they keep Gymnasium's contract.

Returned values are accepted as Gymnasium's SyncVectorEnv accepts them: numbers of any type, arrays of any dtype. A
value that breaks the contract gives a one-line error with the environment's name, the value and what is expected.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
import math
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Box

from pgcontrol_envs import gym_streams, plugins
from pgcontrol_envs.names import GymName
from pgcontrol_envs.task import python_warnings
from pgcontrol_envs.vector import BrokenEnv, OneEngine, Shapes, UnknownEnv

CALLERS = [os.path.join(os.path.dirname(gymnasium.__file__), part) for part in ("wrappers", "core.py")]
RESET = "a tuple (observation, info)"
STEP = "a tuple (observation, reward, terminated, truncated, info)"
HINTS = {
    "observation": "gymnasium.wrappers.FlattenObservation turns many other spaces into a Box",
    "action": "some environments have continuous actions under another id, or with --env.continuous true",
}
NO_BOUND = 1e10  # larger bounds of an action mean "no bound": some environments use float32's maximum, 1e300, ...
TORCH: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
)
SMALL_SEEDS = 2**31  # every engine accepts seeds below this

_tried: set[str] = set()  # environments for which one copy has passed the check of a first step in this process
_here: Counter[str] = Counter()  # number of open copies in this process, by name with arguments


class About(NamedTuple):
    """What a trainer must know about an environment; see VecEnv.

    Attributes:
        low: lower bounds of the actions, float32 [A], rounded inwards.
        high: upper bounds, likewise.
        model: the mujoco.MjModel; None for other simulators.
    """

    shapes: Shapes
    low: np.ndarray
    high: np.ndarray
    control_dt: float
    time_limit: int | None
    model: Any


class Answer(NamedTuple):
    """The result of a step of k copies: observations [k, O]; the rest [k]; see vector.Step."""

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    terms: dict[str, np.ndarray]


class Copies:
    """k copies of a Gymnasium environment, stepped one after the other.

    Observations and actions are flattened. Reward terms are the numbers in `info` whose keys begin with "reward".

    Raises:
        UnknownEnv: Gymnasium has no such environment, or the module in its name cannot be imported.
        BrokenEnv: it cannot be made, or it breaks the contract at its first reset or step.
        OneEngine: one process can hold fewer copies than requested.
        ValueError: a space is not a Box, or the actions have no bounds.
    """

    def __init__(self, env_id: str, count: int, **args: Any):
        self.env_id, self.name = env_id, require_known(env_id)
        self._envs: list[Any] = []
        try:
            for _ in range(count):
                self._add(self.name._replace(args=self.name.args | args))
            self._spaces()
            self.obs = np.zeros((count, math.prod(self.about.shapes.obs)))
            if env_id not in _tried:
                self._try_out()
                _tried.add(env_id)
        except BaseException:
            self.close()
            raise

    def reset(self, ids: Sequence[int], seeds: Sequence[int | None]) -> np.ndarray:
        """Start new episodes of the copies `ids` with the given seeds; returns their observations [n, O]."""
        for i, seed in zip(ids, seeds, strict=True):
            answer = self._call(f"reset(seed={seed})", RESET, _seeded_reset, self._envs[i], seed)
            if not (isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[1], Mapping)):
                raise self._broken(f"reset(seed={seed})", came(answer), RESET)
            self.obs[i] = self._obs(answer[0], f"reset(seed={seed})")
        return self.obs[list(ids)]

    def step(self, action: np.ndarray, ids: Sequence[int]) -> Answer:
        """Step the copies `ids` under action [k, A]; the others do not move."""
        count = len(self._envs)
        reward, (terminated, truncated) = np.zeros(count), np.zeros((2, count), np.bool_)
        terms: dict[str, np.ndarray] = {}
        for i in ids:
            answer = self._call("step()", STEP, self._envs[i].step, self._action(action[i]))
            if not (isinstance(answer, tuple | list) and len(answer) == 5 and isinstance(answer[4], Mapping)):
                raise self._broken("step()", came(answer), STEP)
            obs, gain, *flags, info = answer
            self.obs[i] = self._obs(obs, "step()")
            reward[i] = gain if type(gain) is float else self._number("reward", gain)
            terminated[i], truncated[i] = map(self._flag, ("terminated", "truncated"), flags)
            for key, value in info.items():
                if isinstance(key, str) and key.startswith("reward") and (term := number(value)) is not None:
                    terms.setdefault(key, np.zeros(count))[i] = term
        return Answer(self.obs.copy(), reward, terminated, truncated, terms)

    def look(self) -> About:
        """`about`, as a method that a worker process can be asked for."""
        return self.about

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of the generalised positions of copy i if it is a MuJoCo environment, else None."""
        return None if self.about.model is None else np.array(self._envs[i].unwrapped.data.qpos)

    def render(self, i: int) -> Any:
        """The rendered image of copy i."""
        return self._call("render()", "an image [height, width, 3]", self._envs[i].render)

    def streams(self) -> list[dict[str, Any] | None]:
        """The states of the random streams; None for a stream that cannot be saved."""
        return [gym_streams.save(env) for env in self._envs]

    def set_streams(self, streams: Sequence[dict[str, Any] | None]) -> list[bool]:
        """Restore the random streams; False for a stream that cannot be restored."""
        return [gym_streams.load(env, saved) for env, saved in zip(self._envs, streams, strict=True)]

    def close(self) -> None:
        """Close the environments; errors in their close() are ignored."""
        while self._envs:
            _here[self.env_id] -= 1
            env = self._envs.pop()
            with suppress(Exception, SystemExit):  # it is no longer needed
                env.close()

    def _add(self, name: GymName) -> None:
        try:
            self._envs.append(make(self.env_id, name))
        except BrokenEnv as error:
            if not _here[self.env_id]:
                raise
            once = "one process holds one copy: train with --num-envs 1, or with --env-workers equal to --num-envs"
            raise OneEngine(f"{error}; {once}") from error
        _here[self.env_id] += 1

    def _spaces(self) -> None:
        first = self._envs[0]
        spaces: Any = [
            [self._call(f"{what}_space", "a Box", getattr, env, f"{what}_space", None) for env in self._envs]
            for what in ("observation", "action")
        ]
        for what, of in zip(("observation", "action"), spaces, strict=True):
            if not isinstance(of[0], Box):
                raise ValueError(f"{self.env_id}: expected a Box as {what} space, got {of[0]}; {HINTS[what]}")
            if not math.prod(of[0].shape):
                raise ValueError(f"{self.env_id}: expected {what}s with at least one number, got {of[0]}")
            if any(other != of[0] for other in of):
                raise BrokenEnv(f"{self.env_id}: its copies have different {what} spaces, for example {of[0]}")
        obs_space: Any = spaces[0][0]
        self._space: Any = spaces[1][0]
        found, data = (_asked(first.unwrapped, what) for what in ("model", "data"))
        model: Any = found if isinstance(found, mujoco.MjModel) and isinstance(data, mujoco.MjData) else None
        low, high = self._bounds(model)
        dt = number(_asked(first.unwrapped, "dt"))
        metadata = _asked(first, "metadata")
        fps = number(metadata.get("render_fps")) if isinstance(metadata, Mapping) else None
        seconds = next((s for s in (dt, 1 / fps if fps else None) if s and 0 < s < math.inf), 1 / 30)
        limit = first.spec.max_episode_steps if first.spec else None
        limit = limit if limit and limit > 0 else None
        shapes = Shapes(obs_space.shape, self._space.shape, self._space.dtype.kind != "f")
        self.about = About(shapes, low, high, seconds, limit, model)

    def _bounds(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """Float32 bounds of the flat actions, inside the space's own; for integers, all that round to valid numbers."""
        space, inf = self._space, np.float32(np.inf)
        least, most = (bound.astype(np.float64).reshape(-1) for bound in (space.low, space.high))
        if space.dtype.kind != "f":
            least, most = np.nextafter(least - 0.5, inf), np.nextafter(most + 0.5, -inf)
        with np.errstate(over="ignore"):
            low, high = least.astype(np.float32), most.astype(np.float32)
        low, high = (
            np.where(low < least, np.nextafter(low, inf), low),
            np.where(high > most, np.nextafter(high, -inf), high),
        )
        free = ~((low > -NO_BOUND) & (high < NO_BOUND))
        if free.any():
            which = f"{_joints(free, model)} of {free.size}" if not free.all() else "all of them"
            raise ValueError(f"{self.env_id}: expected bounded actions, got {space}; without bounds: {which}")
        fixed = ~(low < high)
        if fixed.any():
            without = " (no ctrlrange?)" if model is not None else ""
            wrong = f"{_joints(fixed, model)} has equal bounds, {low[fixed][0]:g} and {high[fixed][0]:g}{without}"
            raise ValueError(f"{self.env_id}: expected actions with low < high; {wrong}")
        return low, high

    def _action(self, row: np.ndarray) -> np.ndarray:
        """A flat action in the environment's own shape and dtype; integers are rounded to the nearest."""
        return (np.rint(row) if self.about.shapes.whole else row).reshape(self._space.shape).astype(self._space.dtype)

    def _try_out(self) -> None:
        """Reset and step the first copy once; the results must be finite."""
        first = self.reset([0], [0])[0]
        answer = self.step((self.about.low + self.about.high)[None] / 2, [0])
        for call, numbers, what in (
            ("reset(seed=0)", first, "observation"),
            ("step()", answer.obs[0], "observation"),
            ("step()", answer.reward[0], "reward"),
        ):
            if not np.isfinite(numbers).all():
                raise self._broken(call, f"an infinite or NaN {what}", f"a finite {what}")

    def _obs(self, value: Any, call: str) -> np.ndarray:
        shape = self.about.shapes.obs
        try:
            array = np.asarray(value)
        except Exception:  # a ragged list or a foreign array type
            array = np.array(None)
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise self._broken(
                call, f"the observation as {came(value)}", f"numbers of shape {shape}, as in its observation space"
            )
        return array.reshape(-1)

    def _number(self, what: str, value: Any) -> float:
        if (found := number(value)) is None:
            raise self._broken("step()", f"the {what} as {came(value)}", "one number")
        return found

    def _flag(self, what: str, value: Any) -> bool:
        if isinstance(value, bool | np.bool_):
            return bool(value)
        found = number(value)
        if found is None or math.isnan(found):
            raise self._broken("step()", f"the flag {what} as {came(value)}", "True or False")
        return bool(found)

    def _call(self, call: str, expected: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            with _torch_as_it_is():
                return function(*args)
        except (Exception, SystemExit) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            theirs = not frame.filename.startswith((*CALLERS, __file__))
            where = f" ({frame.filename}, line {frame.lineno})" if theirs else f"; expected {expected}"
            raise BrokenEnv(f"{self.env_id}: {call} raised {_line(error)}{where}") from error

    def _broken(self, call: str, what: str, expected: str) -> BrokenEnv:
        return BrokenEnv(f"{self.env_id}: {call} returned {what}; expected {expected}")


def require_known(env_id: str) -> GymName:
    """Parse the name and import its module. Raises UnknownEnv."""
    name = GymName.parse(env_id)
    try:
        if name.module:
            plugins.use_module(name.module)
    except (plugins.PluginError, ImportError) as error:
        cause = error.__cause__ or error
        missing = isinstance(cause, ModuleNotFoundError) and str(name.module).startswith(str(cause.name))
        why = f"{cause}; it is neither installed nor in the current folder" if missing else error
        raise UnknownEnv(f"unknown env {env_id!r}: {why}") from error
    return name


def make(env_id: str, name: GymName) -> Any:
    """Make one Gymnasium environment; raises the errors of Copies."""
    try:
        with python_warnings(), _torch_as_it_is():
            return gymnasium.make(name.id, **({"disable_env_checker": True} | name.args))
    except (gymnasium.error.UnregisteredEnv, ImportError) as error:
        newest, known = _newest(), gymnasium.registry.get(name.id)
        if known is None:
            close = get_close_matches(name.id, newest.values(), n=3)
        else:  # the environment exists, but something that it needs is missing
            close = {newest[known.namespace, known.name]} - {name.id}
        meant = " or ".join(str(name._replace(id=one)) for one in close)
        hint = f"did you mean {meant}?" if meant else " ".join(str(error).split())
        raise UnknownEnv(f"unknown env {env_id!r}: {hint}") from error
    except gymnasium.error.Error as error:  # a dependency is not installed
        raise ValueError(f"{env_id} cannot be made: {' '.join(str(error).split())}") from error
    except (Exception, SystemExit) as error:
        taken = _parameters(name.id) if isinstance(error, TypeError) else set(name.args)
        foreign = ", ".join(sorted(name.args.keys() - taken))
        hint = f"; unknown arguments: {foreign}; it accepts {', '.join(sorted(taken))}" if foreign else ""
        raise BrokenEnv(f"{env_id} cannot be made: {_line(error)}{hint}") from error


def _newest() -> dict[tuple[str | None, str], str]:
    """Gymnasium's ids, the newest version of each name. Gymnasium still lists old versions that were removed."""
    by_age = sorted(gymnasium.registry.values(), key=lambda spec: spec.version or 0)
    return {(spec.namespace, spec.name): spec.id for spec in by_age}


def _parameters(name: str) -> set[str]:
    """Names of the arguments of an environment's constructor and of `gymnasium.make`."""
    try:
        entry = gymnasium.spec(name).entry_point
        made_by = load_env_creator(entry) if isinstance(entry, str) else entry
        known = set(inspect.signature(made_by).parameters) - {"self", "args", "kwargs"}  # type: ignore[arg-type]
    except (ValueError, TypeError, gymnasium.error.Error):
        known = set()
    return known | {"max_episode_steps"}


def number(value: Any) -> float | None:
    """A number of any type, or an array with one number, as a float; NaN if masked; None for anything else."""
    try:
        if np.ma.is_masked(value):
            return math.nan
        array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
        if array.size != 1 or not (array.dtype.kind in "biuf" or isinstance(array.item(), SupportsFloat)):
            return None
        return float(array.item())
    except Exception:  # a foreign type may raise anything
        return None


def came(value: Any) -> str:
    """A short description of a value."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(type(one).__name__ for one in value)})"
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of shape {value.shape} {value.dtype}"
    text = " ".join(repr(value).split())
    return "None" if value is None else f"{text[:40]}{'...' * (len(text) > 40)} ({type(value).__name__})"


@contextmanager
def _torch_as_it_is() -> Iterator[None]:
    """Restore torch's global settings on exit, because foreign code may change them."""
    before = [ask() for ask, _ in TORCH]
    try:
        yield
    finally:
        for (ask, put), value in zip(TORCH, before, strict=True):
            if ask() != value:
                put(value)


def _seeded_reset(env: Any, seed: int | None) -> Any:
    try:
        return env.reset(seed=seed)
    except (OverflowError, ValueError):
        if seed is None or seed < SMALL_SEEDS:
            raise
        return env.reset(seed=seed % SMALL_SEEDS)  # some engines accept only 31 or 32 bits


def _asked(env: Any, what: str) -> Any:
    """An attribute of a foreign environment; None if reading it raises an error."""
    try:
        return getattr(env, what, None)
    except Exception:
        return None


def _joints(which: np.ndarray, model: Any) -> str:
    """Indices of actions, or the names of their MuJoCo actuators."""
    numbers = np.flatnonzero(which)
    names = [model.actuator(int(i)).name if model and model.nu == which.size else "" for i in numbers[:8]]
    shown = [f"{name!r}" if name else str(i) for name, i in zip(names, numbers, strict=False)]
    return f"action{'s' * (len(numbers) > 1)} {', '.join(shown)}{', ...' * (len(numbers) > 8)}"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
