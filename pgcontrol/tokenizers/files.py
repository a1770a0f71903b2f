"""A tokenizer as a folder: its tensors in safetensors, its specification in JSON."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pgcontrol.tokenizers
from pgcontrol.machine import tensors as tensor_files
from pgcontrol.machine.files import read_json
from pgcontrol.options import InputError, pick, read_options, those_of
from pgcontrol.parts import discover
from pgcontrol.text import one_line
from pgcontrol.tokenizers.base import Tokenizer

WHAT = "tokenizer folder"
# tokenizer classes by name
kinds = functools.partial(discover, pgcontrol.tokenizers, Tokenizer)


def make(kind: str, horizon: int, joints: int, settings: dict[str, Any], prefix: str = "") -> Tokenizer:
    """A tokenizer that is not fitted yet, from the name of its kind and its settings.

    Raises:
        InputError: the kind or a setting is unknown; `prefix` precedes names in messages.
    """
    cls = pick("tokenizer", kind, kinds())
    for name, value, most in (("horizon", horizon, 64), ("joints", joints, 1000)):
        if not 0 < value <= most:
            raise InputError(f"{name} = {value}: must be from 1 to {most}")
    return cls(horizon, joints, cls.Options(**read_options(cls.Options, settings, prefix)))


def of_options(options: Any, horizon: int, joints: int) -> Tokenizer:
    """The tokenizer of a head's options, not fitted: its kind is `options.tokenizer`, its options are among them."""
    cls = kinds()[options.tokenizer]
    return cls(horizon, joints, those_of(cls.Options, options))


def spec(tokenizer: Tokenizer) -> dict[str, Any]:
    """The specification of a tokenizer: kind, horizon, joints and the kind's options."""
    sizes = {"tokenizer": tokenizer.name, "horizon": tokenizer.horizon, "joints": tokenizer.joints}
    return sizes | dataclasses.asdict(tokenizer.options)


def flags(tokenizer: Tokenizer) -> list[str]:
    """The flags of a token head that uses it, as words."""
    named = {name: value for name, value in spec(tokenizer).items() if name != "joints"}
    return [word for name, value in named.items() for word in (f"--head.{name}", str(value))]


def save(folder: Path, tokenizer: Tokenizer, notes: dict[str, Any]) -> None:
    """Write the folder; `notes` are JSON values such as the source of the data and the error of the fit."""
    tensor_files.save(folder, tokenizer.state_dict(), {"tokenizer": spec(tokenizer), "notes": notes})


def found(folder: Path) -> bool:
    """Whether the folder's meta.json describes a tokenizer."""
    return "tokenizer" in read_json(folder / "meta.json")


def load(folder: Path) -> Tokenizer:
    """Read a tokenizer folder.

    Raises:
        InputError: it is missing, damaged or something else; one line says which.
    """
    tensors, meta = tensor_files.load(folder, WHAT)
    try:
        made = dict(meta["tokenizer"])
        tokenizer = make(made.pop("tokenizer"), made.pop("horizon"), made.pop("joints"), made)
        tokenizer.load_state_dict(tensors)
    except InputError:
        raise
    except Exception as error:  # a value of the wrong type can raise anything in the constructors
        raise InputError(f"{folder} is not a {WHAT}, or is damaged: {one_line(error)}") from None
    return tokenizer
