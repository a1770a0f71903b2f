"""Clips of a training and of finished runs, through the whole chain."""

import pytest

import pgcontrol
from pgcontrol.view import gl, movie
from pgcontrol.view.clips import video_of_runs
from pgcontrol.view.overlay import panel_width
from pgcontrol.view.process import NoGraphics

SMALL = {
    "env": "Hopper-v5",
    "num_envs": 4,
    "rollout_steps": 64,
    "algorithm.minibatch": 64,
    "total_steps": 512,
    "eval_every": 256,
    "eval_episodes": 2,
    "video_seconds": 0.2,
    "threads": 1,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs")
    return [pgcontrol.train(SMALL | {"head": head, "run_dir": str(where / head)}) for head in ("gaussian", "binned")]


@pytest.mark.skipif(gl.probe().graphics is None, reason=f"no OpenGL here. {gl.advice()}")
def test_every_evaluation_leaves_a_clip_named_by_its_step(runs):
    for run in runs:
        names = sorted(file.name for file in (run.path / "videos").iterdir())
        assert names == ["step_000000256.mp4", "step_000000512.mp4"]


@pytest.mark.skipif(gl.probe().graphics is None, reason=f"no OpenGL here. {gl.advice()}")
def test_runs_side_by_side(runs, tmp_path):
    clip = video_of_runs([run.path for run in runs], tmp_path / "new" / "clip.mp4", seconds=0.2, size=(160, 120))
    assert clip.path.exists()
    assert clip.frames >= 2


@pytest.mark.skipif(gl.probe().graphics is None, reason=f"no OpenGL here. {gl.advice()}")
def test_distributions_stand_beside_the_scene(runs, tmp_path):
    bare, beside = (
        video_of_runs([runs[0].path], tmp_path / f"{name}.mp4", seconds=0.1, size=(160, 120), overlay=name == "beside")
        for name in ("bare", "beside")
    )
    wide, narrow = (movie.facts(clip.path)["size"][0] for clip in (beside, bare))
    assert (narrow, wide) == (160, 160 + panel_width(160))


def test_without_graphics_training_goes_on_and_keeps_the_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    run = pgcontrol.train(SMALL | {"run_dir": str(tmp_path / "run")})
    assert run.status == "finished"
    # the first clip finds out that nothing can draw; what was recorded by then waits for a better machine
    left = sorted(file.name for file in (run.path / "videos").iterdir())
    assert left
    assert all(name.endswith(".npz") for name in left)
    gl.probe.cache_clear()
    with pytest.raises(NoGraphics, match="unset MUJOCO_GL"):
        video_of_runs([run.path], tmp_path / "clip.mp4", size=(160, 120))
    gl.probe.cache_clear()
    assert not (tmp_path / "clip.mp4").exists()
