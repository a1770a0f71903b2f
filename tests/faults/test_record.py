"""`record`, killed or on a full disk at any moment: every episode of before is there, and the same command goes on.

`make faults` kills it 100 times, the tests 4 times.
"""

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

KILLS = 100 if "PGCONTROL_FAULTS" in os.environ else 4
ASKED = 4000  # episodes, more than are recorded before the kill
CHILD = f"""
import sys
from pathlib import Path
from pgcontrol.data.record import record
print("ready", flush=True)
record("Bandit-v0", Path(sys.argv[1]), {ASKED}, seed=3, quiet=True)
"""


def episodes(folder: Path) -> list[tuple[bytes, ...]]:
    return [(e.obs.tobytes(), e.action.tobytes(), e.reward.tobytes()) for e in Dataset(folder).episodes()]


@pytest.mark.slow
def test_a_kill_loses_nothing(tmp_path):
    out, rng, lengths = tmp_path / "demos", random.Random(0), [0]
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(out)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.05, 0.3))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        lengths.append(len(Dataset(out)) if out.exists() else 0)
        assert lengths[-1] >= lengths[-2]
    assert lengths[-1] > lengths[1]
    found = episodes(out)
    assert len(found) == lengths[-1]
    record("Bandit-v0", tmp_path / "whole", lengths[-1], seed=3, quiet=True)
    assert found == episodes(tmp_path / "whole")
    assert record("Bandit-v0", out, lengths[-1] + 16, seed=3, quiet=True).whole
    assert [f.name for f in out.iterdir() if f.name.startswith(".")] == []


def test_a_full_disk_loses_nothing(tmp_path, small_disk):
    out = tmp_path / "demos"
    record("Bandit-v0", out, 32, seed=3, quiet=True)
    before = episodes(out)
    small_disk(2000)
    with pytest.raises(OSError, match=r"32 episodes are there.*the same command goes on"):
        record("Bandit-v0", out, 64, seed=3, quiet=True)
    small_disk(resource.RLIM_INFINITY)
    assert episodes(out) == before
    assert [f.name for f in out.iterdir() if f.name.startswith(".")] == []
    assert record("Bandit-v0", out, 64, seed=3, quiet=True).whole
    assert episodes(out)[:32] == before
