"""Maps of actions that a run keeps."""

import json

import numpy as np
import pytest

import pgcontrol
from pgcontrol.training.behaviour import EPISODES, look, unpack

SMALL = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "algorithm.epochs": 1, "compile": "off"}
QUIET = {"video": False, "eval_every": 0, "threads": 1, "checkpoint_every": 128, "total_steps": 256}


@pytest.mark.parametrize(
    ("env", "states", "paths"),
    [
        ("Fork-v0", ["where the route is chosen", "the start", "a third into its episode"], True),
        ("Bandit-v0", ["where the route is chosen", "the start", "a third into its episode"], False),
        ("Reacher-v5", ["the start", "a third into its episode", "two thirds into its episode"], None),
        ("gym:Pendulum-v1", ["the start", "a third into its episode", "two thirds into its episode"], None),
    ],
)
def test_maps_and_routes_fit_into_a_row(env, states, paths, tmp_path):
    pgcontrol.train({"env": env, "run_dir": str(tmp_path / "run")} | SMALL | QUIET)
    found = json.loads(json.dumps(look(tmp_path / "run")))
    maps = found["maps"]
    assert maps["states"] == states
    assert maps["steps"] == [128, 256]
    columns = unpack(maps["columns"])
    assert columns.shape[:3] == (2, 3, len(maps["joints"]))
    assert (columns.max(-1) == 255).all()
    assert not maps["discrete"]
    assert ("routes" in found) == (paths is not None)
    if paths is not None:
        routes = found["routes"]
        assert len(routes["taken"]) == EPISODES
        assert set(routes["taken"]) <= {-1, *range(len(routes["names"]))}
        assert ("paths" in routes) == paths
    if paths:
        ways = unpack(found["routes"]["paths"])
        assert ways.shape[0] == EPISODES
        np.testing.assert_allclose(ways[:, 0], [[-122, 0]] * EPISODES, atol=3)  # Fork's start, in cm
        assert {s["solid"] for s in found["routes"]["outlines"]} == {True, False}
    assert len(json.dumps(found)) < 20_000


def test_a_run_without_a_checkpoint_shows_nothing(tmp_path):
    assert look(tmp_path) == {}
