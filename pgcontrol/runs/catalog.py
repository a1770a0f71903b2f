"""Discovery: a head, critic or algorithm is found because its class exists, not because a list names it."""

from __future__ import annotations

import functools
from typing import Any

from pgcontrol.plugins import discover


@functools.cache
def heads() -> dict[str, Any]:
    """Head classes by name."""
    from pgcontrol import heads as package
    from pgcontrol.heads.base import Head

    return discover(package, Head)


@functools.cache
def critics() -> dict[str, Any]:
    """Critic classes by name."""
    from pgcontrol import critics as package
    from pgcontrol.critics.base import Critic

    return discover(package, Critic)


@functools.cache
def trunks() -> dict[str, Any]:
    """Trunk classes by name."""
    from pgcontrol import trunks as package
    from pgcontrol.trunks.base import Trunk

    return discover(package, Trunk)


@functools.cache
def algorithms() -> dict[str, Any]:
    """Algorithm rows by name."""
    from pgcontrol.learning import algorithms as module

    return {row.name: row for row in module.TABLE}


@functools.cache
def tokenizers() -> dict[str, Any]:
    """Tokenizer classes by name."""
    from pgcontrol import tokenizers as package

    return package.kinds()
