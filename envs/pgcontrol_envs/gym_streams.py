"""Random streams of Gymnasium environments, with any generator of bits, as JSON can hold them."""

import json
from typing import Any

import numpy as np


def save(env: Any) -> dict[str, Any] | None:
    """The state of an environment's random stream; None where it cannot be had."""
    try:
        state = _plain(_state(env.unwrapped.np_random))
        json.dumps(state)
    except Exception:  # a foreign stream may raise anything
        return None
    return state


def load(env: Any, saved: dict[str, Any] | None) -> bool:
    """Put the stream where `save` found it; False where that is not possible."""
    if saved is None:
        return False
    try:
        stream = env.unwrapped.np_random
        state = _like(saved, _state(stream))
        if isinstance(stream, np.random.RandomState):
            stream.set_state(state)
        else:
            stream.bit_generator.state = state
        return _plain(_state(stream)) == saved
    except Exception:
        return False


def _state(stream: Any) -> dict[str, Any]:
    if isinstance(stream, np.random.RandomState):
        return dict(stream.get_state(legacy=False))  # type: ignore[reportArgumentType]
    return dict(stream.bit_generator.state)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _like(saved: Any, pattern: Any) -> Any:
    """Saved values with arrays where the pattern has them."""
    if isinstance(pattern, dict):
        return {key: _like(saved[key], one) for key, one in pattern.items()}
    return np.array(saved, pattern.dtype) if isinstance(pattern, np.ndarray) else saved
