"""Estimates with their intervals, one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pgcontrol.charts.chart import LETTER, Chart, cut, dot, stroke, text
from pgcontrol.charts.lines import BOTTOM, RIGHT, WIDTH, whose
from pgcontrol.charts.scale import Ends, Scale, fit, number

BEYOND = 40  # pixels at the right edge for the number of runs that lie beyond it
NAME = 24  # largest number of characters of an arm's name next to its bar
STEP, TOP = 26, 8  # height of a bar's row, and space above the first


@dataclass
class Bar:
    """A row of a chart of estimates: an interval, a mark in it, and the values of the runs.

    Attributes:
        points: (value, its tooltip) of each run.
        beyond: number of runs without a value: written at the right edge.
        faint: points of runs that diverged, drawn hollow.
        arm: whether the name is an arm, which the page's legend can hide; otherwise it is a route.
    """

    name: str
    colour: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    points: Sequence[tuple[float, str]] = ()
    beyond: int = 0
    says: str = ""
    faint: Sequence[tuple[float, str]] = ()
    arm: bool = True

    def values(self) -> list[float]:
        """All values that are drawn."""
        found = (self.estimate, self.low, self.high, *(value for value, _ in (*self.points, *self.faint)))
        return [value for value in found if value is not None]

    def data(self) -> dict[str, Any]:
        """The data of the bar for the page's script."""
        never = [f"{self.beyond} never"] if self.beyond else []
        says = [self.says, *(says for _, says in (*self.points, *self.faint)), *never]
        return {"name": self.name, "arm": self.arm, "c": self.colour, "says": says}


def bars(label: str, rows: Sequence[Bar], title: str, ends: Ends = (None, None), rule: float | None = None) -> Chart:
    """Estimates with intervals, one below the other; `title` is the axis title, `label` is for screen readers."""
    values = [value for row in rows for value in row.values()] + ([] if rule is None else [rule])
    left = 16 + LETTER * min(NAME, max(len(row.name) for row in rows))
    right = WIDTH - (BEYOND if any(row.beyond for row in rows) else RIGHT)
    x = fit(np.array(values or [0.0]), left, right, ends=ends)
    bottom = TOP + STEP * len(rows)
    drawn = [stroke("grid", x(t), TOP, x(t), bottom) + text(x(t), bottom + 15, number(t), "middle") for t in x.ticks(4)]
    wide = LETTER * len(title)
    middle = min(max((left + WIDTH - RIGHT) / 2, wide / 2), WIDTH - wide / 2)
    drawn.append(text(middle, bottom + BOTTOM - 7, title, "middle", "title"))
    drawn += [] if rule is None else [stroke("rule", x(rule), TOP, x(rule), bottom)]
    places = [(row, TOP + STEP * (i + 0.5)) for i, row in enumerate(rows)]
    drawn += [_bar(row, x, y) for row, y in places]
    return Chart(label, drawn, (WIDTH, bottom + BOTTOM), {"rows": [row.data() | {"y": y} for row, y in places]})


def _bar(row: Bar, x: Scale, middle: float) -> str:
    parts = [text(x.start - 8, middle + 4, cut(row.name, NAME), "end", "label")]
    if row.low is not None and row.high is not None:
        left, wide = x(row.low), max(x(row.high) - x(row.low), 2)
        place = f'x="{left:.1f}" y="{middle - 5:.1f}" height="10" rx="2" width="{wide:.1f}"'
        parts.append(f'<rect class="span" {place}/>')
    for look, points in (("run", row.points), ("hollow", row.faint)):
        parts += [dot(look, x(value), middle, says=says) for value, says in points]
    if row.beyond:
        parts.append(text(WIDTH - 2, middle + 4, f"{row.beyond}×∞", "end"))
    if row.estimate is not None:
        parts.append(stroke("estimate", x(row.estimate), middle - 9, x(row.estimate), middle + 9))
    says = escape(f"{row.name}: {row.says}")
    return f"<g {whose(row.name, row.colour, row.arm)}><title>{says}</title>{''.join(parts)}</g>"
