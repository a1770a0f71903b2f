"""The training bench: every row is measured, shares add up to 1, and the JSON agrees with the table."""

import tempfile

import pytest
import torch

from pgcontrol.bench import training
from pgcontrol.runs.config import configure
from pgcontrol.training import peer


@pytest.mark.slow
def test_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "REPEATS", 2)
    monkeypatch.setattr(peer, "PACKAGE", "no_such_package")
    small = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
    result = training.run("Reacher-v5", ["gaussian"], small, seconds=0.01)
    rows = result["rows"]
    assert {"physics alone", "act gaussian", "train gaussian", "train gaussian x 2 processes, sum"} <= set(rows)
    assert all(0 < r["low"] <= r["rate"] <= r["high"] for r in rows.values())
    # a training acts and steps and updates: it cannot be faster than the physics it contains
    assert rows["train gaussian"]["low"] < rows["physics alone"]["high"]
    assert abs(sum(result["split"]["gaussian"].values()) - 1) < 1e-6
    assert "train gaussian" in capsys.readouterr().out


@pytest.mark.slow
def test_the_peer_leaves_nothing_behind(tmp_path, monkeypatch):
    """Stable-Baselines3's logger makes a temporary folder for every model."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = {"env": "Reacher-v5", "num_envs": 2, "rollout_steps": 32, "algorithm.minibatch": 32}
    threads = torch.get_num_threads()
    try:
        assert training.timed(0.01, lambda: peer.ppo(configure(settings | {"peer": "sb3"})).learn(1).num_timesteps) > 0
    finally:
        torch.set_num_threads(threads)
    assert list(tmp_path.glob("SB3*")) == []


def test_the_peer_takes_our_settings():
    settings = {"env": "Reacher-v5", "num_envs": 2, "rollout_steps": 32, "algorithm.minibatch": 32, "hidden": 8}
    config = configure(settings | {"peer": "sb3"})
    model, options = peer.ppo(config), config.algorithm.options
    assert (model.n_steps, model.n_envs, model.batch_size) == (32, 2, 32)
    assert (model.gamma, model.gae_lambda, model.n_epochs) == (options.gamma, options.gae_lambda, options.epochs)
    assert model.lr_schedule(0.5) == options.learning_rate / 2
    assert model.policy.mlp_extractor.policy_net[0].out_features == 8
    std = config.head.options.initial_std
    assert torch.allclose(model.policy.log_std.exp(), torch.tensor(std))
    assert model.get_vec_normalize_env() is not None
    assert peer.ppo(configure({"env": "Reacher-v5", "peer": "sb3-as-shipped"})).get_vec_normalize_env() is None
