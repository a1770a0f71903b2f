"""A full disk during training: one line, the last good checkpoint stays, and the run continues from it."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pgcontrol
from pgcontrol.runs import checkpoint
from tests.faults.test_damage import SHORT


def test_a_checkpoint_that_does_not_fit(tmp_path, small_disk, capfd):
    settings = SHORT | {"total_steps": 1024}
    whole = pgcontrol.train(settings | {"run_dir": str(tmp_path / "whole")})
    run = tmp_path / "run"

    def fill(row) -> None:
        if row["time/total_timesteps"] == 384:  # behind the first checkpoint
            small_disk(30_000)

    with pytest.raises(
        OSError, match=f"step_000000512: cannot write 0.. MB: .*; .* is {run}/checkpoints/step_000000256"
    ):
        pgcontrol.train(settings | {"run_dir": str(run)}, on_update=fill)
    small_disk(resource.RLIM_INFINITY)
    assert [f.name for f in (run / "checkpoints").iterdir()] == ["step_000000256"]
    assert json.loads((run / "manifest.json").read_text())["status"] == "failed"
    assert "Traceback" not in capfd.readouterr().err
    assert pgcontrol.resume(run).status == "finished"
    tensors = [checkpoint.load(one / "checkpoints" / "step_000001024")[0] for one in (run, whole.path)]
    assert all(torch.equal(tensors[0][name], tensor) for name, tensor in tensors[1].items())


@pytest.mark.slow
def test_a_full_stdout_does_not_end_a_training(tmp_path):
    words = [word for key, value in SHORT.items() if key != "env" for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "pgcontrol", "train", SHORT["env"], *words, "--run-dir", str(tmp_path / "run")]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "finished"
    assert ended.returncode == 0
