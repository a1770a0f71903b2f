"""The page of a clip: a grid of panels, each with a caption bar above its scene."""

import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BAR, TEXT, FAINT, MARK = (24, 28, 34), (240, 243, 246), (150, 160, 172), (255, 191, 71)
GAP = 4  # pixels between columns

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Box(NamedTuple):
    """A rectangle in pixels; (x, y) is its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def of(self, page: np.ndarray) -> np.ndarray:
        """This part of a page [height, width, ...], as a view."""
        return page[self.y : self.y + self.height, self.x : self.x + self.width]


class Caption(NamedTuple):
    """The content of a caption bar: two lines, each with a left and a right part.

    Attributes:
        details: shown after the title in a fainter colour, as many as fit.
    """

    title: str
    details: tuple[str, ...]
    step: int
    score: float
    seconds: float
    ended: bool


class Layout:
    """The positions of all parts, for `count` scenes of `size` = (width, height) pixels, each with a panel next to it.

    Widths and heights are even, as yuv420p requires. `panel` is the width of the panels (even); 0: no panels.

    Attributes:
        scenes: position of each scene.
        panels: position of each panel, right of its scene.
        page: (width, height) of a frame.
    """

    def __init__(self, count: int, size: tuple[int, int], panel: int = 0) -> None:
        width, height = size
        across = width + panel  # width of a scene with its panel
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
        """An empty page, [height, width, 3] uint8."""
        return np.full((self.page[1], self.page[0], 3), BAR, np.uint8)

    def write(self, page: np.ndarray, index: int, caption: Caption) -> None:
        """Draw the bar above a scene onto a page."""
        scene, panel = self.scenes[index], self.panels[index]
        bar = Box(scene.x, scene.y - self.bar, scene.width + panel.width, self.bar)
        bar.of(page)[:] = _bar(bar.width, bar.height, self._font_size, caption)


def _bar(width: int, height: int, size: int, caption: Caption) -> np.ndarray:
    canvas = Image.new("RGB", (width, height), BAR)
    draw, font, margin = ImageDraw.Draw(canvas), typeface(size), size // 2

    def line(y: int, left: str, right: str, color: tuple[int, ...], details: tuple[str, ...] = ()) -> None:
        # priority for space: the left text, then the right text, then the details
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
    """Pillow's own font, `size` pixels high."""
    return ImageFont.load_default(size)  # part of Pillow, so it does not depend on installed fonts
