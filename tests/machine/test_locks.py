"""One process at a time; the lock ends with its process."""

import subprocess
import sys

import pytest

from pgcontrol.machine import locks
from pgcontrol.options import InputError
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.training.resume import resume

HOLD = """
import sys, time
from pathlib import Path
from pgcontrol.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).alone():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_folder_belongs_to_one_process_until_that_ends(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert locks.taken(tmp_path)
        with pytest.raises(InputError) as error, RunFolder(tmp_path).alone():
            pass
        assert str(error.value) == f"{tmp_path}: another process is training in this run folder"
    finally:
        other.kill()
        other.communicate()
    assert not locks.taken(tmp_path)
    with RunFolder(tmp_path).alone() as folder:
        assert folder.path == tmp_path
        assert locks.taken(tmp_path)


def test_a_run_in_training_is_not_resumed_by_a_second_process(tmp_path):
    config = configure({"env": "Reacher-v5", "run_dir": str(tmp_path / "run")})
    refused = pytest.raises(InputError, match="another process is training in this run folder")
    with RunFolder.create(config).alone(), refused:
        resume(tmp_path / "run")


def test_what_is_not_there_is_not_taken(tmp_path):
    assert not locks.taken(tmp_path / "nowhere")
