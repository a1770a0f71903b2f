"""Words of the command line: types for argparse, and settings such as `--head.bins 41`."""

from __future__ import annotations

import dataclasses
import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from pgcontrol.options import InputError
from pgcontrol.text import typed

MOST_PORT = 65_535


def whole(text: str, least: int = 1) -> int:
    """A whole number, at least `least`."""
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < least:
        raise ArgumentTypeError(f"{value} must be at least {least}")
    return value


def port(text: str) -> int:
    """A port of this machine; 0: any."""
    value = whole(text, least=0)
    if value > MOST_PORT:
        raise ArgumentTypeError(f"{value} is no port: at most {MOST_PORT}")
    return value


def seed(text: str) -> int:
    """A whole number, 0 or more."""
    return whole(text, least=0)


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None


def at_least_zero(text: str) -> float:
    """A number, 0 or more."""
    value = number(text)
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{text} must be at least 0")
    return value


def seconds(text: str) -> float:
    """A duration in seconds, above 0."""
    value = number(text)
    if not 0 < value < 1e6:
        raise ArgumentTypeError(f"{text} must be greater than 0")
    return value


def split(words: Sequence[str], parser: ArgumentParser) -> tuple[list[str], dict[str, str]]:
    """Words -> (those that the parser knows, the dotted settings among them: `--head.bins 41 --seed=1`).

    Raises:
        InputError: a setting without a value, or a word too many.
    """
    takes = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    places = sum(not action.option_strings for action in parser._actions)
    known: list[str] = []
    settings: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.partition("=")
        if not word.startswith("-"):
            places -= 1
            if places < 0:
                raise InputError(f"unexpected argument {word!r}: settings look like --head.bins 41")
            known.append(word)
        elif key in takes and (equals or not takes[key]):
            known.append(word)
        else:
            if not equals:
                if not rest or rest[0].startswith("--"):
                    raise InputError(f"{word} needs a value")
                value = rest.pop(0)
            if key in takes:
                known += [key, value]
            else:
                settings[key[2:].replace("-", "_")] = value
    return known, settings


def setting_lines(options: type, values: Any, prefix: str) -> list[str]:
    """A line of help for every field of a dataclass of options, with its value in `values`."""
    return [
        f"  {f'--{prefix}{f.name}'.replace('_', '-'):33} {f.metadata['help']} [{typed(getattr(values, f.name))}]"
        for f in dataclasses.fields(options)
    ]
