"""A Minari dataset that can grow, and that survives a kill or a full disk at any moment.

Minari keeps all episodes in one HDF5 file, and a process that dies while it writes to such a file makes it unreadable.
Here each call of `add` writes a new file. The file that Minari reads only contains links to the episodes; it is small
and is replaced atomically. So is the JSON file that counts the episodes.
"""

import copy
import importlib.metadata
import io
import json
import os
import re
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import gymnasium
import numpy as np
import pgcontrol_envs
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from pgcontrol_envs.names import GymName, split
from pgcontrol_envs.to_gymnasium import gymnasium_id, register

from pgcontrol.machine import files
from pgcontrol.machine.locks import alone
from pgcontrol.options import InputError
from pgcontrol.text import one_line

if TYPE_CHECKING:
    import h5py

OURS = "pgcontrol"  # key in the metadata for the description of our own datasets
MAIN = "main_data.hdf5"  # the file that Minari reads
INSIDE = "episodes_minari.hdf5"  # copy of the main file of a dataset that kept its episodes there
METADATA = "metadata.json"
SEALED = ("observation_space", "action_space", "env_spec", OURS)  # metadata that the checksum covers
ARRAYS = ("observations", "actions", "rewards", "terminations", "truncations")  # of an episode, with Minari's names


class Episode(NamedTuple):
    """One episode of L steps.

    Attributes:
        obs: [L + 1, O] float64, including the final one.
        action: [L, A] float32, within the task's bounds.
        reward: [L].
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: bool
    truncated: bool


def episode_checksum(arrays: Iterable[Any], about: Mapping[str, Any]) -> str:
    """Checksum of an episode's arrays, in the order of `ARRAYS`, and of its metadata."""
    words = {name: getattr(value, "item", lambda value=value: value)() for name, value in about.items()}
    content = [np.ascontiguousarray(array) for array in arrays]
    shapes = json.dumps([[array.shape, str(array.dtype)] for array in content])
    said = json.dumps(words, sort_keys=True)
    return files.checksum(b"".join(array.tobytes() for array in content) + (shapes + said).encode())


def metadata_checksum(metadata: Mapping[str, Any]) -> str:
    """Checksum of the metadata about a dataset's episodes, as stored in the file."""
    ours = {name: value for name, value in metadata[OURS].items() if name != files.CHECKSUM}
    return files.checksum(json.dumps([ours if name == OURS else metadata.get(name) for name in SEALED]))


def require_written(metadata: Mapping[str, Any]) -> None:
    """Check the checksum of a dataset's metadata, if it has one; raises ValueError."""
    written = metadata.get(OURS, {}).get(files.CHECKSUM)
    if written is not None and written != metadata_checksum(metadata):
        raise ValueError(f"{METADATA} is not what was written: its checksum differs")


def _spec(env_id: str) -> EnvSpec | None:
    """The spec with which Minari can make the environment again; None if it cannot be written as JSON."""
    register(pgcontrol_envs.catalog())  # includes tasks of plug-ins
    name, args = split(env_id)
    spec = copy.deepcopy(gymnasium.spec(GymName.parse(env_id).id if name.startswith("gym:") else gymnasium_id(name)))
    spec.kwargs |= args
    spec.max_episode_steps = spec.kwargs.pop("max_episode_steps", spec.max_episode_steps)
    try:
        spec.to_json()
    except (TypeError, ValueError):  # an argument is an object that JSON cannot hold
        return None
    return spec


@dataclass
class Writer:
    """A dataset that grows. It is always complete on disk, with all episodes of finished calls of `add`.

    Only one process at a time may write to it.
    """

    folder: Path

    @classmethod
    def create(
        cls, folder: Path, env_id: str, low: np.ndarray, high: np.ndarray, obs_size: int, notes: Mapping[str, Any]
    ) -> Self:
        """A new, empty dataset; `notes` (JSON values) describe how it is made; `notes["env"]` is our task."""
        from minari.dataset.minari_storage import MinariStorage

        folder = folder.resolve()  # Minari handles relative paths incorrectly
        with _draft(folder) as draft:
            obs, action = Box(-np.inf, np.inf, (obs_size,), np.float64), Box(low, high, low.shape, np.float32)
            storage = MinariStorage.new(draft, observation_space=obs, action_space=action, env_spec=_spec(env_id))
            name = re.sub(r"[^-\w]+", "-", folder.name)
            about = {"dataset_id": f"pgcontrol/{name}-v0", "minari_version": importlib.metadata.version("minari")}
            storage.update_metadata(about | {"algorithm_name": str(notes.get("algorithm", "")), OURS: dict(notes)})
            metadata = json.loads((draft / METADATA).read_text("utf-8"))
            metadata[OURS][files.CHECKSUM] = metadata_checksum(metadata)
            files.replace({draft / METADATA: json.dumps(metadata), draft / MAIN: _main({})})
            draft.rename(folder)
        return cls(folder)

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Continue a dataset.

        Raises:
            InputError: it is not one of our datasets, or it is damaged.
        """
        import h5py

        writer = cls(folder.resolve())
        try:
            metadata = writer._metadata()
            metadata[OURS]  # KeyError if it is not one of ours
            require_written(metadata)
            with h5py.File(writer.folder / MAIN, "r") as main:  # read after the metadata, because it may grow
                missing = [name for name in map(_name, range(metadata["total_episodes"])) if name not in main]
            if missing:
                raise ValueError(f"{MAIN} has no {missing[0]}")
        except Exception as error:  # the libraries raise various errors
            why = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{folder} exists and is not a dataset to continue ({why}); choose another") from None
        return writer

    @property
    def notes(self) -> dict[str, Any]:
        """The notes that were passed to `create`."""
        return {name: value for name, value in self._metadata()[OURS].items() if name != files.CHECKSUM}

    def __len__(self) -> int:
        return int(self._metadata()["total_episodes"])

    def add(self, episodes: Sequence[Episode], about: Sequence[Mapping[str, Any]]) -> None:
        """Append episodes, each with metadata (numbers and strings).

        Raises:
            OSError: the disk is full; the dataset stays as it was.
        """
        metadata = self._metadata()
        first = int(metadata["total_episodes"])
        for left in self.folder.glob(".*.*.*"):  # left by a process that was killed while writing
            left.unlink()
        part, links = f"episodes_{first:06d}.hdf5", self._links(first)
        for number in range(first, first + len(episodes)):
            links[_name(number)] = part
        metadata["total_episodes"] = first + len(episodes)
        metadata["total_steps"] += sum(len(episode.reward) for episode in episodes)
        contents = {part: _part(first, episodes, about), MAIN: _main(links)}
        size = sum(f.stat().st_size for f in self.folder.iterdir()) + len(contents[part])
        metadata["dataset_size"] = round(size / 1e6, 1)
        # in this order, so that a concurrent reader finds all episodes that the metadata counts
        written = contents | {METADATA: json.dumps(metadata)}
        files.replace({self.folder / name: content for name, content in written.items()})

    def _metadata(self) -> dict[str, Any]:
        return json.loads(files.read_text(self.folder / METADATA))

    def _links(self, count: int) -> dict[str, str]:
        """The file of each of the first episodes, by the episode's name.

        If a dataset keeps its episodes in the main file, as Minari does, they are copied to another file first.
        """
        import h5py

        with h5py.File(self.folder / MAIN, "r") as main:
            found = {name: main.get(name, getlink=True) for name in map(_name, range(count))}
        if any(isinstance(link, h5py.HardLink) for link in found.values()):
            shutil.copyfile(self.folder / MAIN, self.folder / INSIDE)
        return {name: getattr(link, "filename", INSIDE) for name, link in found.items()}


@contextmanager
def _draft(folder: Path) -> Generator[Path]:
    """A new folder that will be renamed to `folder`; removes such folders of killed processes."""
    for left in folder.parent.glob(".*.*"):
        if left.stem == f".{folder.name}" and left.suffix[1:].isdigit():
            with suppress(InputError), alone(left, "in work"):
                shutil.rmtree(left)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        with alone(draft, "in work"):
            yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # no longer exists if it was renamed


def _main(links: Mapping[str, str]) -> bytes:
    """The content of an HDF5 file with links to episodes in other files of its folder, by name."""
    import h5py

    with h5py.File(content := io.BytesIO(), "w") as file:
        for name, part in links.items():
            file[name] = h5py.ExternalLink(part, f"/{name}")
    return content.getvalue()


def _part(first: int, episodes: Iterable[Episode], about: Iterable[Mapping[str, Any]]) -> bytes:
    """The content of an HDF5 file with episodes."""
    import h5py

    with h5py.File(content := io.BytesIO(), "w") as file:
        for number, (episode, said) in enumerate(zip(episodes, about, strict=True), start=first):
            _write(file.create_group(_name(number)), number, episode, said)
    return content.getvalue()


def _write(group: "h5py.Group", number: int, episode: Episode, about: Mapping[str, Any]) -> None:
    """Write an episode in Minari's layout."""
    last = np.arange(len(episode.reward)) == len(episode.reward) - 1
    ends = last & episode.terminated, last & episode.truncated
    arrays = dict(zip(ARRAYS, (episode.obs, episode.action, episode.reward, *ends), strict=True))
    for name, array in arrays.items():
        group.create_dataset(name, data=array, chunks=True, maxshape=(None, *array.shape[1:]))
    group.attrs.update({"id": number, "total_steps": len(episode.reward), **about})
    group.attrs[files.CHECKSUM] = episode_checksum(arrays.values(), about)


def _name(number: int) -> str:
    return f"episode_{number}"
