"""The run folder: config.yaml, metrics.jsonl, TensorBoard events, checkpoints/, videos/, manifest.json."""

import datetime
import functools
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pgcontrol.loggers.base import LoggedRun, Logger
from pgcontrol.machine import files, revisions
from pgcontrol.machine.locks import alone
from pgcontrol.options import InputError
from pgcontrol.parts import command, require_named, require_plugins
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config, configure, flat, nested, plugins_of, read_yaml, yaml_of

PACKAGES = ("pgcontrol", "mujoco", "gymnasium", "torch", "numpy")


class RunFolder:
    """Paths of a run, and its `manifest.json`."""

    def __init__(self, path: Path):
        self.path = path
        self.made: list[Path] = []  # parent folders that `create` made
        self.config_file = path / "config.yaml"
        self.metrics_file = path / "metrics.jsonl"
        self.manifest_file = path / "manifest.json"
        self.outcome_file = path / "outcome.json"
        self.videos = path / "videos"

    @classmethod
    def create(cls, config: Config | CloneConfig) -> Self:
        """Create the run folder of a config.

        Raises:
            InputError: it exists already (then it stays unchanged), or a logger cannot work on this machine.
        """
        catalog.require_loggers(config.logger)
        path = Path(config.run_dir) if config.run_dir else _fresh_name(config)
        if path.exists():
            run, before = (path / "config.yaml").exists(), cls(path).command("resume")
            advice = f"resume it with `{before}`, or choose another folder" if run else "choose another folder"
            raise InputError(f"run_dir {path} exists already; {advice}")
        missing = [folder for folder in path.parents if not folder.exists()]
        try:
            (path / "checkpoints").mkdir(parents=True)
        except OSError as error:
            raise InputError(f"run_dir {path}: {error.strerror or error}") from None
        folder = cls(path)
        folder.made = missing
        folder.videos.mkdir()
        folder.write_config(config)
        brought = plugins_of(config)
        folder.write_manifest(**_provenance(), **({"plugins": brought} if brought else {}), status="running")
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run folder.

        Raises:
            InputError: `path` is not a run folder; the message says what is missing.
        """
        folder = cls(path)
        if not folder.config_file.exists():
            why = "has no config.yaml" if path.exists() else "does not exist"
            raise InputError(f"{path} is not a run folder: it {why}")
        return folder

    @classmethod
    def of(cls, where: Path) -> Self:
        """The run folder `where`, or the run folder of the checkpoint `where`; see `open`."""
        return cls.open(where.parent.parent if checkpoint.is_one(where) else where)

    @contextmanager
    def alone(self) -> Generator[Self]:
        """Lock the folder for training, so that only one process writes to it. Removes what a killed process left.

        Raises:
            InputError: another process has locked it.
        """
        with alone(self.path, f"{self.path}: another process is training in this run folder"):
            files.clear(self.path)
            yield self

    def loggers(self, config: Config | CloneConfig, start: int) -> dict[str, Callable[[], Logger]]:
        """Functions that open the loggers of a run from step `start` on, by name. TensorBoard is always included."""
        table, ids = catalog.loggers(), self.manifest().get("loggers", {})
        names = dict.fromkeys(("tensorboard", *config.logger))
        settings = flat(nested(config))
        return {n: functools.partial(table[n], LoggedRun(self.path, settings, start, ids.get(n))) for n in names}

    def settings(self) -> dict[str, Any]:
        """Dotted settings from config.yaml, of a training or a clone. Both have `env`, `head` and `seed`.

        Raises:
            InputError: the file is damaged or has been edited.
        """
        settings, written = read_yaml(self.config_file), self.manifest().get("config")
        if written not in (None, files.checksum(files.plain(self.config_file).read_bytes())):
            change = f"to change settings: {self.command('resume')} --SETTING VALUE"
            raise InputError(f"{self.config_file} is not what the run wrote: its checksum differs; {change}")
        return settings

    @property
    def cloned(self) -> bool:
        """Whether the run is a clone."""
        return "dataset" in self.settings()

    def config(self) -> Config:
        """The config of the run. Raises InputError if the run is a clone."""
        require_plugins(self.manifest().get("plugins", {}), self.path)
        settings = self.settings()
        require_named(str(settings.get("env")))
        if "dataset" in settings:
            raise InputError(self.use_of_clone())
        return configure(settings)

    def use_of_clone(self) -> str:
        """One line for the user: what can be done with this clone."""
        settings = self.settings()
        then = command("train", settings["env"], "--prior", self.path, plugins=self.manifest().get("plugins", {}))
        return f"{self.path} is a clone, fitted to {settings['dataset']}; to train from it: {then}"

    def command(self, verb: str, *words: object) -> str:
        """A pgcontrol command for this run, as a user types it."""
        return command(verb, self.path, *words, plugins=self.manifest().get("plugins", {}))

    def manifest(self) -> dict[str, Any]:
        """Contents of `manifest.json`; empty if it is missing or damaged."""
        return files.read_json(self.manifest_file)

    def write_manifest(self, **values: Any) -> None:
        """Add values to `manifest.json`; the file is replaced atomically. A damaged file is kept under another name."""
        if self.manifest_file.exists() and not self.manifest():
            kept = files.free(self.manifest_file.with_name("manifest.json.damaged"), ".")
            self.manifest_file.rename(kept)
            warnings.warn(f"{self.manifest_file} is damaged; it is kept as {kept.name}", stacklevel=2)
        files.write_json(self.manifest_file, self.manifest() | values)

    def write_config(self, config: Config | CloneConfig) -> None:
        """Write `config.yaml`, and add its checksum to the manifest."""
        files.replace({self.config_file: (text := yaml_of(config))})
        self.write_manifest(config=files.checksum(text))

    def discard(self) -> None:
        """Remove the folder of a run that never began, and the parent folders that `create` made."""
        shutil.rmtree(self.path)
        for folder in self.made:
            with suppress(OSError):  # it holds other files by now
                folder.rmdir()

    def forget(self, *names: str) -> None:
        """Remove files whose names start with one of `names`, because they describe an earlier state of the run."""
        for file in self.path.iterdir():
            if file.name.startswith(names) and file.is_file():
                file.unlink()

    def checkpoint(self, steps: int) -> Path:
        """The checkpoint folder for an environment step."""
        return self.path / "checkpoints" / f"step_{steps:09d}"


def _fresh_name(config: Config | CloneConfig) -> Path:
    task = re.sub(r"[^\w.-]+", "_", config.env)[:100]
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return files.free(Path("runs") / task / f"{config.head.name}-{config.method}-s{config.seed}-{stamp}", "-")


@functools.cache
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def _provenance() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | _versions(),
        "host": {"name": platform.node(), "machine": platform.machine(), "cores": os.cpu_count()},
        "git": revisions.revision(),
    }
