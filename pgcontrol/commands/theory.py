"""Check the claims of the theory numerically, and plot them."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """The folder for plots."""

    out: Path | None = option(None, "folder for plots [no plots]", metavar="DIR")


def run(options: Options) -> int:
    """Check and plot."""
    from pgcontrol.theory.show import show

    return show(options.out)
