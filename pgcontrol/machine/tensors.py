"""Folders of tensors (safetensors) and everything else (JSON). No pickle."""

import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from pgcontrol.options import InputError
from pgcontrol.text import one_line

SCHEMA = 1  # raised when a checkpoint's layout changes; an older one is then refused by name, not misread
MEMORY = "memory.safetensors"  # what only a resume needs; in the newest checkpoint of a run alone


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, their names behind a prefix: the inverse of `under`."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def save(
    folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], memory: Mapping[str, Tensor] | None = None
) -> None:
    """Write beside, then rename into place: a reader finds a whole checkpoint or none.

    `memory` is what only a resume needs, and large (a replay): a file of its own, which older checkpoints then lose.

    Raises:
        OSError: the disk does not take it; an older checkpoint there stays.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    for left in [beside, *folder.parent.glob(".step_*.*")]:  # of a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        whole = {k: v.contiguous().clone() for k, v in tensors.items()}
        safetensors.torch.save_file(whole, beside / "tensors.safetensors")
        if memory:
            safetensors.torch.save_file(dict(memory), beside / MEMORY)
    except safetensors.SafetensorError as error:  # its own way to say that a disk is full
        raise OSError(f"{folder}: {error}") from None
    said = {"schema": SCHEMA, **meta} | ({"memory": True} if memory else {})
    (beside / "meta.json").write_text(json.dumps(said, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    for other in folder.parent.glob(f"step_*/{MEMORY}") if memory else ():
        if other.parent != folder:
            other.unlink()


def load(folder: Path, what: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read one checkpoint folder, or another of the same layout; messages call it `what`.

    Returns:
        Tensors by dotted names (`policy.theta`, `rule.moment1`, ...), and JSON values: counters, what the policy is
        made of, ...

    Raises:
        InputError: missing, damaged, or of another layout; one line that says which.
    """
    meta = load_meta(folder, what)
    with _readable(folder, what):
        return safetensors.torch.load_file(folder / "tensors.safetensors"), meta


def load_meta(folder: Path, what: str = "checkpoint") -> dict[str, Any]:
    """What is not tensors; see `load`."""
    with _readable(folder, what):
        meta = json.loads((folder / "meta.json").read_text())
        schema = meta.pop("schema")
    if schema != SCHEMA:
        raise InputError(f"{folder} was written with {what} schema {schema}; this pgcontrol reads schema {SCHEMA}")
    return meta


def load_memory(folder: Path, meta: Mapping[str, Any]) -> dict[str, Tensor]:
    """What `save` was given as `memory`; `meta` is the checkpoint's.

    Raises:
        InputError: it was removed, or is damaged.
    """
    if not meta.get("memory"):
        return {}
    if not (file := folder / MEMORY).exists():
        why = f"{MEMORY} is missing, which only a run's newest checkpoint keeps"
        raise InputError(f"{folder} can be played but not resumed: {why}")
    with _readable(file, "file of tensors"):
        return safetensors.torch.load_file(file)


@contextmanager
def _readable(folder: Path, what: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        missing = Path(error.filename or "tensors.safetensors").name
        raise InputError(f"{folder} is no {what}: {missing} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError, OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{folder} is no {what}, or a damaged one: {one_line(error)}") from None
