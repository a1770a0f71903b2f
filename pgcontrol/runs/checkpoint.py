"""Checkpoints: where a run keeps them, and what only a resume needs of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from pgcontrol.machine.tensors import MEMORY
from pgcontrol.machine.tensors import load as load  # a checkpoint is such a folder
from pgcontrol.machine.tensors import load_meta as load_meta
from pgcontrol.machine.tensors import save as save
from pgcontrol.options import InputError


def load_memory(folder: Path, meta: Mapping[str, Any]) -> dict[str, Tensor]:
    """What `save` was given as `memory`; `meta` is the checkpoint's.

    Raises:
        InputError: it was removed, or is damaged.
    """
    if not meta.get("memory"):
        return {}
    try:
        return safetensors.torch.load_file(folder / MEMORY)
    except FileNotFoundError:
        raise InputError(
            f"{folder} can be played but not resumed: {MEMORY} is missing, which only a run's newest checkpoint keeps"
        ) from None
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{folder / MEMORY} is damaged: {' '.join(str(error).split())[:120]}") from None


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
        what = "the run stopped before its first" if (where / "config.yaml").exists() else "it is no run folder"
        raise InputError(f"{where} holds no checkpoint: {what}")
    return found[-1]
