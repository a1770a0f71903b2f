"""Train a policy."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

SETTINGS = True


def arguments(parser: ArgumentParser) -> None:
    """Task, file and silence; `configure` judges the settings."""
    parser.usage = "pgcontrol train ENV [--head NAME] [--algorithm NAME] [--SETTING VALUE ...]"
    parser.add_argument("env", nargs="?", help="task id, or gym:ID (see `pgcontrol list`)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="YAML file of settings; flags win over it")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(given: Namespace) -> int:
    """A new run folder."""
    from pgcontrol.runs.config import configure, read_yaml
    from pgcontrol.training.train import train

    written = read_yaml(given.config) if given.config else {}
    task = {"env": given.env} if given.env else {}
    return train(configure(written | task | given.settings), quiet=given.quiet).exit_code


def epilog(given: Namespace) -> str:
    """Every setting with its default, for the task, head, algorithm and critic that the words choose."""
    from pgcontrol.arguments import setting_lines
    from pgcontrol.runs.config import PARTS, Settings, configure

    config = configure(({"env": given.env} if given.env else {}) | given.settings)
    text = [f"settings, in brackets what is recommended for {config.env} and this head, or the default:"]
    text += setting_lines(Settings, config, "")
    for part, (table, _) in PARTS.items():
        chosen = getattr(config, part)
        text += ["", f"--{part.replace('_', '-')} NAME: {' | '.join(table())} [{chosen.name}]"]
        text += setting_lines(type(chosen.options), chosen.options, f"{part}.")
    return "\n".join(text)
