"""Checkpoints: folders with tensors, inside the run folder."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from pgcontrol.machine import files, tensors
from pgcontrol.machine.locks import taken
from pgcontrol.machine.tensors import MEMORY, load_memory, load_meta, save
from pgcontrol.options import InputError
from pgcontrol.parts import command

__all__ = ["MEMORY", "find", "latest", "load", "load_memory", "load_meta", "save", "set_aside", "steps_of"]


def steps_of(folder: Path) -> int:
    """The environment step, from the name of a checkpoint folder."""
    return int(folder.name.removeprefix("step_"))


def is_one(where: Path) -> bool:
    """Whether a folder is a checkpoint."""
    return (where / "meta.json").exists()


def find(where: Path) -> list[Path]:
    """Checkpoint folders of a run folder, the oldest first."""
    named = [f for f in (where / "checkpoints").glob("step_*") if f.name.removeprefix("step_").isdigit()]
    return sorted(named, key=steps_of)


def latest(where: Path) -> Path:
    """The newest checkpoint of a run folder, or `where` itself if it is a checkpoint.

    Raises:
        InputError: there is no checkpoint; the message says what was found.
    """
    if is_one(where):
        return where
    if not where.exists():
        raise InputError(f"{where}: no such run or checkpoint folder")
    found = find(where)
    if not found:
        if taken(where):
            raise InputError(f"{where} holds no checkpoint yet: the run is still training")
        what = "the run stopped before its first one" if (where / "config.yaml").exists() else "it is not a run folder"
        raise InputError(f"{where} holds no checkpoint: {what}")
    return found[-1]


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a checkpoint; see `pgcontrol.machine.tensors.load`.

    Raises:
        InputError: it is missing or damaged; the message names the run's newest intact checkpoint before it.
    """
    try:
        return tensors.load(folder)
    except InputError as error:
        older = [other for other in find(folder.parent.parent) if steps_of(other) < steps_of(folder)]
        for whole in reversed(older):
            with suppress(InputError):
                resume = command("resume", whole, plugins=tensors.load(whole)[1].get("plugins", {}))
                break
        else:
            raise
        raise InputError(f"{error}; an older checkpoint is intact: {resume}") from None


def set_aside(folders: list[Path]) -> None:
    """Rename checkpoints so that the run no longer uses them, because it is resumed from an earlier one."""
    for folder in folders:
        folder.rename(files.free(folder.with_name(f"{folder.name}.aside"), "."))
