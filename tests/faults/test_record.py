"""`record`, killed or on a full disk at any moment: every episode of before is there, and the same command goes on.

`make faults` kills it 100 times, the tests 4 times; writing fails once at every place where it can.
"""

import contextlib
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgcontrol.data.dataset import Dataset
from pgcontrol.data.record import record
from pgcontrol.data.writer import Writer
from pgcontrol.machine.locks import alone

TIMES = 10 if "PGCONTROL_FAULTS" in os.environ else 1  # datasets
KILLS = 10 if "PGCONTROL_FAULTS" in os.environ else 4  # of each
PLACES = 30  # at least, of three waves
ASKED = 10**6  # episodes, more than are recorded before the kills
CHILD = f"""
import sys
from pathlib import Path
from pgcontrol.data.record import record
print("ready", flush=True)
record("Bandit-v0", Path(sys.argv[1]), {ASKED}, seed=3, quiet=True)
"""


def episodes(folder: Path) -> list[tuple[bytes, ...]]:
    return [(e.obs.tobytes(), e.action.tobytes(), e.reward.tobytes()) for e in Dataset(folder).episodes()]


def count(folder: Path) -> int:
    return len(Writer.reopen(folder)) if folder.exists() else 0


def strays(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TIMES))
def test_a_kill_loses_nothing(tmp_path, number):
    out, rng, lengths = tmp_path / "demos", random.Random(number), [0]
    for kill in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(out)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        # the first while the dataset is made, the others while it grows
        try:
            while child.poll() is None and not (count(out) > lengths[-1] if kill else strays(tmp_path) or out.exists()):
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.3 if kill else 0.02))
        finally:
            child.kill()
            child.communicate()
        assert child.returncode == -signal.SIGKILL
        lengths.append(count(out))
        assert lengths[-1] >= lengths[-2]
    found = episodes(out)
    assert len(found) == lengths[-1]
    record("Bandit-v0", tmp_path / "whole", lengths[-1], seed=3, quiet=True)
    assert found == episodes(tmp_path / "whole")
    assert record("Bandit-v0", out, lengths[-1] + 16, seed=3, quiet=True).whole
    assert strays(tmp_path) == []
    print(f"{KILLS} kills, {lengths[-1]} episodes, 0 lost, 0 files left")


def test_what_was_killed_while_it_was_made_goes(tmp_path):
    for number in (1, 2):
        (tmp_path / f".demos.{number}").mkdir()
    (tmp_path / ".demos.old").mkdir()  # the user's
    with alone(tmp_path / ".demos.2", "in work"):
        record("Bandit-v0", tmp_path / "demos", 1, seed=3, quiet=True)
    assert strays(tmp_path) == [".demos.2", ".demos.old"]


def test_a_full_disk_loses_nothing(tmp_path, small_disk):
    out = tmp_path / "demos"
    record("Bandit-v0", out, 32, seed=3, quiet=True)
    before = episodes(out)
    small_disk(2000)
    with pytest.raises(OSError, match=r"32 episodes are kept.*run the same command to continue"):
        record("Bandit-v0", out, 64, seed=3, quiet=True)
    small_disk(resource.RLIM_INFINITY)
    assert episodes(out) == before
    assert strays(tmp_path) == []
    assert record("Bandit-v0", out, 64, seed=3, quiet=True).whole
    assert episodes(out)[:32] == before


@pytest.mark.slow
def test_a_write_that_fails_anywhere_loses_nothing(tmp_path, monkeypatch):
    """No space after half of the bytes, or at the flush, or for the new name."""
    record("Bandit-v0", tmp_path / "whole", 40, seed=3, quiet=True)
    whole, place, reached = episodes(tmp_path / "whole"), 0, True

    def failing(real):
        def call(*args):
            nonlocal left, reached
            left -= 1
            if left:
                return real(*args)
            reached = True
            if real.__name__ == "write_bytes":
                real(args[0], args[1][: len(args[1]) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(args[0]))

        return call

    while reached:
        place, reached = place + 1, False
        left, out = place, tmp_path / f"{place}"
        with monkeypatch.context() as patch:
            for where, name in ((Path, "write_bytes"), (os, "fsync"), (Path, "replace"), (Path, "rename")):
                patch.setattr(where, name, failing(getattr(where, name)))
            with pytest.raises(OSError, match="No space left") if place < PLACES else contextlib.suppress(OSError):
                record("Bandit-v0", out, 40, seed=3, quiet=True)
        found = episodes(out) if count(out) else []
        assert found == whole[: len(found)]
        assert strays(tmp_path) == []
        if len(found) < len(whole):
            record("Bandit-v0", out, 40, seed=3, quiet=True)
        assert episodes(out) == whole
    print(f"{place - 1} places of writing, 0 episodes lost, 0 files left")
    assert place - 1 >= PLACES
