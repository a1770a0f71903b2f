"""Reads .npz files from other sources: the sizes in them are checked before memory is allocated."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol.machine import files, memory


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not an .npz file, contains objects, does not fit into memory, or has inconsistent sizes.
    """
    try:
        with zipfile.ZipFile(files.plain(file)) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > memory.available():
                raise ValueError(f"unpacks to {total / 1e9:,.1f} GB, more than the free memory")
            for member in members:
                _require_size(archive, member)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, RuntimeError, SyntaxError) as error:
        raise ValueError(str(error) or "not an .npz file") from None


def _require_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Check that a member is an array of the size in its header."""
    with archive.open(member) as content:
        version = np.lib.format.read_magic(content)
        read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"{member.filename} has an unknown version {version}")
        shape, _, dtype = read[version](content)
        said, there = math.prod(shape) * dtype.itemsize, member.file_size - content.tell()
    if said != there and not dtype.hasobject:
        raise ValueError(f"{member.filename} has shape {shape}, {said:,} bytes, but contains {there:,}")
