"""Rendering through Gymnasium."""

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pgcontrol_envs.rendering import PictureError
from pgcontrol_envs.to_gymnasium import gymnasium_id

from pgcontrol.machine import graphics

pytestmark = pytest.mark.usefixtures("backend")


def make(task: str = "Hopper-v5", **arguments: Any) -> Any:
    return gymnasium.make(gymnasium_id(task), render_mode="rgb_array", **arguments)


def test_every_task_is_drawn(task):
    env = make(task, width=64, height=48)
    env.reset(seed=0)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
    assert picture.std() > 1
    assert env.unwrapped.render_mode == "rgb_array"
    assert env.metadata["render_modes"] == ["rgb_array"]
    env.close()
    env.close()


def test_the_picture_is_of_the_present_state():
    env = make()
    env.reset(seed=0)
    first, again = env.render(), env.render()
    np.testing.assert_array_equal(first, again)
    assert first.shape == (480, 480, 3)
    env.step(np.ones(3, np.float32))
    assert (env.render() != first).any()
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), first)


def test_the_camera_follows():
    for view, follows in (({}, True), ({"camera_id": -1}, False)):
        env = make("HalfCheetah-v5", width=96, height=96, **view)
        env.reset(seed=0)
        places = []
        for x in (0.0, 1.2):
            env.unwrapped.set_state(np.array([x] + [0.0] * 8), np.zeros(9))
            red, _, blue = np.moveaxis(env.render().astype(int), -1, 0)
            places.append(np.nonzero(red - blue > 30)[1].mean())  # the body alone is reddish
        assert (abs(places[0] - places[1]) < 1) == follows


def test_the_camera_can_be_chosen():
    drawn = []
    for view in ({"camera_id": 0}, {"camera_name": "track"}, {"default_camera_config": {"distance": 9.0}}, {}):
        env = make("HalfCheetah-v5", width=96, height=96, **view)
        env.reset(seed=0)
        drawn.append(env.render())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len({picture.tobytes() for picture in drawn}) == 3


def test_nothing_is_drawn_unless_asked_for():
    assert gymnasium.make("pgcontrol/Hopper-v5").unwrapped.render() is None
    envs: Any = gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=2)
    assert envs.render() is None


def test_vector_envs_draw_a_tuple_as_sync_vector_env_does():
    pictures = []
    for mode in ("vector_entry_point", "sync"):
        envs: Any = gymnasium.make_vec(
            "pgcontrol/Hopper-v5", num_envs=3, vectorization_mode=mode, render_mode="rgb_array", width=64, height=64
        )
        assert envs.render_mode == "rgb_array"
        envs.reset(seed=0)
        for _ in range(3):
            envs.step(np.full((3, 3), 0.5))
        pictures.append(envs.render())
        envs.close()
    ours, sync = pictures
    assert isinstance(ours, tuple)
    np.testing.assert_array_equal(ours, sync)
    assert len({picture.tobytes() for picture in ours}) == 3


def test_stable_baselines3_gets_one_picture_of_all():
    pytest.importorskip("stable_baselines3")
    from pgcontrol_envs import sb3

    env = sb3.make("Hopper-v5", 4, render_mode="rgb_array", width=32, height=24)
    env.reset()
    picture = env.render()
    assert picture is not None
    assert picture.shape == (48, 64, 3)
    assert env.metadata["render_fps"] == 125


@pytest.mark.filterwarnings("ignore:.*Box observation space")
def test_gymnasiums_check_with_pictures():
    check_env(make().unwrapped)


def test_record_video(tmp_path, monkeypatch):
    """moviepy, which only encodes, stands aside: its place is taken by something that counts frames."""
    clips = []

    class ImageSequenceClip:
        def __init__(self, frames, fps):
            clips.append((np.stack(frames), fps))

        def write_videofile(self, path, logger=None):
            assert path.startswith(str(tmp_path))

    for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
        module = ModuleType(name)
        module.__dict__["ImageSequenceClip"] = ImageSequenceClip
        monkeypatch.setitem(sys.modules, name, module)
    env = gymnasium.wrappers.RecordVideo(
        make(width=32, height=32, max_episode_steps=5), str(tmp_path / "videos"), lambda episode: episode == 0
    )
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros(3, np.float32))
    env.close()
    ((frames, fps),) = clips
    assert frames.shape == (6, 32, 32, 3)
    assert fps == 125


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"render_mode": "human"},
            "got 'human'; for a window use gymnasium.wrappers.HumanRendering with 'rgb_array', or",
        ),
        ({"render_mode": "depth_array"}, "render_mode: expected None or 'rgb_array', got 'depth_array'"),
        ({"camera_name": "side"}, r"camera_name: expected one of \['track'\], got 'side'"),
        ({"camera_id": 1}, "camera_id: expected -1 to 0, got 1"),
        ({"camera_id": 0, "camera_name": "track"}, "exclude each other"),
        ({"default_camera_config": {"distanc": 1}}, "mjvCamera has no field 'distanc'"),
        ({"widht": 64}, "unknown argument 'widht': did you mean width"),
        ({"width": 0}, "width: expected a whole number, at least 1, got 0"),
        ({"height": 2.5}, "height: expected a whole number, at least 1, got 2.5"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(arguments, says):
    with pytest.raises(ValueError, match=says) as error:
        gymnasium.make_vec("pgcontrol/Hopper-v5", num_envs=2, **arguments)
    assert "\n" not in str(error.value)


def test_rendering_that_is_switched_off_is_named_in_one_line(monkeypatch):
    env = make()
    env.reset()
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(PictureError, match="disabled by MUJOCO_GL=disable") as error:
        env.render()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_what_draws_here_leaves_other_processes_alone():
    """The probe of graphics works after a picture in the same process, without a screen, and nothing is printed."""
    code = """
import os, gymnasium, pgcontrol_envs
env = gymnasium.make("pgcontrol/Hopper-v5", render_mode="rgb_array")
env.reset()
assert env.render().std() > 1
from pgcontrol.machine import graphics
print(graphics.probe().require().backend, os.environ.get("MUJOCO_GL"))
"""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    for screen in ({}, {"DISPLAY": ":99"}):  # none, and one that is gone
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ | screen, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, f"{graphics.candidates()[0]} None", "")
