"""Small videos of the runs of a sweep, with the distribution overlay, kept in NAME.clips/ as long as their result."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from pgcontrol.machine.graphics import NoGraphics, RenderError
from pgcontrol.options import InputError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.clips import video_of_runs
from pgcontrol.reporting.queries import Queries
from pgcontrol.runs import checkpoint
from pgcontrol.sweep.cell import Key
from pgcontrol.sweep.results import made_in
from pgcontrol.sweep.row import Row

# the distributions next to the scene need the same space again; a clip has 50 to 200 kB
CLIP = ClipFormat(size=(256, 192), seconds=8.0, max_fps=25.0, crf=27)
SEED = 30_000  # of the start state; the same for all runs, and no run has it as its seed
STAMP = "[0-9a-f]" * 8  # pattern of a stamp, to find older clips


def videos(queries: Queries, which: str, say: Callable[[str], object]) -> dict[Key, Path]:
    """Make the missing clips that can be made; returns all clips by run.

    Args:
        queries: the rows.
        which: some (the median run of each task and arm), all, or none.
        say: called with progress, and with the reason if a clip cannot be made.
    """
    found, drawing, clips = dict[Key, Path](), True, queries.sweep.path.with_suffix(".clips")
    for row in _wanted(queries, which):
        name, run = row.key.name, row.folder(queries.where)
        file = clips / f"{name}-{_stamp(row)}.mp4"
        if not file.exists() and drawing and shows(row, run):
            try:
                say(f"filming {name}")
                video_of_runs([run], file, CLIP, SEED, overlay=True)
            except NoGraphics as error:
                say(f"no videos: {error}")
                drawing = False
            except (InputError, RenderError) as error:
                say(f"no video of {name}: {error}")
        if file.exists():
            found[row.key] = file
    now = {row.key.name: _stamp(row) for row in queries.rows.values()}
    for file in clips.glob(f"*-{STAMP}.mp4") if which != "none" else ():
        name, stamp = file.stem.rsplit("-", 1)
        if now.get(name, stamp) != stamp:  # the run has another result now
            file.unlink()
    return found


def shows(row: Row, folder: Path) -> bool:
    """Whether a run folder holds the policy of a row: it has the row's settings and no later checkpoint."""
    kept = checkpoint.find(folder)
    return bool(kept) and made_in(row, folder) and checkpoint.steps_of(kept[-1]) <= row.steps


def _stamp(row: Row) -> str:
    """A digest of a result, to detect clips of an older result of the same arm and seed."""
    result = json.dumps([row.settings, row.steps, row.evaluated, row.training], sort_keys=True)
    return hashlib.sha256(result.encode()).hexdigest()[:8]


def _wanted(queries: Queries, which: str) -> list[Row]:
    if which == "none":
        return []
    if which == "all":
        return [row for env in queries.envs() for arm in queries.arms(env) for row in queries.of(env, arm)]
    return [queries.median(env, arm) for env in queries.envs() for arm in queries.arms(env)]
