"""Pictures of action distributions and of paths."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pgcontrol.charts.chart import Chart, stroke, text
from pgcontrol.charts.lines import Line, numbers
from pgcontrol.charts.scale import number

Objects = Sequence[Mapping[str, Any]]  # JSON objects
Corners = tuple[np.ndarray, np.ndarray]  # the lower left and the upper right corner of a plane, [2] each
SIZE = WIDTH, HEIGHT = 230, 124
LEFT, RIGHT, TOP, BOTTOM = 28, 6, 6, 24
MOST = 0.98  # quantile of the points of all paths, on each side, that the picture contains
ROOM = 4  # cm around the picture


class Trail(NamedTuple):
    """The path of an episode on a plane.

    Attributes:
        points: [P, 2], in cm.
        colour: class of the style sheet.
    """

    points: np.ndarray
    colour: str
    says: str


def image(pixels: np.ndarray, box: tuple[float, float, float, float]) -> str:
    """An image [h, w, 3] or [h, w, 4] uint8, stretched to a box: left, top, width, height."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    source = base64.b64encode(data.getvalue()).decode()
    return f'<image {_place(box)} preserveAspectRatio="none" href="data:image/png;base64,{source}"/>'


def _place(box: tuple[float, float, float, float]) -> str:
    return " ".join(f'{name}="{value:g}"' for name, value in zip(("x", "y", "width", "height"), box, strict=True))


def over_steps(label: str, pixels: np.ndarray, steps: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> Chart:
    """An image of a density from −1 to 1 over training; the script shows mean and deviation [P] at `steps`."""
    box = (LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
    drawn = [
        image(pixels, box),
        f'<rect class="box" {_place(box)}/>',
        *(text(LEFT - 4, at, says, "end") for at, says in ((TOP + 11, "1"), (HEIGHT - BOTTOM, "−1"))),
        text(LEFT, HEIGHT - 6, number(steps[0]), "start"),
        text(WIDTH - RIGHT, HEIGHT - 6, f"{number(steps[-1])} steps", "end"),
    ]
    ends = {"box": [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM], "x": [float(steps[0]), float(steps[-1])]}
    lines = [Line(name, "c0", steps, values, arm=False) for name, values in (("mean", mean), ("deviation", deviation))]
    return Chart(label, drawn, SIZE, ends | numbers(steps, lines))


def at_the_end(label: str, heights: np.ndarray, says: str) -> Chart:
    """A histogram from −1 to 1 with heights [C] of at most 1."""
    left, right, foot = LEFT / 2, WIDTH - LEFT / 2, HEIGHT - BOTTOM
    drawn = [
        mass(heights, left, right, foot, foot - TOP),
        *(text(at, HEIGHT - 6, words, "middle") for at, words in ((left, "−1"), (WIDTH / 2, "0"), (right, "1"))),
    ]
    return Chart(label, drawn, SIZE, {"rows": [{"name": "", "arm": False, "c": "c0", "says": [says]}]})


def mass(heights: np.ndarray, left: float, right: float, foot: float, tall: float) -> str:
    """A histogram with heights [C] of at most 1 on a line at `foot`; a height of 1 is `tall` pixels."""
    wide = (right - left) / len(heights)
    steps = "".join(f"V{foot - h * tall:.1f}H{left + (i + 1) * wide:.1f}" for i, h in enumerate(heights))
    return f'<path class="mass" d="M{left:g} {foot:g}{steps}V{foot:g}Z"/>' + stroke("axis", left, foot, right, foot)


def corners(shapes: Objects, paths: Sequence[np.ndarray]) -> Corners:
    """Lower left and upper right corner [2] of a plane that contains all shapes and most points of all paths.

    A few paths that lead far away would make the others too small.
    """
    at, half = (np.array([shape[name] for shape in shapes]).reshape(-1, 2) for name in ("at", "half"))
    points = np.concatenate([p.reshape(-1, 2) for p in paths])
    inner = np.quantile(points, (1 - MOST, MOST), axis=0)
    found = np.concatenate([at - half, at + half, inner])
    return found.min(0) - ROOM, found.max(0) + ROOM


def plane(label: str, shapes: Objects, trails: Sequence[Trail], ends: Corners, shares: Objects) -> Chart:
    """Paths seen from above, with shapes, between two corners; the script shows `shares`."""
    drawn = []
    for shape in shapes:
        (cx, cy), (w, h), look = shape["at"], shape["half"], "solid" if shape["solid"] else "floor"
        if shape["round"]:
            drawn.append(f'<circle class="{look}" cx="{cx:g}" cy="{-cy:g}" r="{w:g}"/>')
        else:
            drawn.append(f'<rect class="{look}" {_place((cx - w, -cy - h, 2 * w, 2 * h))}/>')
    for points, colour, says in trails:
        d = "M" + "L".join(f"{px:g} {-py:g}" for px, py in points)
        drawn.append(f'<path class="route {colour}" d="{d}"><title>{escape(says)}</title></path>')
    (left, low), (right, high) = ends
    return Chart(label, drawn, (right - left, high - low), {"rows": shares}, (left, -high))
