"""Watch a policy play, in a window or in a browser."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import port, seed


def arguments(parser: ArgumentParser) -> None:
    """Run, viewer and agent."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder or checkpoint; a task's id without a policy")
    parser.add_argument(
        "--viewer",
        choices=("native", "web"),
        help="a window, or a page for browsers [a window where there is a display]",
    )
    parser.add_argument("--agent", choices=("policy", "random", "zero"), default="policy", help="who plays [policy]")
    parser.add_argument("--sampled", action="store_true", help="play samples of the policy instead of its mode")
    parser.add_argument("--seed", type=seed, default=0, help="of the first start state; later ones count up [0]")
    parser.add_argument("--port", type=port, default=0, metavar="P", help="of the page [the first free from 8080]")


def run(given: Namespace) -> int:
    """Play until the viewer is closed."""
    from pgcontrol.viewer.play import play

    return play(given.run, given.viewer, given.agent, given.sampled, given.seed, given.port)
