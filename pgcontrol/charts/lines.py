"""Curves over a common axis, with bands and marks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pgcontrol.charts.chart import Chart, Entry, dot, key, stroke, text
from pgcontrol.charts.scale import Ends, Scale, fit, number

WIDTH, HEIGHT = 440, 286
LEFT, RIGHT, TOP, BOTTOM = 50, 22, 26, 38
WORD = 34  # pixels: largest width of a number below the axis


@dataclass(frozen=True)
class Line:
    """A curve with its band, or points.

    Attributes:
        colour: class of the style sheet.
        arm: whether the name is an arm, which the page's legend can hide; otherwise it is a joint.
        look: a `line`, `dots`, `both`, or a `cloud` of dots in which later ones are stronger.
    """

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    arm: bool = True
    look: str = "line"


@dataclass(frozen=True)
class Axes:
    """Titles, kinds and ends of the axes.

    Attributes:
        log: whether y is logarithmic.
        ends: ends of y; None: from the data.
        log_x: whether x is logarithmic.
        ends_x: ends of x; None: from the data.
    """

    x: str
    y: str = ""
    log: bool = False
    ends: Ends = (None, None)
    log_x: bool = False
    ends_x: tuple[float, float] | None = None


def lines(
    label: str,
    curves: Sequence[Line],
    axes: Axes,
    rule: tuple[float, str] | None = None,
    marks: Iterable[tuple[float, float, str]] = (),
    uprights: Iterable[tuple[float, str]] = (),
    entries: Sequence[Entry] = (),
) -> Chart:
    """Curves over a common x.

    Args:
        label: description for screen readers.
        curves: what to draw, the first on top.
        axes: titles and scales.
        rule: a horizontal line and its name.
        marks: (x, y, tooltip) of triangles.
        uprights: (x, class) of vertical lines.
        entries: the chart's own key, between its title and the curves.
    """
    names, height = key(entries, LEFT, 20, WIDTH - RIGHT)
    x = _across(curves, axes)
    values = [a for c in curves for a in (c.y, c.low, c.high) if a is not None]
    values.append(np.array([] if rule is None else [rule[0]]))
    y = fit(np.concatenate(values).astype(float), HEIGHT - BOTTOM + height, TOP + height, axes.log, axes.ends)
    drawn = [frame(x, y, axes), *names]
    if rule and y.low <= rule[0] <= y.high:
        high = y(rule[0])
        drawn += [stroke("rule", x.start, high, x.end, high), text(x.end, high - 4, rule[1], "end")]
    drawn += [stroke(look, x(at), y.start, x(at), y.end) for at, look in uprights]
    drawn += [_curve(curve, x, y) for curve in reversed(curves)]
    for at, value, says in marks:
        place = f"M{x(at):.1f} {y(value):.1f}l-5 -9h10Z"
        drawn.append(f'<path class="mark" d="{place}"><title>{escape(says)}</title></path>')
    longest = max((c.x for c in curves), key=lambda at: at[-1] if len(at) else -np.inf, default=np.zeros(0))
    data = {"box": [x.start, x.end, y.end, y.start], "x": [x.low, x.high], **numbers(longest, curves)}
    return Chart(label, drawn, (WIDTH, HEIGHT + height), data)


def _across(curves: Sequence[Line], axes: Axes) -> Scale:
    """The scale of x. A linear one covers all points, and starts at 0 if that is near the first one."""
    ends = [float(end) for c in curves if len(c.x) for end in (c.x.min(), c.x.max())] or [0.0, 1.0]
    first, last = axes.ends_x or (min(ends), max(ends))
    if axes.log_x:
        return fit(np.array(ends), LEFT, WIDTH - RIGHT, log=True)
    if 0 < first < 0.2 * last or first == last:
        first = min(0.0, first)
    return Scale(first, last if last > first else first + 1, LEFT, WIDTH - RIGHT)


def _curve(curve: Line, x: Scale, y: Scale) -> str:
    known = np.isfinite(curve.y)
    points = [*zip(curve.x[known], curve.y[known], strict=True)]
    parts = []
    if curve.low is not None and curve.high is not None:
        there = np.isfinite(curve.low) & np.isfinite(curve.high)
        upper, lower = (zip(curve.x[there], edge[there], strict=True) for edge in (curve.high, curve.low))
        if there.any():
            parts.append(f'<path class="band" d="{_path(x, y, [*upper, *reversed([*lower])])}Z"/>')
    if points and curve.look in ("line", "both"):
        parts.append(f'<path class="line" d="{_path(x, y, points)}"/>')
    if curve.look != "line":
        strength = np.linspace(0.2, 1, len(points)) if curve.look == "cloud" else np.ones(len(points))
        for (a, b), opacity in zip(points, strength, strict=True):
            parts.append(dot("run", x(a), y(b), more=f' fill-opacity="{opacity:.2g}"'))
    return f"<g {whose(curve.name, curve.colour, curve.arm)}>{''.join(parts)}</g>"


def whose(name: str, colour: str, arm: bool) -> str:
    """Attributes of a group; an arm's group can be found by its name."""
    return f'class="arm {colour}" data-arm="{escape(name)}"' if arm else f'class="{colour}"'


def numbers(at: np.ndarray, curves: Sequence[Line]) -> dict[str, Any]:
    """The numbers of curves for the script; `at` of a curve only if it differs from the chart's x."""
    lines = []
    for curve in curves:
        own = None if np.array_equal(curve.x, at) else curve.x
        arrays = {"y": curve.y, "lo": curve.low, "hi": curve.high, "at": own}
        found = {name: [_round(v) for v in a] for name, a in arrays.items() if a is not None}
        lines.append({"name": curve.name, "arm": curve.arm, "c": curve.colour} | found)
    return {"at": [_round(v) for v in at], "lines": lines}


def frame(x: Scale, y: Scale, axes: Axes, words: Sequence[str] = ()) -> str:
    """Grid, tick labels and axis titles; `words` replace the tick labels of x at 0, 1, ...."""
    levels = [(y(tick), number(tick)) for tick in y.ticks()]
    parts = [stroke("grid", x.start, at, x.end, at) + text(x.start - 6, at + 4, says, "end") for at, says in levels]
    below = [*enumerate(words)] or [(tick, number(tick)) for tick in x.ticks(4, WORD)]
    parts += [text(x(at), y.start + 16, says, "middle") for at, says in below]
    parts.append(text((x.start + x.end) / 2, y.start + BOTTOM - 6, axes.x, "middle", "title"))
    return "".join([*parts, text(0, 14, axes.y, "start", "title")])


def _path(x: Scale, y: Scale, points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
