"""Fit a policy to a dataset."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

SETTINGS = True


def arguments(parser: ArgumentParser) -> None:
    """Dataset and silence; `configure_clone` judges the settings."""
    parser.usage = "pgcontrol clone DATASET [--head NAME] [--SETTING VALUE ...]"
    parser.add_argument("dataset", nargs="?", help="Minari dataset (see `pgcontrol record`)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(given: Namespace) -> int:
    """A new run folder."""
    from pgcontrol.options import InputError
    from pgcontrol.runs.cloning import configure_clone
    from pgcontrol.training.clone import clone

    named = {"dataset": given.dataset} if given.dataset else {}
    config = configure_clone(given.settings | named)
    if not config.dataset:
        raise InputError("name a dataset: pgcontrol clone DATASET")
    return clone(config, quiet=given.quiet).exit_code


def epilog(given: Namespace) -> str:
    """Every setting with its default, for the chosen head."""
    from pgcontrol.arguments import setting_lines
    from pgcontrol.runs import catalog
    from pgcontrol.runs.cloning import CloneSettings, configure_clone

    config = configure_clone(given.settings)
    text = ["settings, in brackets the default:", *setting_lines(CloneSettings, config, "")]
    text += ["", f"--head NAME: {' | '.join(catalog.heads())} [{config.head.name}]"]
    return "\n".join(text + setting_lines(type(config.head.options), config.head.options, "head."))
