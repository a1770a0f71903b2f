"""Minari datasets in a folder of their own, read an episode at a time."""

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

PACKED, SLACK = 1032, 2**20  # deflate packs as tightly at best; bytes that nobody needs to have stored


class Dataset:
    """A Minari dataset with Box spaces, of which any may be flattened.

    Attributes:
        low, high: bounds of the actions [A].
        clipped: actions that lay beyond the bounds, of the episodes that were read last.
    """

    def __init__(self, where: str | Path, clip: bool = False):
        """Open it.

        Args:
            where: its folder (or the one whose `data` it is), or the id of a dataset that Minari has on this machine.
            clip: actions beyond the bounds become the nearest ones within them, and are counted; else they are refused.

        Raises:
            InputError: no dataset, or one that a policy cannot learn from; one line that says why.
        """
        require()
        import minari

        self.where, self.clip, self.clipped = str(where), clip, 0
        folder = found(where)
        if folder is None:
            raise InputError(f"{where}: no Minari dataset there, and none of that id in {_local()}")
        with _undamaged(self.where):
            require_written(json.loads(files.read_text(folder / METADATA)))
            for file in folder.glob("*"):
                files.plain(file)
            self._minari = minari.MinariDataset(folder.resolve())
        self.metadata: dict[str, Any] = self._minari.storage.metadata
        obs, action = self._minari.observation_space, self._minari.action_space
        for what, space in (("observation", obs), ("action", action)):
            if not isinstance(space, Box):
                raise InputError(f"{where}: its {what}s are {one_line(space)}: must be a Box")
        if not action.is_bounded():
            raise InputError(f"{where}: its actions have no bounds")
        if fixed := np.flatnonzero(~(action.low < action.high)).tolist():
            raise InputError(f"{where}: its actions {fixed} cannot move: both bounds are equal")
        self.obs_size = int(np.prod(obs.shape))
        self.low, self.high = (bound.reshape(-1).astype(np.float32) for bound in (action.low, action.high))
        if not len(self):
            raise InputError(f"{where} holds no episodes")

    def __len__(self) -> int:
        return int(self._minari.total_episodes)

    @property
    def steps(self) -> int:
        """Of all its episodes, as its metadata say."""
        return int(self._minari.total_steps)

    @property
    def env(self) -> str | None:
        """Our name of the task it was recorded in; None where it does not say, or is not to be had here."""
        if OURS in self.metadata:
            return self.metadata[OURS]["env"]
        spec = self._minari.env_spec
        if spec is None:
            return None
        if spec.id in pgcontrol_envs.catalog():
            return spec.id
        return f"gym:{spec.id}" if spec.id in gymnasium.registry else None

    def require_env(self, env: str, obs_size: int, low: np.ndarray, high: np.ndarray) -> None:
        """Make sure that it can be data of a task.

        Raises:
            InputError: observations or actions of another size; names both.
        """
        for what, here, there in (("observations", self.obs_size, obs_size), ("actions", len(self.low), len(low))):
            if here != there:
                raise InputError(f"{self.where}: {what} of {here} numbers, but {env} has {there}")
        self.low, self.high = low, high  # what its actions must lie within; see `episodes`

    def episodes(self) -> Iterator[Episode]:
        """Every episode, one after the other; a warning at the end says how many actions were clipped.

        Raises:
            InputError: arrays that do not fit together, infinite or NaN numbers, or actions beyond the bounds.
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
                advice = "clone and tokenize clip them with --clip-actions"
                raise InputError(f"{name}: actions up to {np.abs(action).max():g}, beyond the task's bounds; {advice}")
            self.clipped, total = self.clipped + int(beyond.sum()), total + steps
            reward, ends = np.asarray(episode.rewards, np.float64), (episode.terminations, episode.truncations)
            yield Episode(obs, action.clip(self.low, self.high), reward, *(bool(end[-1]) for end in ends))
        if self.clipped:
            clipped = f"{self.clipped:,} of {total:,} actions lay beyond the task's bounds and were clipped to them"
            warnings.warn(f"{self.where}: {clipped}", stacklevel=2)

    def routes(self) -> Counter[str]:
        """How many episodes took each of the task's routes; empty where the dataset does not say."""
        about = self._minari.storage.get_episode_metadata(self._minari.episode_indices)
        return Counter(str(one["route"]) for one in about if one.get("route"))

    def _episodes(self) -> Iterator[Any]:
        with _undamaged(self.where), _main_file(self._minari) as main:  # where one is used is not within
            for number in self._minari.episode_indices:
                _require_sizes(main, number)
                (episode,) = self._minari.iterate_episodes([number])
                (about,) = self._minari.storage.get_episode_metadata([number])
                _require_checksum(episode, about)
                yield episode


@contextmanager
def _main_file(opened: Any) -> Iterator[Any]:
    """The HDF5 file of a dataset; None of one that keeps its episodes otherwise."""
    import h5py

    file = Path(opened.storage.data_path) / MAIN
    if not file.exists():
        yield None
        return
    with h5py.File(file, "r") as main:
        yield main


def _require_sizes(main: Any, number: Any) -> None:
    """The arrays of an episode take no more memory than what is stored of them can fill; else raises ValueError."""

    def require(name: str, array: Any) -> None:
        nbytes, stored = getattr(array, "nbytes", 0), array.id.get_storage_size() if hasattr(array, "nbytes") else 0
        if nbytes > PACKED * stored + SLACK:
            shape = f"{name} of episode {number} has shape {array.shape}, {nbytes:,} bytes"
            raise ValueError(f"{shape}, of which {stored:,} are stored")

    if main is not None:
        main[f"episode_{number}"].visititems(require)


def _require_checksum(episode: Any, about: dict[str, Any]) -> None:
    """An episode is what was written, as far as it has a checksum; else raises ValueError."""
    arrays = (getattr(episode, name) for name in ARRAYS)
    said = {name: value for name, value in about.items() if name not in ("id", "total_steps", files.CHECKSUM)}
    written = about.get(files.CHECKSUM)
    if written is not None and written != episode_checksum(arrays, said):
        raise ValueError(f"episode {episode.id} is not what was written: its checksum differs")


@contextmanager
def _undamaged(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damaged files end in whatever the libraries below raise
        raise InputError(f"{where} is a damaged dataset: {type(error).__name__}: {one_line(error)}") from None


def require() -> None:
    """Make sure that Minari is installed; InputError says how to get it."""
    for name in ("minari", "h5py"):
        if find_spec(name) is None:
            raise InputError(f"datasets need {name}: pip install 'pgcontrol[data]'")


def found(where: str | Path) -> Path | None:
    """The folder with a dataset's metadata, from a folder or the id of a dataset that Minari has; None: no such."""
    for folder in (Path(where), Path(where) / "data", _local() / where / "data"):
        if os.path.exists(folder / "metadata.json"):  # False in a home that is closed to this user, too
            return folder
    return None


def _local() -> Path:
    """Where Minari keeps what it has downloaded (minari.storage.datasets_root_dir, which would make the folder)."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or os.path.expanduser("~/.minari/datasets"))
