"""The bench of heads: one row per head, each compared with the first in turns."""

from pgcontrol.bench import heads


def test_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(heads, "REPEATS", 2)
    small = {"num_envs": 4, "rollout_steps": 64, "compile": "off", "threads": 1}
    names = ["gaussian", "binned", "utilities"]
    result = heads.run("Reacher-v5", names, small, seconds=0.01)
    assert list(result["rows"]) == names
    assert all(0 < row["low"] <= row["rate"] <= row["high"] for row in result["rows"].values())
    assert result["rows"]["gaussian"]["ratio"] == 1
    assert "utilities" in capsys.readouterr().out
