"""Effects with their intervals in a table of arms and tasks, each marked with the word for it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from pgcontrol.charts.chart import LETTER, Chart, cut, dot, stroke, text
from pgcontrol.charts.lines import whose
from pgcontrol.charts.scale import Scale

NAME = 26  # largest number of characters of a name
WIDTH = 860  # of the chart, if its columns fit
LEAST, STEP, GAP = 118, 26, 28  # smallest width of a column, height of a row, space between columns
TOP, BOTTOM, KEY = 24, 38, 24  # heights of the names of columns, of the axis, and of the key
STEPS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)  # possible labels of the axes
BEYOND = 10.0  # shares beyond it are not written as numbers: the score that they are shares of is near 0
MOST = 1.0  # the axes end at this share; what lies beyond is an arrow


class Look(NamedTuple):
    """How a word is drawn.

    Attributes:
        colour: class of the style sheet.
        shape: up, down, square, or ring.
    """

    colour: str
    shape: str


class Effect(NamedTuple):
    """An effect with its interval, as shares; bounds may be infinite.

    Attributes:
        place: names of its row and of its column.
        word: a key of the looks.
        arm: the arm's name, which the page's legend can hide.
        says: the tooltip.
    """

    place: tuple[str, str]
    estimate: float
    low: float
    high: float
    word: str
    arm: str
    says: str


def effects(label: str, found: Sequence[Effect], looks: Mapping[str, Look], margin: float, title: str) -> Chart:
    """A table of effects.

    Args:
        label: description for screen readers.
        found: the effects; their rows and columns are in the order in which they come first.
        looks: word -> how it is drawn; they are the key.
        margin: a band of this share on both sides of 0 is grey.
        title: title of the axes.
    """
    rows, columns = (list(dict.fromkeys(effect.place[side] for effect in found)) for side in (0, 1))
    left = 18 + LETTER * max(len(cut(row, NAME)) for row in rows)
    wide = max([LEAST, (WIDTH - left) / len(columns) - GAP, *(LETTER * len(cut(column, NAME)) for column in columns)])
    foot = TOP + STEP * len(rows)
    size = max(left + len(columns) * (wide + GAP), 16 + LETTER * len(title)), foot + BOTTOM + KEY
    end = _end(found, margin)
    scales = {
        c: Scale(-end, end, left + i * (wide + GAP), left + i * (wide + GAP) + wide) for i, c in enumerate(columns)
    }
    drawn = [piece for column, x in scales.items() for piece in _column(column, x, margin, foot)]
    middles = {row: TOP + STEP * (i + 0.5) for i, row in enumerate(rows)}
    drawn += [text(left - 10, y + 4, cut(row, NAME), "end", "label") for row, y in middles.items()]
    drawn += [_cell(effect, looks[effect.word], scales[effect.place[1]], middles[effect.place[0]]) for effect in found]
    drawn.append(text(size[0] / 2, foot + 32, title, "middle", "title"))
    at = max(8.0, (size[0] - sum(34 + LETTER * len(word) for word in looks)) / 2)
    for word, look in looks.items():
        drawn.append(f'<g class="{look.colour}">{_mark(look, at + 6, size[1] - 10)}</g>')
        drawn.append(text(at + 16, size[1] - 6, word, "start"))
        at += 34 + LETTER * len(word)
    data = [{"name": e.arm, "arm": True, "c": looks[e.word].colour, "says": [e.says]} for e in found]
    return Chart(label, drawn, size, {"rows": data})


def _end(found: Sequence[Effect], margin: float) -> float:
    """The end of the axes on both sides of 0: all that is finite, at most `MOST`."""
    finite = [abs(value) for effect in found for value in effect[1:4] if math.isfinite(value)]
    return min(max(MOST, 2 * margin), max(3 * margin, 1.1 * max(finite, default=0.0)))


def _column(name: str, x: Scale, margin: float, foot: float) -> list[str]:
    band = f'<rect class="margin" x="{x(-margin):.1f}" y="{TOP}" width="{x(margin) - x(-margin):.1f}" '
    drawn = [band + f'height="{foot - TOP}"/>', text((x.start + x.end) / 2, 14, cut(name, NAME), "middle", "label")]
    step = next(step for step in STEPS if step <= 0.88 * x.high)  # so that labels of two columns are apart
    for tick in (-step, 0, step):
        drawn.append(stroke("axis" if tick == 0 else "grid", x(tick), TOP, x(tick), foot))
        drawn.append(text(x(tick), foot + 14, signed(tick), "middle"))
    return drawn


def signed(share: float) -> str:
    """A share as a percentage with its sign: +12 %, 0 %, > +1,000 %, −∞."""
    if BEYOND < abs(share) < math.inf:
        return f"> {signed(BEYOND)}" if share > 0 else f"< {signed(-BEYOND)}"
    size = "∞" if math.isinf(share) else f"{abs(100 * share):,.0f}\u00a0%"
    return size if size[0] == "0" else f"{'+' if share > 0 else '−'}{size}"


def _cell(effect: Effect, look: Look, x: Scale, y: float) -> str:
    low, high = x(effect.low), x(effect.high)
    parts = [stroke("interval", low, y, high, y)]
    parts += [_arrow(low, y, 6)] if effect.low < x.low else [stroke("interval", low, y - 4, low, y + 4)]
    parts += [_arrow(high, y, -6)] if effect.high > x.high else [stroke("interval", high, y - 4, high, y + 4)]
    if math.isfinite(effect.estimate):
        parts.append(_mark(look, x(effect.estimate), y))
    return f"<g {whose(effect.arm, look.colour, True)}><title>{escape(effect.says)}</title>{''.join(parts)}</g>"


def _arrow(x: float, y: float, back: float) -> str:
    return f'<path class="head" d="M{x:.1f} {y:.1f}l{back} -4v8Z"/>'


def _mark(look: Look, x: float, y: float) -> str:
    if look.shape == "ring":
        return dot("hollow", x, y, 4)
    shapes = {"up": "m0 -6l6 11h-12Z", "down": "m0 6l6 -11h-12Z", "square": "m-5 -5h10v10h-10Z"}
    return f'<path class="head" d="M{x:.1f} {y:.1f}{shapes[look.shape]}"/>'
