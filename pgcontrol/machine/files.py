"""Files that a reader finds whole, the old or the new."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


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
