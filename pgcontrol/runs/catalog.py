"""Discovery: a head, critic or algorithm is found because its class exists, not because a list names it."""

import functools
from typing import Any

import pgcontrol.critics
import pgcontrol.heads
import pgcontrol.trunks
from pgcontrol.critics.base import Critic
from pgcontrol.heads.base import Head
from pgcontrol.learning.algorithms import TABLE
from pgcontrol.plugins import discover
from pgcontrol.trunks.base import Trunk


@functools.cache
def heads() -> dict[str, Any]:
    """Head classes by name."""
    return discover(pgcontrol.heads, Head)


@functools.cache
def critics() -> dict[str, Any]:
    """Critic classes by name."""
    return discover(pgcontrol.critics, Critic)


@functools.cache
def trunks() -> dict[str, Any]:
    """Trunk classes by name."""
    return discover(pgcontrol.trunks, Trunk)


@functools.cache
def algorithms() -> dict[str, Any]:
    """Algorithm rows by name."""
    return {row.name: row for row in TABLE}
