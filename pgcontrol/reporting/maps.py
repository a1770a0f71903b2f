"""Pictures of action distributions over training, and of routes, from the data of checkpoints in the rows."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pgcontrol.charts import pictures
from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.chart import HUES, Chart
from pgcontrol.charts.pictures import Trail
from pgcontrol.play.density import widened
from pgcontrol.reporting.curves import Seeds
from pgcontrol.reporting.figures import Figure
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.text import count, short
from pgcontrol.training.behaviour import Routes, unpack

PIXELS = 100  # width of a picture, from the first checkpoint to the last
INK = (0x2F, 0x7F, 0xC4)  # colour of the highest density, in light and dark mode; lower ones are more transparent

Runs = list[tuple[int, Routes]]  # seed and routes of each run of an arm


class Maps(NamedTuple):
    """The maps of one run at one state.

    Attributes:
        moments: number of checkpoints.
        pictures: joint -> picture.
    """

    state: str
    arm: str
    moments: int
    says: str
    pictures: dict[str, Chart]


def maps(queries: Queries, env: str) -> list[Maps]:
    """Action distributions over training for the median run of each arm, sorted by state."""
    found = []
    for arm in queries.arms(env):
        row = queries.median(env, arm)
        if not (kept := row.maps):
            continue
        columns, steps = unpack(kept.columns), np.array(kept.steps)
        names, joints = queries.joints(env, columns.shape[2]), len(row.spread.joints) if row.spread else 0
        some = f", {len(names)} of {joints} joints" if joints > len(names) else ""
        moments = count(len(steps), "checkpoint") + (f", at step {steps[0]:,}" if len(steps) == 1 else "")
        for s, state in enumerate(kept.states):
            drawn = {}
            for j, joint in enumerate(names):
                drawn[joint] = _map(f"{env}, {arm}: {joint}, {state}", columns[:, :, j], s, steps, kept.discrete)
            found.append(Maps(state, arm, len(steps), f"seed {row.seed}, n = 1 run, {moments}{some}", drawn))
    states = list(dict.fromkeys(m.state for m in found))
    return sorted(found, key=lambda m: states.index(m.state))


def _map(label: str, joint: np.ndarray, state: int, steps: np.ndarray, discrete: bool) -> Chart:
    """A chart of the histograms [moments, states, columns] of a joint: an image over training, or one histogram."""
    columns = joint[:, state]
    places = np.linspace(-1, 1, columns.shape[-1])
    weight = columns / columns.sum(-1, keepdims=True, dtype=float)
    mean = weight @ places
    deviation = np.sqrt((weight * (places - mean[:, None]) ** 2).sum(-1))
    shown = widened(joint)[:, state] if discrete else columns
    if len(steps) == 1:
        says = f"mean {short(float(mean[0]))}, deviation {short(float(deviation[0]))}"
        return pictures.at_the_end(label, shown[0] / 255, says)
    return pictures.over_steps(label, _picture(shown[nearest(steps)]), steps, mean, deviation)


def nearest(steps: np.ndarray) -> np.ndarray:
    """Index of the nearest checkpoint for each column of a picture from the first to the last step, [PIXELS]."""
    at = np.linspace(steps[0], steps[-1], PIXELS)
    return abs(at[:, None] - steps).argmin(1)


def routes(queries: Queries, env: str) -> Iterator[Figure]:
    """The routes by which the sampled final policies succeed: paths if the rows have them, otherwise only shares."""
    arms = {arm: [(row.seed, row.routes) for row in queries.of(env, arm) if row.routes] for arm in queries.arms(env)}
    arms = {arm: runs for arm, runs in arms.items() if runs}
    kept = [routes for runs in arms.values() for _, routes in runs]
    ends, paths = None, [unpack(routes.paths) for routes in kept if routes.paths]
    if paths and len(paths) == len(kept):  # one box for all arms, so that their paths can be compared
        ends = pictures.corners(kept[0].outlines or [], paths)
    for arm, runs in arms.items():
        taken = np.concatenate([routes.taken for _, routes in runs])
        names = runs[0][1].names
        shares = [(float((taken == i).mean()), name) for i, name in enumerate(names)]
        used = sorted((way for way in shares if way[0]), key=lambda way: -way[0])
        ways = ", ".join(f"{name} {percent(share)}" for share, name in used[:6]) + (" …" if len(used) > 6 else "")
        entropies = [routes.entropy for _, routes in runs if routes.entropy is not None]
        entropy = f"{np.mean(entropies):.2f} (mean of {count(len(entropies), 'run')})" if entropies else "unknown"
        failed = percent(float((taken < 0).mean()))
        n = f"{Seeds(len(runs), len(queries.of(env, arm))).words()}, {len(taken)} episodes"
        caption = f"{ways or 'no success'}; failed {failed}. Route entropy {entropy}. n = {n}."
        yield Figure(_ways(f"{env}: {arm}, routes", runs, names, ends), caption, arm)


def _ways(label: str, runs: Runs, names: list[str], ends: pictures.Corners | None) -> Chart:
    if ends is None:
        return bars(label, _bars(runs, names), "share of episodes", (0.0, 1.0))
    drawn = []
    for seed, routes in runs:
        for path, route in zip(unpack(routes.paths or {}), routes.taken, strict=True):
            says = f"{names[route] if route >= 0 else 'failed'} (seed {seed})"
            drawn.append(Trail(path.astype(float), _colour(route), says))
    shares = [bar.data() for bar in _bars(runs, names) if bar.estimate]
    return pictures.plane(label, runs[0][1].outlines or [], drawn, ends, shares)


def _bars(runs: Runs, names: list[str]) -> list[Bar]:
    """A bar for the share of each route and of failures, with a point per run."""
    found = []
    for i, name in [*enumerate(names), (-1, "none")]:
        points = [(float((np.array(routes.taken) == i).mean()), seed) for seed, routes in runs]
        mean = float(np.mean([share for share, _ in points]))
        marks = [(share, f"seed {seed}: {percent(share)}") for share, seed in points]
        found.append(Bar(name, _colour(i), mean, points=marks, says=f"{percent(mean)} of episodes", arm=False))
    return found


def _colour(route: int) -> str:
    return f"c{route % HUES}" if route >= 0 else "failed"


def _picture(columns: np.ndarray) -> np.ndarray:
    """Histograms [PIXELS, columns] uint8 as an RGBA image [columns, PIXELS, 4]: time to the right, 1 at the top."""
    # a power below 1, so that a tenth of the density is still visible; below 2 % it is only one or two samples
    alpha = np.where(columns > 5, 255 * (columns / 255) ** 0.6, 0).astype(np.uint8).T[::-1]
    return np.dstack([np.broadcast_to(np.array(INK, np.uint8), (*alpha.shape, 3)), alpha])
