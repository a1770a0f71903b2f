"""A tokenizer as a folder of its own: tensors in safetensors, what it is made of in JSON."""

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
    """A tokenizer that has learned nothing yet, from a kind's name and its settings.

    Raises:
        InputError: an unknown kind, or a setting it does not have; `prefix` goes before names in messages.
    """
    cls = pick("tokenizer", kind, kinds())
    for name, value, most in (("horizon", horizon, 64), ("joints", joints, 1000)):
        if not 0 < value <= most:
            raise InputError(f"{name} = {value}: must be from 1 to {most}")
    return cls(horizon, joints, cls.Options(**read_options(cls.Options, settings, prefix)))


def of_options(options: Any, horizon: int, joints: int) -> Tokenizer:
    """The tokenizer that a head's options name, by the options of its own among them; it has learned nothing yet."""
    cls = kinds()[options.tokenizer]
    return cls(horizon, joints, those_of(cls.Options, options))


def spec(tokenizer: Tokenizer) -> dict[str, Any]:
    """What a tokenizer is made of: kind, horizon, joints and the kind's own options."""
    sizes = {"tokenizer": tokenizer.name, "horizon": tokenizer.horizon, "joints": tokenizer.joints}
    return sizes | dataclasses.asdict(tokenizer.options)


def flags(tokenizer: Tokenizer) -> str:
    """What one types for a token head that uses it."""
    return " ".join(f"--head.{name} {value}" for name, value in spec(tokenizer).items() if name != "joints")


def save(folder: Path, tokenizer: Tokenizer, notes: dict[str, Any]) -> None:
    """Write the folder; `notes` (JSON values: where the data came from, the error reached) go with it."""
    tensor_files.save(folder, tokenizer.state_dict(), {"tokenizer": spec(tokenizer), "notes": notes})


def found(folder: Path) -> bool:
    """Whether it is a tokenizer folder, by what its meta.json says."""
    return "tokenizer" in read_json(folder / "meta.json")


def load(folder: Path) -> Tokenizer:
    """Read a tokenizer folder.

    Raises:
        InputError: missing, damaged, or something else; one line that says which.
    """
    tensors, meta = tensor_files.load(folder, WHAT)
    try:
        made = dict(meta["tokenizer"])
        tokenizer = make(made.pop("tokenizer"), made.pop("horizon"), made.pop("joints"), made)
        tokenizer.load_state_dict(tensors)
    except InputError:
        raise
    except Exception as error:  # values of a wrong type end in whatever the kinds raise
        raise InputError(f"{folder} is no {WHAT}, or a damaged one: {one_line(error)}") from None
    return tokenizer
