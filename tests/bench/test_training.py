"""The training bench: every row measured, shares that add up, JSON that says the same as the table."""

import json

from pgcontrol.bench import training


def test_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "REPEATS", 2)
    monkeypatch.setattr(training, "PEER", "no_such_package")
    small = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    result = training.run("Reacher-v5", ["gaussian"], small, seconds=0.01, out=tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text()) == result
    rows = result["rows"]
    assert {"physics alone", "act gaussian", "train gaussian", "train gaussian x 2 processes, sum"} <= set(rows)
    assert all(0 < r["low"] <= r["rate"] <= r["high"] for r in rows.values())
    # a training acts and steps and updates: it cannot be faster than the physics it contains
    assert rows["train gaussian"]["low"] < rows["physics alone"]["high"]
    assert abs(sum(result["split"]["gaussian"].values()) - 1) < 1e-6
    assert "train gaussian" in capsys.readouterr().out
