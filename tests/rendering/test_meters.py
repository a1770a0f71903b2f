"""Commanded and measured values in the corner of a scene."""

from dataclasses import replace

import numpy as np
import pytest
from pgcontrol_envs.legged import Legged

from pgcontrol.play import evaluate
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.encoding import decode
from pgcontrol.rendering.layout import MARK, Layout
from pgcontrol.rendering.meters import Meters
from pgcontrol.rendering.overlay import FULL
from pgcontrol.rendering.render import render_clip
from pgcontrol.runs.load import make_env
from tests.rendering.worlds import saved, travelling

NAMES = ("forwards m/s", "left m/s", "yaw rad/s")


def steady(wanted: float, measured: float, name: str = NAMES[0]) -> dict[str, np.ndarray]:
    """One value for 11 states, after a first one that sets the scale."""
    return {name: np.concatenate([np.ones((1, 2)), np.tile([wanted, measured], (11, 1))])}


def drawn(meters, step=11, size=(640, 480)) -> np.ndarray:
    picture = np.full((*size[::-1], 3), 200, np.uint8)
    Meters(meters, 0.02, size).draw(picture, step)
    return picture


def columns(picture: np.ndarray, color: tuple[int, ...]) -> np.ndarray:
    """Columns left of the numbers that have something of a colour in the bar's row."""
    row = picture[-30:, :250].astype(int)
    tint = row - 0.2 * 200 - 0.8 * np.array(color)
    return np.flatnonzero((np.abs(tint) < 25).all(-1).any(0))


def test_bars_reach_to_either_side_as_far_as_the_values():
    right, left = columns(drawn(steady(0.5, 0.8)), FULL), columns(drawn(steady(0.5, -0.8)), FULL)
    assert right.min() == pytest.approx(left.max(), abs=3)
    assert np.ptp(right) == pytest.approx(np.ptp(left), abs=2)
    half = columns(drawn(steady(0.5, 0.4)), FULL)
    assert np.ptp(half) == pytest.approx(np.ptp(right) / 2, abs=2)
    mark = columns(drawn(steady(0.8, 0.8)), MARK)
    assert mark.mean() == pytest.approx(right.max(), abs=3)


def test_what_is_measured_is_averaged_over_a_fifth_of_a_second():
    shaking = steady(0.5, 0.0)
    shaking[NAMES[0]][2:, 1] = [0.2, 0.6] * 5
    assert (drawn(shaking) == drawn(steady(0.5, 0.4))).all()


def test_the_scene_outside_the_corner_is_unchanged_and_small_pictures_whole():
    three = {name: np.ones((5, 2)) for name in NAMES}
    picture = drawn(three, 4)
    assert (picture[:360] == 200).all()
    assert (picture[:, 450:] == 200).all()
    assert (picture != 200).any()
    assert (drawn(three, 4, (64, 64)) == 200).all()


def test_units_have_a_scale_each():
    both = steady(0.8, 0.8) | {"yaw rad/s": 0.1 * steady(0.8, 0.8)[NAMES[0]]}
    alone = drawn({"yaw rad/s": both["yaw rad/s"]})
    assert np.ptp(columns(alone, FULL)) == pytest.approx(np.ptp(columns(drawn(both), FULL)), abs=5)


def test_a_film_shows_them_in_its_scene(backend, tmp_path):
    recording = travelling("HalfCheetah-v5", 2, 0.0, meters={"forwards m/s": np.ones((3, 2))})
    plain, shown = (saved(r, tmp_path, f"{i}.npz") for i, r in enumerate((replace(recording, meters={}), recording)))
    clip = ClipFormat((320, 240), seconds=0.05)
    render_clip([plain, shown], tmp_path / "clip.mp4", clip, backend=backend)
    page, layout = next(decode(tmp_path / "clip.mp4")).astype(int), Layout(2, clip.size)
    differs = abs(layout.scenes[0].of(page) - layout.scenes[1].of(page)).max(-1) > 60
    assert differs[-40:, :200].any()
    assert not differs[:-60].any()


def test_an_episode_keeps_them_for_every_state():
    env = make_env("Go1-v0?noise=0", 2, 0, threads=1)
    task, seen = env.task, []
    assert isinstance(task, Legged)

    def look(_):
        seen.append((task.command[0].copy(), [*task.linear[0, :2], task.gyro[0, 2]]))

    trace = evaluate.episodes(env, evaluate.random_agent(env, 1), 0, record=True, on_step=look).trace
    assert trace is not None
    assert tuple(trace.meters) == NAMES
    for i, name in enumerate(NAMES):
        assert trace.meters[name].shape == (len(trace.rewards) + 1, 2)
        wanted, measured = trace.meters[name][1:].T
        steps = len(trace.rewards)
        np.testing.assert_array_equal(wanted, [command[i] for command, _ in seen[:steps]])
        np.testing.assert_array_equal(measured, [moved[i] for _, moved in seen[:steps]])
    other = make_env("InvertedPendulum-v5", 1, 0)
    trace = evaluate.episodes(other, evaluate.random_agent(other, 1), 0, record=True).trace
    assert trace is not None
    assert trace.meters == {}
