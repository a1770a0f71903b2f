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

# classes by name, looked for at the first call
heads = functools.cache(functools.partial(discover, pgcontrol.heads, Head))
critics = functools.cache(functools.partial(discover, pgcontrol.critics, Critic))
trunks = functools.cache(functools.partial(discover, pgcontrol.trunks, Trunk))


def algorithms() -> dict[str, Any]:
    """Algorithm rows by name."""
    return {row.name: row for row in TABLE}
