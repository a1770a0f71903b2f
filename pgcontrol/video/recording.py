"""What an evaluation keeps of an episode so that it can be filmed later, by another process."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "pgcontrol recording 1"
ARRAYS = ("rewards", "qpos", "actions", "columns", "spread", "chosen")


@dataclass(frozen=True)
class Recording:
    """One episode: its states or, for environments that are not ours, its seed and actions.

    A task of pgcontrol_envs is drawn from `qpos`. A `gym:ID` environment is played again instead, by
    `gymnasium.make(ID)`, `reset(seed)` and the recorded actions, so its episode must have begun with that reset, and it
    must be deterministic; the renderer compares the rewards and refuses a replay that took another course.

    Raises:
        ValueError: an array of the wrong shape, or missing.
    """

    env_id: str
    """Task id, or gym:ID."""
    seed: int
    control_dt: float
    """Seconds per step."""
    rewards: np.ndarray
    """[T]."""
    qpos: np.ndarray | None = None
    """[T + 1, nq] generalised positions, the start among them."""
    actions: np.ndarray | None = None
    """[T, A] actions as the environment got them, flattened."""
    head: str = ""
    algorithm: str = ""
    step: int = 0
    """Environment steps the policy was trained for."""
    run: str = ""
    """Name of the run."""
    columns: np.ndarray | None = None
    """[S, A, C] uint8, S ≤ T: histograms of what the policy might have done at the first S steps, of a chunk's later
    ones as it was chosen; None: not kept."""
    spread: np.ndarray | None = None
    """[S, A] deviation of the same, as a share of the joint's half-range."""
    chosen: np.ndarray | None = None
    """[S, A] what it did, on the same scale."""
    joints: tuple[str, ...] = ()
    """A names."""
    discrete: bool = False
    """Whether columns are bars rather than points of a curve."""

    def __post_init__(self) -> None:
        steps = len(self.rewards) if np.ndim(self.rewards) == 1 else 0
        if not steps:
            raise ValueError(f"rewards: expected shape [T] with T ≥ 1, got {np.shape(self.rewards)}")
        if not self.control_dt > 0:
            raise ValueError(f"control_dt: expected seconds greater than 0, got {self.control_dt}")
        needed = "actions" if self.replayed else "qpos"
        if getattr(self, needed) is None:
            raise ValueError(f"{needed}: a recording of {self.env_id} needs them")
        for name, rows in (("qpos", steps + 1), ("actions", steps)):
            array = getattr(self, name)
            if array is not None and (array.ndim != 2 or len(array) != rows):
                raise ValueError(f"{name}: expected shape [{rows}, ·] for {steps} rewards, got {array.shape}")
        if self.columns is not None:
            shape = self.columns.shape[:2]
            if not 0 < shape[0] <= steps or len(self.joints) != shape[1]:
                raise ValueError(f"columns: expected [S ≤ {steps}, {len(self.joints)}, ·], got {self.columns.shape}")
            for name, array in (("spread", self.spread), ("chosen", self.chosen)):
                found = None if array is None else array.shape
                if found != shape:
                    raise ValueError(f"{name}: expected shape {shape} as columns have it, got {found}")

    @property
    def replayed(self) -> bool:
        """Whether it is filmed by playing the actions again, rather than from states."""
        return self.env_id.startswith("gym:")

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.rewards)

    def save(self, path: Path) -> None:
        """Write one .npz file, beside and renamed into place."""
        header = {name: value for name, value in asdict(self).items() if name not in ARRAYS}
        arrays: dict[str, Any] = {name: a for name in ARRAYS if (a := getattr(self, name)) is not None}
        arrays["header"] = np.array(json.dumps({"format": FORMAT, **header}))
        partial = path.with_name(f".{path.name}.part")
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read a file written by `save`.

        Raises:
            FileNotFoundError: no such file.
            ValueError: foreign or damaged; one line.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header: dict[str, Any] = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in ARRAYS if name in file.files}
            if (found := header.pop("format", None)) != FORMAT:
                raise ValueError(f"expected format {FORMAT!r}, found {found!r}")
            header["joints"] = tuple(header.get("joints", ()))
            return cls(**header, **arrays)
        except FileNotFoundError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a recording, or is damaged: {' '.join(str(error).split())}") from error
