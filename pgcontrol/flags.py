"""The command line of a dataclass of options: parses arguments, and makes the text of `--help`."""

import dataclasses
import shutil
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pgcontrol.options import REQUIRED, InputError, NoOptions, near_miss, read, suggest
from pgcontrol.text import typed

WIDEST = 40  # of the names in help; longer ones have their own line
# placeholders in help, unless the option defines one
METAVARS = {int: "N", int | None: "N", float: "X", float | None: "X"}


class Section(NamedTuple):
    """A part of the help of a command that takes settings as well as flags.

    Attributes:
        title: shown above the settings.
        values: a dataclass of options with the recommended values or the defaults.
        prefix: prefix of the names, such as `head.`.
    """

    title: str
    values: Any
    prefix: str = ""

    def fields(self) -> dict[str, dataclasses.Field]:
        """The settings as on the command line (`--head.bins`), with their fields."""
        return {f"--{self.prefix}{f.name}".replace("_", "-"): f for f in dataclasses.fields(self.values)}


# of the commands that play a run's policy
OF_THE_TASK = Section(
    "--env.NAME VALUE changes a setting of the run's task; see `pgcontrol train TASK --help`", NoOptions()
)


class Flag:
    """An option on the command line: a flag, or a positional argument.

    A bool is a flag without a value, `--open` or `--no-open`. A tuple collects values: a positional argument takes all
    remaining ones, a flag takes one each time it is given, or several. Messages call it `label`.
    """

    def __init__(self, field: dataclasses.Field, hint: Any):
        self.hint, self.metadata = hint, field.metadata
        self.positional, self.several = field.metadata["positional"], field.metadata["several"]
        self.required = field.default is REQUIRED
        self.bare = bool in (hint, *typing.get_args(hint))
        self.collects = typing.get_origin(hint) is tuple
        self.metavar = field.metadata["metavar"] or self._metavar(field.name.upper())
        flag = f"--{field.name.replace('_', '-')}"
        self.label = self.metavar if self.positional else flag
        if self.bare:
            self.usage = flag if field.default is False else f"{flag} | --no-{flag[2:]}"
        else:
            value = self.metavar + " ..." * (self.several or (self.positional and self.collects))
            self.usage = value if self.positional else f"{flag} {value}"
        hidden = self.required or self.bare or field.default in (None, "", ())
        self.help = field.metadata["help"] + ("" if hidden else f" [{typed(field.default)}]")

    def _metavar(self, name: str) -> str:
        choices = self.metadata["choices"]
        return "{" + ",".join(choices) + "}" if choices else METAVARS.get(self.hint, name)


def flags_of(*options: type) -> dict[str, Flag]:
    """The flags and positional arguments of dataclasses of options, by name of the field."""
    found = {}
    for cls in options:
        hints = typing.get_type_hints(cls)
        found |= {field.name: Flag(field, hints[field.name]) for field in dataclasses.fields(cls)}
    return found


def split(words: Sequence[str], flags: Mapping[str, Flag], settings: str | None = None) -> dict[str, Any]:
    """Split command-line arguments into values by name, without checking them.

    A positional argument may also be given by its name. Strings are single values, lists are collected values, None is
    a setting without a value, see `switched`.

    Args:
        words: such as `runs/cheetah --episodes 3 --json --seed=1`.
        flags: by name of the field.
        settings: prefix of the allowed settings: "" allows `--head.bins 41`, "env." only settings of the task.

    Raises:
        InputError: an unknown flag, a flag without its value, or an argument too many.
    """
    said: dict[str, Any] = {}
    labels = [flag.label for flag in flags.values() if not flag.positional]
    places = [name for name, flag in flags.items() if flag.positional]
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            if not places:
                look = "" if settings is None else f": settings look like --{settings or 'head.'}NAME VALUE"
                raise InputError(f"unexpected argument {word!r}{look}")
            name = places[0]
            flag, values = flags[name], [word]
            if not flag.collects:
                places.pop(0)
        else:
            key, equals, value = word.partition("=")
            name = key.removeprefix("--").replace("-", "_")
            if not equals and (switch := name.removeprefix("no_")) in flags and flags[switch].bare:
                said[switch] = name == switch
                continue
            flag = flags.get(name)
            setting = key.startswith("--") and settings is not None and name.removeprefix("no_").startswith(settings)
            if not flag and not setting:
                raise InputError(f"unknown argument {key!r}{suggest(key, labels)}")
            no_value = not flag and name.startswith("no_")
            if equals and no_value:
                raise InputError(f"{word}: --no-{name.removeprefix('no_').replace('_', '-')} takes no value")
            if not equals:
                lacking = no_value or not rest or rest[0].startswith("--")
                if lacking and flag:
                    raise InputError(f"{key} needs a value")
                value = None if lacking else rest.pop(0)
            values = [value]
            while flag and flag.several and rest and not rest[0].startswith("-"):
                values.append(rest.pop(0))
        said[name] = [*said.get(name, ()), *values] if flag and flag.collects else values[0]
    return said


def switched(name: str, flags: Iterable[Flag], sections: Iterable[Section]) -> tuple[str, str]:
    """The setting and its value for a setting without a value in `split`: `true`, or `false` for `no_NAME`.

    Raises:
        InputError: there is no such setting, or it is not true or false and needs a value.
    """
    key = f"--{name.replace('_', '-')}"
    fields = {label: field for section in sections for label, field in section.fields().items()}
    for label, setting, value in (
        (key, name, "true"),
        (f"--{key.removeprefix('--no-')}", name.removeprefix("no_"), "false"),
    ):
        if label in fields and isinstance(fields[label].default, bool):
            return setting, value
    if key in fields:
        raise InputError(f"{key} needs a value")
    near = near_miss(key, [*fields, *(flag.label for flag in flags)])
    raise InputError(f"unknown argument {key!r}{near or '; see --help'}")


def read_flags(options: type, said: Mapping[str, Any], command: str, partly: bool = False) -> Any:
    """`options` with the given values, checked; names that are not fields of it are ignored.

    Args:
        options: the dataclass.
        said: the result of `split`.
        command: name of the command, for messages.
        partly: missing values become None.

    Raises:
        InputError: one line that names the wrong flag, or the flags that `command` needs.
    """
    flags = flags_of(options)
    given = {name: flag for name, flag in flags.items() if name in said}
    values = {name: read(flag.label, said[name], flag.hint, flag.metadata) for name, flag in given.items()}
    missing = {name: flag.usage for name, flag in flags.items() if flag.required and name not in given}
    if missing and not partly:
        raise InputError(f"{command} needs {' '.join(missing.values())}; see `pgcontrol {command} --help`")
    return options(**values | dict.fromkeys(missing))


def help_text(
    command: str, summary: str, flags: Iterable[Flag], sections: Sequence[Section] = (), settings: bool = False
) -> str:
    """Usage, summary, flags and settings of a command."""
    flags = sorted(flags, key=lambda flag: not flag.positional)
    usage = [flag.usage if flag.required else f"[{flag.usage}]" for flag in flags]
    usage += ["[--SETTING VALUE ...]"] * settings
    parts = [_wrapped(f"usage: pgcontrol {command} ", usage), summary, table({flag.usage: flag.help for flag in flags})]
    named = {flag.label for flag in flags}
    for section in sections:
        rows = {
            label: f"{_help(f)} [{typed(getattr(section.values, f.name))}]".removesuffix(" []")
            for label, f in section.fields().items()
            if "help" in f.metadata and label not in named
        }
        parts.append(f"{section.title}\n{table(rows)}" if rows else section.title)
    return "\n\n".join(parts)


def _help(field: dataclasses.Field) -> str:
    """An option's help, with its choices or the names of the parts that it can name."""
    table, choices = field.metadata.get("part"), field.metadata.get("choices")
    named = f": {' | '.join(table())}" if table else f" ({' | '.join(choices)})" if choices else ""
    return field.metadata["help"] + named


def table(rows: Mapping[str, str]) -> str:
    """Names with descriptions, in two columns; the description of a long name begins on the next line."""
    column = max((len(name) for name in rows if len(name) <= WIDEST), default=WIDEST)
    lines = []
    for name, text in rows.items():
        if len(name) > column:
            lines += [f"  {name}", _wrapped(" " * (column + 4), text.split())]
        else:
            lines.append(_wrapped(f"  {name:{column}}  ", text.split()))
    return "\n".join(lines)


def _wrapped(start: str, words: Sequence[str]) -> str:
    """Text after a prefix, wrapped with indentation."""
    width = max(60, min(shutil.get_terminal_size().columns, 120))
    lines = [start]
    for i, word in enumerate(words):
        if i and len(lines[-1]) + len(word) > width:
            lines.append(" " * len(start))
        lines[-1] += f"{word} "
    return "\n".join(line.rstrip() for line in lines)
