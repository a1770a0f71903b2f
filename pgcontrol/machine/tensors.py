"""Folders with tensors (safetensors) and other values (JSON). No pickle."""

import hashlib
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

from pgcontrol.machine import files
from pgcontrol.options import InputError
from pgcontrol.text import one_line

SCHEMA = 2  # increased when a checkpoint's layout changes
UNSEALED = 1  # the old layout without checksums, which can be read as well; other layouts are refused
TENSORS = "tensors.safetensors"
MEMORY = "memory.safetensors"  # needed only for a resume; only in the newest checkpoint of a run


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix before their names: the inverse of `under`."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names have a prefix, without the prefix."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def save(
    folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], memory: Mapping[str, Tensor] | None = None
) -> None:
    """Write a folder under a temporary name, then rename it: a reader finds a complete checkpoint or none.

    `memory` is large and only needed for a resume (a replay). It is a separate file, which older checkpoints then lose.

    Raises:
        OSError: the disk is full. An older checkpoint of this name is kept, and partial files are removed.
    """
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    for left in [draft, *folder.parent.glob(".step_*.*")]:  # left by killed processes
        shutil.rmtree(left, ignore_errors=True)
    contents = {TENSORS: tensors} | ({MEMORY: memory} if memory else {})
    draft.mkdir(parents=True)
    try:
        for name, held in contents.items():
            safetensors.torch.save_file({k: v.to("cpu", copy=True).contiguous() for k, v in held.items()}, draft / name)
            (draft / name).chmod(draft.stat().st_mode & 0o666)  # as the umask says; the library uses 0600
            files.flush(draft / name)
        sums = {name: _digest(draft / name) for name in contents}
        said = {"schema": SCHEMA, **meta, "checksums": sums} | ({"memory": True} if memory else {})
        files.write_json(draft / "meta.json", said)
        _put(draft, folder)
    except BaseException as error:
        needed = sum(t.nbytes for held in contents.values() for t in held.values())
        shutil.rmtree(draft, ignore_errors=True)  # frees its space
        if isinstance(error, OSError | safetensors.SafetensorError):  # the latter also means "disk full"
            raise OSError(f"{folder}: cannot write {needed / 1e6:.1f} MB: {one_line(error)}") from None
        raise
    for other in folder.parent.glob(f"step_*/{MEMORY}") if memory else ():
        if other.parent != folder:
            other.unlink()


def _put(draft: Path, folder: Path) -> None:
    """Rename a folder; an existing one of that name is removed after the new one is in place."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    files.flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, what: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint folder, or another folder with the same layout; messages call it `what`.

    Returns:
        Tensors by dotted names (`policy.theta`, `rule.moment1`, ...), and JSON values: counters, the policy's
        specification, ...

    Raises:
        InputError: it is missing, damaged, or has another layout; one line says which.
    """
    meta, checksums = _meta(folder, what)
    return _tensors(folder, TENSORS, checksums, what), meta


def load_meta(folder: Path, what: str = "checkpoint") -> dict[str, Any]:
    """The JSON values; see `load`."""
    return _meta(folder, what)[0]


def load_memory(folder: Path) -> dict[str, Tensor]:
    """The `memory` that was passed to `save`.

    Raises:
        InputError: it was removed, or is damaged.
    """
    meta, checksums = _meta(folder, "checkpoint")
    if not meta.get("memory"):
        return {}
    if not (folder / MEMORY).exists():
        why = f"{MEMORY} is missing; only a run's newest checkpoint keeps it"
        raise InputError(f"{folder} can be played but not resumed: {why}")
    return _tensors(folder, MEMORY, checksums, "checkpoint")


def _meta(folder: Path, what: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The JSON values, and the checksums of the tensor files."""
    with _readable(folder, what):
        meta = files.unsealed(json.loads(files.read_text(folder / "meta.json")))
        schema = meta.pop("schema")
        if schema == UNSEALED:
            return meta, {}
        if schema == SCHEMA:
            return meta, dict(meta.pop("checksums"))
    raise InputError(f"{folder} was written with {what} schema {schema}; this pgcontrol reads schema {SCHEMA}")


def _tensors(folder: Path, name: str, checksums: Mapping[str, str], what: str) -> dict[str, Tensor]:
    with _readable(folder, what):
        files.plain(folder / name)
        if checksums and checksums[name] != _digest(folder / name):
            raise ValueError(f"{name} is not what was written: its checksum differs")
        return safetensors.torch.load_file(folder / name)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _readable(folder: Path, what: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        missing = Path(error.filename or "tensors.safetensors").name
        raise InputError(f"{folder} is not a {what}: {missing} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError, OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{folder} is not a {what}, or is damaged: {one_line(error)}") from None
