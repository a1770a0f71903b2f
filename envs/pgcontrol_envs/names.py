"""Names of environments: a task's id, gym:ID or gym:MODULE:ID, with optional arguments: ID?KEY=VALUE&KEY=VALUE."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, quote, urlencode

from pgcontrol_envs.vector import UnknownEnv

SAFE = '[]{}",:/'  # not escaped in values
_WORDS = {"True": True, "False": False, "None": None}  # Python's spelling; JSON's differs


class GymName(NamedTuple):
    """The parts of a name.

    Attributes:
        module: the module that registers the environment; None: Gymnasium knows the id.
        id: Gymnasium's id, with its namespace.
        args: keyword arguments of `gymnasium.make`: numbers, strings, booleans, None, lists and dicts.
    """

    module: str | None
    id: str
    args: dict[str, Any]

    @classmethod
    def parse(cls, env_id: str) -> Self:
        """Parse "gym:...". Raises UnknownEnv."""
        name, args = split(env_id)
        module, colon, plain = name.removeprefix("gym:").rpartition(":")
        if not plain or ":" in module or bool(module) != bool(colon):
            raise UnknownEnv(f"unknown env {env_id!r}: expected gym:ID or gym:MODULE:ID")
        return cls(module or None, plain, args)

    def __str__(self) -> str:
        return join(":".join(["gym", *([self.module] if self.module else []), self.id]), self.args)


def split(env_id: str) -> tuple[str, dict[str, Any]]:
    """Split a name into the name without arguments and the arguments (JSON values). Raises UnknownEnv."""
    name, _, query = env_id.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UnknownEnv(f"unknown env {env_id!r}: expected KEY=VALUE&KEY=VALUE after the ?") from None
    return name, {key: read_value(value) for key, value in pairs}


def join(name: str, args: Mapping[str, Any]) -> str:
    """The inverse of `split`. Raises TypeError for values that JSON cannot hold."""
    pairs = {key: write_value(value) for key, value in args.items()}
    return f"{name}?{urlencode(pairs, quote_via=quote, safe=SAFE)}" if pairs else name


def read_value(text: str) -> Any:
    """Parse a value: JSON, or numbers separated by commas, or else the text itself."""
    for form in (text, f"[{text}]"):
        with suppress(ValueError):
            value = json.loads(form)
            if form is text or (value and all(type(one) in (int, float) for one in value)):
                return value
    return _WORDS.get(text, text)


def write_value(value: Any) -> str:
    """The text that `read_value` parses to this value. Raises TypeError for values that JSON cannot hold."""
    if isinstance(value, str) and read_value(value) == value:
        return value
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """Convert a NumPy number or array to Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a number, string, boolean, list or dict")
