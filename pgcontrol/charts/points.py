"""Single points of several arms, each with a tooltip."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.charts.chart import Chart, dot
from pgcontrol.charts.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, frame, whose
from pgcontrol.charts.scale import Scale, fit


class Point(NamedTuple):
    """A point of a chart.

    Attributes:
        x: a number, or an index in `points(words=...)`.
        arm: the arm's name.
        colour: class of the style sheet.
        says: the tooltip.
        faint: drawn hollow, at the bottom: its y cannot be compared.
        ring: drawn with a ring around it.
    """

    x: float
    y: float
    arm: str
    colour: str
    says: str
    faint: bool = False
    ring: bool = False


def points(label: str, found: Sequence[Point], axes: Axes, words: Sequence[str] = ()) -> Chart:
    """Points in a plane; with `words`, x is an index and the words are its labels."""
    x = fit(np.array([point.x for point in found], float), LEFT, WIDTH - RIGHT, axes.log_x)
    if words:
        x = Scale(-0.5, len(words) - 0.5, LEFT, WIDTH - RIGHT)
    y = fit(np.array([point.y for point in found if not point.faint], float), HEIGHT - BOTTOM, TOP, axes.log, axes.ends)
    drawn = [frame(x, y, axes, words)]
    for arm, colour in dict.fromkeys((point.arm, point.colour) for point in found):
        dots = "".join(_dot(point, x, y) for point in found if point.arm == arm)
        drawn.append(f"<g {whose(arm, colour, True)}>{dots}</g>")
    rows = [{"name": p.arm, "arm": True, "c": p.colour, "says": [p.says]} for p in found]
    return Chart(label, drawn, (WIDTH, HEIGHT), {"rows": rows})


def _dot(point: Point, x: Scale, y: Scale) -> str:
    place = x(point.x), y(y.low if point.faint else point.y)
    ring = dot("ring", *place, radius=7, says=point.says) if point.ring else ""
    return ring + dot("hollow" if point.faint else "run", *place, says=point.says)
