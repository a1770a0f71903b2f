"""The page of a clip: panels in a grid, each with a caption bar above its scene."""

import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BAR, TEXT, FAINT, MARK = (24, 28, 34), (240, 243, 246), (150, 160, 172), (255, 191, 71)
GAP = 4  # pixels between columns

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
    """What a bar says: two lines, left and right.

    Attributes:
        details: after the title, fainter, as many of them as there is room for.
    """

    title: str
    details: tuple[str, ...]
    step: int
    score: float
    seconds: float
    ended: bool


class Layout:
    """Where everything is, for `count` scenes of `size` = (width, height) pixels, each with a panel beside it.

    Widths and heights come out even, as yuv420p wants them. `panel` is the panels' width, 0 for none; even.

    Attributes:
        scenes: where each picture goes.
        panels: where each panel goes, right of its picture.
        page: (width, height) of a frame.
    """

    def __init__(self, count: int, size: tuple[int, int], panel: int = 0) -> None:
        width, height = size
        across = width + panel  # of a scene with its panel
        columns = count if count <= 3 else math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        self._font_size = min(max(height // 20, 11), 40)
        self.bar = 2 * round(1.6 * self._font_size)
        self.scenes = [
            Box(i % columns * (across + GAP), i // columns * (height + self.bar) + self.bar, width, height)
            for i in range(count)
        ]
        self.panels = [Box(scene.x + width, scene.y, panel, height) for scene in self.scenes]
        self.page = columns * (across + GAP) - GAP, rows * (height + self.bar)

    def blank(self) -> np.ndarray:
        """A page without pictures, [height, width, 3] uint8."""
        return np.full((self.page[1], self.page[0], 3), BAR, np.uint8)

    def write(self, page: np.ndarray, index: int, caption: Caption) -> None:
        """Draw the bar above a scene into a page."""
        scene, panel = self.scenes[index], self.panels[index]
        bar = Box(scene.x, scene.y - self.bar, scene.width + panel.width, self.bar)
        bar.of(page)[:] = _bar(bar.width, bar.height, self._font_size, caption)


def _bar(width: int, height: int, size: int, caption: Caption) -> np.ndarray:
    canvas = Image.new("RGB", (width, height), BAR)
    draw, font, margin = ImageDraw.Draw(canvas), typeface(size), size // 2

    def line(y: int, left: str, right: str, color: tuple[int, ...], details: tuple[str, ...] = ()) -> None:
        # the right side gives way to the left's first words, the left's details to the right side
        room = width - 2 * margin
        left = _cut(left, font, room)
        right = right if font.getlength(f"{left}  {right}") <= room else ""
        draw.text((margin, y), left, TEXT, font, anchor="lm")
        draw.text((width - margin, y), right, color, font, anchor="rm")
        x, limit = margin + font.getlength(left), width - margin - font.getlength(f"{right}  ")
        for detail in (f"  {d}" for d in details):
            if x + font.getlength(detail) > limit:
                break
            draw.text((x, y), detail, FAINT, font, anchor="lm")
            x += font.getlength(detail)

    line(round(0.29 * height), caption.title, f"step {caption.step:,}", FAINT, caption.details)
    score, time = f"return {caption.score:,.{0 if abs(caption.score) >= 100 else 1}f}", f"{caption.seconds:.1f} s"
    clock, color = (f"ended at {time}", MARK) if caption.ended else (time, FAINT)
    line(round(0.71 * height), score, clock, color)
    return np.asarray(canvas)


def _cut(text: str, font: Font, room: float) -> str:
    while text and font.getlength(text) > room:
        text = text[:-2].rstrip(".") + "." if len(text) > 2 else ""
    return text


@functools.cache
def typeface(size: int) -> Font:
    """Pillow's own, `size` pixels high."""
    return ImageFont.load_default(size)  # comes with Pillow: no font of the machine's is relied on
