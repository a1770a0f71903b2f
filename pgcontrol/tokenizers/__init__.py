"""Tokenizers, one file each: chunks of actions to codes and back. They know nothing of policies."""

from __future__ import annotations

import functools
import sys
from typing import Any

from pgcontrol.plugins import discover


@functools.cache
def kinds() -> dict[str, Any]:
    """Tokenizer classes by name."""
    from pgcontrol.tokenizers.base import Tokenizer

    return discover(sys.modules[__name__], Tokenizer)
