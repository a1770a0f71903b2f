"""Reads Minari datasets, one episode at a time."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pgcontrol_envs
from gymnasium.spaces import Box

from pgcontrol.data.writer import ARRAYS, MAIN, METADATA, OURS, Episode, episode_checksum, require_written
from pgcontrol.machine import files
from pgcontrol.options import InputError
from pgcontrol.text import one_line

PACKED, SLACK = 1032, 2**20  # largest compression ratio of deflate; bytes that need not be stored


class Dataset:
    """A Minari dataset with Box spaces; arrays of any shape are flattened.

    Attributes:
        low, high: bounds of the actions [A].
        clipped: number of actions beyond the bounds in the episodes read last.
    """

    def __init__(self, where: str | Path, clip: bool = False):
        """Open a dataset.

        Args:
            where: its folder (or the folder that contains its `data`), or the id of a dataset in Minari's local cache.
            clip: clip actions beyond the bounds, and count them; False: refuse them.

        Raises:
            InputError: there is no dataset, or a policy cannot learn from it; one line gives the reason.
        """
        require()
        import minari

        self.where, self.clip, self.clipped = str(where), clip, 0
        folder = found(where)
        if folder is None:
            raise InputError(f"{where}: no Minari dataset there, and none with that id in {_local()}")
        with _undamaged(self.where):
            require_written(json.loads(files.read_text(folder / METADATA)))
            for file in folder.glob("*"):
                files.plain(file)
            self._minari = minari.MinariDataset(folder.resolve())
        self.metadata: dict[str, Any] = self._minari.storage.metadata
        obs, action = self._minari.observation_space, self._minari.action_space
        for what, space in (("observation", obs), ("action", action)):
            if not isinstance(space, Box):
                raise InputError(f"{where}: its {what} space is {one_line(space)}; must be a Box")
        if not action.is_bounded():
            raise InputError(f"{where}: its actions have no bounds")
        if fixed := np.flatnonzero(~(action.low < action.high)).tolist():
            raise InputError(f"{where}: its actions {fixed} have equal lower and upper bounds")
        self.obs_size = int(np.prod(obs.shape))
        self.low, self.high = (bound.reshape(-1).astype(np.float32) for bound in (action.low, action.high))
        if not len(self):
            raise InputError(f"{where} has no episodes")

    def __len__(self) -> int:
        return int(self._minari.total_episodes)

    @property
    def steps(self) -> int:
        """Total number of steps, according to its metadata."""
        return int(self._minari.total_steps)

    @property
    def env(self) -> str | None:
        """Our name of the task in which it was recorded; None if it is unknown or not available here."""
        if OURS in self.metadata:
            return self.metadata[OURS]["env"]
        spec = self._minari.env_spec
        if spec is None:
            return None
        if spec.id in pgcontrol_envs.catalog():
            return spec.id
        return f"gym:{spec.id}" if spec.id in gymnasium.registry else None

    def require_env(self, env: str, obs_size: int, low: np.ndarray, high: np.ndarray) -> None:
        """Check that the dataset fits a task.

        Raises:
            InputError: observations or actions have another size; the message names both.
        """
        for what, here, there in (("observations", self.obs_size, obs_size), ("actions", len(self.low), len(low))):
            if here != there:
                raise InputError(f"{self.where}: {what} have {here} numbers, but {there} in {env}")
        self.low, self.high = low, high  # actions must be within these; see `episodes`

    def episodes(self) -> Iterator[Episode]:
        """Yield every episode; a warning at the end gives the number of clipped actions.

        Raises:
            InputError: arrays do not fit together, contain infinite or NaN numbers, or actions exceed the bounds.
        """
        room, self.clipped, total = 1e-4 * (self.high - self.low), 0, 0
        for episode in self._episodes():
            name, steps = f"{self.where}: episode {episode.id}", len(episode.rewards)
            obs = np.asarray(episode.observations, np.float64).reshape(len(episode.observations), -1)
            action = np.asarray(episode.actions, np.float32).reshape(len(episode.actions), -1)
            expected = ((steps + 1, self.obs_size), (steps, len(self.low)))
            if (obs.shape, action.shape) != expected or not steps:
                raise InputError(f"{name}: {steps} rewards, observations {obs.shape}, actions {action.shape}")
            if not (np.isfinite(obs).all() and np.isfinite(action).all() and np.isfinite(episode.rewards).all()):
                raise InputError(f"{name}: infinite or NaN numbers")
            beyond = ((action < self.low - room) | (action > self.high + room)).any(1)
            if beyond.any() and not self.clip:
                advice = "use --clip-actions (of clone and tokenize) to clip them"
                raise InputError(f"{name}: actions up to {np.abs(action).max():g}, beyond the task's bounds; {advice}")
            self.clipped, total = self.clipped + int(beyond.sum()), total + steps
            reward, ends = np.asarray(episode.rewards, np.float64), (episode.terminations, episode.truncations)
            yield Episode(obs, action.clip(self.low, self.high), reward, *(bool(end[-1]) for end in ends))
        if self.clipped:
            clipped = f"{self.clipped:,} of {total:,} actions exceeded the task's bounds and were clipped"
            warnings.warn(f"{self.where}: {clipped}", stacklevel=2)

    def routes(self) -> Counter[str]:
        """Number of episodes per route of the task; empty if the dataset does not contain routes."""
        about = self._minari.storage.get_episode_metadata(self._minari.episode_indices)
        return Counter(str(one["route"]) for one in about if one.get("route"))

    def _episodes(self) -> Iterator[Any]:
        with _undamaged(self.where), _main_file(self._minari) as main:  # the caller's code is outside
            for number in self._minari.episode_indices:
                _require_sizes(main, number)
                (episode,) = self._minari.iterate_episodes([number])
                (about,) = self._minari.storage.get_episode_metadata([number])
                _require_checksum(episode, about)
                yield episode


@contextmanager
def _main_file(opened: Any) -> Iterator[Any]:
    """The HDF5 file of a dataset; None if the dataset stores its episodes in another way."""
    import h5py

    file = Path(opened.storage.data_path) / MAIN
    if not file.exists():
        yield None
        return
    with h5py.File(file, "r") as main:
        yield main


def _require_sizes(main: Any, number: Any) -> None:
    """Check that the arrays of an episode are not larger than their stored bytes allow; raises ValueError otherwise."""

    def require(name: str, array: Any) -> None:
        nbytes, stored = getattr(array, "nbytes", 0), array.id.get_storage_size() if hasattr(array, "nbytes") else 0
        if nbytes > PACKED * stored + SLACK:
            shape = f"{name} of episode {number} has shape {array.shape}, {nbytes:,} bytes"
            raise ValueError(f"{shape}, of which {stored:,} are stored")

    if main is not None:
        main[f"episode_{number}"].visititems(require)


def _require_checksum(episode: Any, about: dict[str, Any]) -> None:
    """Check an episode's checksum, if it has one; raises ValueError."""
    arrays = (getattr(episode, name) for name in ARRAYS)
    said = {name: value for name, value in about.items() if name not in ("id", "total_steps", files.CHECKSUM)}
    written = about.get(files.CHECKSUM)
    if written is not None and written != episode_checksum(arrays, said):
        raise ValueError(f"episode {episode.id} is not what was written: its checksum differs")


@contextmanager
def _undamaged(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the libraries raise various errors for damaged files
        raise InputError(f"{where} is a damaged dataset: {type(error).__name__}: {one_line(error)}") from None


def require() -> None:
    """Check that Minari is installed; the InputError says how to install it."""
    for name in ("minari", "h5py"):
        if find_spec(name) is None:
            raise InputError(f"datasets need {name}: pip install 'pgcontrol[data]'")


def found(where: str | Path) -> Path | None:
    """The folder with a dataset's metadata, from a folder or the id of a dataset in Minari's cache; None: not found."""
    for folder in (Path(where), Path(where) / "data", _local() / where / "data"):
        if os.path.exists(folder / "metadata.json"):  # also False without permission to read
            return folder
    return None


def _local() -> Path:
    """Minari's local cache (minari.storage.datasets_root_dir would create the folder)."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or os.path.expanduser("~/.minari/datasets"))
