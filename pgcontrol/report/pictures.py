"""Pictures of action distributions and of paths, as SVG text; see `svg`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from pgcontrol.report.svg import Line, chart, element, number, numbers, text

SIZE = WIDTH, HEIGHT = 230, 124
LEFT, RIGHT, TOP, BOTTOM = 28, 6, 6, 24
MOST = 0.98
"""Of the points of all paths, to each side: what lies beyond may leave the picture."""
ROOM = 4
"""Around it, cm."""


class Trail(NamedTuple):
    """The way of an episode on a plane."""

    points: np.ndarray
    """[P, 2]."""
    colour: str
    """Class of the style sheet."""
    says: str


def over_steps(label: str, png: str, steps: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> str:
    """A picture (data URI) of a density from −1 to 1 over training; mean and deviation [P] at `steps` are told."""
    place = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
    drawn = [
        f'<image {place} preserveAspectRatio="none" href="{png}"/><rect class="box" {place}/>',
        *(text(LEFT - 4, at, says, "end") for at, says in ((TOP + 11, "1"), (HEIGHT - BOTTOM, "−1"))),
        text(LEFT, HEIGHT - 6, number(steps[0]), "start"),
        text(WIDTH - RIGHT, HEIGHT - 6, f"{number(steps[-1])} steps", "end"),
    ]
    box = [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM]
    lines = [Line(name, "c0", steps, values, arm=False) for name, values in (("mean", mean), ("deviation", deviation))]
    return chart(SIZE, drawn, label, box=box, x=[float(steps[0]), float(steps[-1])], **numbers(steps, lines))


def at_the_end(label: str, heights: np.ndarray, says: str) -> str:
    """A histogram, heights [C] of at most 1, from −1 to 1."""
    left, right, foot = LEFT / 2, WIDTH - LEFT / 2, HEIGHT - BOTTOM
    wide = (right - left) / len(heights)
    steps = "".join(f"V{foot - h * (foot - TOP):.1f}H{left + (i + 1) * wide:.1f}" for i, h in enumerate(heights))
    drawn = [
        f'<path class="mass" d="M{left} {foot}{steps}V{foot}Z"/>',
        f'<line class="axis" x1="{left}" x2="{right}" y1="{foot}" y2="{foot}"/>',
        *(text(at, HEIGHT - 6, words, "middle") for at, words in ((left, "−1"), (WIDTH / 2, "0"), (right, "1"))),
    ]
    return chart(SIZE, drawn, label, rows=[{"name": "", "arm": False, "c": "c0", "says": [says]}])


def corners(shapes: Sequence[Mapping[str, Any]], paths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right [2] of a plane: all shapes, and of all paths what most of them keep to.

    A few that run far away would leave the others too small to be seen.
    """
    at = np.array([s["at"] for s in shapes]).reshape(-1, 2)
    half = np.array([s["half"] for s in shapes]).reshape(-1, 2)
    points = np.concatenate([p.reshape(-1, 2) for p in paths])
    inner = np.quantile(points, (1 - MOST, MOST), axis=0)
    found = np.concatenate([at - half, at + half, inner])
    return found.min(0) - ROOM, found.max(0) + ROOM


def plane(
    label: str,
    shapes: Sequence[Mapping[str, Any]],
    trails: Sequence[Trail],
    ends: tuple[np.ndarray, np.ndarray],
    shares: Sequence[Mapping[str, Any]],
) -> str:
    """Trails seen from above, among the shapes that stand there, between two corners; `shares` is told by key."""
    drawn = []
    for shape in shapes:
        (cx, cy), (w, h), look = shape["at"], shape["half"], "solid" if shape["solid"] else "floor"
        if shape["round"]:
            drawn.append(f'<circle class="{look}" cx="{cx:g}" cy="{-cy:g}" r="{w:g}"/>')
        else:
            drawn.append(f'<rect class="{look}" x="{cx - w:g}" y="{-cy - h:g}" width="{2 * w:g}" height="{2 * h:g}"/>')
    for points, colour, says in trails:
        d = "M" + "L".join(f"{px:g} {-py:g}" for px, py in points)
        drawn.append(f'<path class="route {colour}" d="{d}"><title>{escape(says)}</title></path>')
    (left, low), (right, high) = ends
    return element(f"{left:g} {-high:g} {right - left:g} {high - low:g}", drawn, label, {"rows": shares})
