"""A user without HOME and without an entry in passwd, as containers have: commands work, or say one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "--total-steps 64 --num-envs 2 --rollout-steps 32 --algorithm.minibatch 32 --eval-every 0 --video false"
COMMANDS = {
    f"train Bandit-v0 --run-dir run --threads 1 --compile off {SMALL}": 0,
    "train Bandit-v0 --head token --head.source nothing --run-dir other": 2,
    "tokenize nothing --kind kmeans --out tokens": 2,
    "clone nothing --head gaussian": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_commands_of_a_user_without_a_home(tmp_path, words):
    tmp_path.chmod(0o777)
    # the capability lets it read an interpreter, and folders around this one, of another user
    user = "--reuid 12345 --regid 12345 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
    command = ["setpriv", *user.split(), "--no-new-privs", sys.executable, "-m", "pgcontrol", *words.split()]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == COMMANDS[words], done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["run"] * words.startswith("train Bandit-v0 --run-dir")
