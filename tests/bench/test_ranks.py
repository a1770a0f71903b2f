"""Several processes for one run, compared with as many separate runs."""

import pytest

from pgcontrol.bench import ranks
from pgcontrol.options import InputError

SMALL = {"num_envs": 4, "rollout_steps": 16, "algorithm.minibatch": 32, "algorithm.epochs": 1, "compile": "off"}


@pytest.mark.slow
def test_rates(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ranks, "REPEATS", 1)
    result = ranks.run("Reacher-v5", (1, 2), SMALL, 0.1)
    assert list(result["rows"]) == ["one run, processes: 1", "one run, processes: 2", "runs at once: 2"]
    assert all(row["rate"] > 0 for row in result["rows"].values())
    assert "minibatch 32" in capsys.readouterr().out


def test_processes_that_cannot_share_the_environments():
    with pytest.raises(InputError, match=r"num_envs = 4: .*3 processes"):
        ranks.run("Reacher-v5", (1, 3), SMALL, 0.1)
