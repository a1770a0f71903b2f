"""Scales from numbers to pixels, and the numbers at an axis."""

import math
from dataclasses import dataclass

import numpy as np

from pgcontrol.text import short

Ends = tuple[float | None, float | None]  # ends of a scale; None: from the data
CLOSE = 14  # smallest distance in pixels between two labels of a logarithmic axis


@dataclass(frozen=True)
class Scale:
    """A map from numbers to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values beyond an end are drawn at the end."""
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            low, high, value = map(math.log, (low, high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5, apart: float = CLOSE) -> list[float]:
        """Round numbers within the scale. A logarithmic one has at least two; if there are many, only powers of ten.

        Args:
            count: approximate number for a linear scale.
            apart: smallest distance in pixels for a logarithmic scale.
        """
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1,), (1, 2, 5), range(1, 10)):
                found = [t for e in decades for m in digits if self.low <= (t := m * 10.0**e) <= self.high]
                if len(found) >= 3:
                    return found[:: math.ceil(len(found) / 7)] if digits == (1,) else self._apart(found, apart)
        raw = (self.high - self.low) / count
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
        places = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        found = [i * step for i in places]
        return found if len(found) >= 2 else self.ticks(2 * count, apart)

    def _apart(self, ticks: list[float], apart: float) -> list[float]:
        """The ticks whose labels do not overlap."""
        kept = ticks[:1]
        for tick in ticks[1:]:
            kept += [tick] if abs(self(tick) - self(kept[-1])) >= apart else []
        return kept


def fit(values: np.ndarray, start: float, end: float, log: bool = False, ends: Ends = (None, None)) -> Scale:
    """A scale that contains all values, or has the given ends.

    Args:
        values: values that are not finite, or not positive on a logarithmic scale, are ignored.
        start: pixel of the smallest value.
        end: pixel of the largest value.
        log: whether the scale is logarithmic.
        ends: the smallest and the largest value.
    """
    values = values[np.isfinite(values) & ((values > 0) if log else True)]
    found = (float(values.min()), float(values.max())) if len(values) else (0.5, 1.0)
    low, high = (f if asked is None else asked for asked, f in zip(ends, found, strict=True))
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    wider = (low / 1.15, high * 1.15) if log else (low - room, high + room)
    low, high = (w if asked is None else asked for asked, w in zip(ends, wider, strict=True))
    return Scale(low, high, start, end, log)


def spans(values: np.ndarray, factor: float) -> bool:
    """Whether a logarithmic axis is useful: no negative value, and max > factor times the smallest positive value."""
    known = values[np.isfinite(values)]
    positive = known[known > 0]
    return bool(len(positive)) and known.min() >= 0 and known.max() > factor * positive.min()


def number(value: float) -> str:
    """Text for an axis: 1.2M, 300k, 0.05."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:  # 999,700 would become 1e+03k
            return f"{value / size:.3g}{unit}".replace("-", "−")
    if 0 < abs(value) < 1e-3:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        return f"{value / 10.0**power:.3g}e−{-power}".replace("-", "−")
    return short(value).replace("-", "−")
