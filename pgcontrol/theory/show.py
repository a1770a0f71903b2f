"""The table and the plots of `pgcontrol theory`."""

from pathlib import Path

from rich.table import Table

from pgcontrol.machine import files
from pgcontrol.machine.terminal import Terminal
from pgcontrol.machine.threads import one_thread
from pgcontrol.theory.claims import CLAIMS
from pgcontrol.theory.destruction import destruction


def show(out: Path | None) -> int:
    """Check every claim, print a table, write plots into `out` (created if missing); exit code 1 if a claim fails."""
    with one_thread():
        results = {name: check() for name, check in (CLAIMS | {"destruction": destruction}).items()}
    console = Terminal(highlight=False, width=None if Terminal().is_terminal else 120)
    table = Table("claim", "measured", "expected", "verdict")
    findings = [finding for result in results.values() for finding in result.findings]
    for claim, measured, expected, holds in findings:
        table.add_row(claim, measured, expected, "holds" if holds else "FAILS")
    console.print(table)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plots = {out / f"{name}.svg": result.plot for name, result in results.items() if result.plot}
        files.replace(plots)
        for file in plots:
            console.print(str(file), soft_wrap=True)
    return 0 if all(finding.holds for finding in findings) else 1
