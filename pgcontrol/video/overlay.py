"""Beside a scene, per joint: the action distribution that was chosen from, the chosen action, the deviation."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from pgcontrol.play.density import COLUMNS, widened
from pgcontrol.video.layout import BAR, FAINT, MARK, TEXT, Font, typeface
from pgcontrol.video.recording import Recording

FULL, BASE = (88, 178, 236), (70, 80, 92)
"""Of the distribution, and of the line it stands on."""
WIDEST, NARROWEST = 0.5, 240
"""A panel is half a scene wide, and no narrower than this many pixels."""
ROWS = 8
"""Joints one below the other; more of them stand in columns."""


def panel_width(width: int) -> int:
    """Pixels of the panel beside a scene so wide; even."""
    return 2 * round(max(WIDEST * width, NARROWEST) / 2)


class Overlay:
    """Draws the distributions of one recording, which must hold them."""

    def __init__(self, recording: Recording, size: tuple[int, int]) -> None:
        assert recording.columns is not None
        self._recording, self._size = recording, size
        joints = recording.columns.shape[1]
        self._across = math.ceil(joints / ROWS)
        self._down = math.ceil(joints / self._across)
        columns = recording.columns
        # bars stand apart, so that they are seen to be no curve
        self._columns = np.stack([widened(columns[:, j]) for j in range(joints)], 1) if recording.discrete else columns

    def draw(self, step: int) -> np.ndarray:
        """The panel of the choice that follows `step` steps, at the end the last one: [height, width, 3] uint8."""
        recording, (width, height) = self._recording, self._size
        assert recording.chosen is not None
        assert recording.spread is not None
        step = min(step, len(recording.chosen) - 1)
        canvas = Image.new("RGB", self._size, BAR)
        draw = ImageDraw.Draw(canvas)
        cell, room = width // self._across, height / self._down
        size = int(min(max(room * 0.22, 9), 16))
        for j, name in enumerate(recording.joints):
            left, top = (j // self._down) * cell + size // 2, (j % self._down) * room
            right, bottom = (j // self._down + 1) * cell - size // 2, top + room - 4
            head = 0
            if room >= 2.4 * size:  # otherwise there is no room for words
                self._words(draw, (left, right, top), name, recording.spread[step, j], typeface(size))
                head = 1.25 * size
            self._histogram(draw, (left, top + head, right, bottom), self._columns[step, j])
            x = left + (np.clip(recording.chosen[step, j], -1, 1) + 1) / 2 * (right - left)
            draw.line([(x, top + head), (x, bottom)], fill=MARK, width=2)
        return np.asarray(canvas)

    def _words(
        self, draw: ImageDraw.ImageDraw, place: tuple[float, float, float], name: str, spread: float, small: Font
    ) -> None:
        left, right, top = place
        said = f"std {spread:.2f}"  # the font has no σ
        if small.getlength(f"{name}  {said}") > right - left:
            name = ""
        draw.text((left, top + 1), name, TEXT, small)
        draw.text((right, top + 1), said, FAINT, small, anchor="ra")

    def _histogram(
        self, draw: ImageDraw.ImageDraw, place: tuple[float, float, float, float], columns: np.ndarray
    ) -> None:
        left, top, right, bottom = place
        draw.line([(left, bottom), (right, bottom)], fill=BASE)
        middle = (left + right) / 2
        draw.line([(middle, bottom), (middle, bottom - 3)], fill=BASE)
        edges = np.linspace(left, right, COLUMNS + 1)
        heights = bottom - 1 - columns / 255 * max(bottom - top - 2, 1)
        bars = np.flatnonzero(columns) if self._recording.discrete else self._piled(columns)
        if not self._recording.discrete:
            centres = (edges[:-1] + edges[1:]) / 2
            curve = [(float(x), float(y)) for x, y in zip(centres[1:-1], heights[1:-1], strict=True)]
            ends = (left, curve[0][1]), (right, curve[-1][1])
            draw.polygon([(left, bottom - 1), ends[0], *curve, ends[1], (right, bottom - 1)], FULL)
        for k in bars:
            draw.rectangle([edges[k], heights[k], edges[k + 1], bottom - 1], fill=FULL)

    def _piled(self, columns: np.ndarray) -> list[int]:
        """The bounds on which clipping has piled up more than the curve beside them has."""
        ends = ((0, 1), (COLUMNS - 1, COLUMNS - 2))
        return [end for end, beside in ends if columns[end] > columns[beside]]
