"""Charts as SVG text: drawn here, so that they are there without a script, in print and at any width.

Our own, not a library's: a page that carries plotly.js is 4 MB and more before its first number, and reports are
committed. Colours are classes of the page's style sheet (`c0`, `c1`, ... `base` for the baseline), so that light, dark
and print share one drawing. What a script needs to answer a pointer is in `data-chart`, as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 36


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; what lies beyond an end is drawn there."""
        value = min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(value)
        else:
            low, high = self.low, self.high
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers within."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            few = len(decades) <= 3
            ticks = [m * 10.0**e for e in decades for m in ((1, 2, 5) if few else (1,))]
            return [t for t in ticks if self.low <= t <= self.high]
        raw = (self.high - self.low) / count
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Line:
    """A curve with its band."""

    name: str
    colour: str
    """Class of the style sheet."""
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Axes:
    """Titles, kinds and ends of the axes."""

    x: str
    y: str = ""
    log: bool = False
    """Of y."""
    ends: tuple[float | None, float | None] = (None, None)
    """Of y; None: as the data asks."""


@dataclass
class Bar:
    """A row of a chart of estimates: an interval, a mark in it, and the runs behind it."""

    name: str
    colour: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    points: Sequence[tuple[float, str]] = ()
    """(value, what to say of it)."""
    beyond: int = 0
    """Runs that never came there: drawn at the right edge."""
    says: str = ""
    faint: Sequence[float] = field(default_factory=list)
    """Values of runs that diverged: hollow."""


def number(value: float) -> str:
    """Short enough for an axis: 1.2M, 300k, 0.05."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    if 0 < abs(value) < 1e-3:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        return f"{value / 10.0**power:.3g}e−{-power}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def lines(
    curves: Sequence[Line], axes: Axes, rule: tuple[float, str] | None = None, marks: Iterable[tuple] = ()
) -> str:
    """Curves over a common x.

    Args:
        curves: what to draw, the first on top.
        axes: how.
        rule: a horizontal line and its name.
        marks: (x, y, what to say) of triangles.
    """
    if not curves:
        return ""
    first, last = float(min(c.x[0] for c in curves)), float(max(c.x[-1] for c in curves))
    if 0 < first < 0.2 * last or first == last:
        first = min(0.0, first)
    x = Scale(first, last if last > first else first + 1, LEFT, WIDTH - RIGHT)
    y = _fit(curves, axes, rule[0] if rule else None)
    drawn = [_frame(x, y, axes)]
    if rule and y.low <= rule[0] <= y.high:
        drawn += [
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(rule[0]):.1f}" y2="{y(rule[0]):.1f}"/>',
            _text(WIDTH - RIGHT, y(rule[0]) - 4, rule[1], "end"),
        ]
    for curve in reversed(curves):
        shape = ""
        if curve.low is not None and curve.high is not None:
            there = np.isfinite(curve.low) & np.isfinite(curve.high)
            edge = [*zip(curve.x[there], curve.high[there], strict=True)]
            edge += [*zip(curve.x[there], curve.low[there], strict=True)][::-1]
            if edge:
                shape = f'<path class="band" d="{_path(x, y, edge)}Z"/>'
        known = np.isfinite(curve.y)
        d = _path(x, y, zip(curve.x[known], curve.y[known], strict=True))
        drawn.append(
            f'<g class="arm {curve.colour}" data-arm="{escape(curve.name)}">{shape}<path class="line" d="{d}"/></g>'
        )
    for at, value, says in marks:
        cx, cy = x(at), y(value)
        drawn.append(f'<path class="mark" d="M{cx:.1f} {cy:.1f}l-5 -9h10Z"><title>{escape(says)}</title></path>')
    longest = max(curves, key=lambda c: c.x[-1]).x
    data = {"x": [x.low, x.high], "at": [_round(v) for v in longest], "lines": [_told(c, longest) for c in curves]}
    return _svg(HEIGHT, drawn, data, f"{axes.y or 'curves'} over {axes.x}")


def bars(
    rows: Sequence[Bar], label: str, ends: tuple[float | None, float | None] = (None, None), rule: float | None = None
) -> str:
    """Estimates with their intervals, one below the other."""
    values = [
        v
        for r in rows
        for v in (r.estimate, r.low, r.high, *(p for p, _ in r.points), *r.faint)
        if v is not None and math.isfinite(v)
    ]
    if rule is not None:
        values.append(rule)
    if not values:
        values = [0.0]
    low, high = (min(values) if ends[0] is None else ends[0]), (max(values) if ends[1] is None else ends[1])
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    left = 26 + min(150, 7.5 * max(len(r.name) for r in rows))
    x = Scale(low - (room if ends[0] is None else 0), high + (room if ends[1] is None else 0), left, WIDTH - RIGHT - 8)
    step = 26
    height = TOP + step * len(rows) + BOTTOM
    bottom = height - BOTTOM
    drawn = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{bottom}"/>'
        + _text(x(t), bottom + 15, number(t), "middle")
        for t in x.ticks(4)
    ]
    drawn.append(_text((left + WIDTH - RIGHT) / 2, height - 3, label, "middle", "title"))
    if rule is not None:
        drawn.append(f'<line class="rule" x1="{x(rule):.1f}" x2="{x(rule):.1f}" y1="{TOP}" y2="{bottom}"/>')
    for i, row in enumerate(rows):
        middle = TOP + step * (i + 0.5)
        parts = [_text(left - 8, middle + 4, _cut(row.name, 21), "end", "label")]
        if row.low is not None and row.high is not None:
            parts.append(
                f'<rect class="span" x="{x(row.low):.1f}" y="{middle - 5:.1f}" height="10" rx="2" '
                f'width="{max(x(row.high) - x(row.low), 2):.1f}"/>'
            )
        parts += [
            f'<circle class="run" cx="{x(v):.1f}" cy="{middle:.1f}" r="3"><title>{escape(says)}</title></circle>'
            for v, says in row.points
        ]
        parts += [f'<circle class="hollow" cx="{x(v):.1f}" cy="{middle:.1f}" r="3"/>' for v in row.faint]
        if row.beyond:
            parts.append(_text(WIDTH - 2, middle + 4, f"{row.beyond}×∞", "end"))
        if row.estimate is not None:
            parts.append(
                f'<line class="estimate" x1="{x(row.estimate):.1f}" x2="{x(row.estimate):.1f}" '
                f'y1="{middle - 9:.1f}" y2="{middle + 9:.1f}"/>'
            )
        drawn.append(
            f'<g class="arm {row.colour}" data-arm="{escape(row.name)}"><title>{escape(row.says)}</title>'
            f"{''.join(parts)}</g>"
        )
    return _svg(height, drawn, None, label)


def picture(png: str, x_ends: tuple[float, float], label: str) -> str:
    """A picture (data URI) of a density: x from `x_ends`, y from −1 to 1."""
    width, height, left, top, bottom = 230, 120, 24, 6, 20
    frame = f'<rect class="box" x="{left}" y="{top}" width="{width - left - 6}" height="{height - top - bottom}"/>'
    drawn = [
        f'<image x="{left}" y="{top}" width="{width - left - 6}" height="{height - top - bottom}" '
        f'preserveAspectRatio="none" href="{png}"/>',
        frame,
        *(_text(left - 4, at, says, "end") for at, says in ((top + 8, "1"), (height - bottom, "−1"))),
        _text(left, height - 6, number(x_ends[0]), "start"),
        _text(width - 6, height - 6, f"{number(x_ends[1])} steps", "end"),
    ]
    return _svg(height, drawn, None, label, width)


def plane(shapes: Sequence[Mapping[str, Any]], paths: Sequence[tuple[np.ndarray, str, str]], label: str) -> str:
    """Paths [P, 2] seen from above, (path, colour class, what to say) each, among the shapes that stand there."""
    points = np.concatenate([p for p, *_ in paths] + [_corners(s) for s in shapes])
    (left, low), (right, high) = points.min(0) - 4, points.max(0) + 4
    drawn = []
    for shape in shapes:
        (cx, cy), (w, h), look = shape["at"], shape["half"], "solid" if shape["solid"] else "floor"
        if shape["round"]:
            drawn.append(f'<circle class="{look}" cx="{cx:g}" cy="{-cy:g}" r="{w:g}"/>')
        else:
            drawn.append(f'<rect class="{look}" x="{cx - w:g}" y="{-cy - h:g}" width="{2 * w:g}" height="{2 * h:g}"/>')
    for path, colour, says in paths:
        d = "M" + "L".join(f"{px:g} {-py:g}" for px, py in path)
        drawn.append(f'<path class="route {colour}" d="{d}"><title>{escape(says)}</title></path>')
    box = f"{left:g} {-high:g} {right - left:g} {high - low:g}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'


def _told(curve: Line, shared: np.ndarray) -> dict[str, Any]:
    """A curve's numbers for the script; its own x only where it is not the chart's."""
    arrays = {"y": curve.y, "lo": curve.low, "hi": curve.high}
    if not np.array_equal(curve.x, shared):
        arrays["at"] = curve.x
    named = {"arm": curve.name, "c": curve.colour}
    return named | {name: [_round(v) for v in a] for name, a in arrays.items() if a is not None}


def _fit(curves: Sequence[Line], axes: Axes, also: float | None) -> Scale:
    arrays = [a for c in curves for a in (c.y, c.low, c.high) if a is not None]
    values = np.concatenate([*arrays, [] if also is None else [also]]).astype(float)
    values = values[np.isfinite(values) & ((values > 0) if axes.log else True)]
    if not len(values):
        values = np.array([0.5, 1.0])
    low, high = float(values.min()), float(values.max())
    if axes.log:
        low, high = low / 1.15, high * 1.15
    else:
        room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
        low, high = low - room, high + room
    low, high = (asked if asked is not None else found for asked, found in zip(axes.ends, (low, high), strict=True))
    return Scale(low, high, HEIGHT - BOTTOM, TOP, axes.log)


def _frame(x: Scale, y: Scale, axes: Axes) -> str:
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        + _text(LEFT - 6, y(t) + 4, number(t), "end")
        for t in y.ticks()
    ]
    parts += [_text(x(t), HEIGHT - BOTTOM + 16, number(t), "middle") for t in x.ticks(4)]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, axes.x, "middle", "title"))
    return "".join(parts)


def _path(x: Scale, y: Scale, points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def _text(x: float, y: float, words: str, anchor: str, look: str = "tick") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, drawn: Sequence[str], data: Any, label: str, width: float = WIDTH) -> str:
    chart = f" data-chart='{escape(json.dumps(data, separators=(',', ':')))}' tabindex=\"0\"" if data else ""
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}"{chart}>'
        f"{''.join(drawn)}</svg>"
    )


def _corners(shape: Mapping[str, Any]) -> np.ndarray:
    at, half = np.array(shape["at"]), np.array(shape["half"])
    return np.stack([at - half, at + half])


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[: length - 1]}…"


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
