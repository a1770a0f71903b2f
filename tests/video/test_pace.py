from fractions import Fraction

import numpy as np
import pytest

from pgcontrol.video.film import pace
from pgcontrol.video.recording import Recording


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
    assert pace([lasting(1000, control_dt)], None, 50).fps == fps


def test_time_goes_on_as_in_the_episode():
    # 1000 steps of 8 ms last 8 s: 8 x 125/3 = 333.3, so 333 pictures after the one of the start
    assert pace([lasting(1000, 0.008)], None, 50) == (Fraction(125, 3), 334)
    assert pace([lasting(200, 0.05)], None, 50) == (20, 201)


def test_seconds_cut_but_do_not_stretch():
    assert pace([lasting(200, 0.05)], 2.0, 50).frames == 41
    assert pace([lasting(200, 0.05)], 99.0, 50).frames == 201
    assert pace([lasting(200, 0.05)], 0.01, 50).frames == 1
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="seconds: expected more than 0"):
            pace([lasting(200, 0.05)], seconds, 50)


def test_side_by_side_lasts_as_long_as_the_longest_at_the_highest_rate():
    both = [lasting(20, 0.05), lasting(1000, 0.008)]  # 1 s at 20 Hz, 8 s at 125 / 3 Hz
    assert pace(both, None, 50) == (Fraction(125, 3), 334)
