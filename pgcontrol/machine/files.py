"""Files that a reader finds whole, the old or the new; names that are free."""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path


def free(path: Path, between: str) -> Path:
    """A path, or with `between` and a number from 2 on behind it the first one where nothing is."""
    numbered = (path.with_name(f"{path.name}{between}{k}") for k in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not place.exists())


def replace(files: Mapping[Path, bytes | str]) -> None:
    """Write all beside their places, then rename: whoever reads meanwhile, or after a crash, finds no half of a file.

    Args:
        files: contents by path.
    """
    pairs = [(path.with_name(f".{path.name}.{os.getpid()}"), path) for path in files]
    try:
        for (beside, _), content in zip(pairs, files.values(), strict=True):
            beside.write_bytes(content.encode() if isinstance(content, str) else content)
        for beside, path in pairs:
            beside.replace(path)
    finally:
        for beside, _ in pairs:
            beside.unlink(missing_ok=True)
