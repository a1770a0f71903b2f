"""The panel next to a scene: for each joint the action distribution, the chosen action, and the standard deviation."""

import math

import numpy as np
from PIL import Image, ImageDraw

from pgcontrol.play.density import COLUMNS, widened
from pgcontrol.rendering.layout import BAR, FAINT, MARK, TEXT, typeface
from pgcontrol.rendering.recording import ActionDistributions

FULL, BASE = (88, 178, 236), (70, 80, 92)  # colours of the distribution and of its base line
WIDEST, NARROWEST = 0.5, 240  # a panel is half as wide as a scene, but at least this many pixels
ROWS = 8  # joints per column


def panel_width(width: int) -> int:
    """Width in pixels of the panel for a scene of this width; even."""
    return 2 * round(max(WIDEST * width, NARROWEST) / 2)


class Overlay:
    """Draws the action distributions of one recording in a panel of `size` = (width, height) pixels."""

    def __init__(self, shown: ActionDistributions, size: tuple[int, int]) -> None:
        self._shown, self._size = shown, size
        joints = len(shown.joints)
        self._across = math.ceil(joints / ROWS)
        self._down = math.ceil(joints / self._across)
        # gaps between the bars show that the values are discrete
        bars = shown.columns.swapaxes(0, 1)
        self._columns = np.stack([widened(joint) for joint in bars], 1) if shown.discrete else shown.columns

    def draw(self, step: int) -> np.ndarray:
        """The panel for the choice after `step` steps (at the end, the last one): [height, width, 3] uint8."""
        shown, (width, height) = self._shown, self._size
        step = min(step, len(shown.chosen) - 1)
        canvas = Image.new("RGB", self._size, BAR)
        draw = ImageDraw.Draw(canvas)
        cell, room = width // self._across, height / self._down
        size = int(min(max(room * 0.22, 9), 16))
        small = typeface(size)
        for j, name in enumerate(shown.joints):
            left, top = (j // self._down) * cell + size // 2, (j % self._down) * room
            right, bottom = (j // self._down + 1) * cell - size // 2, top + room - 4
            if room >= 2.4 * size:  # otherwise there is no room for text
                deviation = f"std {shown.spread[step, j]:.2f}"  # the font has no σ
                if small.getlength(f"{name}  {deviation}") <= right - left:
                    draw.text((left, top + 1), name, TEXT, small)
                draw.text((right, top + 1), deviation, FAINT, small, anchor="ra")
                top += 1.25 * size
            self._histogram(draw, (left, top, right, bottom), self._columns[step, j])
            x = left + (np.clip(shown.chosen[step, j], -1, 1) + 1) / 2 * (right - left)
            draw.line([(x, top), (x, bottom)], fill=MARK, width=2)
        return np.asarray(canvas)

    def _histogram(self, draw: ImageDraw.ImageDraw, place: tuple[float, ...], columns: np.ndarray) -> None:
        left, top, right, bottom = place
        draw.line([(left, bottom), (right, bottom)], fill=BASE)
        middle = (left + right) / 2
        draw.line([(middle, bottom), (middle, bottom - 3)], fill=BASE)
        edges = np.linspace(left, right, COLUMNS + 1)
        heights = bottom - 1 - columns / 255 * max(bottom - top - 2, 1)
        if self._shown.discrete:
            bars = np.flatnonzero(columns)
        else:
            x = np.concatenate([[left, left], (edges[1:-2] + edges[2:-1]) / 2, [right, right]])
            y = np.pad(np.pad(heights[1:-1], 1, mode="edge"), 1, constant_values=bottom - 1)
            draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), FULL)
            # probability at a bound that exceeds the curve next to it comes from clipping: draw it as a bar
            bars = [bound for bound, beside in ((0, 1), (COLUMNS - 1, COLUMNS - 2)) if columns[bound] > columns[beside]]
        for k in bars:
            draw.rectangle([edges[k], heights[k], edges[k + 1], bottom - 1], fill=FULL)
