"""A chart as SVG text, alone in a page or several in a file.

Colours are classes of `chart.css` (`c0`, `c1`, ... `base` for the baseline), so that light mode, dark mode and print
share one drawing. The data that a page's script needs for pointers and keys is in `data-chart`, as JSON: curves over
`at`, or `rows` of words.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Any

HUES = 7  # colours of the style sheet in addition to the baseline's; further names are dashed
LETTER = 7.2  # pixels: width of a character of a title, at its size on phones
HEADING = 9.3  # pixels: width of a character of a file's title
GAP = 18  # pixels between the charts of a file
ROW = 18  # pixels: height of a line of a key


@dataclass(frozen=True)
class Chart:
    """A drawing with its own coordinates in pixels.

    Attributes:
        label: description for screen readers.
        parts: SVG elements.
        size: width and height.
        data: data for the page's script.
        corner: left and top of the view.
    """

    label: str
    parts: Sequence[str]
    size: tuple[float, float]
    data: Mapping[str, Any] = field(default_factory=dict)
    corner: tuple[float, float] = (0, 0)

    def __html__(self) -> str:
        """The element in a page; templates call this. All text in it is escaped."""
        # in single quotes, JSON's double quotes need no escape, which would be six times as long
        data = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False)
        data = escape(data, quote=False).replace("'", "&#39;")
        return self._element(f"data-chart='{data}'")

    __str__ = __html__

    def at(self, x: float, y: float) -> str:
        """The element at a position in another element."""
        return self._element(f'x="{x:g}" y="{y:g}" width="{self.size[0]:g}" height="{self.size[1]:g}"')

    def _element(self, attributes: str) -> str:
        box = " ".join(f"{number:g}" for number in (*self.corner, *self.size))
        head = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(self.label)}" {attributes}>'
        return f"{head}{''.join(self.parts)}</svg>"


@dataclass(frozen=True)
class Entry:
    """A line of a key.

    Attributes:
        look: the symbol next to the name: a `line`, a `run` (a dot), or a `badge`.
        badge: the character in the badge.
    """

    name: str
    colour: str
    look: str = "line"
    badge: str = ""


def hue(place: int) -> str:
    """Classes of the colour with this index."""
    return f"c{place % HUES}" + (f" d{place // HUES}" if place >= HUES else "")


def text(x: float, y: float, words: str, anchor: str, look: str = "tick") -> str:
    """An SVG text element."""
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def stroke(look: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """An SVG line element."""
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def dot(look: str, x: float, y: float, radius: float = 3, more: str = "", says: str = "") -> str:
    """A disc, with a tooltip `says`."""
    end = f"><title>{escape(says)}</title></circle>" if says else "/>"
    return f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.3g}"{more}{end}'


def badge(x: float, y: float, entry: Entry, radius: float = 8) -> str:
    """A disc, with a character in it if it is large enough."""
    letter = text(x, y + 3.6, entry.badge, "middle", "letter") if radius >= 7 else ""
    return f'<g class="{entry.colour}">{dot("badge", x, y, radius)}{letter}</g>'


def key(entries: Sequence[Entry], left: float, top: float, right: float) -> tuple[list[str], float]:
    """Entries next to each other, in as many lines as needed; returns the elements and their height."""
    drawn, x, y = list[str](), left, top + ROW / 2
    for entry in entries:
        wide = 30 + LETTER * len(entry.name)
        if x > left and x + wide > right:
            x, y = left, y + ROW
        if entry.look == "badge":
            mark = badge(x + 10, y, entry, 7)
        else:
            shape = dot("run", x + 10, y) if entry.look == "run" else f'<path class="line" d="M{x:.1f} {y:.1f}h20"/>'
            mark = f'<g class="{entry.colour}">{shape}</g>'
        drawn += [mark, text(x + 25, y + 4, entry.name, "start")]
        x += wide + 8
    return drawn, y + ROW / 2 - top if entries else 0.0


def sheet(title: str, rows: Sequence[Sequence[Chart]], entries: Sequence[Entry] = ()) -> str:
    """An SVG file: rows of charts under a title, with a common key."""
    wide = max(sum(chart.size[0] + GAP for chart in row) for row in rows) + GAP
    drawn, y = list[str](), float(GAP)
    for words in (piece for line in title.splitlines() for piece in textwrap.wrap(line, int(wide / HEADING))):
        drawn.append(text(GAP, y + 12, words, "start", "heading"))
        y += 22
    names, height = key(entries, GAP, y, wide - GAP)
    y += height + GAP / 2
    for row in rows:
        x = float(GAP)
        for chart in row:
            drawn.append(chart.at(x, y))
            x += chart.size[0] + GAP
        y += max(chart.size[1] for chart in row) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {y:g}" width="{wide:g}" height="{y:g}">'
    paper = f'<rect class="paper" width="{wide:g}" height="{y:g}"/>'
    return f"{head}<title>{escape(title)}</title><style>{style()}</style>{paper}{''.join(names + drawn)}</svg>\n"


def style() -> str:
    """The style sheet that a page or a file with charts needs."""
    return resources.files("pgcontrol.charts").joinpath("chart.css").read_text("utf-8")


def cut(words: str, length: int) -> str:
    """Text, shortened to `length` characters."""
    return words if len(words) <= length else f"{words[: length - 1]}…"
