"""Returns of a trained policy, by mode and by samples."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import seed, whole


def arguments(parser: ArgumentParser) -> None:
    """Run and episodes."""
    parser.add_argument("run", type=Path, help="run folder or checkpoint")
    parser.add_argument("--episodes", type=whole, default=20, metavar="N", help="episodes [20]")
    parser.add_argument("--agent", choices=("policy", "random", "zero"), default="policy", help="who plays [policy]")
    parser.add_argument("--seed", type=seed, default=0, help="of the start states [0]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(given: Namespace) -> int:
    """The table, or one JSON object."""
    from pgcontrol.view.listing import evaluate_run

    return evaluate_run(given.run, given.episodes, given.agent, given.seed, given.json)
