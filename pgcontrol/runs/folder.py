"""The run folder: config.yaml, metrics.jsonl, TensorBoard events, checkpoints/, videos/, manifest.json."""

import datetime
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pgcontrol.loggers.base import LoggedRun, Logger
from pgcontrol.machine import files
from pgcontrol.machine.locks import alone
from pgcontrol.options import InputError
from pgcontrol.parts import command, require_named, require_plugins
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.cloning import CloneConfig
from pgcontrol.runs.config import Config, configure, flat, nested, plugins_of, read_yaml, yaml_of

PACKAGES = ("pgcontrol", "mujoco", "gymnasium", "torch", "numpy")


class RunFolder:
    """Paths of a run and the few words about it in `manifest.json`."""

    def __init__(self, path: Path):
        self.path = path
        self.made: list[Path] = []  # the folders around it that were made for it
        self.config_file = path / "config.yaml"
        self.metrics_file = path / "metrics.jsonl"
        self.manifest_file = path / "manifest.json"
        self.outcome_file = path / "outcome.json"
        self.videos = path / "videos"

    @classmethod
    def create(cls, config: Config | CloneConfig) -> Self:
        """Make the folder a config asks for.

        Raises:
            InputError: it exists already, and nothing in it is touched; or a logger of the config cannot work here.
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
            InputError: it is none; says what is missing.
        """
        folder = cls(path)
        if not folder.config_file.exists():
            why = "has no config.yaml" if path.exists() else "does not exist"
            raise InputError(f"{path} is not a run folder: it {why}")
        return folder

    @classmethod
    def of(cls, where: Path) -> Self:
        """The run folder `where`, or the one that the checkpoint `where` belongs to; see `open`."""
        return cls.open(where.parent.parent if checkpoint.is_one(where) else where)

    @contextmanager
    def alone(self) -> Generator[Self]:
        """This folder, for who trains in it: two at a time would write over each other. Clears what a killed one left.

        Raises:
            InputError: another process does.
        """
        with alone(self.path, f"{self.path}: another process is training in this run folder"):
            files.clear(self.path)
            yield self

    def loggers(self, config: Config | CloneConfig, start: int) -> dict[str, Callable[[], Logger]]:
        """What opens each logger of a run that goes on from step `start`, by name; TensorBoard is always one."""
        table, ids = catalog.loggers(), self.manifest().get("loggers", {})
        names = dict.fromkeys(("tensorboard", *config.logger))
        settings = flat(nested(config))
        return {n: functools.partial(table[n], LoggedRun(self.path, settings, start, ids.get(n))) for n in names}

    def settings(self) -> dict[str, Any]:
        """What config.yaml says, of a training or of a clone; both have an `env`, a `head` and a `seed`.

        Raises:
            InputError: it is damaged, or somebody has changed it.
        """
        settings, written = read_yaml(self.config_file), self.manifest().get("config")
        if written not in (None, files.checksum(files.plain(self.config_file).read_bytes())):
            change = f"to change settings: {self.command('resume')} --SETTING VALUE"
            raise InputError(f"{self.config_file} is not what the run wrote: its checksum differs; {change}")
        return settings

    @property
    def cloned(self) -> bool:
        """Whether it was fitted to a dataset, not trained."""
        return "dataset" in self.settings()

    def config(self) -> Config:
        """The config as run; InputError when it is a clone's."""
        require_plugins(self.manifest().get("plugins", {}), self.path)
        settings = self.settings()
        require_named(str(settings.get("env")))
        if self.cloned:
            raise InputError(self.use_of_clone())
        return configure(settings)

    def use_of_clone(self) -> str:
        """What can be done with the clone that is here, in one line."""
        settings = self.settings()
        then = command("train", settings["env"], "--prior", self.path, plugins=self.manifest().get("plugins", {}))
        return f"{self.path} is a clone, fitted to {settings['dataset']}; to train from it: {then}"

    def command(self, verb: str, *words: object) -> str:
        """A command about this run, as a user types it."""
        return command(verb, self.path, *words, plugins=self.manifest().get("plugins", {}))

    def manifest(self) -> dict[str, Any]:
        """What `manifest.json` says, or nothing when it is missing or damaged."""
        return files.read_json(self.manifest_file)

    def write_manifest(self, **values: Any) -> None:
        """Add to `manifest.json`, replacing it whole. A damaged one is kept under another name."""
        if self.manifest_file.exists() and not self.manifest():
            kept = files.free(self.manifest_file.with_name("manifest.json.damaged"), ".")
            self.manifest_file.rename(kept)
            warnings.warn(f"{self.manifest_file} is damaged; it is kept as {kept.name}", stacklevel=2)
        files.write_json(self.manifest_file, self.manifest() | values)

    def write_config(self, config: Config | CloneConfig) -> None:
        """Write `config.yaml`, and its checksum into the manifest."""
        files.replace({self.config_file: (text := yaml_of(config))})
        self.write_manifest(config=files.checksum(text))

    def discard(self) -> None:
        """Remove the folder of a run that never began, and those that were made for it."""
        shutil.rmtree(self.path)
        for folder in self.made:
            with suppress(OSError):  # it has become the home of others
                folder.rmdir()

    def forget(self, *names: str) -> None:
        """Remove files of the folder that begin so: they speak of an earlier state of the run."""
        for file in self.path.iterdir():
            if file.name.startswith(names) and file.is_file():
                file.unlink()

    def checkpoint(self, steps: int) -> Path:
        """The folder of the checkpoint at an environment step."""
        return self.path / "checkpoints" / f"step_{steps:09d}"


def _fresh_name(config: Config | CloneConfig) -> Path:
    task = re.sub(r"[^\w.-]+", "_", config.env)[:100]
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return files.free(Path("runs") / task / f"{config.head.name}-{config.method}-s{config.seed}-{stamp}", "-")


def _provenance() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "host": {"name": platform.node(), "machine": platform.machine(), "cores": os.cpu_count()},
        "git": _git_revision(),
    }


def _git_revision() -> str | None:
    """Revision of the source tree the package runs from, `+` behind it when the tree has changes; None outside git."""
    here = Path(__file__).parent
    code = (str(here.parent), str(here.parents[1] / "envs"))  # results of experiments change while runs are made

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, timeout=5, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *code)
        return git("rev-parse", "HEAD").strip() + "+" * bool(changed)
    except (OSError, subprocess.SubprocessError):
        return None
