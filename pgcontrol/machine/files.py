"""Files that a reader finds whole, the old or the new; files that may be missing; names that are free."""

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def free(path: Path, between: str) -> Path:
    """A path, or with `between` and a number from 2 on behind it the first one where nothing is."""
    numbered = (path.with_name(f"{path.name}{between}{k}") for k in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not place.exists())


def read_json(file: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where it is missing or damaged."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


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
