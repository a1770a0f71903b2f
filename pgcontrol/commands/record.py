"""Record episodes of a run, or of a task's scripted demonstrator, as a Minari dataset."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import at_least_zero, seed, whole


def arguments(parser: ArgumentParser) -> None:
    """Who is recorded, and where to."""
    parser.add_argument("source", metavar="RUN|TASK", help="run folder or checkpoint, or a task with a demonstrator")
    parser.add_argument("--episodes", type=whole, required=True, metavar="N", help="episodes the dataset is to have")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset's folder")
    parser.add_argument("--mode", action="store_true", help="play the policy's mode, not its samples")
    parser.add_argument("--noise", type=at_least_zero, default=1.0, help="scale of the demonstrator's noise [1]")
    parser.add_argument("--seed", type=seed, default=0, help="of start states and samples [0]")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(given: Namespace) -> int:
    """The dataset; 130 when a signal stopped it."""
    from pgcontrol.data.record import record

    done = record(given.source, given.out, given.episodes, given.seed, given.mode, given.noise, given.quiet)
    return 130 if done.stopped else 0
