"""Go on with a run from its newest checkpoint."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import whole


def arguments(parser: ArgumentParser) -> None:
    """What `resume` reads."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--total-steps", type=whole, metavar="N", help="a new budget in environment steps")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(given: Namespace) -> int:
    """Train on."""
    from pgcontrol.training.train import resume

    return resume(given.run, given.total_steps, quiet=given.quiet).exit_code
