"""Train a policy."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgcontrol.flags import Section
from pgcontrol.options import option

EXAMPLE = "HalfCheetah-v5"  # the task in `--help` if none is named


@dataclass(frozen=True)
class Options:
    """Task, file and output; `configure` checks the settings."""

    env: str | None = option(None, "task id, or gym:ID (see `pgcontrol list`)", positional=True)
    config: Path | None = option(None, "YAML file of settings; flags override it", metavar="FILE")
    quiet: bool = option(False, "print only errors")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Write a new run folder."""
    from pgcontrol.runs.config import configure
    from pgcontrol.training.train import train

    return train(configure(_settings(options, settings)), quiet=options.quiet).exit_code


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """Every setting with its default, for the chosen task, head, algorithm and critic."""
    from pgcontrol.runs.config import PARTS, configure
    from pgcontrol.runs.task_settings import section

    said = _settings(options, settings)
    config = configure({"env": EXAMPLE} | said)
    other = "" if "env" in said else " (name a task to see its own)"
    title = f"settings, in brackets the values recommended for {config.env}{other} and this head, or the defaults:"
    found = [Section(title, config if "env" in said else dataclasses.replace(config, env="must be named"))]
    found += section(config.env, f"settings of {config.env}{other}:")
    for part, (table, _) in PARTS.items():
        chosen = getattr(config, part)
        names = f"--{part.replace('_', '-')} NAME: {' | '.join(table())} [{chosen.name}]"
        found.append(Section(names, chosen.options, f"{part}."))
    return found


def _settings(options: Options, settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings of the file, overridden by those of the command line."""
    from pgcontrol.runs.config import read_yaml

    written = read_yaml(options.config) if options.config else {}
    return {**written, **({"env": options.env} if options.env else {}), **settings}
