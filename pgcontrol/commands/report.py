"""Write the reports and tables of sweeps from their finished runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgcontrol.arguments import CLIPS, FOLDER, WHICH
from pgcontrol.options import REQUIRED, InputError, option
from pgcontrol.text import visible

if TYPE_CHECKING:
    from pgcontrol.reporting.compare import Comparison


@dataclass(frozen=True)
class Options:
    """The sweeps."""

    sweeps: tuple[Path, ...] = option(REQUIRED, "sweep: question, arms, grid", metavar="FILE.yaml", positional=True)
    runs: Path | None = option(None, FOLDER, metavar="DIR")
    clips: str = option("some", CLIPS, choices=WHICH)
    open: bool = option(False, "open the report in the browser")


def run(options: Options) -> int:
    """Write the reports; exit code 1 if a sweep has no results yet."""
    if options.runs and len(options.sweeps) > 1:
        raise InputError(f"--runs {options.runs}: {len(options.sweeps)} sweeps cannot share a folder; pass one sweep")
    if len(options.sweeps) > 1:  # all of them are read before anything is written
        from pgcontrol.reporting.compare import sweep_of

        for path in options.sweeps:
            sweep_of(path)
    return max([_report(path, options) for path in options.sweeps])


def _report(path: Path, options: Options) -> int:
    from pgcontrol.reporting.compare import NoResults, report

    try:
        found = report(path, runs=options.runs, clips=options.clips, quiet=False)
    except NoResults as error:
        print(visible(error), file=sys.stderr)
        return 1
    cells = len(found.queries.sweep.cells)
    print(f"{cells - len(found.missing)} of {cells} runs")
    if found.left_out:
        print(visible(found.left_out))
    show(found, options.open)
    return 0


def show(found: Comparison, browser: bool) -> None:
    """Print the path of the report, and open it."""
    import webbrowser

    if found.page is None:
        print("no report: there are no results yet")
        return
    print(f"report: {found.page} ({found.page.stat().st_size / 1e6:.1f} MB)")
    if browser:
        webbrowser.open(found.page.resolve().as_uri())
