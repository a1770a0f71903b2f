"""The curve over numbers of environments."""

import json

from pgcontrol.bench import scale


def test_costs(tmp_path, monkeypatch, capsys):
    small = {"rollout_steps": 16, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    result = scale.run("Reacher-v5", 0.01, tmp_path / "scale.json", (4, 64), **small)
    assert json.loads((tmp_path / "scale.json").read_text()) == result
    few, many = result["costs"]["4"], result["costs"]["64"]
    # one call of the policy serves all environments, so that many are cheaper by far
    assert 0 < many["collecting"] < few["collecting"] < few["microseconds"]
    assert "environments" in capsys.readouterr().out
