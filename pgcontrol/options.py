"""Options: dataclass fields with help and limits, set by dotted keys or by flags.

One validator serves the command line, YAML files, recommended settings and Python, so a wrong value gets the same
one-line error everywhere. Imports nothing from this package.
"""

import dataclasses
import difflib
import enum
import functools
import inspect
import math
import operator
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
O_contra = TypeVar("O_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

# the default of an option without a default: the user must set it
REQUIRED: Any = dataclasses.MISSING


class InputError(ValueError):
    """Invalid input from the user: one line that names it and says what would be valid.

    Line breaks in the message, for example from names, become spaces.
    """

    def __init__(self, message: object = ""):
        super().__init__(" ".join(str(message).splitlines()))


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Iterable[str] | None = None,
    metavar: str | None = None,
    positional: bool = False,
    several: bool = False,
    part: Callable[[], Mapping[str, Any]] | None = None,
) -> Any:
    """A dataclass field with its help text and the values it accepts.

    `metavar`, `positional` and `several` only matter on the command line (`pgcontrol/flags.py`).

    Args:
        default: the default value, or `REQUIRED`.
        help: one line for `--help`.
        least: the smallest value.
        most: the largest value.
        above: the value must be greater.
        below: the value must be less.
        choices: the allowed strings.
        metavar: placeholder for the value in `--help`.
        positional: a positional argument, without the option's name.
        several: for a tuple: the flag takes all values up to the next flag, instead of one each time it is given.
        part: the option names a class in this table, whose own options are added; see `composed`.
    """
    metadata = {
        "help": help,
        "limits": {"least": least, "most": most, "above": above, "below": below},
        "choices": tuple(choices) if choices else None,
        "metavar": metavar,
        "positional": positional,
        "several": several,
        "part": part,
    }
    return dataclasses.field(default=default, metadata=metadata)


def composed(options_type: type, said: Mapping[str, Any]) -> type:
    """Options together with those of the parts that they name, such as a token head's with its tokenizer's.

    Args:
        options_type: the dataclass. If a part has an option of the same name, the dataclass's own field is used.
        said: field name -> value; missing ones have their defaults.

    Raises:
        InputError: there is no part with that name.
    """
    named = [f for f in dataclasses.fields(options_type) if f.metadata.get("part")]
    parts = [pick(f.name, said.get(f.name, f.default), f.metadata["part"]()).Options for f in named]
    return joined(options_type.__name__, options_type, *parts) if parts else options_type


@functools.cache
def joined(name: str, *options: type) -> type:
    """One frozen dataclass with the fields of several; for duplicate names, the first one is used."""
    bases = tuple(dict.fromkeys(options))  # two of them may be NoOptions
    # pickle cannot find a class that is in no module: unpickling joins them again
    pickled = {"__reduce__": lambda self: (_made, (name, options, vars(self)))}
    return dataclasses.make_dataclass(name, [], bases=bases, namespace=pickled, frozen=True)


def _made(name: str, options: tuple[type, ...], values: dict[str, Any]) -> Any:
    return joined(name, *options)(**values)


def those_of(options_type: type, options: Any) -> Any:
    """The options of one part, taken from joined options."""
    return options_type(**{f.name: getattr(options, f.name) for f in dataclasses.fields(options_type)})


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of parts that have none."""


def suggest(word: str, words: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'binned'?` for a near miss, else all words; each with `prefix`."""
    words = sorted(words)
    there = f"; expected one of: {', '.join(prefix + w for w in words)}" if words else "; there are none"
    return near_miss(word, words, prefix) or there


def near_miss(word: str, words: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'binned'?`, or an empty string."""
    lowered = {word.lower(): word for word in sorted(words)}
    close = [w for w in lowered.values() if w.endswith(f".{word}")]  # `clip` is near `algorithm.clip`
    close += [lowered[match] for match in difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)]
    return f"; did you mean {prefix + close[0]!r}?" if close else ""


def pick(kind: str, name: Any, table: Mapping[str, Any], more: str = "") -> Any:
    """`table[name]`; otherwise raises an InputError with a suggestion, which ends with `more`."""
    if not isinstance(name, str) or name not in table:
        raise InputError(f"unknown {kind} {name!r}{suggest(str(name), table)}{more}")
    return table[name]


_hints = functools.cache(typing.get_type_hints)  # hundreds of runs of a sweep have the same options


def read_options(
    options_type: type, settings: Mapping[str, Any], prefix: str = "", others: Iterable[str] = ()
) -> dict[str, Any]:
    """Check and convert values for fields of a frozen dataclass, ready for its constructor.

    Args:
        options_type: the dataclass.
        settings: field name -> value; strings are parsed as the field's type.
        prefix: prefix of names in messages, such as `head.`.
        others: names of settings elsewhere, for suggestions.

    Raises:
        InputError: an unknown name, a wrong type, or a value outside its limits.
    """
    hints = _hints(options_type)
    fields = {f.name: f for f in dataclasses.fields(options_type) if f.init}
    values = {}
    for name, value in settings.items():
        if name not in fields:
            near = near_miss(name, [*fields, *others], prefix) or suggest(name, fields, prefix)
            raise InputError(f"unknown setting {prefix + name!r}{near}")
        values[name] = read(prefix + name, value, hints[name], fields[name].metadata)
    return values


class Function(Protocol[P, O_contra, R_co]):  # pyright: ignore[reportInvalidTypeVarUse]
    """A function of settings: called with them as separate arguments, or with one options object."""

    @overload
    def __call__(self, options: O_contra, /) -> R_co: ...

    @overload
    def __call__(self, *args: P.args, **settings: P.kwargs) -> R_co: ...


@overload
def takes(options_type: Callable[P, O]) -> Callable[[Callable[[O], R]], Function[P, O, R]]: ...


@overload
def takes(
    options_type: Callable[..., O], further: str
) -> Callable[[Callable[[O, dict[str, Any]], R]], Callable[..., R]]: ...


def takes(options_type: Any, further: str | None = None) -> Any:
    """Decorator for a function of one options object: the result takes the fields as arguments and checks them.

    Args:
        options_type: the dataclass: names, order, defaults and limits of the arguments.
        further: allow other keyword arguments with this prefix; the function gets them as a second argument.
    """
    fields = dataclasses.fields(options_type)
    names = [f.name for f in fields]
    required = [f.name for f in fields if f.default is REQUIRED]
    helps = "\n".join(f"    {f.name}: {f.metadata['help']}" for f in fields)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **settings: Any) -> Any:
            if len(args) == 1 and isinstance(args[0], options_type):
                return function(args[0]) if further is None else function(args[0], settings)
            if len(args) > len(names):
                raise InputError(f"{function.__name__} takes {len(names)} positional arguments, not {len(args)}")
            said = dict(zip(names, args, strict=False)) | settings
            more = [name for name in settings if further is not None and name.startswith(further) and name not in names]
            others = {name: said.pop(name) for name in more}
            if missing := [name for name in required if name not in said]:
                raise InputError(f"{function.__name__} needs {', '.join(missing)}")
            options = options_type(**read_options(options_type, said))
            return function(options) if further is None else function(options, others)

        about, raises, errors = (inspect.getdoc(function) or "").partition("\n\nRaises:")
        call.__doc__ = f"{about}\n\nArgs:\n{helps}{raises}{errors}"
        returned = inspect.signature(function).return_annotation
        vars(call)["__signature__"] = inspect.signature(options_type).replace(return_annotation=returned)
        return call

    return decorate


def plain(value: Any) -> Any:
    """A value as in YAML: an enum's value, a path's text, and Python numbers and lists instead of NumPy's."""
    if isinstance(value, enum.Enum):
        value = value.value
    if hasattr(value, "tolist") and not isinstance(value, type):  # NumPy's scalars and arrays, torch's tensors
        value = value.tolist()
    if isinstance(value, list | range):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return str.__str__(value) if isinstance(value, str) else value


def read(key: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """Convert `value` to the type `hint` and check the limits in `metadata`; an InputError names `key`."""
    value = _convert(key, plain(value), hint)
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, int | float) and not isinstance(number, bool):
            if isinstance(number, float) and math.isnan(number):
                raise InputError(f"{key} = {value!r}: must be a number")
            for limit, bound in metadata["limits"].items():
                holds, words = _LIMITS[limit]
                if bound is not None and not holds(number, bound):
                    raise InputError(f"{key} = {value!r}: must be {words} {_number(bound)}")
            if math.isinf(number):
                raise InputError(f"{key} = {value!r}: must be a finite number")
    if table := metadata.get("part"):
        for name in value if isinstance(value, tuple) else (value,):
            pick(key, name, table())
    choices = metadata["choices"]
    if choices and value is not None and value not in choices:
        near = near_miss(str(value), choices)
        raise InputError(f"{key} = {value!r}: must be one of {', '.join(choices)}{near}")
    return value


_LIMITS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "least": (operator.ge, "at least"),
    "most": (operator.le, "at most"),
    "above": (operator.gt, "greater than"),
    "below": (operator.lt, "less than"),
}


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _convert(key: str, value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        (hint,) = (h for h in typing.get_args(hint) if h is not type(None))
    if typing.get_origin(hint) is tuple:
        item_hint = typing.get_args(hint)[0]
        words = isinstance(value, str) and item_hint is not Path  # paths may contain spaces
        items = value.replace(",", " ").split() if words else value
        if not isinstance(items, list | tuple):
            items = (items,)
        return tuple(_convert(key, item, item_hint) for item in items)
    try:
        if isinstance(value, bool) and hint is not bool:
            raise ValueError
        return _SCALARS[hint](value)
    except (ValueError, TypeError, OverflowError, KeyError):
        unquoted = hint is str and isinstance(value, bool)
        advice = "; YAML reads on, off, yes and no as true and false: put the word in quotes" if unquoted else ""
        raise InputError(f"{key} = {value!r}: must be {_WORDS[hint]}{advice}") from None


def _int(value: Any) -> int:
    if isinstance(value, int):  # a float cannot hold large ones
        return value
    number = int(value) if isinstance(value, str) and value.replace("_", "").lstrip("+-").isdigit() else float(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _bool(value: Any) -> bool:
    return {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}[str(value).lower()]


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _path(value: Any) -> Path:
    """No system allows a file name with a NUL character, or longer than this."""
    path = Path(value)
    if "\0" in str(path) or max(map(len, map(os.fsencode, path.parts)), default=0) > 255:
        raise ValueError
    return path


_SCALARS: dict[Any, Callable[[Any], Any]] = {int: _int, float: float, bool: _bool, str: _str, Path: _path}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
