"""The curve over numbers of environments."""

import pytest

from pgcontrol.bench import scale

# tidying up that takes a while, in each process that measures
TIDY = """
import multiprocessing, time
from multiprocessing.util import Finalize
from pathlib import Path

def tidy():
    time.sleep(0.2)
    with Path({!r}).open("a") as file:
        file.write("x")

if multiprocessing.parent_process():
    Finalize(None, tidy, exitpriority=0)
"""


@pytest.mark.slow
def test_costs(tmp_path, monkeypatch, capsys):
    (tmp_path / "tidy.py").write_text(TIDY.format(str(tmp_path / "tidied")))
    monkeypatch.setenv("PGCONTROL_PLUGINS", str(tmp_path / "tidy.py"))
    small = {"rollout_steps": 16, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    result = scale.run("Reacher-v5", 0.01, (4, 64), **small)
    few, many = result["costs"]["4"], result["costs"]["64"]
    # one call of the policy serves all environments, so that many are cheaper by far
    assert 0 < many["collecting"] < few["collecting"] < few["microseconds"]
    assert "environments" in capsys.readouterr().out
    assert (tmp_path / "tidied").read_text() == "xx"
