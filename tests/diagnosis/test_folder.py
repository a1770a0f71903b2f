"""Examines a run folder: an intact one has no complaints, and each damage has its own line."""

import shutil
from pathlib import Path

import pytest

import pgcontrol
from pgcontrol import cli
from pgcontrol.runs.folder import RunFolder


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A short run with all files of a run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    small = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    quiet = {"video": False, "eval_every": 0, "threads": 1, "checkpoint_every": 128, "total_steps": 256}
    pgcontrol.train({"env": "Fork-v0", "run_dir": str(path)} | small | quiet)
    return path


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def needing_a_plugin(run: Path) -> None:
    RunFolder.open(run).write_manifest(plugins={"arm": {"source": "arm.py", "sha256": "0"}})


def waiting(run: Path) -> None:
    (run / "videos").mkdir(exist_ok=True)
    (run / "videos" / "step_128.npz").touch()


DAMAGES = {
    "manifest": lambda run: flipped(run / "manifest.json"),
    "config": lambda run: flipped(run / "config.yaml"),
    "log": lambda run: flipped(run / "metrics.jsonl"),
    "checkpoint": lambda run: flipped(run / "checkpoints" / "step_000000128" / "tensors.safetensors"),
    "plug-ins": needing_a_plugin,
}


def doctor(run: Path, capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", str(run)])
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().out


def test_a_whole_run_is_well(run, capsys):
    code, out = doctor(run, capsys)
    assert code == 0
    assert "✗" not in out
    assert "2 of 2 intact" in out


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found(name, run, tmp_path, capsys):
    where = tmp_path / "run"
    shutil.copytree(run, where)
    DAMAGES[name](where)
    code, out = doctor(where, capsys)
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith(f"✗ {name}")], out


def test_clips_that_wait_are_named(run, tmp_path, capsys):
    where = tmp_path / "run"
    shutil.copytree(run, where)
    waiting(where)
    code, out = doctor(where, capsys)
    assert code == 0
    assert "! clips           1 clip to render" in out


def test_what_is_no_run_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
