"""Clips of a training and of finished runs, from start to end."""

import dataclasses
import signal

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol import cli
from pgcontrol.machine import graphics
from pgcontrol.machine.graphics import NoGraphics
from pgcontrol.measures import spread
from pgcontrol.play import evaluate
from pgcontrol.play.density import COLUMNS, DRAWS, histograms
from pgcontrol.policy import Policy
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.clips import distributions, render_pending, video_of_runs
from pgcontrol.rendering.encoding import decode
from pgcontrol.rendering.layout import BAR, Layout
from pgcontrol.rendering.overlay import panel_width
from pgcontrol.runs import catalog
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import make_env, make_policy
from tests.rendering.worlds import saved, travelling

SMALL = {
    "env": "Hopper-v5",
    "num_envs": 4,
    "rollout_steps": 64,
    "algorithm.minibatch": 64,
    "total_steps": 512,
    "eval_every": 256,
    "eval_episodes": 2,
    "video_seconds": 0.05,
    "threads": 1,
}

HORIZONS = 1, 2, 5
CHUNKED = [
    (name, horizon)
    for name, head in sorted(catalog.heads().items())
    for horizon in HORIZONS
    if "horizon" in {field.name for field in dataclasses.fields(head.Options)}
]
"""Heads that emit chunks, and how long ones."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, backend):
    """Two runs; the first films its evaluations."""
    where = tmp_path_factory.mktemp("runs")
    filmed = SMALL | {"run_dir": str(where / "gaussian")}
    other = SMALL | {"run_dir": str(where / "binned"), "head": "binned", "total_steps": 256, "video": False}
    return [pgcontrol.train(filmed), pgcontrol.train(other)]


def test_every_evaluation_leaves_a_clip_named_by_its_step(runs):
    folder = RunFolder.open(runs[0].path)
    assert render_pending(folder, ClipFormat(seconds=0.05), print) == 0  # so short a training does not wait for them
    names = sorted(file.name for file in folder.videos.iterdir())
    assert names == ["step_000000256.mp4", "step_000000512.mp4"]


def test_a_video_can_show_other_settings_of_the_task(runs, tmp_path):
    made = pgcontrol.video((runs[0].path,), tmp_path / "a.mp4", seconds=0.1, size="160x120", **{"env.frame_skip": 25})
    assert made.frames == 3  # 0.1 s at 20 Hz, and the start


def test_runs_and_recordings_side_by_side_each_with_its_distributions(runs, tmp_path):
    recording, size = saved(travelling("Hopper-v5", 20, 0.0), tmp_path), (160, 120)
    sources, out = [*(run.path for run in runs), recording], tmp_path / "new" / "clip.mp4"
    made = video_of_runs(sources, out, ClipFormat(size, seconds=0.1), overlay=True)
    pages = list(decode(out))
    assert made.path == out
    assert len(pages) == made.frames == 5  # 0.1 s x 125 / 3 and the start
    layout = Layout(3, size, panel_width(160))
    assert pages[0].shape == (*layout.page[::-1], 3)
    # the recording kept no distributions, so its panel is empty
    filled = [bool((abs(panel.of(pages[0]).astype(int) - BAR) > 40).any()) for panel in layout.panels]
    assert filled == [True, True, False]
    assert recording.exists()


def test_without_graphics_training_continues_and_keeps_the_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    run = pgcontrol.train(SMALL | {"run_dir": str(tmp_path / "run")})
    assert run.status == "finished"
    # the first clip finds out that nothing can draw; what was recorded by then waits for a better machine
    left = sorted(file.name for file in (run.path / "videos").iterdir())
    assert left
    assert all(name.endswith(".npz") for name in left)
    graphics.probe.cache_clear()
    with pytest.raises(NoGraphics, match="unset MUJOCO_GL"):
        video_of_runs([run.path], tmp_path / "clip.mp4", ClipFormat((160, 120)))
    graphics.probe.cache_clear()
    assert not (tmp_path / "clip.mp4").exists()


def chunked(name: str, horizon: int) -> Policy:
    """A policy for Reacher with a few codes, different in every state."""
    head = {"name": name, "horizon": horizon, "codes": 16}
    sizes = {"obs_size": 10, "low": [-1.0] * 2, "high": [1.0] * 2, "hidden": [8]}
    policy = make_policy(sizes | {"head": head, "critic": {"name": "none"}}, seed=0)
    rng = torch.Generator().manual_seed(0)
    policy.head.prepare(lambda *_: torch.empty(0), 0, 2 * torch.rand(500, horizon, 2, generator=rng) - 1)
    policy.theta += 0.3 * torch.randn(policy.theta.shape, generator=rng)
    return policy


@pytest.mark.parametrize("deterministic", [True, False], ids=["mode", "sampled"])
@pytest.mark.parametrize(("name", "horizon"), CHUNKED)
def test_what_is_drawn_of_a_chunk_is_what_its_choice_was_made_from(name, horizon, deterministic):
    """The clip ends within a chunk; what it shows is compared with draws of another seed."""
    policy, env, observed = chunked(name, horizon), make_env("Reacher-v5", 1, 0), []
    agent = evaluate.policy_agent(policy, deterministic, seed=0)
    outcome = evaluate.episodes(env, agent, 0, record=True, on_step=lambda played: observed.append(played.obs))
    assert outcome.trace is not None
    shown = distributions(policy, env, outcome.trace, seed=0, seconds=0.25)
    env.close()
    assert shown.columns.shape == (13, 2, COLUMNS)
    rng = torch.Generator().manual_seed(9)
    for step in range(13):
        part = step % horizon
        action = policy.act(observed[step - part].expand(DRAWS, -1), rng)[0]
        unit = spread.unit(action[:, part], policy.head.low, policy.head.high).numpy()
        shares = shown.columns[step] / shown.columns[step].sum(-1, keepdims=True, dtype=float)
        # the deviation of a share's difference is below 0.016
        np.testing.assert_allclose(shares, histograms(unit[:, None])[0] / DRAWS, atol=0.08)
        np.testing.assert_allclose(shown.spread[step], unit.std(0), atol=0.08)
    marks = histograms(shown.chosen[None]) > 0
    assert (shown.columns[marks] > 0).all()


STOPPING = """
import json, os, pathlib, signal, sys, time
from pgcontrol.rendering.render import partial_path
partial_path(pathlib.Path(json.loads(sys.argv[1])["out"]), os.getpid()).touch()
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


def test_a_stopped_film_is_announced_and_leaves_nothing(render_as, tmp_path, monkeypatch, capsys):
    def unexpected(*_):
        raise AssertionError("the command does not handle SIGTERM")

    monkeypatch.chdir(tmp_path)
    recording = saved(travelling(steps=6), tmp_path)
    render_as(STOPPING)
    former = signal.signal(signal.SIGTERM, unexpected)
    try:
        with pytest.raises(SystemExit, match="130"):
            cli.main(["video", recording.name, "--out", "a.mp4"])
    finally:
        signal.signal(signal.SIGTERM, former)
    assert capsys.readouterr() == ("a.mp4: drawing 7 frames, 0.3 s of video\n", "pgcontrol: interrupted\n")
    assert list(tmp_path.iterdir()) == [recording]


def test_a_damaged_recording_is_one_line(tmp_path, capsys):
    damaged = tmp_path / "one.npz"
    damaged.write_text("not one")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["video", str(damaged), "--out", str(tmp_path / "new" / "a.mp4")])
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(f"pgcontrol: {damaged} is not a recording, or is damaged")
    assert list(tmp_path.iterdir()) == [damaged]
