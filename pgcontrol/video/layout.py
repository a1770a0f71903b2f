"""The page of a clip: panels in a grid, each with a caption bar above its scene."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BAR, TEXT, FAINT, MARK = (24, 28, 34), (240, 243, 246), (150, 160, 172), (255, 191, 71)
GAP = 4  # pixels between columns

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Box(NamedTuple):
    """A rectangle in pixels, from the upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def of(self, page: np.ndarray) -> np.ndarray:
        """That part of a page [height, width, ...], as a view."""
        return page[self.y : self.y + self.height, self.x : self.x + self.width]


class Caption(NamedTuple):
    """What a bar says: two lines, left and right."""

    title: str
    details: tuple[str, ...]
    """After the title, fainter, as many of them as there is room for."""
    step: int
    score: float
    seconds: float
    ended: bool


class Layout:
    """Where everything is, for `count` scenes of `size` = (width, height) pixels, each with a panel beside it.

    Widths and heights come out even, as yuv420p wants them. `panel` is the panels' width, 0 for none; even.

    Raises:
        ValueError: a size too small to hold a caption.
    """

    def __init__(self, count: int, size: tuple[int, int], panel: int = 0) -> None:
        width, height = size
        across = width + panel  # of a scene with its panel
        if min(size) < 64 or width % 2 or height % 2:
            raise ValueError(f"size: expected even numbers of at least 64 pixels, got {width}x{height}")
        columns = count if count <= 3 else math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        self._font_size = min(max(height // 20, 11), 40)
        self.bar = 2 * round(1.6 * self._font_size)
        self.scenes = [
            Box(i % columns * (across + GAP), i // columns * (height + self.bar) + self.bar, width, height)
            for i in range(count)
        ]
        """Where each picture goes."""
        self.panels = [Box(scene.x + width, scene.y, panel, height) for scene in self.scenes]
        """Where each panel goes, right of its picture."""
        self.page = columns * (across + GAP) - GAP, rows * (height + self.bar)
        """(width, height) of a frame."""

    def blank(self) -> np.ndarray:
        """A page without pictures, [height, width, 3] uint8."""
        return np.full((self.page[1], self.page[0], 3), BAR, np.uint8)

    def write(self, page: np.ndarray, index: int, caption: Caption) -> None:
        """Draw the bar above a scene into a page."""
        scene, panel = self.scenes[index], self.panels[index]
        bar = Box(scene.x, scene.y - self.bar, scene.width + panel.width, self.bar)
        bar.of(page)[:] = _bar(bar.width, bar.height, self._font_size, *_lines(caption))


class _Line(NamedTuple):
    left: str
    details: tuple[str, ...]
    right: str
    color: Color
    """Of the right side."""


def _lines(caption: Caption) -> tuple[_Line, _Line]:
    time = f"{caption.seconds:.1f} s"
    clock, color = (f"ended at {time}", MARK) if caption.ended else (time, FAINT)
    return (
        _Line(caption.title, caption.details, f"step {caption.step:,}", FAINT),
        _Line(f"return {caption.score:,.{0 if abs(caption.score) >= 100 else 1}f}", (), clock, color),
    )


def _bar(width: int, height: int, size: int, *lines: _Line) -> np.ndarray:
    canvas = Image.new("RGB", (width, height), BAR)
    draw, font, margin = ImageDraw.Draw(canvas), typeface(size), size // 2
    for row, line in enumerate(lines):
        y = round((row + 0.5 + 0.08 * (1 - 2 * row)) * height / len(lines))
        room = width - 2 * margin
        # the right side gives way to the left's first words, the left's details to the right side
        left = _cut(line.left, font, room)
        right = line.right if font.getlength(f"{left}  {line.right}") <= room else ""
        draw.text((margin, y), left, TEXT, font, anchor="lm")
        draw.text((width - margin, y), right, line.color, font, anchor="rm")
        x, limit = margin + font.getlength(left), width - margin - font.getlength(f"{right}  ")
        for detail in (f"  {d}" for d in line.details):
            if x + font.getlength(detail) > limit:
                break
            draw.text((x, y), detail, FAINT, font, anchor="lm")
            x += font.getlength(detail)
    return np.asarray(canvas)


def _cut(text: str, font: Font, room: float) -> str:
    while text and font.getlength(text) > room:
        text = text[:-2].rstrip(".") + "." if len(text) > 2 else ""
    return text


@functools.cache
def typeface(size: int) -> Font:
    """Pillow's own, `size` pixels high."""
    return ImageFont.load_default(size)  # comes with Pillow: no font of the machine's is relied on
