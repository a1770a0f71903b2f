from fractions import Fraction

import numpy as np
import pytest

from pgcontrol.options import InputError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.recording import Recording


def lasting(steps: int, control_dt: float) -> Recording:
    return Recording("Hopper-v5", 0, control_dt, np.ones(steps), np.zeros((steps + 1, 6)))


@pytest.mark.parametrize(
    ("control_dt", "fps"),
    [
        (0.05, Fraction(20)),  # HalfCheetah: the control rate itself
        (0.04, Fraction(25)),
        (0.02, Fraction(50)),
        (0.008, Fraction(125, 3)),  # Hopper: 125 / 2 is above 50, 125 / 3 is not
        (0.001, Fraction(50)),
        (1.0, Fraction(1)),
    ],
)
def test_every_step_or_a_whole_fraction_of_them(control_dt, fps):
    assert ClipFormat().timing([lasting(1000, control_dt)]).fps == fps


def test_time_continues_as_in_the_episode():
    # 1000 steps of 8 ms last 8 s: 8 x 125/3 = 333.3, so 333 pictures after the one of the start
    assert ClipFormat().timing([lasting(1000, 0.008)]) == (Fraction(125, 3), 334)
    assert ClipFormat().timing([lasting(200, 0.05)]) == (20, 201)


@pytest.mark.parametrize(("seconds", "frames"), [(2.0, 41), (99.0, 201), (0.01, 1)])
def test_seconds_cut_but_do_not_stretch(seconds, frames):
    assert ClipFormat(seconds=seconds).timing([lasting(200, 0.05)]).frames == frames


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_clip_must_have_a_duration(seconds):
    with pytest.raises(InputError, match="seconds: expected more than 0"):
        ClipFormat(seconds=seconds)


@pytest.mark.parametrize("size", [(161, 120), (160, 121), (32, 120), (0, 0), (7682, 480), (480, 10**6)])
def test_sizes_that_yuv420p_or_the_caption_or_memory_cannot_have(size):
    with pytest.raises(InputError, match=f"got {size[0]}x{size[1]}"):
        ClipFormat(size)


def test_side_by_side_lasts_as_long_as_the_longest_at_the_highest_rate():
    both = [lasting(20, 0.05), lasting(1000, 0.008)]  # 1 s at 20 Hz, 8 s at 125 / 3 Hz
    assert ClipFormat().timing(both) == (Fraction(125, 3), 334)
