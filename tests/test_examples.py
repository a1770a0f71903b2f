"""The examples run as they stand, and are short."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# arguments that make each short, and what it ends with
CASES = {
    "early_stopping.py": (["10", "8192"], "reached; to resume: pgcontrol resume"),
    "own_head.py": (["4096"], "return"),
    "own_robot.py": (["4096"], "to watch it: pgcontrol video"),
    "policy_in_gymnasium.py": (["4096"], "from the same seeds"),
    "sweep.py": (["4096"], "report: balance.html"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_it_runs(name, tmp_path):
    command = [sys.executable, str(EXAMPLES / name), *CASES[name][0]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert CASES[name][1] in done.stdout
    assert list((tmp_path / "runs").rglob("manifest.json"))


def test_each_is_under_forty_lines():
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file.name
