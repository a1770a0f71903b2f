"""The modes of what a policy might do in a state: how many, where, how much mass, and what lies between them.

A mode depends on the scale one looks at: eleven bins are eleven peaks, and a sample of any distribution has a peak at
every draw. Here the scale is said and fixed: *the modes at width w are the peaks of the distribution smoothed with a
Gaussian of deviation w* (scale space: Chaudhuri & Marron 2000, "Scale space view of curve estimation"). So defined, a
mode is a fact about any distribution, with atoms or without, and a kernel estimate with that bandwidth is unbiased for
it; what is left is sampling error, and a peak is believed only where its height above the valley exceeds `CERTAIN`
standard errors of the difference.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage, signal, stats

# half-ranges; torques closer than about three of them are one action: 11 bins, the usual number, are 0.2 apart
WIDTH = 0.1
# standard errors; with three, one of a hundred samples of a uniform distribution has two modes, and joints are many
CERTAIN = 4.0
# a peak rises above its valley by at least this share of its height: the ripple of bins 2 w apart is 0.03
PROMINENT = 0.1
LEAST_MASS = 0.01  # less mass is a tail, or exploration
PER_WIDTH = 4  # points of the grid in a width


class Modes(NamedTuple):
    """M modes of draws [S, A], the heaviest first.

    Attributes:
        centre: [M, A] mean of the draws that belong to each.
        mass: [M] shares of the draws.
        low: [M] lower ends of the mass's 95 % interval (Wilson 1927).
        high: [M] upper ends.
    """

    centre: np.ndarray
    mass: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.mass)


def width_for(resolution: float) -> float:
    """The width for a head of that `resolution`: values on a grid 2 w apart are smoothed into one hill."""
    return max(WIDTH, resolution / 2)


def modes(draws: np.ndarray, width: float = WIDTH) -> Modes:
    """The modes of one state's draws.

    Draws are split at the surest valley of any joint's marginal, then each part at its own surest, until no part has
    one. A mode is thus found if it stands out in some joint among those draws that earlier valleys have not taken
    away: for the goals of a ring, bang-bang in several joints, or left-left against right-right. Two modes that differ
    along a diagonal only, by less than either's width in every joint, are seen as one.

    Args:
        draws: [S, A], in half-ranges.
        width: of the smoothing, in half-ranges.
    """
    parts = sorted((p for p in _split(draws, width) if len(p) >= LEAST_MASS * len(draws)), key=lambda p: -len(p))
    centre = np.array([part.mean(0) for part in parts])
    count = np.array([len(part) for part in parts])
    bounds = np.array([stats.binomtest(int(k), len(draws)).proportion_ci(method="wilson") for k in count])
    return Modes(centre, count / len(draws), bounds[:, 0], bounds[:, 1])


def distance(point: np.ndarray, found: Modes) -> float:
    """From an action [A] to the nearest mode's centre, in half-ranges; 0 where all draws are one mode around it."""
    return float(np.linalg.norm(found.centre - point, axis=-1).min())


def relief(draws: np.ndarray, point: np.ndarray, width: float = WIDTH) -> float:
    """How much goes on at an action [A]: smoothed density there as a share of its peak, the least over joints."""
    low, points = _grid(width)
    places = (point - low) / (width / PER_WIDTH)
    smoothed = [(at, _density(values, width)) for at, values in zip(places, draws.T, strict=True)]
    return min(float(np.interp(at, np.arange(points), density)) / density.max() for at, density in smoothed)


def _split(draws: np.ndarray, width: float) -> list[np.ndarray]:
    """The draws of each part."""
    valleys = [_valley(values, width) for values in draws.T]
    joint = max(range(len(valleys)), key=lambda j: valleys[j][0])
    certainty, cut = valleys[joint]
    if certainty < CERTAIN:
        return [draws]
    above = draws[:, joint] > cut
    return _split(draws[~above], width) + _split(draws[above], width)


def _valley(values: np.ndarray, width: float) -> tuple[float, float]:
    """(how many standard errors deep, where) of the surest valley of draws [n]; (0, anywhere) where there is none."""
    density = _density(values, width)
    peaks = signal.find_peaks(density)[0]
    order = np.lexsort((peaks, -density[peaks]))
    surest, where = 0.0, 0
    for rank, k in enumerate(order[1:], start=1):
        # towards the nearest higher peak on either side; the shallower of the two valleys parts this peak from the rest
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
    """The least density between two peaks, and the middle of where it is."""
    between = density[left : right + 1]
    least = between.min()
    flat = np.flatnonzero(between <= least + 1e-9 * between.max())
    return float(least), int(left + flat[len(flat) // 2])


def _grid(width: float) -> tuple[float, int]:
    """Where it starts, and its points: the range and four widths beyond."""
    low = -1.0 - 4 * width
    return low, math.ceil(-2 * low / width * PER_WIDTH) + 1


def _density(values: np.ndarray, width: float) -> np.ndarray:
    """Kernel estimate on the grid, of draws [n] counted at the nearest of its points."""
    low, points = _grid(width)
    place = np.rint((values - low) * (PER_WIDTH / width)).astype(int).clip(0, points - 1)
    count = np.bincount(place, minlength=points) * (PER_WIDTH / width / len(values))
    return ndimage.gaussian_filter1d(count, PER_WIDTH, mode="constant")
