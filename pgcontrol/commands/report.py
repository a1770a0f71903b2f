"""Write a YAML's tables from the runs there are."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def arguments(parser: ArgumentParser) -> None:
    """The sweep."""
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")


def run(given: Namespace) -> int:
    """Write the tables."""
    from pgcontrol.experiment import results, tables
    from pgcontrol.experiment.sweep import read_sweep

    sweep = read_sweep(given.sweep)
    tables.write(sweep, done := results.read(sweep))
    print(f"{len(done)} of {len(sweep.cells)} runs: {given.sweep.with_suffix('.md')}")
    return 0
