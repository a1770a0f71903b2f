"""Charts as SVG text: drawn here, so that they are there without a script, in print and at any width.

Our own, not a library's: a page that carries plotly.js is 4 MB and more before its first number, and reports are
committed. Colours are classes of the page's style sheet (`c0`, `c1`, ... `base` for the baseline), so that light, dark
and print share one drawing. What a script needs to answer pointers and keys is in `data-chart`, as JSON: curves over
`at`, or `rows` of words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pgcontrol.text import short

WIDTH, HEIGHT = 440, 286
LEFT, RIGHT, TOP, BOTTOM = 50, 22, 26, 38
LETTER = 7.2
"""Of a title, at the size that phones show it."""
BEYOND = 40
"""Room at the right edge for what is said of runs that are beyond it."""
CLOSE = 14
"""Pixels between two labels of a logarithmic axis, at the least."""
NAME = 24
"""Letters of an arm's name beside its bar."""


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
        """Round numbers within; of a logarithmic scale at least two, and decades alone where there are many."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1,), (1, 2, 5), range(1, 10)):
                found = [t for e in decades for m in digits if self.low <= (t := m * 10.0**e) <= self.high]
                if len(found) >= 3:
                    return found[:: math.ceil(len(found) / 7)] if digits == (1,) else self._apart(found)
        raw = (self.high - self.low) / count
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _apart(self, ticks: list[float]) -> list[float]:
        """Those whose labels do not stand on each other."""
        kept = ticks[:1]
        for tick in ticks[1:]:
            kept += [tick] if abs(self(tick) - self(kept[-1])) >= CLOSE else []
        return kept


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
    arm: bool = True
    """Whether the name is an arm's, which the page's legend hides; otherwise a joint's."""


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
    faint: Sequence[tuple[float, str]] = ()
    """The same of runs that diverged: hollow."""
    arm: bool = True
    """Whether the name is an arm's, which the page's legend hides; otherwise a route's."""


def number(value: float) -> str:
    """Short enough for an axis: 1.2M, 300k, 0.05."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    if 0 < abs(value) < 1e-3:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        return f"{value / 10.0**power:.3g}e−{-power}".replace("-", "−")
    return short(value).replace("-", "−")


def lines(
    label: str,
    curves: Sequence[Line],
    axes: Axes,
    rule: tuple[float, str] | None = None,
    marks: Iterable[tuple] = (),
) -> str:
    """Curves over a common x.

    Args:
        label: what the chart is of, for who cannot see it.
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
            text(WIDTH - RIGHT, y(rule[0]) - 4, rule[1], "end"),
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
        drawn.append(f'<g {_whose(curve)}>{shape}<path class="line" d="{d}"/></g>')
    for at, value, says in marks:
        cx, cy = x(at), y(value)
        drawn.append(f'<path class="mark" d="M{cx:.1f} {cy:.1f}l-5 -9h10Z"><title>{escape(says)}</title></path>')
    longest = max(curves, key=lambda c: c.x[-1]).x
    box = [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM]
    return chart((WIDTH, HEIGHT), drawn, label, box=box, x=[x.low, x.high], **numbers(longest, curves))


def bars(
    label: str,
    rows: Sequence[Bar],
    title: str,
    ends: tuple[float | None, float | None] = (None, None),
    rule: float | None = None,
) -> str:
    """Estimates with their intervals, one below the other; `title` is the axis's, `label` is for who cannot see."""
    values = [
        v
        for r in rows
        for v in (r.estimate, r.low, r.high, *(p for p, _ in (*r.points, *r.faint)))
        if v is not None and math.isfinite(v)
    ]
    if rule is not None:
        values.append(rule)
    if not values:
        values = [0.0]
    low, high = (min(values) if ends[0] is None else ends[0]), (max(values) if ends[1] is None else ends[1])
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    left = 16 + LETTER * min(NAME, max(len(r.name) for r in rows))
    right = WIDTH - (BEYOND if any(row.beyond for row in rows) else RIGHT)
    x = Scale(low - (room if ends[0] is None else 0), high + (room if ends[1] is None else 0), left, right)
    step, top = 26, 8
    height = top + step * len(rows) + BOTTOM
    bottom = height - BOTTOM
    drawn = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{bottom}"/>'
        + text(x(t), bottom + 15, number(t), "middle")
        for t in x.ticks(4)
    ]
    wide = LETTER * len(title)
    middle = min(max((left + WIDTH - RIGHT) / 2, wide / 2), WIDTH - wide / 2)
    drawn.append(text(middle, height - 7, title, "middle", "title"))
    if rule is not None:
        drawn.append(f'<line class="rule" x1="{x(rule):.1f}" x2="{x(rule):.1f}" y1="{top}" y2="{bottom}"/>')
    for i, row in enumerate(rows):
        drawn.append(_bar(row, x, top + step * (i + 0.5)))
    told = [
        {"name": row.name, "arm": row.arm, "c": row.colour, "y": top + step * (i + 0.5), "says": _says(row)}
        for i, row in enumerate(rows)
    ]
    return chart((WIDTH, height), drawn, label, rows=told)


def _says(row: Bar) -> list[str]:
    never = [f"{row.beyond} never"] if row.beyond else []
    return [row.says, *(says for _, says in (*row.points, *row.faint)), *never]


def _bar(row: Bar, x: Scale, middle: float) -> str:
    parts = [text(x.start - 8, middle + 4, _cut(row.name, NAME), "end", "label")]
    if row.low is not None and row.high is not None:
        parts.append(
            f'<rect class="span" x="{x(row.low):.1f}" y="{middle - 5:.1f}" height="10" rx="2" '
            f'width="{max(x(row.high) - x(row.low), 2):.1f}"/>'
        )
    for look, points in (("run", row.points), ("hollow", row.faint)):
        parts += [
            f'<circle class="{look}" cx="{x(v):.1f}" cy="{middle:.1f}" r="3"><title>{escape(says)}</title></circle>'
            for v, says in points
        ]
    if row.beyond:
        parts.append(text(WIDTH - 2, middle + 4, f"{row.beyond}×∞", "end"))
    if row.estimate is not None:
        parts.append(
            f'<line class="estimate" x1="{x(row.estimate):.1f}" x2="{x(row.estimate):.1f}" '
            f'y1="{middle - 9:.1f}" y2="{middle + 9:.1f}"/>'
        )
    return f"<g {_whose(row)}><title>{escape(f'{row.name}: {row.says}')}</title>{''.join(parts)}</g>"


def _whose(drawn: Line | Bar) -> str:
    """Attributes of a group: an arm's can be found by its name."""
    return f'class="arm {drawn.colour}" data-arm="{escape(drawn.name)}"' if drawn.arm else f'class="{drawn.colour}"'


def numbers(at: np.ndarray, curves: Sequence[Line]) -> dict[str, Any]:
    """The numbers of curves for the script; a curve's own x only where it is not the chart's."""
    lines = []
    for curve in curves:
        arrays = {"y": curve.y, "lo": curve.low, "hi": curve.high}
        if not np.array_equal(curve.x, at):
            arrays["at"] = curve.x
        found = {name: [_round(v) for v in a] for name, a in arrays.items() if a is not None}
        lines.append({"name": curve.name, "arm": curve.arm, "c": curve.colour} | found)
    return {"at": [_round(v) for v in at], "lines": lines}


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
        + text(LEFT - 6, y(t) + 4, number(t), "end")
        for t in y.ticks()
    ]
    parts += [text(x(t), HEIGHT - BOTTOM + 16, number(t), "middle") for t in x.ticks(4)]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axes.x, "middle", "title"))
    parts.append(text(0, 14, axes.y, "start", "title"))
    return "".join(parts)


def _path(x: Scale, y: Scale, points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def text(x: float, y: float, words: str, anchor: str, look: str = "tick") -> str:
    """Words at a place."""
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def chart(size: tuple[float, float], drawn: Sequence[str], label: str, **data: Any) -> str:
    """The element: `size` is that of its own units, `data` what the script answers pointers and keys with."""
    return element(f"0 0 {size[0]:g} {size[1]:g}", drawn, label, data)


def element(box: str, drawn: Sequence[str], label: str, data: Mapping[str, Any]) -> str:
    """The same, of any view box."""
    # between single quotes JSON's own need not be escaped, which would make them six times as long
    told = escape(json.dumps(data, separators=(",", ":"), ensure_ascii=False), quote=False).replace("'", "&#39;")
    return (
        f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(label)}" '
        f"data-chart='{told}'>{''.join(drawn)}</svg>"
    )


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[: length - 1]}…"


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
