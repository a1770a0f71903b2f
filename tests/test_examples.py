"""The examples run as they stand, and are short."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
WORDS = {"early_stopping.py": ["10", "8192"], "own_robot.py": ["4096"]}  # arguments that make them short
SAYS = {"early_stopping.py": "reached; to go on: pgcontrol resume", "own_robot.py": "to watch it: pgcontrol video"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_it_runs(name, tmp_path):
    command = [sys.executable, str(EXAMPLES / name), *WORDS[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    assert list((tmp_path / "runs").rglob("manifest.json"))


def test_each_is_under_forty_lines():
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file.name
