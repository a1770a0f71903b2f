"""Readable axes, and complete files."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.chart import Entry, hue, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.charts.scale import CLOSE, Scale, fit, number


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.01, 100.0, [0.01, 0.1, 1, 10, 100]),
        (0.03, 0.7, [0.05, 0.1, 0.2, 0.5]),
        (0.25, 0.58, [0.3, 0.4, 0.5]),
        (0.52, 0.58, [0.52, 0.54, 0.56, 0.58]),  # no power has a place: next to linear
    ],
)
def test_a_logarithmic_axis_has_two_labels_at_least(low, high, ticks):
    found = Scale(low, high, 0, 250, log=True).ticks()
    assert found == pytest.approx(ticks)


def test_labels_of_a_logarithmic_axis_stand_apart():
    found = Scale(0.06, 0.4, 222, 26, log=True)
    kept = [found(tick) for tick in found.ticks()]
    assert len(kept) >= 3
    assert all(a - b >= CLOSE for a, b in itertools.pairwise(kept))
    assert len(Scale(0.06, 0.4, 2220, 26, log=True).ticks()) > len(kept)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("flat", [50.05, 1e-3, 0.3, 1234.5])
def test_values_that_are_all_the_same_have_labels(flat, log):
    assert len(fit(np.full(9, flat), 0, 250, log).ticks()) >= 2


def test_a_scale_ends_where_it_is_asked_to():
    scale = fit(np.array([0.2, np.nan, 0.7]), 0, 100, ends=(0.0, None))
    assert scale.low == 0
    assert scale.high > 0.7
    assert scale(-1.0) == 0  # what lies beyond is drawn at the end
    assert fit(np.array([-1.0, 0.0, 10.0]), 0, 100, log=True).low > 0


@pytest.mark.parametrize("arms", [1, 9])
def test_a_file_is_whole_and_its_words_are_apart(arms, apart):
    names = [f"an arm with a name, number {i}" for i in range(arms)]
    at = np.linspace(0, 1e6, 20)
    drawn = [Line(name, hue(i), at, at * (i + 1), at * i, at * (i + 2)) for i, name in enumerate(names)]
    entries = [Entry(name, hue(i)) for i, name in enumerate(names)]
    one = lines("curves", drawn, Axes("environment steps", "return <b>"), entries=entries)
    other = bars("bars", [Bar(name, hue(i), i, i - 1.0, i + 1.0) for i, name in enumerate(names)], "return")
    file = sheet(
        "Is <this> one question that is too long for a single line of such a narrow file?", [[one], [other]], entries
    )
    assert ElementTree.fromstring(file).tag.endswith("svg")
    apart(file)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999_700, "1M"),
        (1.5e9, "1.5G"),
        (-1500, "−1.5k"),
        (-15, "−15"),
        (1_200_000, "1.2M"),
        (0.05, "0.05"),
        (999.4, "999"),
    ],
)
def test_numbers_of_axes(value, text):
    assert number(value) == text
