"""Checkpoints: folders of tensors, and where a run keeps them."""

from pathlib import Path

from pgcontrol.machine.locks import taken
from pgcontrol.machine.tensors import MEMORY, load, load_memory, load_meta, save
from pgcontrol.options import InputError

__all__ = ["MEMORY", "find", "latest", "load", "load_memory", "load_meta", "save", "steps_of"]


def steps_of(folder: Path) -> int:
    """The environment step in a checkpoint folder's name."""
    return int(folder.name.removeprefix("step_"))


def find(where: Path) -> list[Path]:
    """Checkpoint folders of a run folder, oldest first."""
    named = [f for f in (where / "checkpoints").glob("step_*") if f.name.removeprefix("step_").isdigit()]
    return sorted(named, key=steps_of)


def latest(where: Path) -> Path:
    """A run folder's newest checkpoint, or `where` itself when it is one.

    Raises:
        InputError: there is none; says what the path is instead.
    """
    if (where / "meta.json").exists():
        return where
    if not where.exists():
        raise InputError(f"{where}: no such run or checkpoint folder")
    found = find(where)
    if not found:
        if taken(where):
            raise InputError(f"{where} holds no checkpoint yet: it is in training, and its first is still to come")
        what = "the run stopped before its first" if (where / "config.yaml").exists() else "it is no run folder"
        raise InputError(f"{where} holds no checkpoint: {what}")
    return found[-1]
