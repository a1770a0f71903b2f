"""Frames to an H.264 file, one at a time, and a look at the file afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from pgcontrol.machine.processes import RenderError
from pgcontrol.video.layout import Box

CRF = 20
DARK, FLAT = 8.0, 1.5  # mean and deviation of grey levels (0 to 255) that a picture of something exceeds


def encode(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], fps: Fraction, crf: int = CRF) -> int:
    """Stream frames [height, width, 3] uint8 into an mp4: H.264, yuv420p. Holds one frame at a time.

    `crf` is x264's constant rate factor: six more is half the bytes, and coarser.

    Returns:
        How many there were.
    """
    options: dict[str, Any] = {
        "fps": fps,
        "codec": "libx264",
        "pix_fmt_out": "yuv420p",
        "quality": None,
        "macro_block_size": 2,
        "ffmpeg_log_level": "error",
        "output_params": ["-crf", str(crf), "-preset", "veryfast", "-movflags", "+faststart"],
    }
    writer = imageio_ffmpeg.write_frames(str(path), size, **options)
    writer.send(None)
    count = 0
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
            count += 1
    except OSError as error:
        raise RenderError(f"ffmpeg stopped after {count} frames: {str(error).splitlines()[0]}") from error
    finally:
        writer.close()
    return count


def check(path: Path, frames: int, scenes: Sequence[Box]) -> None:
    """Decode a clip: it has so many frames, and something is to be seen in each of its scenes in some frame.

    Raises:
        RenderError: not so, or not a video.
    """
    seen = [False] * len(scenes)
    count = 0
    for picture in decode(path):
        count += 1
        for i, scene in enumerate(scenes):
            if not seen[i]:
                part = scene.of(picture)
                seen[i] = bool(part.mean() > DARK and part.std() > FLAT)
    if count != frames:
        raise RenderError(f"{path.name} has {count} frames instead of {frames}; is the disk full?")
    if not all(seen):
        where = "" if len(scenes) == 1 else f" of scene {seen.index(False) + 1}"
        raise RenderError(f"the picture{where} is black or of one colour: the graphics driver draws nothing")


def facts(path: Path) -> dict[str, Any]:
    """What ffmpeg says of a video: codec, pix_fmt, size, fps, duration in seconds.

    Raises:
        RenderError: not a video.
    """
    return next(_read(path))


def decode(path: Path) -> Iterator[np.ndarray]:
    """The grey pictures [height, width] uint8 of a video, one at a time.

    Raises:
        RenderError: not a video.
    """
    frames = _read(path)
    width, height = next(frames)["size"]
    for frame in frames:
        yield np.frombuffer(frame, np.uint8).reshape(height, width)


def _read(path: Path) -> Iterator[Any]:
    try:
        yield from imageio_ffmpeg.read_frames(str(path), pix_fmt="gray", bits_per_pixel=8)
    except (OSError, RuntimeError, KeyError, StopIteration) as error:
        raise RenderError(f"{path.name} cannot be decoded: {str(error).splitlines()[0]}") from error


def partial_path(out: Path, pid: int) -> Path:
    """Where the render process of that id writes a clip until it is whole and good: two may film the same."""
    return out.with_name(f".{out.stem}.{pid}.part.mp4")
