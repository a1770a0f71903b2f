"""What the policies might do, over training, and the ways they go: pictures from what rows keep of checkpoints."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pgcontrol.experiment.looks import unpack
from pgcontrol.experiment.report import svg
from pgcontrol.experiment.report.figures import Figure
from pgcontrol.experiment.study import HUES, Study, percent
from pgcontrol.view.density import widened

INK = (0x2F, 0x7F, 0xC4)
"""Of a full column, on light and on dark paper; emptier ones let the paper through."""


class Maps(NamedTuple):
    """The maps of one run at one state."""

    state: str
    arm: str
    says: str
    pictures: list[Figure]
    """A joint each."""


def maps(study: Study, env: str) -> list[Maps]:
    """Action distributions over training of the median run of each arm, state by state."""
    found = []
    for arm in study.arms(env):
        row = study.median(env, arm)
        if not (kept := row.get("maps")):
            continue
        columns, steps = unpack(kept["columns"]), kept["steps"]
        if kept["discrete"]:
            columns = np.stack([widened(columns[:, :, j]) for j in range(columns.shape[2])], 2)
        for s, state in enumerate(kept["states"]):
            pictures = [
                Figure(
                    joint,
                    svg.picture(_png(columns[:, s, j]), (steps[0], steps[-1]), f"{arm}, {joint}, {state}"),
                    "",
                )
                for j, joint in enumerate(kept["joints"])
            ]
            says = f"seed {row['seed']}, n = 1 run, {len(steps)} checkpoints"
            found.append(Maps(state, arm, says, pictures))
    states = list(dict.fromkeys(m.state for m in found))
    return sorted(found, key=lambda m: states.index(m.state))


def routes(study: Study, env: str) -> Iterator[Figure]:
    """By which routes the sampled final policies succeed: paths where there is a plane, else shares alone."""
    for arm in study.arms(env):
        kept = [row["routes"] for row in study.of(env, arm) if row.get("routes")]
        if not kept:
            continue
        names, taken = kept[0]["names"], np.concatenate([k["taken"] for k in kept])
        shares = {name: float((taken == i).mean()) for i, name in enumerate(names)}
        failed = float((taken < 0).mean())
        used = sorted(((n, s) for n, s in shares.items() if s), key=lambda item: -item[1])
        listed = ", ".join(f"{n} {percent(s)}" for n, s in used[:6]) + (" …" if len(used) > 6 else "")
        entropies = [k["entropy"] for k in kept if k["entropy"] is not None]
        told = f"{listed or 'no success'}; failed {percent(failed)}. Route entropy within a run " + (
            f"{np.mean(entropies):.2f} (mean of {len(entropies)} runs; 1 is all routes alike)."
            if entropies
            else "not known."
        )
        n = f"n = {len(kept)} {'seed' if len(kept) == 1 else 'seeds'}, {len(taken)} episodes."
        yield Figure(f"{env}: {arm}, routes", _drawing(kept, names, arm), f"{told} {n}")


def _drawing(kept: list[dict[str, Any]], names: list[str], label: str) -> str:
    if "paths" not in kept[0]:
        return _shares(kept, names, label)
    drawn = []
    for seed, k in enumerate(kept):
        for path, route in zip(unpack(k["paths"]), k["taken"], strict=True):
            says = f"{names[route] if route >= 0 else 'failed'} (run {seed + 1})"
            drawn.append((path.astype(float), f"c{route % HUES}" if route >= 0 else "failed", says))
    return svg.plane(kept[0]["outlines"], drawn, f"paths of {label}, coloured by route")


def _shares(kept: list[dict[str, Any]], names: list[str], label: str) -> str:
    rows = []
    for i, name in [*enumerate(names), (-1, "none")]:
        values = [float((np.array(k["taken"]) == i).mean()) for k in kept]
        colour = f"c{i % HUES}" if i >= 0 else "failed"
        points = [(v, f"run {j + 1}: {percent(v)}") for j, v in enumerate(values)]
        rows.append(
            svg.Bar(
                name, colour, float(np.mean(values)), points=points, says=f"{name}: {percent(float(np.mean(values)))}"
            )
        )
    return svg.bars(rows, f"share of episodes, {label}", (0.0, 1.0))


def _png(columns: np.ndarray) -> str:
    """Histograms [moments, columns] uint8 as a picture, time to the right, 1 at the top; a data URI."""
    # a root, so that what is a tenth as likely can still be told from paper; under 2 % it is a draw or two
    alpha = np.where(columns > 5, 255 * (columns / 255) ** 0.6, 0).astype(np.uint8).T[::-1]
    colour = np.broadcast_to(np.array(INK, np.uint8), (*alpha.shape, 3))
    data = io.BytesIO()
    Image.fromarray(np.dstack([colour, alpha]), "RGBA").save(data, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
