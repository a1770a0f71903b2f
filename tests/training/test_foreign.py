"""Runs of foreign Gymnasium environments, from settings to videos."""

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from pgcontrol_envs import BrokenEnv

import pgcontrol
from pgcontrol import cli
from pgcontrol.data.dataset import Dataset
from pgcontrol.data.record import record
from pgcontrol.machine import files
from pgcontrol.machine.graphics import RenderError
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.rendering import film
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.clips import video_of_runs
from pgcontrol.rendering.recording import Recording
from pgcontrol.runs import checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import env_to_play, load_with_meta
from pgcontrol.sweep.cell import command
from tests.envs.unruly import AROUND, PICTURES

HOME = "gym:tests.envs.unruly:"
SMALL = {
    "num_envs": 2,
    "rollout_steps": 32,
    "total_steps": 128,
    "algorithm.minibatch": 32,
    "algorithm.epochs": 1,
    "eval_every": 0,
    "video": False,
    "threads": 1,
    "compile": "off",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(env: str, args: Mapping = MappingProxyType({}), **settings) -> pgcontrol.Run:
    said = {f"env.{key}": value for key, value in args.items()}
    return pgcontrol.train(SMALL | {"env": env, "run_dir": "run"} | said | settings)


def said(path: str) -> dict:
    return yaml.safe_load(Path(path, "config.yaml").read_text())


def test_arguments_are_kept_and_used_by_all_that_plays_the_policy():
    run = trained("gym:Pendulum-v1", {"g": 0.0, "max_episode_steps": 7})
    assert said("run")["env"] == "gym:Pendulum-v1?g=0.0&max_episode_steps=7"
    _, meta = load_with_meta(run.path)
    assert meta["policy"]["env"] == "gym:Pendulum-v1?g=0.0&max_episode_steps=7"
    assert run.metrics()[-1]["rollout/ep_len_mean"] == 7
    assert pgcontrol.resume(run.path, total_steps=256).status == "finished"
    with pytest.raises(InputError, match="keeps its env"):
        pgcontrol.resume(run.path, total_steps=512, settings={"env.g": 1.0})


@pytest.mark.parametrize(
    "said",
    [
        {"env": "gym:Pendulum-v1", "env.g": 1.0},
        {"env": "gym:Pendulum-v1", "env.g": "1.0"},
        {"env": "gym:Pendulum-v1", "env.g": np.float64(1)},
        {"env": {"name": "gym:Pendulum-v1", "g": 1.0}},
        {"env": "gym:Pendulum-v1?g=2", "env.g": 1.0},
        {"env": "gym:Pendulum-v1?g=1.0"},
    ],
)
def test_arguments_may_be_written_in_several_ways(said):
    assert configure(SMALL | said).env == "gym:Pendulum-v1?g=1.0"


def test_a_sweep_hands_arguments_to_its_runs():
    words = command({"env": "gym:Pendulum-v1", "env.g": 20.0, "env.title": "x y"}, Path("cell"))
    assert words[:2] == ["train", "gym:Pendulum-v1?g=20.0&title=x%20y"]
    assert not any(word.startswith("--env") for word in words)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"env.g": 1}, "env.g: set env as well; these are settings of an environment"),
        ({"env": "gym:Pendulum-v1", "env.g": object()}, "env.g: object is not a number, string"),
        ({"env": "gym:no_module:Thing-v0"}, "neither installed nor in the current folder"),
    ],
)
def test_arguments_that_are_wrong_are_one_line(settings, line):
    with pytest.raises(InputError, match=line):
        configure(settings)


def test_the_command_takes_arguments(capsys):
    words = "train gym:Pendulum-v1 --env.g 0.0 --env.max-episode-steps 5 --total-steps 64 --num-envs 1 --quiet"
    words += " --rollout-steps 32 --algorithm.minibatch 32 --eval-every 0 --video false --run-dir run --threads 1"
    with pytest.raises(SystemExit) as ended:
        cli.main(words.split())
    assert ended.value.code == 0
    assert said("run")["env"] == "gym:Pendulum-v1?g=0.0&max_episode_steps=5"
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "gym:Pendulum-v1", "--env.gravity", "1", "--run-dir", "other"])
    assert ended.value.code == 2
    assert "unknown arguments: gravity; it accepts g, max_episode_steps, render_mode" in capsys.readouterr().err
    assert not Path("other").exists()


@pytest.mark.parametrize("begins", [0, 1, 4])
@pytest.mark.parametrize("kinds", [{"obs": "too short"}, {"reward": "None"}, {"answer": "alone"}])
def test_what_breaks_the_contract_leaves_nothing_behind(kinds, begins):
    with pytest.raises(ValueError, match=r"gym:tests.envs.unruly:Unruly-v0\?.*(reset|step)\("):
        trained(f"{HOME}Unruly-v0", args=kinds | {"begins": begins}, run_dir="runs/x/run")
    assert not list(Path().iterdir())


def test_what_breaks_the_contract_later_keeps_the_checkpoints(capsys):
    name = f"{HOME}Unruly-v0"
    with pytest.raises(BrokenEnv, match=r"step\(\) returned .*; the last good checkpoint is run/checkpoints/step_0+64"):
        trained(name, args={"obs": "too short", "begins": 50, "max_episode_steps": 100}, checkpoint_every=64)
    with pytest.raises(SystemExit) as ended:
        cli.main(["resume", "run"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("pgcontrol: gym:")
    assert error.count("\n") == 1


@pytest.mark.parametrize("args", [{"stream": "MT19937"}, {"stream": "RandomState"}, {"obs": "whole", "reward": "0-d"}])
def test_unusual_environments_train_and_continue(args):
    trained(f"{HOME}Unruly-v0", args=args, eval_every=64, eval_episodes=2)
    assert pgcontrol.resume("run", total_steps=256).steps == 256


def test_an_engine_that_a_process_can_hold_once_is_lent_to_its_evaluation():
    run = trained(f"{HOME}Engine-v0", num_envs=1, eval_every=64, eval_episodes=3)
    assert run.metrics()[-1]["eval/mean_ep_length"] == 9
    assert json.loads((run.path / "outcome.json").read_text())["maps"]
    policy, meta = load_with_meta(run.path)
    env = env_to_play(meta["policy"]["env"], 3, 5)
    results = evaluate.episodes(env, evaluate.policy_agent(policy, True, 5), 5, count=3)
    env.close()
    assert len(results.returns) == 3
    plain = env_to_play(f"{HOME}Unruly-v0", 3, 5)
    expected = evaluate.episodes(plain, evaluate.policy_agent(policy, True, 5), 5)
    np.testing.assert_array_equal(results.returns, expected.returns)  # wave after wave, from the same seeds
    with pytest.raises(InputError, match="only one engine a process"):
        trained(f"{HOME}Engine-v0", run_dir="other")
    assert not Path("other").exists()


@pytest.mark.slow
def test_worker_processes_change_no_number():
    here = trained(f"{HOME}Unruly-v0", run_dir="here", total_steps=64)
    there = trained(f"{HOME}Unruly-v0", run_dir="there", total_steps=64, env_workers=2)
    assert here.policy().theta.equal(there.policy().theta)
    with pytest.raises(InputError, match="workers are only for gym: environments"):
        trained("Hopper-v5", env_workers=2, run_dir="other")


@pytest.mark.slow
def test_asynchronous_workers_know_modules_and_arguments():
    settings = {"env": f"{HOME}Unruly-v0", "algorithm": "a3c", "env.obs": "double", "env_workers": 2}
    settings |= {"total_steps": 256, "eval_every": 256, "eval_episodes": 2, "video": False, "run_dir": "run"}
    assert pgcontrol.train(settings).metrics()[-1]["eval/mean_ep_length"] == 9


@pytest.mark.slow
def test_an_environment_without_an_end_reports_it(capsys):
    trained(f"{HOME}Endless-v0", eval_every=0)
    run = pgcontrol.train(SMALL | {"env": f"{HOME}Endless-v0", "run_dir": "loud"}, quiet=False)
    assert "has no time limit: evaluations cut episodes after 10,000 steps; --env.max_episode_steps N" in (
        capsys.readouterr().out
    )
    assert run.steps == 128


def test_matrices_and_whole_numbers_go_in_and_come_out():
    run = trained(f"{HOME}Matrix-v0")
    policy, env = run.policy(), gymnasium.make("tests.envs.unruly:Matrix-v0")
    obs, _ = env.reset(seed=0)
    action = policy.predict(obs)
    env.step(action.astype(env.action_space.dtype))  # it looks whether it is within its bounds
    assert action.shape == (2, 3)
    assert np.array_equal(action, np.rint(action))
    assert policy.predict(np.stack([obs, obs, obs])).shape == (3, 2, 3)
    np.testing.assert_array_equal(policy.predict(obs.reshape(-1)), action)
    for shape in ((5, 4), (3, 5), (19,), ()):
        with pytest.raises(ValueError, match=r"must be \(4, 5\) or \(N, 4, 5\)"):
            policy.predict(np.zeros(shape))


def test_a_foreign_model_is_not_taken_for_a_simulation():
    trained(f"{HOME}Learned-v0", eval_every=64, eval_episodes=1)
    policy, meta = load_with_meta("run")
    env = env_to_play(meta["policy"]["env"], 1, 0)
    assert env.qpos(0) is None
    assert evaluate.episodes(env, evaluate.policy_agent(policy, True, 0), 0, record=True).trace is not None


@pytest.mark.parametrize("env_id", ["Unruly-v0", "Function-v0"])
def test_runs_are_recorded_whatever_their_environment_is_registered_with(env_id):
    pytest.importorskip("minari")
    run = trained(f"{HOME}{env_id}", args={"obs": "double"})
    assert record(str(run.path), Path("demos"), 3).whole
    data = Dataset("demos")
    assert (len(data), data.env) == (3, f"{HOME}{env_id}?obs=double")
    assert sorted(path.name for path in Path().iterdir()) == ["demos", "run"]


@pytest.mark.slow
def test_videos_use_an_environments_arguments_and_need_a_picture(backend):
    run = trained(f"{HOME}Unruly-v0", args={"stream": "Philox", "least_seed_refused": 2**31})
    clip = ClipFormat(size=(160, 120), seconds=0.2)
    assert video_of_runs([run.path], Path("clip.mp4"), clip, seed=2**33).frames > 1
    run = trained(f"{HOME}Plain-v0", run_dir="plain")
    with pytest.raises(RenderError, match=r"has only one colour: gym:tests.envs.unruly:Plain-v0 draws nothing"):
        video_of_runs([run.path], Path("plain.mp4"), clip)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_drawn_or_the_error_is_reported(picture):
    name = f"{HOME}Unruly-v0?picture={picture}"
    scene = film.ReplayedScene(Recording(name, 0, 0.05, np.zeros(2), actions=np.zeros((2, 2))), (160, 120))
    if picture in ("usual", "with alpha"):
        assert scene.draw(0).shape == (120, 160, 3)
        return
    came = "raised ZeroDivisionError" if picture == "error" else "returned .*; expected whole numbers"
    with pytest.raises((RenderError, BrokenEnv), match=rf"^gym:tests\S*.*: render\(\) {came}"):
        scene.draw(0)


@pytest.fixture
def put_back():
    """What an environment may change of this process."""
    dtype, slopes, threads, errors = torch.get_default_dtype(), torch.is_grad_enabled(), 1, np.geterr()
    with warnings.catch_warnings():
        yield
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(slopes)
    torch.set_num_threads(threads)
    np.seterr(**errors)


@pytest.mark.parametrize("around", AROUND)
def test_what_an_environment_changes_around_it_changes_no_training(put_back, tmp_path, around):
    plain = trained(f"{HOME}Unruly-v0", run_dir=str(tmp_path / "plain"))
    run = trained(f"{HOME}Unruly-v0", args={"around": around, "close_raises": True}, run_dir=str(tmp_path / "run"))
    assert run.policy().theta.equal(plain.policy().theta)


def test_another_default_dtype_of_torch_is_one_line(put_back):
    torch.set_default_dtype(torch.float64)
    with pytest.raises(InputError, match=r"torch's default dtype is torch.float64; .*set_default_dtype\(torch.float32"):
        trained("Bandit-v0")
    assert not list(Path().iterdir())


def test_a_recording_never_imports_a_module(tmp_path):
    (tmp_path / "my_env.py").write_text(MODULE)
    recording = Recording("gym:my_env:Mine-v0", 0, 0.05, np.ones(2), actions=np.ones((2, 2)))
    with pytest.raises(RenderError, match="needs the module 'my_env': pass --plugin my_env"):
        film.ReplayedScene(recording, (160, 120))
    assert not Path("imported").exists()


MODULE = """
import pathlib
import gymnasium
from tests.envs.unruly import Unruly

with open("imported", "a") as file:
    file.write("x")


class Mine(Unruly):
    pass


gymnasium.register("Mine-v0", "my_env:Mine", max_episode_steps=5)
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_record_never_imports_a_module(tmp_path):
    """It is found in the current folder if the user names it, and opened later only if it is named again."""
    (tmp_path / "my_env.py").write_text(MODULE)

    def pgc(words: str) -> tuple[int, str]:
        env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}", "PYTHONSAFEPATH": "1", "PATH": "/usr/bin:/bin", "HOME": "."}
        command = [sys.executable, "-m", "pgcontrol", *words.split()]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr

    small = "--total-steps 64 --num-envs 2 --rollout-steps 32 --algorithm.minibatch 32 --eval-every 0 --video false"
    assert pgc(f"train gym:my_env:Mine-v0 --run-dir run --threads 1 {small}")[0] == 0
    plugins = json.loads(Path("run/manifest.json").read_text())["plugins"]
    assert plugins["my_env"]["source"] == str(tmp_path / "my_env.py")
    Path("imported").unlink()
    for words in ("eval run --episodes 1", "resume run --total-steps 128", "record run --episodes 1 --out demos"):
        code, error = pgc(words)
        assert code == 2
        assert (
            f"needs the plug-in 'my_env': pass --plugin {tmp_path / 'my_env.py'}, or in Python call pgcontrol" in error
        )
        assert error.count("\n") == 1
        assert not Path("imported").exists()
    meta = checkpoint.latest(Path("run")) / "meta.json"  # as made by an older version or an attacker
    files.write_json(meta, files.read_json(meta) | {"plugins": {}})
    code, error = pgc("eval run --episodes 1")
    assert code == 2
    assert not Path("imported").exists()
    for name in ("my_env", str(tmp_path / "my_env.py")):
        assert pgc(f"eval run --episodes 1 --plugin {name}") == (0, "")
    assert Path("imported").read_text() == "xx"  # once each
