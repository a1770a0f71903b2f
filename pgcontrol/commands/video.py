"""Render a video of policies, side by side if there are several."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pgcontrol.arguments import QUIET, VideoOptions
from pgcontrol.flags import Section
from pgcontrol.options import InputError, option

PREFIX = "env."  # of its settings


@dataclass(frozen=True)
class Options(VideoOptions):
    """Runs and the video, or pending clips of the runs' trainings."""

    out: Path | None = option(None, "the video to write", metavar="FILE.mp4")  # pyright: ignore[reportIncompatibleVariableOverride]
    quiet: bool = option(False, QUIET)
    pending: bool = option(False, "instead, render the clips in the runs' videos/ that trainings did not wait for")


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Render the video."""
    from pgcontrol.machine.signals import like_ctrl_c
    from pgcontrol.rendering.clips import video

    if not options.pending and options.out is None:
        raise InputError("video needs --out FILE.mp4 or --pending; see `pgcontrol video --help`")
    with like_ctrl_c():  # whatever stops it, no unfinished file stays
        if options.pending:
            return _pending(options, settings)
        made = video(VideoOptions(**{f.name: getattr(options, f.name) for f in fields(VideoOptions)}), **settings)
    print(f"{made.path}: {made.frames / made.fps:.1f} s, rendered with {made.backend} in {made.seconds:.0f} s")
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The settings of the tasks of the runs."""
    from pgcontrol.runs.task_settings import of_played

    return of_played(options.runs or ())


def _pending(options: Options, settings: Mapping[str, str]) -> int:
    """Render the pending clips of each run; exit code 1 if one failed."""
    from pgcontrol.rendering.clips import clip_format, render_pending
    from pgcontrol.runs.folder import RunFolder

    for name in ("out", "sampled", "overlay", "seed", "force", *settings):
        if name in settings or getattr(options, name) != getattr(Options, name):
            raise InputError(f"--{name} cannot be combined with --pending: clips show what the training has recorded")
    failed = 0
    for folder in [RunFolder.open(run) for run in options.runs]:
        seconds = options.seconds or folder.settings().get("video_seconds")
        failed += render_pending(folder, clip_format(replace(options, seconds=seconds)), print)
    return int(failed > 0)
