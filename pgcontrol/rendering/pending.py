"""Recordings that a training has left of its evaluations: their clips are still to be made.

The recording videos/step_N.npz of a run lies where its clip, step_N.mp4, will be, and is deleted once that is made. A
process locks the recording that it renders, so several may work on one run.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgcontrol.machine import files
from pgcontrol.machine.locks import alone
from pgcontrol.options import InputError
from pgcontrol.rendering.render import partial_path


def clip_path(videos: Path, step: int) -> Path:
    """Where the clip of the evaluation at an environment step goes, in a run's videos/."""
    return videos / f"step_{step:09d}.mp4"


def recording_of(clip: Path) -> Path:
    """Where its recording waits."""
    return clip.with_suffix(".npz")


def pending(videos: Path, until: int | None = None) -> list[Path]:
    """The clips of a run that are still to be made, oldest first; of steps up to `until`."""
    steps = (file.stem.removeprefix("step_") for file in videos.glob("step_*.npz"))
    numbers = sorted(int(step) for step in steps if step.isdigit())
    return [clip_path(videos, step) for step in numbers if until is None or step <= until]


@contextmanager
def claimed(clip: Path) -> Generator[bool]:
    """Keep a recording to this process, and clear away what a killed one left of its clip.

    Yields:
        Whether the clip is to be made here: False where another process makes it, or has made it.
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
    """Remove recordings and clips whose writer was killed; only for the process that trains the run."""
    for left in videos.glob(".step_*.npz.*"):
        left.unlink(missing_ok=True)
    files.clear(videos, "step_*")  # clips, which others may be making
