"""The table and the plots of `pgcontrol theory`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.chart import Entry, hue, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.machine import files
from pgcontrol.text import short
from pgcontrol.theory.claims import BATCH, CLAIMS, Result
from pgcontrol.theory.destruction import BUDGET, destruction


def show(out: Path | None) -> int:
    """Check every claim, print a table, draw plots into `out` (made if missing); exit code 1 if a claim fails."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many small operations: threads only get into each other's way
    results = {name: check() for name, check in (CLAIMS | {"destruction": destruction}).items()}
    torch.set_num_threads(threads)
    console = Console(highlight=False, width=None if Console().is_terminal else 120)
    table = Table("claim", "measured", "expected", "verdict")
    for result in results.values():
        for finding in result.findings:
            table.add_row(finding.claim, finding.measured, finding.expected, "holds" if finding.holds else "FAILS")
    console.print(table)
    if out is not None:
        for file in plot(results, out):
            console.print(str(file), soft_wrap=True)
    return 0 if all(f.holds for result in results.values() for f in result.findings) else 1


def plot(results: dict[str, Result], out: Path) -> list[Path]:
    """One SVG for each claim that has curves."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = {out / f"{name}.svg": draw(results[name].curves) for name, draw in PLOTS.items()}
    files.replace(drawn)
    return list(drawn)


def _variance(curves: dict[str, Any]) -> str:
    title, axis = "Every rung varies less", "total variance of one path's gradient estimate (exact)"
    rungs = [Bar(f"{name}: {value:.2f}", "c0", value, 0.0, value) for name, value in curves["variance"].items()]
    return sheet(title, [[bars(title, rungs, axis, (0.0, None))]])


def _racing(curves: dict[str, Any]) -> str:
    charts, every = [], np.array(list(curves["change"].values()))
    for k, (name, change) in enumerate(curves["change"].items()):
        pairs = [
            Bar(f"s{i // 3} a{i % 3}", f"c{k}", moved, min(moved, 0.0), max(moved, 0.0), says=short(moved))
            for i, moved in enumerate(change)
        ]
        axis = f"E[Δ log π(a|s)] / α of a step by {name}"
        charts.append(bars(axis, pairs, axis, (min(0.0, every.min()), every.max()), 0.0))
    return sheet("Rewards all positive: whatever is sampled rises; (s, a) was sampled", [charts])


def _spectrum(curves: dict[str, Any]) -> str:
    lam, error = np.array(curves["lam"]), np.array(curves["error"])
    drawn = [
        Line("mean squared error", "base", lam, error),
        Line("bias²", "c0 d1", lam, np.array(curves["bias²"])),
        Line(f"variance / {BATCH} paths", "c1 d2", lam, np.array(curves["variance"])),
    ]
    least = (lam[error.argmin()], error.min(), "the least error")
    axes = Axes("λ of GAE", "of the gradient estimate", ends=(0.0, None))
    return _curves("A critic that is half right", drawn, axes, least)


def _groups(curves: dict[str, Any]) -> str:
    drawn = [
        Line("by the group's own deviation", "c0", np.array(curves["size"]), np.array(curves["cosine"]), look="both")
    ]
    axes = Axes("G, members of a group", "cosine between E[estimate] and ∇J", ends=(None, 1.0), log_x=True)
    return _curves("Dividing by the group's own deviation turns the gradient", drawn, axes)


def _destruction(curves: dict[str, Any]) -> str:
    narrow = 1 / np.array(curves["std"])
    labels = {"plain": "plain step of length 0.02 in θ", "clip": "PPO, ε = 0.2", "npg": "NPG", "trpo": "TRPO"}
    drawn = [
        Line(label, hue(i), narrow, np.array(curves["kl"][name]), look="both")
        for i, (name, label) in enumerate(labels.items())
    ]
    drawn.append(Line("δ", "base d1", narrow, np.full(len(narrow), BUDGET)))
    axes = Axes("1 / σ of the policy", "KL(before || after) of one update, nats", log=True, log_x=True)
    return _curves("One step, ever narrower policies", drawn, axes)


def _curves(title: str, drawn: Sequence[Line], axes: Axes, *marks: tuple[float, float, str]) -> str:
    """A file of one chart with a key."""
    key = [Entry(line.name, line.colour) for line in drawn]
    return sheet(title, [[lines(title, drawn, axes, marks=marks, entries=key)]])


PLOTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "baseline": _variance,
    "racing": _racing,
    "spectrum": _spectrum,
    "groups": _groups,
    "destruction": _destruction,
}
"""Claim -> the file that shows its curves."""
