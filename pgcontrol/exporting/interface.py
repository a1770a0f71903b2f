"""A robot's interface as its description has it, read and checked: all that a second simulation knows of the task."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.options import InputError

TARGET, TORQUE = "joint position target", "joint torque"
JOINTWISE = ("joint position", "joint speed")


class DescribedPart(NamedTuple):
    """A part of an observation: scale · (quantity − offset), and noise of at most so much; [n] each.

    Attributes:
        joints: names, [n] where the quantity has one number a joint, else none.
    """

    name: str
    scale: np.ndarray
    offset: np.ndarray
    noise: np.ndarray
    joints: tuple[str, ...]


class Action(NamedTuple):
    """What an action does: torque = gain · action − kp · position − kd · speed, within ± limit; [A] each."""

    joints: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    gain: np.ndarray
    kp: np.ndarray
    kd: np.ndarray
    limit: np.ndarray


class Command(NamedTuple):
    """A number that the policy is given, and its range."""

    name: str
    low: float
    high: float


class Interface(NamedTuple):
    """See pgcontrol_envs/interface.py for the words; what a description leaves out is None or empty.

    Attributes:
        timestep: seconds of a physics step in training, of which a control step has `substeps`.
        base: the body that a free joint moves.
        pose: default positions of joints by name, rad.
        height: of the base at the start, m.
        sunk: below which height of the base it has fallen, m.
        tipped: beyond which tilt of the base, rad.
        standing: share of commands that are 0.
        command_seconds: mean time between two commands.
        mjcf: the model, its ground included.
    """

    timestep: float
    substeps: int
    observation: tuple[DescribedPart, ...]
    action: Action
    mjcf: str
    base: str | None
    pose: Mapping[str, float]
    height: float | None
    sunk: float
    tipped: float
    commands: tuple[Command, ...]
    standing: float
    command_seconds: float

    @property
    def size(self) -> int:
        """O, the numbers of an observation."""
        return sum(len(part.scale) for part in self.observation)

    @property
    def control_dt(self) -> float:
        """Seconds of a control step."""
        return self.timestep * self.substeps


def read(said: Any, where: str) -> Interface:
    """The interface that JSON values describe.

    Args:
        said: what `Task.interface` returned, as JSON gives it back.
        where: what messages begin with.

    Raises:
        InputError: something is missing or of another kind or size; names it.
    """
    top = Place(where, said)
    commands = tuple(_command(one) for one in top.every("commands", optional=True))
    action = _action(top.at("action"))
    sizes = {"last action": len(action.joints), "command": len(commands)}
    height, tilt = top.at("height", optional=True), top.at("tilt", optional=True)
    pose = top.at("pose", optional=True).at("joints", optional=True)
    return Interface(
        timestep=top.number("timestep", above=0),
        substeps=top.whole("substeps"),
        observation=tuple(_part(one, sizes) for one in top.every("observation")),
        action=action,
        mjcf=top.text("mjcf"),
        base=top.text("base", optional=True),
        pose={name: pose.number(name) for name in pose.values},
        height=height.number("start") if height.values else None,
        sunk=height.number("fallen") if height.values else -math.inf,
        tipped=tilt.number("fallen") if tilt.values else math.inf,
        commands=commands,
        standing=top.number("standing") if commands else 0.0,
        command_seconds=top.number("command_seconds", above=0) if commands else math.inf,
    )


def _command(said: "Place") -> Command:
    command = Command(said.text("name"), said.number("low"), said.number("high"))
    if command.low > command.high:
        raise said.error("low", f"expected at most {command.high:g}, found {command.low:g}")
    return command


def _part(said: "Place", sizes: Mapping[str, int]) -> DescribedPart:
    name, size = said.text("name"), said.whole("size")
    joints = said.names("joints", size) if name in JOINTWISE else ()
    if sizes.get(name, size) != size:
        raise said.error("size", f"expected {sizes[name]}, as many as there are, found {size}")
    scale, offset, noise = (said.numbers(key, size) for key in ("scale", "offset", "noise"))
    return DescribedPart(name, scale, offset, noise, joints)


def _action(said: "Place") -> Action:
    kind, joints = said.text("name"), said.names("joints")
    low, high, limit = (said.numbers(key, len(joints)) for key in ("low", "high", "torque_limit"))
    if kind == TARGET:
        kp, kd = (said.numbers(key, len(joints)) for key in ("kp", "kd"))
        return Action(joints, low, high, kp, kp, kd, limit)
    if kind != TORQUE:
        raise said.error("name", f"expected {TARGET!r} or {TORQUE!r}, found {kind!r}")
    return Action(joints, low, high, said.numbers("scale", len(joints)), 0.0 * low, 0.0 * low, limit)


class Place:
    """A place in JSON values, and what it is called in messages. What is missing or wrong raises InputError."""

    def __init__(self, name: str, values: Any):
        self.name, self.values = name, values
        if not isinstance(values, dict):
            raise InputError(f"{name}: expected a JSON object, found {_shown(values)}")

    def error(self, key: str, what: str) -> InputError:
        """What is wrong with the value of a key."""
        return InputError(f"{self.name}.{key}: {what}")

    def take(self, key: str, kind: type | tuple[type, ...], wanted: str, optional: bool = False) -> Any:
        """The value of a key, or None where there may be none."""
        value = self.values.get(key)
        if (isinstance(value, kind) and not isinstance(value, bool)) or (optional and value is None):
            return value
        raise self.error(key, f"expected {wanted}, found {_shown(value) if key in self.values else 'nothing'}")

    def text(self, key: str, optional: bool = False) -> Any:
        """A text; None where there may be none."""
        return self.take(key, str, "a text", optional)

    def number(self, key: str, above: float = -math.inf) -> float:
        """A finite number."""
        value = self.take(key, (int, float), "a number")
        if not _finite(value) or value <= above:
            raise self.error(key, f"expected a finite number above {above:g}, found {_shown(value)}")
        return float(value)

    def whole(self, key: str) -> int:
        """A whole number above 0."""
        if (value := self.number(key, above=0)) != int(value):
            raise self.error(key, f"expected a whole number, found {value:g}")
        return int(value)

    def numbers(self, key: str, size: int) -> np.ndarray:
        """[size], or one number for all."""
        value = self.take(key, (int, float, list), f"a number or {size} of them")
        value = value if isinstance(value, list) else [value] * size
        if not all(map(_finite, value)):
            raise self.error(key, "expected numbers alone")
        if len(value) != size:
            raise self.error(key, f"expected {size} numbers, found {len(value)}")
        return np.array(value, float)

    def names(self, key: str, size: int | None = None) -> tuple[str, ...]:
        """Different names, `size` of them."""
        value = self.take(key, list, "a list of names")
        if not all(isinstance(x, str) for x in value) or len({*value}) < max(1, len(value)):
            raise self.error(key, "expected names, each once")
        if size not in (None, len(value)):
            raise self.error(key, f"expected {size} names, found {len(value)}")
        return tuple(value)

    def at(self, key: str, optional: bool = False) -> "Place":
        """An object; an empty one where there may be none."""
        return Place(f"{self.name}.{key}", self.take(key, dict, "a JSON object", optional) or {})

    def every(self, key: str, optional: bool = False) -> list["Place"]:
        """A list of objects; an empty one where there may be none."""
        values = self.take(key, list, "a list", optional) or []
        if not values and not optional:
            raise self.error(key, "expected a list, found an empty one")
        return [Place(f"{self.name}.{key}[{i}]", value) for i, value in enumerate(values)]


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # of a whole number of hundreds of digits
        return False


def _shown(value: Any) -> str:
    return repr(value)[:40]
