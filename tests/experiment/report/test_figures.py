"""What charts are of: which arms, on what axes."""

import itertools
import re

import numpy as np
import pytest

from pgcontrol.experiment import results
from pgcontrol.experiment.looks import _pack, unpack
from pgcontrol.experiment.report import figures, maps
from pgcontrol.experiment.report.svg import CLOSE, Scale
from pgcontrol.experiment.study import Study


def test_a_profile_compares_arms_that_ran_on_every_task(sweep):
    found = figures.profiles(Study(sweep, results.read(sweep)))
    assert found is not None
    assert 'data-arm="bins"' in found.drawing
    assert 'data-arm="mixture"' not in found.drawing  # on Fork alone
    assert "Left out, having run on some tasks only: mixture and beta." in found.caption


def changed(sweep, **row) -> Study:
    """The same study, every row of which is changed."""
    return Study(sweep, {key: old | row for key, old in results.read(sweep).items()})


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


def test_what_a_yaml_asks_for_is_linear_unless_it_spans_two_decades(sweep):
    asked = type(sweep)(**vars(sweep) | {"plots": ["health/modes"]})

    def axis(values: list[float]) -> bool:
        rows = {
            key: row | {"curves": {**row["curves"], "health/modes": values}} for key, row in results.read(sweep).items()
        }
        (figure,) = [f for f in figures.health(Study(asked, rows), "Fork-v0") if f.title.endswith("health/modes")]
        return ">0.1<" in figure.drawing and ">1<" in figure.drawing and ">10<" in figure.drawing

    assert axis([0.05 * 1.2**i for i in range(50)])
    assert not axis([1 + 0.02 * i for i in range(50)])


def test_where_spread_came_to_stay_narrow_is_marked_on_the_rule(sweep):
    drawing = next(figures.spread_of_joints(Study(sweep, results.read(sweep)), "Fork-v0")).drawing
    rule = re.search(r'class="rule"[^>]* y1="([\d.]+)"', drawing)
    marks = re.findall(r'class="mark" d="M[\d.]+ ([\d.]+)l', drawing)
    assert rule is not None
    assert marks == [rule[1]] * 5


def test_a_task_has_one_box_for_the_routes_of_all_arms(sweep):
    drawn = [figure.drawing for figure in maps.routes(Study(sweep, results.read(sweep)), "Fork-v0")]
    assert len(drawn) == 4
    assert len({box for drawing in drawn for box in re.findall('viewBox="([^"]+)"', drawing)}) == 1


def test_columns_of_a_map_stand_at_their_steps():
    places = maps.nearest(np.array([0, 100, 1000]))
    assert len(places) == maps.PIXELS
    assert (places == 0).sum() == 5  # as far as 50 of 1,000
    assert (places == 1).sum() == 50  # from there to 550
    assert (places == 2).sum() == 45


def test_a_map_of_one_moment_is_a_histogram_of_the_end(sweep):
    rows = results.read(sweep)
    kept = next(iter(rows.values()))["maps"]
    columns = unpack(kept["columns"])[-1:]
    one = kept | {"steps": kept["steps"][-1:], "columns": _pack(columns)}
    found = maps.maps(changed(sweep, maps=one), "Fork-v0")
    assert {m.moments for m in found} == {1}
    assert "at step" in found[0].says
    assert 'class="mass"' in found[0].pictures[0].drawing
    assert "<image" not in found[0].pictures[0].drawing
