"""The pictures: curves at the right values, no overlaps, and readable labels."""

import re
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from pgcontrol_envs.puck import Puck
from pgcontrol_envs.suite.ball_in_cup import BallInCupCatch
from pgcontrol_envs.tasks import catalog

from pgcontrol.diagnosis.evidence import ARMS, SENSITIVITY, Mark, curves, scene
from pgcontrol.diagnosis.unimodality import MEAN, PLAYED
from pgcontrol.machine import graphics
from pgcontrol.measures.curves import KL, RETURN, STEPS
from pgcontrol.measures.verdicts import Limits, Verdict
from pgcontrol.rendering.projection import push
from pgcontrol.rendering.still import Still, still

SVG = "{http://www.w3.org/2000/svg}"
SIZE = (320, 240)
UNITS = {"k": 1e3, "M": 1e6}


def names(joints):
    return [f"joint {j}" for j in range(joints)]


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


def fork(x: float, y: float) -> Still:
    """Fork's picture with the disc at a place, unrendered."""
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return Still(picture, push(catalog()["Fork-v0"](), np.array([x, y]), SIZE))


def panels(file: str) -> list[Element]:
    """The charts of a file."""
    return ElementTree.fromstring(file).findall(f"{SVG}svg")


def of_class(chart: Element, look: str) -> list[Element]:
    return [element for element in chart.iter() if look in (element.get("class") or "").split()]


def words(chart: Element, look: str = "tick") -> list[str]:
    return [str(element.text) for element in of_class(chart, look)]


def value(shown: str) -> float:
    """The number in a label."""
    plain = shown.replace("−", "-")
    return float(plain[:-1]) * UNITS[plain[-1]] if plain[-1] in UNITS else float(plain)


def labels(chart: Element, axis: str) -> list[tuple[float, float]]:
    """Positions and texts of the labels of an axis."""
    anchor, number = {"x": ("middle", "x"), "y": ("end", "y")}[axis], re.compile(r"[-−]?[\d.]+(e−\d+|[kM])?")
    found = [t for t in of_class(chart, "tick") if t.get("text-anchor") == anchor[0] and number.fullmatch(str(t.text))]
    return [(float(str(t.get(anchor[1]))) - (4 if axis == "y" else 0), value(str(t.text))) for t in found]


def read(chart: Element, axis: str, pixels: list[float]) -> list[float]:
    """The values at pixels of an axis, by its labels."""
    (at, is_), (to, then) = labels(chart, axis)[0], labels(chart, axis)[-1]
    middle, between = labels(chart, axis)[len(labels(chart, axis)) // 2]
    share = (middle - at) / (to - at)
    log = abs(share - (between - is_) / (then - is_)) > 0.02
    shares = (np.array(pixels) - at) / (to - at)
    return list(is_ * (then / is_) ** shares if log else is_ + (then - is_) * shares)


def points(element: Element) -> list[tuple[float, float]]:
    """Corners of a path, in pixels."""
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", str(element.get("d")))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def groups(chart: Element, colour: str) -> list[Element]:
    """The curves and points of a colour, without its key."""
    return [g for g in chart.findall(f"{SVG}g") if g.get("data-arm") is not None and colour in str(g.get("class"))]


@pytest.mark.slow
@pytest.mark.parametrize("x", [-0.8, 0.7])
def test_the_disc_is_drawn_where_its_push_begins(x):
    found = graphics.probe()
    if found.graphics is None:
        pytest.skip(f"no OpenGL backend works here: {found.failures}")
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
    np.testing.assert_allclose(found.middle, along)
    np.testing.assert_allclose(found.pixels(np.array([-1.0, 0.0])), found.origin)


def test_pushes_in_a_plane_are_those_of_the_disc_and_of_a_cup():
    for name, kind in catalog().items():
        task = kind()
        assert (push(task, task.model.qpos0, SIZE) is not None) == issubclass(kind, Puck | BallInCupCatch), name


def test_pushes_are_drawn_at_the_disc_and_other_actions_next_to_the_picture():
    draws = np.array([[0.5, -0.5]] * 3 + [[-1.0, 1.0]])
    marks = [Mark(PLAYED, np.array([0.2, 0.9]), 3.0), Mark(MEAN, np.array([0.1, -0.1]))]
    shown = fork(-0.8, 0.0)
    assert shown.push is not None
    picture, strips = panels(scene(shown, draws, marks, "fork", ("x", "y")))
    cloud = {
        tuple(float(str(c.get(k))) for k in ("cx", "cy")): float(str(c.get("r"))) for c in of_class(picture, "draw")
    }
    few, many = (tuple(p) for p in shown.push.pixels(np.array([[-1.0, 1.0], [0.5, -0.5]])).round(1).tolist())
    assert set(cloud) == {few, many}
    assert cloud[many] ** 2 > 2 * cloud[few] ** 2  # what is drawn three times counts for more
    ends = [(float(str(e.get("x2"))), float(str(e.get("y2")))) for e in of_class(picture, "arrow")]
    for mark in marks:
        assert any(np.allclose(end, shown.push.pixels(mark.action), atol=0.1) for end in ends)
    assert len(of_class(strips, "mass")) == 2

    picture, strips = panels(scene(shown._replace(push=None), draws, marks, "other", ("x", "y")))
    assert not of_class(picture, "arrow")
    assert not of_class(picture, "draw")
    assert len(of_class(strips, "mass")) == 2
    assert len(of_class(strips, "arrow")) == 4


@pytest.mark.parametrize("joints", [1, 2, 17])
@pytest.mark.parametrize("pictured", [True, False])
def test_nothing_lies_on_the_scene(joints, pictured, apart):
    draws = np.random.default_rng(0).uniform(-1, 1, (50, joints))
    marks = [Mark(name, draws[i], float(i)) for i, name in enumerate((PLAYED, MEAN, *"abcdef"))]
    shown = fork(0, 0) if joints == 2 else Still(np.zeros((240, 320, 3), np.uint8))
    file = scene(shown if pictured else None, draws, marks, "run: Task-v0, head\nthe policy's actions", names(joints))
    assert len(panels(file)) == 1 + pictured
    assert {"played, return 0.00", "f, return 7.00"} <= set(words(ElementTree.fromstring(file)))
    apart(file)


def test_a_mark_looks_like_itself_whatever_its_name_is():
    marks = [Mark("left: far", np.zeros(1), -2.0), Mark(PLAYED, np.zeros(1)), Mark("played: no", np.zeros(1))]
    assert [m.label for m in marks] == ["left: far, return -2.00", PLAYED, "played: no"]
    (strips,) = panels(scene(None, np.zeros((5, 1)), marks, "run", names(1)))
    looks = [str(g.get("class")) for g in strips.findall(f"{SVG}g") if g.find(f"{SVG}circle") is not None]
    assert len(set(looks)) == 3
    assert looks[1] == "base"


def test_branches_are_drawn_on_the_returns():
    branches = {"widened": [log(30_000, gain=g) for g in (70.0, 80.0)], "alone": [log(30_000, gain=20.0)]}
    for branch, worth in zip(branches["widened"], (900.0, 1000.0), strict=True):
        branch[-1]["eval/mean_reward"] = worth  # what the arms are compared by is not what is seen in training
    chart = panels(curves(log(), [], Limits(), "run", names(2), branches))[1]
    dots = [(float(str(c.get("cx"))), float(str(c.get("cy")))) for c in of_class(chart, "run")]
    assert read(chart, "x", [x for x, _ in dots]) == pytest.approx([60_000, 60_000], rel=0.01)
    assert sorted(read(chart, "y", [y for _, y in dots])) == pytest.approx([900, 1000], rel=0.01)
    drawn = {arm: [line for g in groups(chart, look) for line in of_class(g, "line")] for arm, look in ARMS.items()}
    assert {arm: len(found) for arm, found in drawn.items()} == {"widened": 2, "alone": 1}
    assert {"the run", "widened, 2 branches", "alone, 1 branch"} <= set(words(chart))
    begin, *_ = points(drawn["alone"][0])
    assert read(chart, "x", [begin[0]]) == pytest.approx([31_000], rel=0.01)
    highest = max(y for line in drawn["widened"] for y in read(chart, "y", [y for _, y in points(line)]))
    assert highest == pytest.approx(80 * 29 / 30, abs=5)
    for other in panels(
        curves(log(), [], Limits(), "run", names(2), branches)
    ):  # time has one scale in all of its charts
        if "environment steps" in words(other, "title"):
            assert labels(other, "x") == labels(chart, "x")
    plain = panels(curves(log(), [], Limits(), "run", names(2)))[1]
    assert len(of_class(plain, "line")) == 1  # and no key


def test_each_joint_has_its_own_limit_where_they_differ():
    limits = Limits(share=0.05, of_start=0.1)

    def dashed(*starts: float) -> list[tuple[str, float]]:
        chart = panels(curves(log(starts=starts), [], limits, "run", names(2)))[0]
        return [
            (str(g.get("class")).split()[1], round(read(chart, "y", [points(line)[0][1]])[0], 3))
            for g in groups(chart, "d1")
            for line in of_class(g, "line")
        ]

    assert dashed(0.5, 0.3) == [("base", 0.05)]
    # 0.9 at the start: narrow below 0.09; 0.4: below 0.05, which is more than 0.04
    assert sorted(dashed(0.9, 0.4)) == [("c0", 0.09), ("c1", 0.05)]


@pytest.mark.parametrize("flat", [50.05, 0.0, -3.0, 1e-3, 1234.5])
def test_flat_curves_have_plain_ticks(flat):
    rows = [
        {STEPS: 1000 * i, RETURN: flat, KL: flat, SENSITIVITY: flat, "health/visited_spread_joint0": 0.3}
        for i in range(9)
    ]
    charts = panels(curves(rows, [], Limits(), "run", names(2)))
    assert len(charts) == 6
    for chart in charts:
        for axis in "xy":
            shown = [number for _, number in labels(chart, axis)]
            assert len(shown) >= 2
            assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("joints", [1, 3, 17])
def test_ticks_and_words_are_apart(joints, apart):
    verdicts = [Verdict("return", word, "", step) for word, step in (("suspected", 15_000), ("destroyed", 15_100))]
    file = curves(log(starts=(0.9,) * joints), verdicts, Limits(), "walker: Walker2d-v5, gaussian", names(joints))
    apart(file)
    whole = ElementTree.fromstring(file)
    assert words(whole, "heading") == ["walker: Walker2d-v5, gaussian"]
    assert {"suspected from step 15,000", "destroyed from step 15,100"} <= set(words(whole))
    charts = panels(file)
    for chart in (charts[i] for i in (0, 1, 2, 4)):
        uprights = [float(str(line.get("x1"))) for line in of_class(chart, "onset")]
        assert read(chart, "x", uprights) == pytest.approx([15_000, 15_100], rel=0.01)


def test_cost_of_a_step_is_seen_against_the_spread():
    rows = log(starts=(0.5, 0.9))
    charts = panels(curves(rows, [], Limits(), "run", names(2)))
    sensitivity, kl = charts[3], charts[5]
    measured = rows[::3]

    def dots(chart: Element) -> list[tuple[float, float]]:
        """Without the one in the key."""
        return [
            (float(str(c.get("cx"))), float(str(c.get("cy")))) for g in groups(chart, "c0") for c in of_class(g, "run")
        ]

    assert len(dots(kl)) == len(rows)
    least, cost = zip(*dots(sensitivity), strict=True)
    expected = [row["health/visited_spread_joint0"] for row in measured]
    assert read(sensitivity, "x", list(least)) == pytest.approx(expected, rel=0.02)
    assert read(sensitivity, "y", list(cost)) == pytest.approx([row[SENSITIVITY] for row in measured], rel=0.02)


def test_a_log_of_one_bare_row_is_drawn():
    file = curves([{STEPS: 1024}], [Verdict("return", "destroyed", "", 1024)], Limits(), "run", names(2))
    assert of_class(panels(file)[0], "onset")
