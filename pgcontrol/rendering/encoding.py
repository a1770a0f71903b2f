"""Encodes frames as an H.264 file, one at a time, and checks the file afterwards."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import imageio.v2 as imageio
import numpy as np

from pgcontrol.machine.graphics import RenderError
from pgcontrol.rendering.layout import Box

DRIVER = "the graphics driver"  # draws the scenes of our tasks; other environments draw their own
DARK, FLAT = 8.0, 1.5  # mean and standard deviation of grey levels (0 to 255) that a valid picture exceeds


def encode(path: Path, frames: Iterable[np.ndarray], fps: Fraction, crf: int) -> None:
    """Write frames [height, width, 3] uint8 to an mp4: H.264, yuv420p. Keeps only one frame in memory.

    Raises:
        RenderError: ffmpeg stopped.
    """
    writer = imageio.get_writer(
        path,
        format="FFMPEG",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        quality=None,  # crf instead
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-crf", str(crf), "-preset", "veryfast", "-movflags", "+faststart"],
    )
    count = 0
    try:
        with closing(writer):
            for frame in frames:
                writer.append_data(frame)
                count += 1
    except OSError as error:
        raise RenderError(f"ffmpeg stopped after {count} frames: {str(error).splitlines()[0]}") from error


def decode(path: Path) -> Iterator[np.ndarray]:
    """The frames [height, width, 3] uint8 of a video, one at a time.

    Raises:
        RenderError: the file is not a video.
    """
    try:
        with closing(imageio.get_reader(path, format="FFMPEG")) as reader:
            for frame in reader.iter_data():
                yield np.asarray(frame)
    except (OSError, RuntimeError, KeyError, StopIteration) as error:
        raise RenderError(f"{path.name} cannot be decoded: {str(error).splitlines()[0]}") from error


def check(path: Path, frames: int, scenes: Sequence[Box], painters: Sequence[str] = (DRIVER,)) -> None:
    """Decode a clip, and check its number of frames and that each of its scenes shows something in some frame.

    Args:
        path: the clip.
        frames: expected number of frames.
        scenes: position of each scene on a frame.
        painters: who drew them: one name for each, or one for all.

    Raises:
        RenderError: a check failed, or the file is not a video.
    """
    seen, count = [False] * len(scenes), 0
    for page in decode(path):
        count += 1
        seen = [found or _shows_something(scene.of(page)) for found, scene in zip(seen, scenes, strict=True)]
    if count != frames:
        raise RenderError(f"{path.name} has {count} frames instead of {frames}; is the disk full?")
    if not all(seen):
        where = "" if len(scenes) == 1 else f" of scene {seen.index(False) + 1}"
        painter = painters[seen.index(False) % len(painters)]
        raise RenderError(f"the picture{where} is black or has only one colour: {painter} draws nothing")


def _shows_something(picture: np.ndarray) -> bool:
    grey = picture.mean(-1)
    return bool(grey.mean() > DARK and grey.std() > FLAT)
