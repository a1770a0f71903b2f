"""A recording of an episode, from which another process can make a video later."""

import io
import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.machine import files
from pgcontrol.machine.archives import read_npz

FORMAT = "pgcontrol recording 1"
MAPPINGS = ("own", "meters")  # fields that are dicts of arrays


class ActionDistributions(NamedTuple):
    """A policy's action distributions and actions in the first S steps of an episode, for each joint.

    Attributes:
        columns: [S, A, C] uint8: histograms of the distribution; all steps of a chunk have that of the choice.
        spread: [S, A] standard deviation of the distribution, in half-ranges.
        chosen: [S, A] the chosen actions, in half-ranges.
        joints: A names.
        discrete: whether columns are bars; otherwise they are points of a curve.
    """

    columns: np.ndarray
    spread: np.ndarray
    chosen: np.ndarray
    joints: tuple[str, ...]
    discrete: bool


@dataclass(frozen=True)
class Recording:
    """One episode: its states or, for foreign environments, its seed and actions.

    A task of pgcontrol_envs is drawn from `qpos`. A `gym:ID` environment is played again with `gymnasium.make(ID)`,
    `reset(seed)` and the recorded actions. So its episode must have begun with that reset, and it must be
    deterministic. The renderer compares the rewards and refuses a replay that differs.

    Attributes:
        env_id: task id, or gym:ID.
        control_dt: seconds per step.
        rewards: [T].
        qpos: [T + 1, nq] generalised positions, including the start.
        actions: [T, A] actions of the environment, flattened.
        step: training steps of the policy.
        run: name of the run.
        distributions: of the first S ≤ T steps; None: not recorded.
        own: the environment's own values of model fields, by name: a target's position, a body's mass.
        meters: [T + 1, 2] by name: target and measured value in each state (`Task.meters`).

    Raises:
        ValueError: an array is missing or has the wrong shape.
    """

    env_id: str
    seed: int
    control_dt: float
    rewards: np.ndarray
    qpos: np.ndarray | None = None
    actions: np.ndarray | None = None
    head: str = ""
    algorithm: str = ""
    step: int = 0
    run: str = ""
    distributions: ActionDistributions | None = None
    own: dict[str, np.ndarray] = field(default_factory=dict)
    meters: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = len(self.rewards) if np.ndim(self.rewards) == 1 else 0
        if not steps:
            raise ValueError(f"rewards: expected shape [T] with T ≥ 1, got {np.shape(self.rewards)}")
        if not self.control_dt > 0:
            raise ValueError(f"control_dt: expected a number of seconds above 0, got {self.control_dt}")
        needed = "actions" if self.replayed else "qpos"
        if getattr(self, needed) is None:
            raise ValueError(f"{needed}: required in a recording of {self.env_id}")
        for name, rows in (("qpos", steps + 1), ("actions", steps)):
            array = getattr(self, name)
            if array is not None and (array.ndim != 2 or len(array) != rows):
                raise ValueError(f"{name}: expected shape [{rows}, ·] for {steps} rewards, got {array.shape}")
        for name, array in self.meters.items():
            if np.shape(array) != (steps + 1, 2):
                found = f"for {steps} rewards, got {np.shape(array)}"
                raise ValueError(f"meters: {name}: expected shape [{steps + 1}, 2] {found}")
        if (shown := self.distributions) is not None:
            shape = len(shown.columns), len(shown.joints)
            for name, array in (("columns", shown.columns), ("spread", shown.spread), ("chosen", shown.chosen)):
                if np.shape(array)[:2] != shape or not 0 < shape[0] <= steps:
                    what = f"[S = {shape[0]} ≤ {steps}, {shape[1]}, ...]"
                    raise ValueError(f"{name}: expected {what} for {steps} rewards, got {np.shape(array)}")

    @property
    def replayed(self) -> bool:
        """Whether it is filmed by playing the actions again instead of from states."""
        return self.env_id.startswith("gym:")

    @property
    def exact_dt(self) -> Fraction:
        """`control_dt` as an exact fraction, so that frames and steps coincide exactly."""
        return Fraction(self.control_dt).limit_denominator(1_000_000)

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.rewards)

    def save(self, path: Path) -> None:
        """Write one .npz file, atomically."""
        values: dict[str, Any] = {"format": FORMAT, **vars(self)}
        for mapping in MAPPINGS:
            values |= {f"{mapping}.{name}": value for name, value in values.pop(mapping).items()}
        if (shown := values.pop("distributions")) is not None:
            values |= shown._asdict()
        arrays: dict[str, Any] = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        header = {name: value for name, value in values.items() if name not in arrays and value is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, header=np.array(json.dumps(header)), **arrays)
        files.replace({path: buffer.getvalue()})

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read a file written by `save`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a recording or is damaged; one line.
        """
        try:
            values: dict[str, Any] = {**read_npz(path)}
            values |= json.loads(str(values.pop("header")))
            if (found := values.pop("format", None)) != FORMAT:
                raise ValueError(f"expected format {FORMAT!r}, found {found!r}")
            shown = {name: values.pop(name, None) for name in ActionDistributions._fields}
            if shown["columns"] is not None:
                shown["joints"] = tuple(shown["joints"] or ())
                values["distributions"] = ActionDistributions(**shown)
            for mapping in MAPPINGS:
                named = [name for name in values if name.startswith(f"{mapping}.")]
                values[mapping] = {name.removeprefix(f"{mapping}."): values.pop(name) for name in named}
            return cls(**values)
        except FileNotFoundError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise ValueError(f"{path} is not a recording, or is damaged: {' '.join(str(error).split())}") from error
