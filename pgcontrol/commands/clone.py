"""Fit a policy to a dataset (behavioural cloning)."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgcontrol.flags import Section
from pgcontrol.options import InputError, option


@dataclass(frozen=True)
class Options:
    """Dataset, clipping and output; `configure_clone` checks the settings."""

    dataset: str = option("", "Minari dataset (see `pgcontrol record`)", positional=True)
    clip_actions: bool = option(False, "clip actions beyond the task's bounds, and count them")
    quiet: bool = option(False, "print only errors")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Write a new run folder."""
    from pgcontrol.runs.cloning import configure_clone
    from pgcontrol.training.clone import clone

    config = configure_clone({**settings, "dataset": options.dataset, "clip_actions": options.clip_actions})
    if not config.dataset:
        raise InputError("name a dataset: pgcontrol clone DATASET")
    return clone(config, quiet=options.quiet).exit_code


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """Every setting with its default, for the chosen head."""
    from pgcontrol.runs import catalog
    from pgcontrol.runs.cloning import configure_clone

    config = configure_clone(settings)
    return [
        Section("settings, with defaults in brackets:", config),
        Section(f"--head NAME: {' | '.join(catalog.heads())} [{config.head.name}]", config.head.options, "head."),
    ]
