"""Recordings of a training's evaluations whose clips have not been rendered yet.

The recording videos/step_N.npz of a run is next to where its clip, step_N.mp4, will be, and is deleted after rendering.
A process locks the recording that it renders, so several processes may render clips of one run.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgcontrol.machine import files
from pgcontrol.machine.locks import alone
from pgcontrol.options import InputError
from pgcontrol.rendering.render import partial_path


def clip_path(videos: Path, step: int) -> Path:
    """Path of the clip of the evaluation at an environment step, in a run's videos/."""
    return videos / f"step_{step:09d}.mp4"


def recording_of(clip: Path) -> Path:
    """Path of the clip's recording."""
    return clip.with_suffix(".npz")


def pending(videos: Path, until: int | None = None) -> list[Path]:
    """Clips of a run that have not been rendered, oldest first; only up to step `until`."""
    steps = (file.stem.removeprefix("step_") for file in videos.glob("step_*.npz"))
    numbers = sorted(int(step) for step in steps if step.isdigit())
    return [clip_path(videos, step) for step in numbers if until is None or step <= until]


@contextmanager
def claimed(clip: Path) -> Generator[bool]:
    """Lock a recording for this process, and remove partial files of a killed process.

    Yields:
        Whether this process should render the clip: False if another process is rendering or has rendered it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone(recording_of(clip), "taken"))
            mine = recording_of(clip).exists()
        except (InputError, OSError):
            mine = False
        for left in clip.parent.glob(partial_path(clip, "*").name) if mine else ():
            left.unlink(missing_ok=True)
        yield mine


def clear(videos: Path) -> None:
    """Remove partial recordings and clips of killed processes; only for the process that trains the run."""
    for left in videos.glob(".step_*.npz.*"):
        left.unlink(missing_ok=True)
    files.clear(videos, "step_*")  # not clips: another process may be writing them
