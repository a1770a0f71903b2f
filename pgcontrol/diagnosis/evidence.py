"""What a person can look at: curves with the onset in them, and the scene with the action distribution drawn on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol.diagnosis.unimodality import MEAN, PLAYED, Decision
from pgcontrol.diagnosis.verdicts import KL, RETURN, Limits, Rows, Verdict, column, spreads

COLOURS = {PLAYED: "black", MEAN: "#8c564b"}


def curves(rows: Rows, verdicts: list[Verdict], limits: Limits, out: Path) -> None:
    """Spread of each joint, return, KL per update, and what a step of the params costs, over training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    steps, spread = spreads(rows)
    for joint, line in enumerate(spread.T):
        axes[0].plot(steps, line, linewidth=1, label=f"joint {joint}" if spread.shape[1] <= 8 else None)
    axes[0].axhline(limits.share, color="black", linestyle="--", linewidth=0.8, label="narrow")
    axes[0].set(title="spread of the actions in a state, half-ranges", yscale="log")
    axes[0].legend(fontsize=7, frameon=False)
    for axis, name, title in (
        (axes[1], RETURN, "return in training"),
        (axes[2], KL, "KL(before || after) of an update, nats"),
        (axes[3], "health/sensitivity", "sensitivity: RMS score per joint"),
    ):
        axis.plot(*column(rows, name), linewidth=1)
        axis.set_title(title)
    for axis in axes[2:]:
        if axis.lines[0].get_ydata().size and axis.lines[0].get_ydata().min() > 0:
            axis.set_yscale("log")
    for verdict in verdicts:
        if verdict.step is not None:
            for axis in axes:
                axis.axvline(verdict.step, color="#c44e52", linewidth=1)
            axes[1].annotate(verdict.word, (verdict.step, 0.02), xycoords=("data", "axes fraction"), color="#c44e52")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("environment steps")
    figure.savefig(out, dpi=110)


def scene(picture: np.ndarray | None, draws: np.ndarray, marks: dict[str, np.ndarray], title: str, out: Path) -> None:
    """The state's picture, and on it what the policy might do there.

    Args:
        picture: [height, width, 3] uint8, or None where it cannot be drawn.
        draws: [D, A] actions, in half-ranges: a cloud in the plane for two joints, else a strip for each joint.
        marks: name -> action [A] to be marked.
        title: of the figure.
        out: the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 6.5) if picture is not None else (4.5, 4.5))
    figure.suptitle(title, fontsize=10)
    if picture is not None:
        backdrop = figure.add_axes((0.0, 0.0, 1.0, 0.95))
        backdrop.imshow(picture)
        backdrop.axis("off")
        axis = figure.add_axes((0.66, 0.58, 0.31, 0.36), facecolor=(1, 1, 1, 0.75))
    else:
        axis = figure.add_axes((0.14, 0.12, 0.82, 0.8))
    (_cloud if draws.shape[1] == 2 else _strips)(axis, draws, marks)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=6, frameon=False, loc="upper right", bbox_to_anchor=(1.0, -0.12))
    figure.savefig(out, dpi=110)


def marked(decision: Decision, state: int) -> dict[str, np.ndarray]:
    """The candidates at one state, named with what they are worth."""
    return {f"{name}: {decision.value[name][state]:.2f}": action[state] for name, action in decision.candidates.items()}


def _cloud(axis: Any, draws: np.ndarray, marks: dict[str, np.ndarray]) -> None:
    axis.plot(*draws.T, ".", markersize=2, alpha=0.25, color="#4c72b0")
    for name, action in marks.items():
        axis.plot(*action, "P", markersize=7, label=name, color=COLOURS.get(name.split(":")[0]))
    axis.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    axis.set_xlabel("joint 0", fontsize=7)
    axis.set_ylabel("joint 1", fontsize=7)


def _strips(axis: Any, draws: np.ndarray, marks: dict[str, np.ndarray]) -> None:
    for joint, values in enumerate(draws.T):
        share, edges = np.histogram(values, 41, (-1.025, 1.025))
        axis.bar(edges[:-1], 0.8 * share / share.max(), edges[1] - edges[0], joint - 0.4, align="edge", color="#4c72b0")
    for name, action in marks.items():
        axis.plot(action, np.arange(len(action)), "P", markersize=5, label=name, color=COLOURS.get(name.split(":")[0]))
    axis.set(xlim=(-1.1, 1.1), yticks=range(draws.shape[1]))
    axis.set_xlabel("action, half-ranges", fontsize=7)
    axis.set_ylabel("joint", fontsize=7)
