"""Names of environments: a task's id, gym:ID, gym:MODULE:ID, and arguments behind each: ID?KEY=VALUE&KEY=VALUE."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, quote, urlencode

from pgcontrol_envs.vector import UnknownEnv

SAFE = '[]{}",:/'  # stand for themselves in values
_WORDS = {"True": True, "False": False, "None": None}  # as Python writes them; JSON writes them otherwise


class GymName(NamedTuple):
    """The parts of a name.

    Attributes:
        module: what registers the environment when it is imported; None: Gymnasium knows the id.
        id: Gymnasium's id, namespace included.
        args: keyword arguments of `gymnasium.make`: numbers, texts, truth values, None, lists and dicts.
    """

    module: str | None
    id: str
    args: dict[str, Any]

    @classmethod
    def parse(cls, env_id: str) -> Self:
        """From "gym:...". Raises UnknownEnv."""
        name, args = split(env_id)
        module, colon, plain = name.removeprefix("gym:").rpartition(":")
        if not plain or ":" in module or bool(module) != bool(colon):
            raise UnknownEnv(f"unknown env {env_id!r}: expected gym:ID or gym:MODULE:ID")
        return cls(module or None, plain, args)

    def __str__(self) -> str:
        return join(":".join(["gym", *([self.module] if self.module else []), self.id]), self.args)


def split(env_id: str) -> tuple[str, dict[str, Any]]:
    """A name without its arguments, and these: whatever JSON can hold. Raises UnknownEnv."""
    name, _, query = env_id.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UnknownEnv(f"unknown env {env_id!r}: behind ? expected KEY=VALUE&KEY=VALUE") from None
    return name, {key: read_value(value) for key, value in pairs}


def join(name: str, args: Mapping[str, Any]) -> str:
    """The name that `split` takes apart so. Raises TypeError for what JSON cannot hold."""
    pairs = {key: write_value(value) for key, value in args.items()}
    return f"{name}?{urlencode(pairs, quote_via=quote, safe=SAFE)}" if pairs else name


def read_value(text: str) -> Any:
    """A value from its text: JSON, numbers with commas between them, or else the text as it is."""
    for form in (text, f"[{text}]"):
        with suppress(ValueError):
            value = json.loads(form)
            if form is text or all(type(one) in (int, float) for one in value):
                return value
    return _WORDS.get(text, text)


def write_value(value: Any) -> str:
    """The text that `read_value` reads as this value. Raises TypeError for what JSON cannot hold."""
    if isinstance(value, str) and read_value(value) == value:
        return value
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """A NumPy number or array as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no number, text, truth value, list or dict")
