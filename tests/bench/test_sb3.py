"""Stable-Baselines3 on our environments and on its own: rows, ratios, invalid input."""

import pytest
import torch

from pgcontrol.bench import sb3
from pgcontrol.options import InputError
from pgcontrol.training import peer

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.utils import set_random_seed


@pytest.mark.slow
def test_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sb3, "REPEATS", 2)
    monkeypatch.setattr(sb3, "ROLLOUT", 64)
    result = sb3.run("Reacher-v5", 4, 2, seconds=0.01)
    own, one, two = result["rows"].values()
    assert own["ratio"] == 1
    assert all(0 < row["low"] <= row["rate"] <= row["high"] for row in (own, one, two))
    assert "pgcontrol_envs.sb3, 2 physics threads" in capsys.readouterr().out


@pytest.mark.slow
def test_both_have_the_same_settings_and_the_same_start():
    models = sb3.on_worlds("Reacher-v5", 4, 1, steps=16)
    own, ours = models.values()
    for what in ("n_steps", "n_envs", "batch_size", "n_epochs", "gamma"):
        assert getattr(own, what) == getattr(ours, what)
    assert (own.n_envs, own.n_steps, own.batch_size) == (4, 16, 32)
    # the same weights, episodes and random numbers: they learn the same to rounding
    for model in (own, ours):
        set_random_seed(0)
        assert peer.learn(model) == 64
    for mine, theirs in zip(ours.policy.parameters(), own.policy.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_what_is_refused(monkeypatch):
    with pytest.raises(InputError, match="Gymnasium has no task Fork-v0"):
        sb3.run("Fork-v0", 4, 1, 0.01)
    monkeypatch.setattr(peer, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="pip install"):
        sb3.run("Reacher-v5", 4, 1, 0.01)
