"""Atomic file replacement (a reader finds the old or the new content), and checksums that detect damage."""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgcontrol.options import InputError

CHECKSUM = "checksum"  # key in a JSON object for the checksum of its other entries


def free(path: Path, between: str) -> Path:
    """The path itself if nothing exists there, else the first free path with `between` and a number from 2 appended."""
    numbered = (path.with_name(f"{path.name}{between}{k}") for k in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not place.exists())


def plain(file: Path) -> Path:
    """Check a path before reading it: reading a pipe would block, and a device may have no end.

    Raises:
        InputError: it is a pipe or a device.
    """
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise InputError(f"a pipe or a device, not a file: {file}")
    return file


def read_text(file: Path, errors: str = "strict") -> str:
    """The text of a file; see `plain`."""
    return plain(file).read_text("utf-8", errors)


def checksum(content: bytes | str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of some content."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values together with their `checksum`."""
    return {**values, CHECKSUM: checksum(json.dumps(values))}


def unsealed(values: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `sealed`. Values without a checksum are returned as they are: older files have none.

    Raises:
        ValueError: the checksum differs.
    """
    rest = {name: value for name, value in values.items() if name != CHECKSUM}
    if values.get(CHECKSUM, checksum(json.dumps(rest))) != checksum(json.dumps(rest)):
        raise ValueError("it is not what was written: its checksum differs")
    return rest


def read_json(file: Path) -> dict[str, Any]:
    """The content of a JSON file, with or without a checksum; empty if the file is missing or damaged."""
    try:
        return unsealed(json.loads(read_text(file)))
    except (OSError, ValueError, AttributeError):
        return {}


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file with a checksum; see `replace`."""
    replace({file: json.dumps(sealed(values), indent=1) + "\n"})


def stamp(file: Path) -> tuple[int, int] | None:
    """Time of its last change and size; None where it is not there. Another one: somebody has written it since."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def flush(place: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk and survives a power loss."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear(folder: Path, names: str = "*") -> None:
    """Remove temporary files of killed processes: `.NAME.PID` and `.NAME.PID.…`.

    Args:
        folder: subfolders are not searched.
        names: a pattern for NAME.
    """
    for left in folder.glob(f".{names}.*"):
        process = next((int(part) for part in left.name.split(".")[:1:-1] if part.isdigit()), None)
        if process is not None and left.is_file() and _gone(process):
            left.unlink(missing_ok=True)


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # the process belongs to another user
        return False
    return False


def replace(files: Mapping[Path, bytes | str]) -> None:
    """Write files so that a reader finds the complete old or new content, also after a crash at any moment.

    Args:
        files: contents by path.
    """
    pairs = [(path.with_name(f".{path.name}.{os.getpid()}"), path) for path in files]
    try:
        for (draft, _), content in zip(pairs, files.values(), strict=True):
            draft.write_bytes(content.encode() if isinstance(content, str) else content)
            flush(draft)
        for draft, path in pairs:
            draft.replace(path)
        for folder in {path.parent for path in files}:
            flush(folder)
    finally:
        for draft, _ in pairs:
            draft.unlink(missing_ok=True)
