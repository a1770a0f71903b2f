"""Check the theory's claims by numbers, and plot them."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """Where plots go."""

    out: Path | None = option(None, "where the plots go [none are drawn]", metavar="DIR")


def run(options: Options) -> int:
    """Check and plot."""
    from pgcontrol.theory.show import show

    return show(options.out)
