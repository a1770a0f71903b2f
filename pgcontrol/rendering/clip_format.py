"""The format of a clip, and the timing of its frames relative to the steps of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pgcontrol.options import InputError
from pgcontrol.rendering.recording import Recording

LARGEST = 7680  # pixels in either direction, 8K: a scene of this size takes 0.1 GB, and graphics buffers have limits


class Timing(NamedTuple):
    """Frame rate and number of frames; time in a clip passes as in the episodes."""

    fps: Fraction
    frames: int


@dataclass(frozen=True)
class ClipFormat:
    """Size, length, frame rate and quality of a clip.

    Attributes:
        size: (width, height) of one scene in pixels, even numbers.
        seconds: maximum length of the clip; None: whole episodes.
        max_fps: steps above this rate are dropped.
        crf: x264's constant rate factor; 6 more means half the file size and lower quality.

    Raises:
        InputError: the size is too small for a caption, too large, or not possible in yuv420p, or the length is 0.
    """

    size: tuple[int, int] = (640, 480)
    seconds: float | None = None
    max_fps: float = 50.0
    crf: int = 20

    def __post_init__(self) -> None:
        width, height = self.size
        if min(self.size) < 64 or max(self.size) > LARGEST or width % 2 or height % 2:
            expected = f"even numbers from 64 to {LARGEST} pixels"
            raise InputError(f"size: expected {expected}, got {width}x{height}")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"seconds: expected more than 0, got {self.seconds:g}")

    def timing(self, recordings: Sequence[Recording]) -> Timing:
        """The frame rate and number of frames of a clip that shows recordings side by side.

        The rate is the control rate if it is at most `max_fps`, else a whole fraction of it; with several recordings,
        the highest. All recordings start together, and the clip is as long as the longest, but at most `seconds`.
        """
        rates = [1 / recording.exact_dt for recording in recordings]
        fps = max(rate / -(-rate // Fraction(self.max_fps)) for rate in rates)
        length = max(len(recording) * recording.exact_dt for recording in recordings)
        if self.seconds is not None:
            length = min(length, Fraction(self.seconds))
        return Timing(fps, int(length * fps) + 1)
