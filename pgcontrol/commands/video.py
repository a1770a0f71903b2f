"""Render policies, several side by side."""

from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, InputError, option


@dataclass(frozen=True)
class Options:
    """Runs and the clip."""

    runs: tuple[Path, ...] = option(
        REQUIRED, "run folders, checkpoints or recordings (.npz), side by side", metavar="RUN", positional=True
    )
    out: Path = option(REQUIRED, "where the clip goes", metavar="FILE.mp4")
    seconds: float | None = option(None, "at most this long; whole episodes otherwise", above=0, below=1e6, metavar="S")
    sampled: bool = option(False, "play samples of the policy instead of its mode")
    overlay: bool = option(False, "beside each scene, every joint's action distribution")
    seed: int = option(0, "of the start state, the same for all runs", least=0)
    size: str = option("640x480", "of one scene", metavar="WxH")
    max_fps: float = option(50.0, "steps above this rate are dropped", above=0, metavar="R")
    crf: int = option(20, "coarseness: 6 more is half the bytes", least=0, most=51, metavar="Q")
    force: bool = option(False, "replace FILE.mp4 if it exists")


def run(options: Options) -> int:
    """The clip."""
    from pgcontrol.rendering.clip_format import ClipFormat
    from pgcontrol.rendering.clips import video_of_runs

    if options.out.exists() and not options.force:
        raise InputError(f"{options.out} exists already; name another file, or say --force")
    if options.out.suffix != ".mp4":
        raise InputError(f"--out {options.out}: must end in .mp4")
    try:
        width, height = (int(n) for n in options.size.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {options.size}: must look like 640x480") from None
    clip = ClipFormat((width, height), options.seconds, options.max_fps, options.crf)
    made = video_of_runs(options.runs, options.out, clip, options.seed, not options.sampled, options.overlay)
    print(f"{made.path}: {made.frames / made.fps:.1f} s, rendered with {made.backend} in {made.seconds:.0f} s")
    return 0
