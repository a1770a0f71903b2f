"""The command line: finds the command's file, parses its arguments, and prints errors in one line."""

import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import NoReturn

from pgcontrol import commands
from pgcontrol.flags import flags_of, help_text, read_flags, split, switched, table
from pgcontrol.machine import graphics
from pgcontrol.options import InputError, NoOptions, option, pick
from pgcontrol.text import visible

ABOUT = "Policy gradients on MuJoCo, with the action head as the experiment."


@dataclass(frozen=True)
class CommonOptions:
    """Flags of every command."""

    plugin: tuple[str, ...] = option((), "file or module with your own tasks, heads, ...", metavar="FILE.py|MODULE")
    accept_changed: bool = option(False, "open runs although their plug-ins have changed")
    help: bool = option(False, "show this text; also -h")


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line on stderr, and exit."""
    if _speaks():
        print(f"pgcontrol: {visible(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


def _speaks() -> bool:
    """Whether this process prints why it ends: of those that torchrun started, the first to fail does."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    from pgcontrol.machine.ranks import speaks  # imported here: it brings torch

    return speaks()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `pgcontrol`."""
    words = list(sys.argv[1:] if argv is None else argv)
    graphics.step_aside()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show σ prints a question mark
    try:
        raise SystemExit(_run(["--help" if word == "-h" else word for word in words]))
    except InputError as error:
        fail(str(error))
    except ValueError as error:
        from pgcontrol_envs import BrokenEnv  # imported late: it imports torch

        if not isinstance(error, BrokenEnv):
            raise
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: end without a message
        raise SystemExit(0) from None
    except (FloatingPointError, RuntimeError) as error:
        # includes Diverged and RenderError: their messages say what happened
        if type(error) is RuntimeError:
            raise
        fail(str(error), code=1)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), code=1)
    except KeyboardInterrupt:
        fail("interrupted", code=130)


def _run(words: list[str]) -> int:
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    if words[:1] == ["--version"]:
        print(metadata.version("pgcontrol"))
        return 0
    if words[:1] == ["--help"]:
        summaries = table({name: _summary(_module(name)) for name in names})
        usage, more = "pgcontrol COMMAND ... | --version", "pgcontrol COMMAND --help"
        print(f"usage: {usage}\n\n{ABOUT}\n\n{summaries}\n\nHelp on a command: {more}")
        return 0
    if not words or words[0].startswith("-"):
        raise InputError(f"name a command: pgcontrol COMMAND ...; expected one of: {', '.join(names)}")
    name = pick("command", words[0], {name: name for name in names})
    return _command(name, _module(name), words[1:])


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{commands.__name__}.{name}")


def _command(name: str, module: ModuleType, words: list[str]) -> int:
    options_type = getattr(module, "Options", NoOptions)
    sections = getattr(module, "sections", None)  # of a command that also takes settings
    flags = flags_of(options_type, CommonOptions)
    said = split(words, flags, getattr(module, "PREFIX", "") if sections else None)
    settings = {key: value for key, value in said.items() if key not in flags}
    common = read_flags(CommonOptions, said, name)
    if common.accept_changed:
        from pgcontrol.parts import ACCEPT

        os.environ[ACCEPT] = "1"
    if common.plugin:
        from pgcontrol.runs.catalog import use_plugin

        for source in common.plugin:
            use_plugin(source)
    bare = [key for key, value in settings.items() if value is None]
    options = read_flags(options_type, said, name, partly=common.help or bool(bare))
    if bare:
        settings = {key: value for key, value in settings.items() if value is not None}
        known = sections(options, settings) if sections else ()
        settings |= dict(switched(key, flags.values(), known) for key in bare)
        options = read_flags(options_type, said, name, partly=common.help)
    if common.help:
        shown = sections(options, settings) if sections else ()
        print(help_text(name, _summary(module), flags.values(), shown, sections is not None))
        return 0
    return module.run(options, settings) if sections else module.run(options)


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]
