"""`pgcontrol bench`: what it refuses, and the file that it writes."""

import json

import pytest

from pgcontrol import cli
from pgcontrol.bench import env, scale, training
from pgcontrol.runs.config import configure
from pgcontrol.training import peer

TASKS = ("Reacher-v5", "Pusher-v5")


def typed(*words):
    try:
        return cli.main(["bench", *words])
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--num-envs", "64"), "--num-envs: bench train does not use it"),
        (("train", "--threads", "2"), "--threads: bench train does not use it"),
        (("scale", "--heads", "binned"), "--heads: bench scale does not use it"),
        (("env", "--ranks", "2"), "--ranks: bench env does not use it"),
        (("sb3", "--envs", "Hopper-v5", "Go1-v0"), "--envs Go1-v0: bench sb3 compares with Gymnasium's own task"),
        (("train", "--ranks", "2", "--heads", "binned"), "--heads: bench train --ranks trains one run"),
    ],
)
def test_options_that_would_be_ignored_are_refused(words, message, capsys):
    assert typed(*words) == 2
    assert message in capsys.readouterr().err


def test_the_file_has_every_task_and_is_not_replaced_without_force(tmp_path, monkeypatch, capsys):
    out = tmp_path / "new" / "speed.json"
    monkeypatch.setattr(scale, "run", lambda env_id, seconds: {"of": env_id})
    assert typed("scale", "--envs", *TASKS, "--out", str(out)) == 0
    assert json.loads(out.read_text()) == {name: {"of": name} for name in TASKS}
    assert typed("scale", "--out", str(out)) == 2
    assert "exists already; choose another file, or pass --force" in capsys.readouterr().err
    assert typed("scale", "--out", str(out), "--force") == 0
    assert json.loads(out.read_text()) == {"of": "HalfCheetah-v5"}


def test_a_folder_that_cannot_be_made_is_noticed_before_anything_is_measured(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(env, "run", lambda *_: pytest.fail("it was measured"))
    assert typed("env", "--out", str(tmp_path / "file" / "speed.json")) != 0


def test_tasks_that_gymnasium_lacks_have_no_peer(monkeypatch):
    assert peer.has("Hopper-v5?frame_skip=2")
    assert not any(map(peer.has, ("Go1-v0", "dm:cheetah-run", "Fork-v0")))
    monkeypatch.setattr(peer, "installed", lambda: True)
    monkeypatch.setattr(peer, "ppo", lambda config: pytest.fail("the peer was asked"))
    monkeypatch.setattr(training, "REPEATS", 1)
    monkeypatch.setattr(training, "_side_by_side", lambda *_: 1.0)
    small = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    assert "train gaussian" in training.run("Fork-v0", ["gaussian"], small, 0.01)["rows"]


def test_few_environments_make_minibatches_that_fit(monkeypatch):
    """Recommended for a quadruped are minibatches of 3072 steps of 512 environments."""
    seen = []
    monkeypatch.setattr(scale, "_measure", lambda settings, seconds: scale.Cost(1.0, 1.0, 1.0))

    class Here:
        def __init__(self, *_): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def submit(self, work, settings, seconds):
            seen.append(configure(settings))
            return self

        def result(self):
            return scale.Cost(1.0, 1.0, 1.0)

    monkeypatch.setattr(scale, "ProcessPoolExecutor", Here)
    scale.run("Go1-v0", 0.01, (8, 512))
    assert [config.algorithm.options.minibatch for config in seen] == [192, 3072]
