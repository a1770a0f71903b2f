"""Numbers as text, with significant digits only."""

import math

import pytest

from pgcontrol.text import difference, probability, with_error


@pytest.mark.parametrize(
    ("number", "half", "text"),
    [
        (0.1581, 0.0439, "0.158 ± 0.044"),
        (46.13, 3.14, "46.1 ± 3.1"),
        (935.6, 36.8, "936 ± 37"),
        (1234.5, 405.2, "1,234 ± 405"),
        (-6.5e-5, 0.0192, "0.000 ± 0.019"),
        (12.34, math.inf, "12.3 ± inf"),
        (0.5, 0.0, "0.5 ± 0"),
    ],
)
def test_a_number_ends_where_its_error_does(number, half, text):
    assert with_error(number, half) == text


def test_a_difference_is_as_precise_as_the_scores():
    assert difference(0.00885, 8.36) == "0.01"
    assert difference(18.94, 94.7) == "18.9"
    assert difference(0.253, -4.63) == "0.25"
    assert difference(1092.6, 6999.2) == "1,093"


def test_probabilities_have_two_decimals():
    assert [probability(p) for p in (0.0, 0.2222, 0.5, 0.92, 1.0)] == ["0", "0.22", "0.5", "0.92", "1"]
