"""A cell: one run of a sweep, and what identifies it."""

import functools
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pgcontrol.options import InputError
from pgcontrol.runs.config import TRACELESS, Config, configure, flat, nested, with_arguments
from pgcontrol.text import typed
from pgcontrol.training import peer

DIFFERENCES = 3  # largest number of settings that are named if two runs differ


class Key(NamedTuple):
    """The identity of a run in a sweep.

    Attributes:
        arm: name of its settings.
    """

    env: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Name for folders; characters other than letters, digits and `_ . = -` become a dash."""
        return re.sub(r"[^\w.=-]+", "-", f"{self.env}-{self.arm}-s{self.seed}")


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        settings: settings of the YAML and its search for this run, by dotted name.
        origins: source of each of them: `search`, `settings`, `arm` or `grid`, by dotted name.
        episodes: number of episodes that score its final policy; 0: it is not scored.
    """

    key: Key
    settings: dict[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    episodes: int = 0

    @functools.cached_property
    def config(self) -> Config:
        """The settings, checked, with defaults for the rest.

        Raises:
            InputError: a setting is invalid; names the arm and the task.
        """
        with naming(self.key):
            config = configure(self.settings)
            if config.peer != "none":
                peer.check(config)
            return config

    @property
    def name(self) -> str:
        """Name of its run folder."""
        return self.key.name

    def run(self) -> dict[str, Any]:
        """All settings of the run, including defaults, dotted: cells with equal settings are the same run."""
        return run_of(self.config)


@contextmanager
def naming(key: Key) -> Generator[None]:
    """Add the arm and the task to the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"arm {key.arm!r} on {key.env}: {error}") from None


def command(settings: Mapping[str, Any], folder: Path, threads: int = 1) -> list[str]:
    """Arguments of `pgcontrol` that train with these settings into a folder; they may override `threads`."""
    given: dict[str, Any] = {"threads": threads, **with_arguments(settings), "run_dir": str(folder)}
    env = str(given.pop("env"))
    return ["train", env, *(word for key, value in given.items() for word in (f"--{key}", typed(value)))]


def run_of(config: Config) -> dict[str, Any]:
    """The settings that identify a run, dotted: all but `TRACELESS`, and those of a prior only if it has one.

    For a peer's run, only the settings that the peer uses.
    """

    def counts(key: str) -> bool:
        return key not in TRACELESS and (config.prior is not None or not key.startswith("prior_"))

    every = {key: value for key, value in flat(nested(config)).items() if counts(key)}
    return every if config.peer == "none" else {k: v for k, v in every.items() if k in peer.HEARD[config.peer]}


def difference(one: Mapping[str, Any], other: Mapping[str, Any], word: str) -> str:
    """Text on a few settings in which two runs differ: the value of `one`, then `word` and the value of `other`."""
    here, there = ({key: typed(value) for key, value in settings.items()} for settings in (one, other))
    keys = [key for key in here | there if here.get(key) != there.get(key)]
    parts = [f"{key} {here.get(key, 'unset')}, {word} {there.get(key, 'unset')}" for key in keys]
    return "; ".join(parts[:DIFFERENCES] + ["..."] * (len(parts) > DIFFERENCES))
