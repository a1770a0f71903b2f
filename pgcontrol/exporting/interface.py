"""Reads and checks a robot's interface from a description: all that the second simulation knows about the task."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.options import InputError

TARGET, TORQUE = "joint position target", "joint torque"
JOINTWISE = ("joint position", "joint speed")
SECONDS = 20.0  # length of an episode in descriptions that do not have one


class DescribedPart(NamedTuple):
    """A part of an observation: scale · (quantity − offset), and the largest noise; [n] each.

    Attributes:
        joints: names, [n], if the quantity has one number per joint; else empty.
    """

    name: str
    scale: np.ndarray
    offset: np.ndarray
    noise: np.ndarray
    joints: tuple[str, ...]


class Action(NamedTuple):
    """The effect of an action: torque = gain · action − kp · position − kd · speed, clipped to ± limit; [A] each."""

    joints: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    gain: np.ndarray
    kp: np.ndarray
    kd: np.ndarray
    limit: np.ndarray


class Command(NamedTuple):
    """A command to the policy: a number and its range."""

    name: str
    low: float
    high: float


class Interface(NamedTuple):
    """The interface as described in pgcontrol_envs/interface.py; missing entries are None or empty.

    Attributes:
        timestep: seconds per physics step in training; a control step has `substeps` of them.
        base: the body with the free joint.
        pose: default positions of joints by name, rad.
        height: height of the base at the start, m.
        sunk: height of the base below which the robot has fallen, m.
        tipped: tilt of the base above which the robot has fallen, rad.
        standing: fraction of commands that are 0.
        command_seconds: mean time between two commands.
        seconds: length of an episode.
        mjcf: the model, including its ground.
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
    seconds: float

    @property
    def size(self) -> int:
        """O, the size of an observation."""
        return sum(len(part.scale) for part in self.observation)

    @property
    def control_dt(self) -> float:
        """Seconds per control step."""
        return self.timestep * self.substeps


def read(said: Any, where: str) -> Interface:
    """Read an interface from JSON values.

    Args:
        said: the result of `Task.interface`, after a round trip through JSON.
        where: prefix of error messages.

    Raises:
        InputError: an entry is missing or has the wrong type or size; the message names it.
    """
    top = Place(where, said)
    commands = tuple(_command(one) for one in top.every("commands", optional=True))
    action = _action(top.at("action"))
    sizes = {"last action": len(action.joints), "command": len(commands)}
    sizes |= dict.fromkeys(("angular velocity", "linear velocity", "gravity"), 3)
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
        standing=_share(top, "standing") if commands else 0.0,
        command_seconds=top.number("command_seconds", above=0) if commands else math.inf,
        seconds=top.number("seconds", above=0) if "seconds" in top.values else SECONDS,
    )


def _share(said: "Place", key: str) -> float:
    if not 0 <= (value := said.number(key)) <= 1:
        raise said.error(key, f"expected a number from 0 to 1, found {value:g}")
    return value


def _command(said: "Place") -> Command:
    command = Command(said.text("name"), said.number("low"), said.number("high"))
    if command.low > command.high:
        raise said.error("low", f"expected at most {command.high:g}, found {command.low:g}")
    return command


def _part(said: "Place", sizes: Mapping[str, int]) -> DescribedPart:
    name, size = said.text("name"), said.whole("size")
    joints = said.names("joints", size) if name in JOINTWISE else ()
    if sizes.get(name, size) != size:
        raise said.error("size", f"expected {sizes[name]}, found {size}")
    scale, offset, noise = (said.numbers(key, size) for key in ("scale", "offset", "noise"))
    return DescribedPart(name, scale, offset, noise, joints)


def _action(said: "Place") -> Action:
    kind, joints = said.text("name"), said.names("joints")
    low, high, limit = (said.numbers(key, len(joints)) for key in ("low", "high", "torque_limit"))
    if len(wrong := np.flatnonzero(low >= high)):
        at = wrong[0]
        raise said.error("low", f"expected less than {high[at]:g} for {joints[at]}, found {low[at]:g}")
    if kind == TARGET:
        kp, kd = (said.numbers(key, len(joints)) for key in ("kp", "kd"))
        return Action(joints, low, high, kp, kp, kd, limit)
    if kind != TORQUE:
        raise said.error("name", f"expected {TARGET!r} or {TORQUE!r}, found {kind!r}")
    return Action(joints, low, high, said.numbers("scale", len(joints)), 0.0 * low, 0.0 * low, limit)


class Place:
    """An object in JSON values with its name for messages. Missing or wrong entries raise InputError."""

    def __init__(self, name: str, values: Any):
        self.name, self.values = name, values
        if not isinstance(values, dict):
            raise InputError(f"{name}: expected a JSON object, found {_shown(values)}")

    def error(self, key: str, what: str) -> InputError:
        """The error for a key's value."""
        return InputError(f"{self.name}.{key}: {what}")

    def take(self, key: str, kind: type | tuple[type, ...], wanted: str, optional: bool = False) -> Any:
        """The value of a key; None if it is optional and missing."""
        value = self.values.get(key)
        if (isinstance(value, kind) and not isinstance(value, bool)) or (optional and value is None):
            return value
        raise self.error(key, f"expected {wanted}, found {_shown(value) if key in self.values else 'nothing'}")

    def text(self, key: str, optional: bool = False) -> Any:
        """A string; None if it is optional and missing."""
        return self.take(key, str, "a string", optional)

    def number(self, key: str, above: float = -math.inf) -> float:
        """A finite number."""
        value = self.take(key, (int, float), "a number")
        if not _finite(value) or value <= above:
            raise self.error(key, f"expected a finite number above {above:g}, found {_shown(value)}")
        return float(value)

    def whole(self, key: str) -> int:
        """An integer above 0."""
        if (value := self.number(key, above=0)) != int(value):
            raise self.error(key, f"expected a whole number, found {value:g}")
        return int(value)

    def numbers(self, key: str, size: int) -> np.ndarray:
        """[size]; a single number is repeated."""
        value = self.take(key, (int, float, list), f"a number or {size} of them")
        value = value if isinstance(value, list) else [value] * size
        if not all(map(_finite, value)):
            raise self.error(key, "expected numbers only")
        if len(value) != size:
            raise self.error(key, f"expected {size} numbers, found {len(value)}")
        return np.array(value, float)

    def names(self, key: str, size: int | None = None) -> tuple[str, ...]:
        """A list of `size` distinct names."""
        value = self.take(key, list, "a list of names")
        if not all(isinstance(x, str) for x in value) or len({*value}) < max(1, len(value)):
            raise self.error(key, "expected distinct names")
        if size not in (None, len(value)):
            raise self.error(key, f"expected {size} names, found {len(value)}")
        return tuple(value)

    def at(self, key: str, optional: bool = False) -> "Place":
        """An object; empty if it is optional and missing."""
        return Place(f"{self.name}.{key}", self.take(key, dict, "a JSON object", optional) or {})

    def every(self, key: str, optional: bool = False) -> list["Place"]:
        """A list of objects; empty if it is optional and missing."""
        values = self.take(key, list, "a list", optional) or []
        if not values and not optional:
            raise self.error(key, "expected a list that is not empty")
        return [Place(f"{self.name}.{key}[{i}]", value) for i, value in enumerate(values)]


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer with hundreds of digits
        return False


def _shown(value: Any) -> str:
    return repr(value)[:40]
