"""Train two heads on HalfCheetah-v5 and render them side by side."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def arguments(parser: ArgumentParser) -> None:
    """Budget and folder."""
    parser.add_argument(
        "--total-steps", default="400_000", metavar="N", help="environment steps for each head [400_000]"
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where the runs go [a new folder under runs/]")


def run(given: Namespace) -> int:
    """Train both, and render."""
    from pgcontrol.demo import demo

    return demo(given.total_steps, given.run_dir)
