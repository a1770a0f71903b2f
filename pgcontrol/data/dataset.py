"""Minari datasets in a folder of their own, read and written an episode at a time."""

import copy
import importlib.metadata
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import gymnasium
import numpy as np
import pgcontrol_envs
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from pgcontrol_envs.gym_names import GymName
from pgcontrol_envs.to_gymnasium import register

from pgcontrol.options import InputError
from pgcontrol.text import one_line

if TYPE_CHECKING:
    from minari.dataset.minari_storage import MinariStorage

OURS = "pgcontrol"  # the key of the metadata under which a dataset of our own says how it was made


class Episode(NamedTuple):
    """One episode of L steps.

    Attributes:
        obs: [L + 1, O] float64: the final one among them.
        action: [L, A] float32, in the task's bounds.
        reward: [L].
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: bool
    truncated: bool


class Dataset:
    """A Minari dataset with Box spaces, of which any may be flattened.

    Attributes:
        low, high: bounds of the actions [A].
    """

    def __init__(self, where: str | Path):
        """Open it.

        Args:
            where: its folder (or the one whose `data` it is), or the id of a dataset that Minari has on this machine.

        Raises:
            InputError: no dataset, or one that a policy cannot learn from; one line that says why.
        """
        require()
        import minari

        self.where = str(where)
        folder = found(where)
        if folder is None:
            raise InputError(f"{where}: no Minari dataset there, and none of that id in {_local()}")
        with _undamaged(self.where):
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
        """Every episode, one after the other.

        Raises:
            InputError: arrays that do not fit together, infinite or NaN numbers, or actions beyond the bounds.
        """
        room = 1e-4 * (self.high - self.low)
        for episode in self._episodes():
            name, steps = f"{self.where}: episode {episode.id}", len(episode.rewards)
            obs = np.asarray(episode.observations, np.float64).reshape(len(episode.observations), -1)
            action = np.asarray(episode.actions, np.float32).reshape(len(episode.actions), -1)
            expected = ((steps + 1, self.obs_size), (steps, len(self.low)))
            if (obs.shape, action.shape) != expected or not steps:
                raise InputError(f"{name}: {steps} rewards, observations {obs.shape}, actions {action.shape}")
            if not (np.isfinite(obs).all() and np.isfinite(action).all() and np.isfinite(episode.rewards).all()):
                raise InputError(f"{name}: infinite or NaN numbers")
            if (action < self.low - room).any() or (action > self.high + room).any():
                raise InputError(f"{name}: actions up to {np.abs(action).max():g}, beyond the task's bounds")
            reward, ends = np.asarray(episode.rewards, np.float64), (episode.terminations, episode.truncations)
            yield Episode(obs, action.clip(self.low, self.high), reward, *(bool(end[-1]) for end in ends))

    def routes(self) -> Counter[str]:
        """How many episodes took each of the task's routes; empty where the dataset does not say."""
        about = self._minari.storage.get_episode_metadata(self._minari.episode_indices)
        return Counter(str(one["route"]) for one in about if one.get("route"))

    def _episodes(self) -> Iterator[Any]:
        with _undamaged(self.where):  # what is raised where an episode is used does not come by here
            yield from self._minari.iterate_episodes()


@contextmanager
def _undamaged(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damaged files end in whatever the libraries below raise
        raise InputError(f"{where} is a damaged dataset: {type(error).__name__}: {one_line(error)}") from None


def _spec(env_id: str) -> EnvSpec | None:
    """By which Minari can make the environment again; None where Gymnasium cannot write it down."""
    if not env_id.startswith("gym:"):
        register(pgcontrol_envs.catalog())  # those of plug-ins, too
        return gymnasium.spec(f"pgcontrol/{env_id}")
    name = GymName.parse(env_id)
    spec = copy.deepcopy(gymnasium.spec(name.id))
    spec.kwargs |= name.args
    spec.max_episode_steps = spec.kwargs.pop("max_episode_steps", spec.max_episode_steps)
    try:
        spec.to_json()
    except (TypeError, ValueError):  # of a class, where text would name it
        return None
    return spec


@dataclass
class Writer:
    """A dataset that grows; whatever ends the program between two calls of `add`, it is whole and readable."""

    storage: "MinariStorage"

    @classmethod
    def create(
        cls, folder: Path, env_id: str, low: np.ndarray, high: np.ndarray, obs_size: int, notes: Mapping[str, Any]
    ) -> Self:
        """An empty dataset in a new folder; `notes` (JSON values) say how it is made, `notes["env"]` our task."""
        from minari.dataset.minari_storage import MinariStorage

        folder = folder.resolve()  # Minari joins a relative one to itself
        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        spec = _spec(env_id)
        beside.mkdir(parents=True)
        obs, action = Box(-np.inf, np.inf, (obs_size,), np.float64), Box(low, high, low.shape, np.float32)
        storage = MinariStorage.new(beside, observation_space=obs, action_space=action, env_spec=spec)
        name = re.sub(r"[^-\w]+", "-", folder.name)
        about = {"dataset_id": f"pgcontrol/{name}-v0", "minari_version": importlib.metadata.version("minari")}
        about |= {"algorithm_name": str(notes.get("algorithm", ""))}
        storage.update_metadata(about | {OURS: dict(notes)})
        beside.rename(folder)
        return cls(MinariStorage.read(folder))

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Go on with a dataset; what a killed process left half written is dropped.

        Raises:
            InputError: no dataset of ours, or a damaged one.
        """
        import h5py
        from minari.dataset.minari_storage import MinariStorage

        try:
            storage = MinariStorage.read(folder.resolve())
            storage.metadata[OURS]
            with h5py.File(folder / "main_data.hdf5", "a") as file:
                for name in list(file):
                    if int(name.removeprefix("episode_")) >= storage.total_episodes:
                        del file[name]
        except Exception as error:
            why = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{folder} exists and is no dataset to go on with ({why}); name another") from None
        return cls(storage)

    @property
    def notes(self) -> dict[str, Any]:
        """What `create` was told."""
        return self.storage.metadata[OURS]

    def __len__(self) -> int:
        return self.storage.total_episodes

    def add(self, episodes: Sequence[Episode], about: Sequence[Mapping[str, Any]]) -> None:
        """Append episodes, each with a few words about it (numbers and texts)."""
        from minari.data_collector import EpisodeBuffer

        numbers = range(len(self), len(self) + len(episodes))
        buffers = []
        for number, (obs, action, reward, terminated, truncated) in zip(numbers, episodes, strict=True):
            last = np.arange(len(reward)) == len(reward) - 1
            arrays: Any = (obs, action, reward, last & terminated, last & truncated)
            buffers.append(EpisodeBuffer(number, None, None, *arrays))  # without seed and options
        self.storage.update_episodes(buffers)
        self.storage.update_episode_metadata(map(dict, about), numbers)


def require() -> None:
    """Make sure that Minari is installed; InputError says how to get it."""
    for name in ("minari", "h5py"):
        if find_spec(name) is None:
            raise InputError(f"datasets need {name}: pip install 'pgcontrol[data]'")


def found(where: str | Path) -> Path | None:
    """The folder with a dataset's metadata, from a folder or the id of a dataset that Minari has; None: no such."""
    for folder in (Path(where), Path(where) / "data", _local() / where / "data"):
        if (folder / "metadata.json").exists():
            return folder
    return None


def _local() -> Path:
    """Where Minari keeps what it has downloaded (minari.storage.datasets_root_dir, which would make the folder)."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")
