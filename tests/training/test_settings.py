"""Settings of a task hold in its training and in everything that is made from the run."""

import json
from pathlib import Path

import pytest
import torch
import yaml

import pgcontrol
from pgcontrol import cli
from pgcontrol.data.record import record
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError
from pgcontrol.rendering.clip_format import ClipFormat
from pgcontrol.rendering.clips import video_of_runs
from pgcontrol.reporting.compare import carry_out
from pgcontrol.runs import catalog
from pgcontrol.runs.config import configure
from pgcontrol.runs.load import load_with_meta
from pgcontrol.sweep import results
from pgcontrol.sweep.executor import Local
from pgcontrol.sweep.sweep import read_sweep
from tests.training.test_foreign import SMALL

RICH = "Hopper-v5?healthy_reward=100.0&frame_skip=8"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "rich"
    said = {"env": {"name": "Hopper-v5", "healthy_reward": 100.0, "frame_skip": "8"}}
    return pgcontrol.train(SMALL | said | {"run_dir": str(where)})


def test_it_is_part_of_the_run_and_of_its_evaluation(run):
    assert yaml.safe_load((run.path / "config.yaml").read_text())["env"] == RICH
    assert load_with_meta(run.path)[1]["policy"]["env"] == RICH
    found = pgcontrol.evaluate(run.path, episodes=2)
    assert found.env == RICH
    assert found.agents["mode"].returns.mean() > 95 * found.agents["mode"].lengths.mean()
    assert pgcontrol.resume(run.path, total_steps=256).status == "finished"
    with pytest.raises(InputError, match="keeps its env"):
        pgcontrol.resume(run.path, total_steps=512, settings={"env.healthy_reward": 1.0})


@pytest.mark.slow
def test_it_is_part_of_films_exports_and_datasets(run, tmp_path, backend):
    made = video_of_runs([run.path], tmp_path / "x.mp4", ClipFormat((160, 120), seconds=0.1))
    assert made.fps == 31.25  # every second step of 8 substeps of 2 ms
    pgcontrol.export(run.path, out=tmp_path / "policy.onnx")
    assert json.loads((tmp_path / "policy.json").read_text())["task"] == RICH
    record(run.path, episodes=1, out=tmp_path / "data", quiet=True)
    spec = json.loads(json.loads((tmp_path / "data" / "metadata.json").read_text())["env_spec"])
    assert spec["kwargs"] == {"task": "Hopper-v5", "healthy_reward": 100.0, "frame_skip": 8}


@pytest.mark.slow
def test_its_default_set_explicitly_trains_the_same_to_the_bit(tmp_path):
    runs = [
        pgcontrol.train(SMALL | {"env": "Go1-v0", "run_dir": str(tmp_path / str(i))} | said)
        for i, said in enumerate(({}, {"env.kp": 35.0, "env.speeds": (-1.0, 1.0)}))
    ]
    one, other = (load_with_meta(run.path)[0] for run in runs)
    assert torch.equal(one.theta, other.theta)
    assert torch.equal(one.normaliser.mean, other.normaliser.mean)


@pytest.mark.parametrize("env", [name for name in catalog.tasks() if "-v" in name])
def test_recommendations_are_those_of_the_task(env):
    plain, said = (configure({"env": env} | more) for more in ({}, {"env.frame_skip": 3}))
    assert said.env == f"{env}?frame_skip=3"
    assert vars(plain) | {"env": said.env} == vars(said)


def test_the_command_line_says_what_can_be_set_and_sets_it(capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(["train", "Go1-v0", "--env.kp", "25", "--env.speeds", "-2,1", "--help"])
    shown = capsys.readouterr().out
    assert "stiffness of the joints" in shown
    assert "has torques [25]" in shown
    assert "--env.speeds" in shown
    assert "[-2,1]" in shown
    assert all(f"--env.{name.replace('_', '-')} " in shown for name in catalog.settings_of("Go1-v0"))
    words = ["train", "Reacher-v5", "--env.frame-skip", "4", "--quiet", "--run-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, *(word for key, value in SMALL.items() for word in (f"--{key}", str(value)))])
    assert ended.value.code == 0
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["env"] == "Reacher-v5?frame_skip=4"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"env.kpp": 3}, "Go1-v0: unknown argument 'kpp': did you mean kp?"),
        ({"kp": 3}, "unknown setting 'kp'; did you mean 'env.kp'?"),
        ({"env.kp": "fast"}, "Go1-v0: kp: expected a number from 0 to 100000, got 'fast'"),
        ({"env": "Go1-v1", "env.kp": 3}, "unknown env 'Go1-v1'; did you mean 'Go1-v0'?"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(said, line, tmp_path):
    with pytest.raises(InputError) as error:
        pgcontrol.train(SMALL | {"env": "Go1-v0", "run_dir": str(tmp_path / "run")} | said)
    assert str(error.value).startswith(line)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_sweeps_arms_may_differ_in_it(tmp_path):
    file = tmp_path / "skips.yaml"
    arms = {"plain": {}, "slow": {"env.frame_skip": 4}}
    tree = {"budget": 128, "arms": arms, "baseline": "plain", "grid": {"env": "Reacher-v5"}}
    tree["settings"] = {key: value for key, value in SMALL.items() if key != "total_steps"}
    file.write_text(yaml.safe_dump(tree))
    sweep = read_sweep(file)
    assert carry_out(sweep, Local(1), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    rows = {key.arm: row for key, row in results.read(sweep).items()}
    assert {arm: (row.env, (row.config or {})["env"]) for arm, row in rows.items()} == {
        "plain": ("Reacher-v5", "Reacher-v5"),
        "slow": ("Reacher-v5", "Reacher-v5?frame_skip=4"),
    }
    assert Path(tmp_path / "skips.md").exists()
