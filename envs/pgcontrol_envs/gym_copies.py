"""Copies of one Gymnasium environment in this process, and whether they keep Gymnasium's contract.

What they return is taken as Gymnasium's SyncVectorEnv takes it, numbers of any type and arrays of any dtype; what
breaks the contract is one line that names the environment, what came and what was expected.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import inspect
import math
import os
import traceback
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
    "observation": "gymnasium.wrappers.FlattenObservation makes one of many a space",
    "action": "some environments have continuous actions under another id, or by --env.continuous true",
}
NO_BOUND = 1e10  # an action's bound beyond it says that there is none: float32's largest number, 1e300, ...
TORCH: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
)
SMALL_SEEDS = 2**31  # what every engine takes for a seed

_tried: set[str] = set()  # environments of which one copy has kept the contract for a step in this process
_here = 0  # copies that are open in this process


class About(NamedTuple):
    """What a trainer must know of an environment; see VecEnv.

    Attributes:
        low: bounds of the actions, float32 [A], rounded inwards.
        high: the same.
        model: its mujoco.MjModel; None for another simulator.
    """

    shapes: Shapes
    low: np.ndarray
    high: np.ndarray
    control_dt: float
    time_limit: int | None
    model: Any


class Answer(NamedTuple):
    """What a step of k copies returned: observations [k, O], and [k] of the rest; see vector.Step."""

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    terms: dict[str, np.ndarray]


class Copies:
    """k copies of a Gymnasium environment, stepped one after the other.

    Observations and actions are flattened. Reward terms are the numbers in infos whose names begin with "reward".

    Raises:
        UnknownEnv: Gymnasium has no such environment, or the module in its name cannot be imported.
        BrokenEnv: it cannot be made, or breaks the contract at its first reset or step.
        OneEngine: a process can hold fewer copies than these.
        ValueError: a space is no Box, or the actions have no bounds.
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
        """New episodes of the copies `ids`, with their seeds; their observations [n, O]."""
        for i, seed in zip(ids, seeds, strict=True):
            answer = self._call(f"reset(seed={seed})", RESET, _seeded_reset, self._envs[i], seed)
            if not (isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[1], Mapping)):
                raise self._broken(f"reset(seed={seed})", came(answer), RESET)
            self.obs[i] = self._obs(answer[0], f"reset(seed={seed})")
        return self.obs[list(ids)]

    def step(self, action: np.ndarray, ids: Sequence[int]) -> Answer:
        """Step the copies `ids` under action [k, A]; the others stand still."""
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
        """What there is to know of the environment."""
        return self.about

    def qpos(self, i: int) -> np.ndarray | None:
        """A copy of copy i's generalised positions if it is a MuJoCo environment, else None."""
        return None if self.about.model is None else np.array(self._envs[i].unwrapped.data.qpos)

    def render(self, i: int) -> Any:
        """Copy i's picture."""
        return self._call("render()", "a picture [height, width, 3]", self._envs[i].render)

    def streams(self) -> list[dict[str, Any] | None]:
        """The states of the random streams; None where one cannot be had."""
        return [gym_streams.save(env) for env in self._envs]

    def set_streams(self, streams: Sequence[dict[str, Any] | None]) -> list[bool]:
        """Put the random streams there; False where one does not take it."""
        return [gym_streams.load(env, saved) for env, saved in zip(self._envs, streams, strict=True)]

    def close(self) -> None:
        """Close the environments; an error in their own close is ignored."""
        global _here
        while self._envs:
            _here -= 1
            env = self._envs.pop()
            with suppress(Exception, SystemExit):  # it was to go
                env.close()

    def _add(self, name: GymName) -> None:
        global _here
        try:
            self._envs.append(make(self.env_id, name))
        except BrokenEnv as error:
            if not _here:
                raise
            once = "a process holds one copy: train with --num-envs 1, or with as many --env-workers as --num-envs"
            raise OneEngine(f"{error}; {once}") from error
        _here += 1

    def _spaces(self) -> None:
        first = self._envs[0]
        spaces: Any = [
            [self._call(f"{what}_space", "a Box", getattr, env, f"{what}_space", None) for env in self._envs]
            for what in ("observation", "action")
        ]
        for what, of in zip(("observation", "action"), spaces, strict=True):
            if not isinstance(of[0], Box):
                raise ValueError(f"{self.env_id}: expected a Box of {what}s, got {of[0]}; {HINTS[what]}")
            if not math.prod(of[0].shape):
                raise ValueError(f"{self.env_id}: expected {what}s of at least one number, got {of[0]}")
            if any(other != of[0] for other in of):
                raise BrokenEnv(f"{self.env_id}: its copies have different {what} spaces: {of[0]} and others")
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
        """Bounds of the flat actions in float32: none beyond the space's own, and all that rounds to a whole number."""
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
            wrong = f"{_joints(fixed, model)} cannot move, from {low[fixed][0]:g} to {high[fixed][0]:g}{without}"
            raise ValueError(f"{self.env_id}: expected actions with room between their bounds; {wrong}")
        return low, high

    def _action(self, row: np.ndarray) -> np.ndarray:
        """A flat action as the environment takes it: whole numbers are the nearest ones."""
        return (np.rint(row) if self.about.shapes.whole else row).reshape(self._space.shape).astype(self._space.dtype)

    def _try_out(self) -> None:
        """One step of the first copy; what is read later is the contract."""
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
        except Exception:  # of a list whose rows differ, or of a foreign array
            array = np.array(None)
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise self._broken(
                call, f"the observation as {came(value)}", f"numbers of shape {shape}, as its space says"
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
            raise self._broken("step()", f"the flag {what} as {came(value)}", "one truth value")
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
    """The name's parts, its module imported. Raises UnknownEnv."""
    name = GymName.parse(env_id)
    try:
        if name.module:
            plugins.use_module(name.module)
    except (plugins.PluginError, ImportError) as error:
        cause = error.__cause__ or error
        missing = isinstance(cause, ModuleNotFoundError) and str(name.module).startswith(str(cause.name))
        why = f"{cause}, neither installed nor in the current folder" if missing else error
        raise UnknownEnv(f"unknown env {env_id!r}: {why}") from error
    return name


def make(env_id: str, name: GymName) -> Any:
    """One environment of Gymnasium's; errors as of Copies."""
    try:
        with python_warnings(), _torch_as_it_is():
            return gymnasium.make(name.id, **({"disable_env_checker": True} | name.args))
    except (gymnasium.error.UnregisteredEnv, ImportError) as error:
        newest, known = _newest(), gymnasium.registry.get(name.id)
        if known is None:
            close = get_close_matches(name.id, newest.values(), n=3)
        else:  # it is there, and what it needs is not
            close = {newest[known.namespace, known.name]} - {name.id}
        meant = " or ".join(str(name._replace(id=one)) for one in close)
        hint = f"did you mean {meant}?" if meant else " ".join(str(error).split())
        raise UnknownEnv(f"unknown env {env_id!r}: {hint}") from error
    except gymnasium.error.Error as error:  # something that it needs is not installed
        raise ValueError(f"{env_id} cannot be made: {' '.join(str(error).split())}") from error
    except (Exception, SystemExit) as error:
        taken = _parameters(name.id) if isinstance(error, TypeError) else set(name.args)
        foreign = ", ".join(sorted(name.args.keys() - taken))
        hint = f"; of the arguments, {foreign} is not among {', '.join(sorted(taken))}" if foreign else ""
        raise BrokenEnv(f"{env_id} cannot be made: {_line(error)}{hint}") from error


def _newest() -> dict[tuple[str | None, str], str]:
    """Gymnasium's ids, of each name the newest version: the older ones are still listed when they are gone."""
    by_age = sorted(gymnasium.registry.values(), key=lambda spec: spec.version or 0)
    return {(spec.namespace, spec.name): spec.id for spec in by_age}


def _parameters(name: str) -> set[str]:
    """What an environment's constructor takes by name, and what `gymnasium.make` takes for itself."""
    entry = gymnasium.spec(name).entry_point
    try:
        made_by = load_env_creator(entry) if isinstance(entry, str) else entry
        known = set(inspect.signature(made_by).parameters) - {"self", "args", "kwargs"}  # type: ignore[arg-type]
    except (ValueError, TypeError):
        known = set()
    return known | {"max_episode_steps"}


def number(value: Any) -> float | None:
    """A number of any type, an array of one among them, NaN for a masked one; None for anything else."""
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
    """What something is, in a few words."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(type(one).__name__ for one in value)})"
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of shape {value.shape} {value.dtype}"
    text = " ".join(repr(value).split())
    return "None" if value is None else f"{text[:40]}{'...' * (len(text) > 40)} ({type(value).__name__})"


@contextmanager
def _torch_as_it_is() -> Iterator[None]:
    """Within it, foreign code may change what torch computes with by default."""
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
        return env.reset(seed=seed % SMALL_SEEDS)  # engines take 31 or 32 bits


def _asked(env: Any, what: str) -> Any:
    """An attribute of a foreign environment; None where reading it is an error."""
    try:
        return getattr(env, what, None)
    except Exception:
        return None


def _joints(which: np.ndarray, model: Any) -> str:
    """Numbers of actions, or the names of MuJoCo's actuators."""
    numbers = np.flatnonzero(which)
    names = [model.actuator(int(i)).name if model and model.nu == which.size else "" for i in numbers[:8]]
    shown = [f"{name!r}" if name else str(i) for name, i in zip(names, numbers, strict=False)]
    return f"action{'s' * (len(numbers) > 1)} {', '.join(shown)}{', ...' * (len(numbers) > 8)}"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
