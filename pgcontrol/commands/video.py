"""Render policies, several side by side."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import seconds, seed
from pgcontrol.options import InputError


def arguments(parser: ArgumentParser) -> None:
    """Runs and the clip."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders or checkpoints, side by side")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="where the clip goes")
    parser.add_argument("--seconds", type=seconds, metavar="S", help="at most this long; whole episodes otherwise")
    parser.add_argument("--sampled", action="store_true", help="play samples of the policy instead of its mode")
    parser.add_argument("--overlay", action="store_true", help="beside each scene, every joint's action distribution")
    parser.add_argument("--seed", type=seed, default=0, help="of the start state, the same for all runs [0]")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of one scene [640x480]")
    parser.add_argument("--force", action="store_true", help="replace FILE.mp4 if it exists")


def run(given: Namespace) -> int:
    """The clip."""
    from pgcontrol.video.clips import video_of_runs

    if given.out.exists() and not given.force:
        raise InputError(f"{given.out} exists already; name another file, or say --force")
    if given.out.suffix != ".mp4":
        raise InputError(f"--out {given.out}: must end in .mp4")
    try:
        width, height = (int(n) for n in given.size.lower().split("x"))
    except ValueError:
        raise InputError(f"--size {given.size}: must look like 640x480") from None
    clip = video_of_runs(
        given.runs, given.out, given.seconds, (width, height), given.seed, not given.sampled, given.overlay
    )
    print(f"{clip.path}: {clip.frames / clip.fps:.1f} s, rendered with {clip.backend} in {clip.seconds:.0f} s")
    return 0
