"""The table and the plots of `pgcontrol theory`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pgcontrol.theory.claims import CLAIMS, Result
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
    """One PNG for each claim that has curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, draw in PLOTS.items():
        figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
        draw(axes, results[name].curves)
        axes.spines[["top", "right"]].set_visible(False)
        files.append(out / f"{name}.png")
        figure.savefig(files[-1], dpi=150)
        pyplot.close(figure)
    return files


def _variance(axes: Any, curves: dict[str, Any]) -> None:
    names, heights = zip(*curves["variance"].items(), strict=True)
    bars = axes.barh(names, heights, color="#4c72b0")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="total variance of one path's gradient estimate (exact)", title="Every rung varies less")


def _racing(axes: Any, curves: dict[str, Any]) -> None:
    for k, (name, change) in enumerate(curves["change"].items()):
        at = [i + 0.4 * k for i in range(len(change))]
        axes.bar(at, change, width=0.4, label=f"step by {name}", color=("#c44e52", "#4c72b0")[k])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks([i + 0.2 for i in range(12)], [f"s{i // 3} a{i % 3}" for i in range(12)], fontsize=8)
    axes.set(
        ylabel="E[Δ log π(a|s)] / α, where (s, a) was sampled", title="Rewards all positive: whatever is sampled rises"
    )
    axes.legend(frameon=False)


def _spectrum(axes: Any, curves: dict[str, Any]) -> None:
    for name, style in (("bias²", "--"), ("variance", ":"), ("error", "-")):
        label = {"variance": "variance / 1000 paths", "error": "mean squared error"}.get(name, name)
        axes.plot(curves["lam"], curves[name], style, label=label, color="black" if name == "error" else None)
    best = min(range(len(curves["lam"])), key=curves["error"].__getitem__)
    axes.plot(curves["lam"][best], curves["error"][best], "o", color="black")
    axes.set(xlabel="λ of GAE", ylabel="of the gradient estimate", title="A critic that is half right", ylim=(0, None))
    axes.legend(frameon=False)


def _groups(axes: Any, curves: dict[str, Any]) -> None:
    axes.plot(curves["size"], curves["cosine"], "o-")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(curves["size"], [str(n) for n in curves["size"]])
    axes.set(
        xlabel="G, members of a group",
        ylabel="cosine between E[estimate] and ∇J",
        title="Dividing by the group's own deviation turns the gradient",
    )


def _destruction(axes: Any, curves: dict[str, Any]) -> None:
    labels = {"plain": "plain step of length 0.02 in θ", "clip": "PPO, ε = 0.2", "npg": "NPG", "trpo": "TRPO"}
    for name, label in labels.items():
        axes.loglog(curves["std"], curves["kl"][name], "o-", label=label)
    axes.axhline(BUDGET, color="black", linewidth=0.8, linestyle="--", label="δ")
    axes.invert_xaxis()
    axes.set_xticks(curves["std"], [str(std) for std in curves["std"]])
    axes.minorticks_off()
    axes.set(
        xlabel="σ of the policy",
        ylabel="KL(before || after) of one update, nats",
        title="One step, ever narrower policies",
    )
    axes.legend(frameon=False)


PLOTS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "baseline": _variance,
    "racing": _racing,
    "spectrum": _spectrum,
    "groups": _groups,
    "destruction": _destruction,
}
"""Claim -> how to draw its curves."""
