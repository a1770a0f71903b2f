"""Write a YAML's report and tables from the runs there are."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path


def arguments(parser: ArgumentParser) -> None:
    """The sweep."""
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of the run folders, if there [runs/FILE]")
    parser.add_argument("--clips", choices=("some", "all", "none"), default="some", help=CLIPS)
    parser.add_argument("--open", action="store_true", help="show the report in the browser")


CLIPS = "videos in the report: of the median run of each task and arm, of every run, or of none [some]"


def run(given: Namespace) -> int:
    """Write the report."""
    from pgcontrol.report import publish
    from pgcontrol.sweep import results
    from pgcontrol.sweep.sweep import read_sweep

    sweep = read_sweep(given.sweep)
    done, left_out = results.read(sweep), results.left_out(sweep)
    if not done:
        why = f" ({left_out})" if left_out else ""
        print(f"no results for {given.sweep} yet{why}; pgcontrol compare {given.sweep} runs them", file=sys.stderr)
        return 1
    where = given.runs or Path("runs") / given.sweep.stem
    print(f"{len(done)} of {len(sweep.cells)} runs")
    if left_out:
        print(left_out)
    results.refresh(sweep, done, where)  # not kept: a sweep may be at work, and adding rows
    publish(sweep, done, where, given.clips, given.open, print)
    return 0
