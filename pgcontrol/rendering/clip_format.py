"""What a clip is to look like, and how its frames follow the steps of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pgcontrol.options import InputError
from pgcontrol.rendering.recording import Recording


class Timing(NamedTuple):
    """Time in a clip passes as in the episodes."""

    fps: Fraction
    frames: int


@dataclass(frozen=True)
class ClipFormat:
    """Size, length, rate and coarseness of a clip.

    Attributes:
        size: (width, height) of one scene in pixels, even numbers.
        seconds: the clip is at most this long; None for whole episodes.
        max_fps: steps above this rate are dropped.
        crf: x264's constant rate factor: six more is half the bytes, and coarser.

    Raises:
        InputError: a size that cannot hold a caption or be yuv420p, or a length of nothing.
    """

    size: tuple[int, int] = (640, 480)
    seconds: float | None = None
    max_fps: float = 50.0
    crf: int = 20

    def __post_init__(self) -> None:
        width, height = self.size
        if min(self.size) < 64 or width % 2 or height % 2:
            raise InputError(f"size: expected even numbers of at least 64 pixels, got {width}x{height}")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"seconds: expected more than 0, got {self.seconds:g}")

    def timing(self, recordings: Sequence[Recording]) -> Timing:
        """The rate and the number of frames of a clip that shows recordings side by side.

        The rate is the control rate where that is no more than `max_fps`, else a whole fraction of it; the highest of
        all recordings. The clip begins with their start and is as long as the longest, or `seconds`.
        """
        rates = [1 / recording.exact_dt for recording in recordings]
        fps = max(rate / -(-rate // Fraction(self.max_fps)) for rate in rates)
        length = max(len(recording) * recording.exact_dt for recording in recordings)
        if self.seconds is not None:
            length = min(length, Fraction(self.seconds))
        return Timing(fps, int(length * fps) + 1)
