"""The command line: finds the command's file, reads its arguments, and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from pgcontrol import commands
from pgcontrol.arguments import split
from pgcontrol.machine import graphics
from pgcontrol.options import InputError, suggest


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print `pgcontrol: message` and exit."""
        fail(message)


def fail(message: str, code: int = 2) -> NoReturn:
    """One line on stderr, and out."""
    print(f"pgcontrol: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `pgcontrol`."""
    words = list(sys.argv[1:] if argv is None else argv)
    graphics.step_aside()
    try:
        raise SystemExit(_run(words))
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more: end quietly
        raise SystemExit(0) from None
    except (FloatingPointError, RuntimeError) as error:
        # Diverged and RenderError among them: the message says what happened and what is left
        if type(error) is RuntimeError:
            raise
        fail(str(error), code=1)
    except OSError as error:
        fail(f"{error.filename or 'I/O'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt:
        fail("interrupted", code=130)


def _run(words: list[str]) -> int:
    modules = {m.name: importlib.import_module(f"{commands.__name__}.{m.name}") for m in _files()}
    if words and not words[0].startswith("-") and words[0] not in modules:
        raise InputError(f"unknown command {words[0]!r}{suggest(words[0], modules)}")
    parser, parsers = _parsers(modules)
    settings: dict[str, str] = {}
    if words and getattr(modules.get(words[0]), "SETTINGS", False):
        own = parsers[words[0]]
        known, settings = split(words[1:], own)
        if {"-h", "--help"} & set(known):
            asked = own.parse_args([w for w in known if w not in ("-h", "--help")])
            own.epilog = modules[words[0]].epilog(argparse.Namespace(**vars(asked), settings=settings))
        words = [words[0], *known]
    given, rest = parser.parse_known_args(words)
    if rest:
        flags = [flag for action in parsers[given.command]._actions for flag in action.option_strings]
        raise InputError(f"unknown argument {rest[0]!r}" + (suggest(rest[0], flags) if rest[0].startswith("-") else ""))
    given.settings = settings
    return modules[given.command].run(given)


def _files() -> list[pkgutil.ModuleInfo]:
    return list(pkgutil.iter_modules(commands.__path__))


def _parsers(modules: dict[str, ModuleType]) -> tuple[Parser, dict[str, Parser]]:
    """The parser of everything, and each command's."""
    parser = Parser(prog="pgcontrol", description="Policy gradients on MuJoCo, with the action head as the experiment.")
    parser.add_argument("--version", action="version", version=_version())
    added = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    table = {}
    for name, module in modules.items():
        table[name] = added.add_parser(
            name,
            help=_summary(module),
            description=_summary(module),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if hasattr(module, "arguments"):
            module.arguments(table[name])
    return parser, table


def _summary(module: ModuleType) -> str:
    line = (module.__doc__ or "").splitlines()[0].removesuffix(".")
    return line[:1].lower() + line[1:]


def _version() -> str:
    from importlib import metadata

    return metadata.version("pgcontrol")
