"""Saves and restores random streams of Gymnasium environments, as JSON values."""

import json
from typing import Any

from pgcontrol_envs.random_streams import restore, state_of


def save(env: Any) -> dict[str, Any] | None:
    """The state of an environment's random stream; None if it cannot be saved."""
    try:
        state = state_of(env.unwrapped.np_random)
        json.dumps(state)
    except Exception:  # a foreign generator may raise anything
        return None
    return state


def load(env: Any, saved: dict[str, Any] | None) -> bool:
    """Restore the state that `save` returned; False if that is not possible."""
    if saved is None:
        return False
    try:
        stream = env.unwrapped.np_random
        restore(stream, saved)
        return state_of(stream) == saved
    except Exception:
        return False
