"""The modes of a policy's actions in a state: how many, where, how much probability, and what lies between them.

The number of modes depends on the scale: eleven bins are eleven peaks, and any sample has a peak at every draw. Here
the scale is explicit and fixed: *the modes at width w are the peaks of the distribution smoothed with a Gaussian of
standard deviation w* (scale space: Chaudhuri & Marron 2000, "Scale space view of curve estimation"). With this
definition, any distribution has well-defined modes, also a discrete one, and a kernel estimate with that bandwidth is
unbiased for the smoothed density. What remains is sampling error: a peak counts only if its height above the valley
exceeds `CERTAIN` standard errors of the difference.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy  # its modules are imported when first used

# half-ranges; actions closer than about three of them count as one: 11 bins, the usual number, are 0.2 apart
WIDTH = 0.1
# standard errors; with three, 1 % of samples of a uniform distribution would have two modes, and there are many joints
CERTAIN = 4.0
# a peak must rise above its valley by this fraction of its height: the ripple of bins 2 w apart is 0.03
PROMINENT = 0.1
LEAST_MASS = 0.01  # parts with less probability are tails, or exploration
PER_WIDTH = 4  # grid points per width


class Modes(NamedTuple):
    """M modes of draws [S, A], the most probable first.

    Attributes:
        centre: [M, A] mean of the draws of each mode.
        mass: [M] fraction of the draws.
        low: [M] lower ends of the 95 % intervals of `mass` (Wilson 1927).
        high: [M] upper ends.
    """

    centre: np.ndarray
    mass: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.mass)


def width_for(resolution: float) -> float:
    """The width for a head with this `resolution`: it smooths values on a grid of spacing 2 w into one peak."""
    return max(WIDTH, resolution / 2)


def modes(draws: np.ndarray, width: float = WIDTH) -> Modes:
    """The modes of the draws in one state.

    Draws are split at the most significant valley of any joint's marginal, then each part again, until no part has a
    valley. So a mode is found if it stands out in some joint among the draws that remain after earlier splits: for
    example goals on a ring, bang-bang actions of several joints, or "both left or both right". Two modes that differ
    only along a diagonal, by less than their width in every joint, count as one.

    Args:
        draws: [S, A], in half-ranges.
        width: width of the smoothing, in half-ranges.
    """
    parts = sorted((p for p in _split(draws, width) if len(p) >= LEAST_MASS * len(draws)), key=lambda p: -len(p))
    centre = np.array([part.mean(0) for part in parts])
    count = np.array([len(part) for part in parts])
    bounds = np.array([scipy.stats.binomtest(int(k), len(draws)).proportion_ci(method="wilson") for k in count])
    return Modes(centre, count / len(draws), bounds[:, 0], bounds[:, 1])


def distance(point: np.ndarray, found: Modes) -> float:
    """Distance of an action [A] from the nearest mode's centre, in half-ranges."""
    return float(np.linalg.norm(found.centre - point, axis=-1).min())


def relief(draws: np.ndarray, point: np.ndarray, width: float = WIDTH) -> float:
    """Smoothed density at an action [A], divided by its maximum: the smallest ratio over joints."""
    low, points = _grid(width)
    places = (point - low) / (width / PER_WIDTH)
    smoothed = [(at, _density(values, width)) for at, values in zip(places, draws.T, strict=True)]
    return min(float(np.interp(at, np.arange(points), density)) / density.max() for at, density in smoothed)


def _split(draws: np.ndarray, width: float) -> list[np.ndarray]:
    """The draws of each mode."""
    valleys = [_valley(values, width) for values in draws.T]
    joint = max(range(len(valleys)), key=lambda j: valleys[j][0])
    certainty, cut = valleys[joint]
    if certainty < CERTAIN:
        return [draws]
    above = draws[:, joint] > cut
    return _split(draws[~above], width) + _split(draws[above], width)


def _valley(values: np.ndarray, width: float) -> tuple[float, float]:
    """(depth in standard errors, position) of the most significant valley of draws [n]; (0, any) if there is none."""
    density = _density(values, width)
    peaks = scipy.signal.find_peaks(density)[0]
    order = np.lexsort((peaks, -density[peaks]))
    surest, where = 0.0, 0
    for rank, k in enumerate(order[1:], start=1):
        # compare with the nearest higher peak on either side; the shallower valley separates this peak from the rest
        higher = np.sort(peaks[order[:rank]])
        place = np.searchsorted(higher, peaks[k])
        sides = [(q, peaks[k]) for q in higher[:place][-1:]] + [(peaks[k], q) for q in higher[place:][:1]]
        low, at = max(_lowest(density, *side) for side in sides)
        height = density[peaks[k]]
        if height - low < PROMINENT * height:
            continue
        # variance of a kernel estimate: f ∫K² / (n w), with ∫K² = 1 / (2 √π) for the Gaussian (Silverman 1986, 3.3)
        error = math.sqrt((height + low) / (2 * math.sqrt(math.pi) * len(values) * width))
        surest, where = max((surest, where), ((height - low) / error, at))
    return float(surest), _grid(width)[0] + where * width / PER_WIDTH


def _lowest(density: np.ndarray, left: int, right: int) -> tuple[float, int]:
    """The smallest density between two peaks, and the middle of the place where it occurs."""
    between = density[left : right + 1]
    least = between.min()
    flat = np.flatnonzero(between <= least + 1e-9 * between.max())
    return float(least), int(left + flat[len(flat) // 2])


def _grid(width: float) -> tuple[float, int]:
    """Start and number of points: the range plus four widths on either side."""
    low = -1.0 - 4 * width
    return low, math.ceil(-2 * low / width * PER_WIDTH) + 1


def _density(values: np.ndarray, width: float) -> np.ndarray:
    """Kernel density estimate on the grid; draws [n] are rounded to the nearest grid point."""
    low, points = _grid(width)
    place = np.rint((values - low) * (PER_WIDTH / width)).astype(int).clip(0, points - 1)
    count = np.bincount(place, minlength=points) * (PER_WIDTH / width / len(values))
    return scipy.ndimage.gaussian_filter1d(count, PER_WIDTH, mode="constant")
