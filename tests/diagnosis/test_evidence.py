"""The pictures: what is drawn where it says, what is in nobody's way, and what can be read."""

import re
from typing import Any

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pgcontrol_envs.puck import Puck
from pgcontrol_envs.tasks import catalog

from pgcontrol.diagnosis import evidence
from pgcontrol.diagnosis.evidence import ARMS, SENSITIVITY, Mark, curves, scene
from pgcontrol.diagnosis.unimodality import MEAN, PLAYED
from pgcontrol.machine import graphics
from pgcontrol.measures.verdicts import KL, RETURN, STEPS, Limits, Verdict
from pgcontrol.video.projection import push
from pgcontrol.video.still import Still, still

SIZE = (320, 240)
PLAIN = re.compile(r"[-−]?\d+(\.\d+)?k?")


def log(
    first: int = 0, starts: tuple[float, ...] = (0.5,), gain: float = 50.0, count: int = 30
) -> list[dict[str, Any]]:
    """A run whose spread falls tenfold, of one row every 1000 steps; the spread is in every third."""
    rows = []
    for i in range(count):
        row: dict[str, Any] = {STEPS: first + 1000 * (i + 1), RETURN: gain * i / count, KL: 0.01 * (i + 1)}
        if i % 3 == 0:
            row |= {f"health/visited_spread_joint{j}": s * 10 ** (-i / count) for j, s in enumerate(starts)}
            row[SENSITIVITY] = 2.0 * 10 ** (i / count)
        rows.append(row)
    return rows


def at(word: str, step: int) -> Verdict:
    return Verdict("return", word, "", step)


def fork(x: float, y: float) -> Still:
    """Fork's picture with the disc at a place, unrendered."""
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return Still(picture, push(catalog()["Fork-v0"](), np.array([x, y]), SIZE))


def panels(figure: Figure) -> list[Any]:
    """Its axes, which matplotlib types no further."""
    return list(figure.axes)


def drawn(figure: Figure) -> Figure:
    """The figure once everything in it has its place."""
    figure.draw_without_rendering()
    return figure


def ticks(axis: Any) -> list[Text]:
    """The tick labels of an axis that are seen."""
    low, high = sorted(axis.get_view_interval())
    within = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    labels = [tick.label1 if tick.label1.get_visible() else tick.label2 for tick in within]  # left of it, or right
    return [label for label in labels if label.get_text()]


@pytest.mark.parametrize("x", [-0.8, 0.7])
def test_the_disc_is_drawn_where_its_push_begins(x):
    found = graphics.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend draws here: {found.failures}")
    shown = still("Fork-v0", np.array([x, 0.6]), 0.1, SIZE)
    assert shown.push is not None
    red, _, blue = np.moveaxis(shown.picture.astype(int), -1, 0)
    disc = np.argwhere(blue - red > 80)[:, ::-1]  # nothing else is so blue
    assert 20 < len(disc) < 400
    low, high = disc.min(0), disc.max(0)
    assert (high - low < 25).all()
    assert (low <= shown.push.origin).all()
    assert (shown.push.origin <= high).all()


def test_an_arrow_ends_where_the_disc_would_be_if_moved_along_the_joints():
    here = fork(-0.8, 0.1).push
    assert here is not None
    along, across = here.axes
    assert (along[0] > 0, across[1] > 0) == (True, True)
    for action in ((1.0, 0.0), (0.0, -1.0), (0.3, 0.6)):
        moved = action @ here.axes
        there = fork(-0.8 + moved[0], 0.1 + moved[1]).push
        assert there is not None
        np.testing.assert_allclose(here.pixels(np.array(action)), there.origin, atol=1e-9)
    np.testing.assert_allclose(here.pixels(np.zeros((5, 2))), np.tile(here.origin, (5, 1)))


def test_the_model_says_how_strong_a_push_is():
    task = catalog()["Fork-v0"]()
    task.model.actuator_gear[1, 0] = -4.0  # half as strong as the other, and the other way
    task.model.actuator_ctrlrange[0] = (0.0, 1.0)  # 8 N ahead at most, 0 backward: 4 in the middle
    found = push(task, np.zeros(2), SIZE)
    assert found is not None
    along, across = found.axes
    np.testing.assert_allclose(across, [0, -along[0], 0], atol=1e-12)
    np.testing.assert_allclose(found.still, along)
    np.testing.assert_allclose(found.pixels(np.array([-1.0, 0.0])), found.origin)


def test_pushes_in_a_plane_are_those_of_the_disc():
    for name, kind in catalog().items():
        task = kind()
        assert (push(task, task.model.qpos0, SIZE) is not None) == issubclass(kind, Puck), name


def test_pushes_are_drawn_at_the_disc_and_other_actions_beside_the_picture():
    draws = np.array([[0.5, -0.5]] * 3 + [[-1.0, 1.0]])
    marks = [Mark(PLAYED, np.array([0.2, 0.9]), 3.0), Mark(MEAN, np.array([0.1, -0.1]))]
    shown = fork(-0.8, 0.0)
    assert shown.push is not None
    picture, strips = panels(drawn(scene(shown, draws, marks, "fork")))
    cloud = picture.collections[0]
    np.testing.assert_allclose(cloud.get_offsets(), shown.push.pixels(np.array([[-1.0, 1.0], [0.5, -0.5]])))
    few, many = cloud.get_sizes()
    assert many > 2 * few  # what is drawn three times counts for more
    ends = [line.get_xydata()[-1] for line in picture.lines]
    for mark in marks:
        assert any(np.allclose(end, shown.push.pixels(mark.action)) for end in ends)
    assert len(strips.patches) == 2 * 41

    picture, strips = panels(scene(shown._replace(push=None), draws, marks, "other"))
    assert not picture.lines
    assert not picture.collections
    assert len(strips.patches) == 2 * 41


@pytest.mark.parametrize("joints", [1, 2, 17])
@pytest.mark.parametrize("pictured", [True, False])
def test_nothing_lies_on_the_scene(joints, pictured):
    draws = np.random.default_rng(0).uniform(-1, 1, (50, joints))
    marks = [Mark(name, draws[i], float(i)) for i, name in enumerate((PLAYED, MEAN, *"abcdef"))]
    shown = fork(0, 0) if joints == 2 else Still(np.zeros((240, 320, 3), np.uint8))
    figure = drawn(scene(shown if pictured else None, draws, marks, "run: Task-v0, head\nwhat it might do"))
    boxes = [axis.get_window_extent() for axis in figure.axes]
    outer = [figure.legends[0].get_window_extent(), *([boxes[1]] if pictured else [])]
    assert not any(boxes[0].overlaps(box) for box in outer)
    assert {t.get_text() for t in figure.legends[0].get_texts()} >= {"played, return 0.00", "f, return 7.00"}
    whole = figure.bbox.padded(1)
    for box in (*boxes, figure.legends[0].get_window_extent()):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert_apart([ticks(figure.axes[-1].xaxis), ticks(figure.axes[-1].yaxis)])


def assert_apart(labels: list[list[Text]]) -> None:
    for group in labels:
        boxes = [text.get_window_extent() for text in group]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), [t.get_text() for t in group]


def test_a_mark_looks_like_itself_whatever_its_name_is():
    marks = [Mark("left: far", np.zeros(1), -2.0), Mark(PLAYED, np.zeros(1)), Mark("played: no", np.zeros(1))]
    assert [m.label for m in marks] == ["left: far, return -2.00", PLAYED, "played: no"]
    looks = {mark.name: look for mark, look in evidence._styles(marks)}
    assert looks[PLAYED]["color"] == evidence.INK
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 3


def lines_of(axis: Any, hue: str) -> list[Any]:
    return [line for line in axis.lines if matplotlib.colors.same_color(line.get_color(), hue)]


def test_branches_are_drawn_on_the_returns():
    branches = {"widened": [log(30_000, gain=g) for g in (70.0, 80.0)], "alone": [log(30_000, gain=20.0)]}
    for branch, worth in zip(branches["widened"], (900.0, 1000.0), strict=True):
        branch[-1]["eval/mean_reward"] = worth  # what the arms are compared by is not what is seen in training
    axis = panels(drawn(curves(log(), [], Limits(), "run", branches)))[1]
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [list(dot.get_xydata()[0]) for dot in dots] == [[60_000, 900], [60_000, 1000]]
    assert axis.get_ylim()[1] > 1000
    widened, alone = ([line for line in lines_of(axis, ARMS[arm]) if line not in dots] for arm in ("widened", "alone"))
    assert (len(widened), len(alone)) == (2, 1)
    np.testing.assert_allclose(widened[1].get_ydata(), [80 * i / 30 for i in range(30)])
    assert alone[0].get_xdata()[0] == 31_000
    assert [t.get_text() for t in axis.get_legend().get_texts()] == [
        "the run",
        "widened, 2 branches",
        "alone, 1 branch",
    ]
    assert axis.get_xlim()[1] > 60_000  # they go on behind the run's end, and time has one scale in all panels
    plain = panels(curves(log(), [], Limits(), "run"))[1]
    assert len(plain.lines) == 1
    assert plain.get_legend() is None


def test_each_joint_has_its_own_limit_where_they_differ():
    limits = Limits(share=0.05, of_start=0.1)

    def dashed(*starts: float) -> list[tuple[str, float]]:
        axis = panels(curves(log(starts=starts), [], limits, "run"))[0]
        return [
            (matplotlib.colors.to_hex(line.get_color()).upper(), round(line.get_ydata()[0], 6))
            for line in axis.lines
            if line.get_linestyle() == "--"
        ]

    assert dashed(0.5, 0.3) == [(evidence.INK, 0.05)]
    # 0.9 at the start: narrow below 0.09; 0.4: below 0.05, which is more than 0.04
    assert dashed(0.9, 0.4) == [(evidence.HUES[0], 0.09), (evidence.HUES[1], 0.05)]


@pytest.mark.parametrize("flat", [50.05, 0.0, -3.0, 1e-3, 1234.5])
def test_flat_curves_have_plain_ticks(flat):
    rows = [
        {STEPS: 1000 * i, RETURN: flat, KL: flat, SENSITIVITY: flat, "health/visited_spread_joint0": 0.3}
        for i in range(9)
    ]
    figure = drawn(curves(rows, [], Limits(), "run"))
    for axis in panels(figure)[:6]:
        for ruler in (axis.xaxis, axis.yaxis):
            told = [t.get_text() for t in ticks(ruler)]
            assert len(told) >= 2
            assert all(PLAIN.fullmatch(t) for t in told), told
            assert len(set(told)) == len(told)
            assert not ruler.get_offset_text().get_text()
            assert not [t for t in ruler.get_minor_ticks() if t.label1.get_text()]


@pytest.mark.parametrize("joints", [1, 3, 17])
def test_ticks_and_words_are_apart(joints):
    verdicts = [at("suspected", 15_000), at("destroyed", 15_100)]
    figure = drawn(curves(log(starts=(0.9,) * joints), verdicts, Limits(), "walker: Walker2d-v5, gaussian"))
    for axis in panels(figure):
        assert_apart([ticks(axis.xaxis), ticks(axis.yaxis)])
    words = figure.legends[0]
    assert words.get_title().get_text() == "walker: Walker2d-v5, gaussian"
    texts = words.get_texts()
    assert [t.get_text() for t in texts] == ["suspected from step 15,000 on", "destroyed from step 15,100 on"]
    assert_apart([[*texts, words.get_title()]])
    assert not any(words.get_window_extent().overlaps(axis.get_window_extent()) for axis in figure.axes)
    over_time = [panels(figure)[i] for i in (0, 1, 2, 4)]
    for axis in over_time:
        assert [line.get_xdata()[0] for line in lines_of(axis, evidence.BLAME)] == [15_000, 15_100]


def test_cost_of_a_step_is_seen_against_the_spread():
    rows = log(starts=(0.5, 0.9))
    figure = drawn(curves(rows, [], Limits(), "run"))
    sensitivity, kl = panels(figure)[3], panels(figure)[5]
    for axis in (sensitivity, kl):
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    measured = rows[::3]
    least = [row["health/visited_spread_joint0"] for row in measured]
    points = np.array([least, [row[SENSITIVITY] for row in measured]]).T
    np.testing.assert_allclose(sensitivity.collections[0].get_offsets(), points)
    assert len(kl.collections[0].get_offsets()) == len(rows)
    # 2 · 10^x where the spread is 0.5 · 10^-x: their product is 1, and the line through them has it everywhere
    x, y = sensitivity.lines[0].get_data()
    np.testing.assert_allclose(x * y, 1.0)


def test_a_log_of_one_bare_row_is_drawn():
    drawn(curves([{STEPS: 1024}], [at("destroyed", 1024)], Limits(), "run"))
