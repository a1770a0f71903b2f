"""Meters in a corner of a scene: target and measured value of each quantity, as a bar."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from pgcontrol.rendering.layout import BAR, FAINT, MARK, TEXT, typeface
from pgcontrol.rendering.overlay import BASE, FULL

OPACITY = 0.8  # opacity of the background of the bars
MOST = 0.35  # fraction of the picture's height; if the meters would cover more, they are left out
MEMORY = 0.2  # seconds over which measured values are averaged, about half a stride


class Meters:
    """Draws the meters of one recording on its images of `size` = (width, height) pixels.

    All meters with the same unit share one scale, up to the largest target or measured value in the recording. The unit
    is the last word of the name.
    """

    def __init__(self, meters: Mapping[str, np.ndarray], control_dt: float, size: tuple[int, int]) -> None:
        self._meters, self._steps = meters, max(round(MEMORY / control_dt), 1)
        units = {name: name.rpartition(" ")[2] for name in meters}
        largest = {name: float(np.abs(values).max()) for name, values in meters.items()}
        self._scale = {name: max(largest[n] for n in meters if units[n] == units[name]) or 1.0 for name in meters}
        self._font = int(min(max(size[1] / 30, 9), 24))
        letters = typeface(self._font)
        self._label = max(letters.getlength(name) for name in meters) + self._font
        self._number = letters.getlength("measured") + self._font // 2
        self._width = min(int(self._label + 2 * self._number + 8 * self._font), size[0])
        self._row = round(1.5 * self._font)

    def draw(self, picture: np.ndarray, step: int) -> None:
        """Draw the meters of the state after `step` steps onto an image [height, width, 3] uint8, at the lower left."""
        height = self._row * (len(self._meters) + 1) + self._font // 2
        if height > MOST * len(picture):
            return
        corner = picture[-height:, : self._width]
        board = Image.new("RGB", corner.shape[1::-1], BAR)
        draw, font, margin = ImageDraw.Draw(board), typeface(self._font), self._font // 2
        right = self._width - margin
        bar = margin + self._label, right - 2 * self._number
        draw.text((right, 0.7 * self._row), "target", MARK, font, anchor="rm")
        draw.text((right - self._number, 0.7 * self._row), "measured", FULL, font, anchor="rm")
        for i, (name, values) in enumerate(self._meters.items(), start=1):
            y = round((i + 0.7) * self._row)
            wanted, measured = values[step, 0], values[max(step + 1 - self._steps, 0) : step + 1, 1].mean()
            draw.text((margin, y), name, TEXT, font, anchor="lm")
            middle, reach = (bar[0] + bar[1]) / 2, (bar[1] - bar[0]) / 2 / self._scale[name]
            draw.line([(bar[0], y), (bar[1], y)], fill=BASE)
            ends = sorted((middle, middle + reach * measured))
            draw.rectangle([ends[0], y - 0.3 * self._font, ends[1], y + 0.3 * self._font], fill=FULL)
            draw.line([(middle, y - 0.4 * self._font), (middle, y + 0.4 * self._font)], fill=FAINT)
            x = middle + reach * wanted
            draw.line([(x, y - 0.6 * self._font), (x, y + 0.6 * self._font)], fill=MARK, width=max(self._font // 6, 2))
            draw.text((right - self._number, y), f"{measured:.2f}", FULL, font, anchor="rm")
            draw.text((right, y), f"{wanted:.2f}", MARK, font, anchor="rm")
        corner[:] = np.round((1 - OPACITY) * corner + OPACITY * np.asarray(board)).astype(np.uint8)
