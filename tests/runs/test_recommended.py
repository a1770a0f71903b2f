"""The table of recommended settings: existing names, merging key by key, and heads with the same start."""

import pytest
import torch
from pgcontrol_envs import catalog as tasks

from pgcontrol.runs import catalog, recommended
from pgcontrol.runs.config import configure, flat, nested
from pgcontrol.runs.recommended import ANY, TABLE, Recommendation, of
from pgcontrol.training.learner import Learner

OURS = sorted(env for env in tasks() if env.endswith("-v0") and not env.startswith("Go1"))
"""Tasks with modes or precision: their heads are to differ in nothing but the head."""


def settings(env: str, head: str) -> dict:
    return flat(nested(configure({"env": env, "head": head})))


@pytest.mark.parametrize("row", TABLE)
def test_a_row_names_what_there_is(row):
    assert callable(row.tasks) or row.tasks == ANY or set(row.tasks) <= set(tasks())
    assert callable(row.heads) or row.heads == ANY or set(row.heads) <= set(catalog.heads())
    named = [env for env in tasks() if row.tasks(env)] if callable(row.tasks) else row.tasks
    assert row.algorithms == ANY or set(row.algorithms) <= set(catalog.algorithms())
    env = "HalfCheetah-v5" if row.tasks == ANY else named[0]
    algorithm = "ppo" if row.algorithms == ANY else row.algorithms[0]
    heads = [head for head in catalog.heads() if row.suits(env, head, algorithm)]
    for key in row.settings:
        has = [key in settings(env, head) for head in heads]
        assert all(has) if isinstance(row.heads, tuple) and row.heads != ANY else any(has), key


def test_the_general_comes_before_the_special():
    order = [(row.tasks != ANY, row.heads != ANY) for row in TABLE]
    assert order == sorted(order)


@pytest.mark.parametrize("env", sorted(env for env in tasks() if not env.startswith("dm:") or env == "dm:cheetah-run"))
@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_every_recommendation_is_a_valid_setting(env, head):
    made = settings(env, head)
    for key, value in of(env, head, "ppo").items():
        assert made.get(key, value) == value


def test_heads_that_can_be_symmetric_are_on_a_symmetric_robot():
    able = {name for name, head in catalog.heads().items() if head.mirrors()}
    assert {name for name in catalog.heads() if settings("Go1-v0", name)["symmetric"]} == able
    assert {"gaussian", "beta", "mixture", "binned", "ordinal"} <= able < set(catalog.heads())


def test_rows_are_merged_key_by_key():
    swimmer = of("Swimmer-v5", "gaussian", "ppo")
    assert swimmer["total_steps"] == of("Hopper-v5", "gaussian", "ppo")["total_steps"]
    assert swimmer["head.initial_std"] == of("Hopper-v5", "gaussian", "ppo")["head.initial_std"]
    assert swimmer["algorithm.learning_rate"] != of("Hopper-v5", "gaussian", "ppo")["algorithm.learning_rate"]
    assert swimmer["algorithm.gamma"] == of("Swimmer-v5", "binned", "ppo")["algorithm.gamma"] != 0.99


@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_any_other_environment_has_the_general_settings(head):
    assert of("gym:Swimmer-v5", head, "ppo") == of("My-Robot-v0", head, "ppo") == of("Hopper-v5", head, "ppo")


@pytest.mark.parametrize("env", OURS)
def test_on_our_tasks_every_head_takes_the_same_steps(env):
    steps = {settings(env, head)["algorithm.learning_rate"] for head in catalog.heads()}
    assert len(steps) == 1


@pytest.mark.parametrize("env", OURS)
def test_on_our_tasks_every_head_begins_about_as_wide(env):
    width = settings(env, "gaussian")["head.initial_std"]
    for head in sorted(catalog.heads()):
        config = configure({"env": env, "head": head, "threads": 1, "compile": "off"})
        if not hasattr(config.head.options, "initial_std"):
            continue
        policy = Learner(config).policy
        actions = policy.draws(torch.zeros(1, policy.obs_size), 2000, torch.Generator().manual_seed(0))
        # narrower by what is clipped or squashed at the bounds
        assert 0.8 * width < float(actions.std(0).mean()) < 1.1 * width, head


def test_a_recommendation_can_be_for_one_algorithm_and_name_a_part(monkeypatch):
    row = Recommendation(ANY, ANY, {"critic_trunk": "residual-layernorm", "algorithm.gamma": 0.9}, ("ppo", "grpo"))
    monkeypatch.setattr(recommended, "TABLE", (row, *TABLE))
    mine, given, other = (
        configure({"env": "Hopper-v5"} | more)
        for more in ({}, {"critic_trunk": "mlp", "algorithm.gamma": 0.8}, {"algorithm": "a2c"})
    )
    assert (mine.critic_trunk.name, mine.algorithm.options.gamma) == ("residual-layernorm", 0.9)
    assert (given.critic_trunk.name, given.algorithm.options.gamma) == ("mlp", 0.8)
    assert (other.critic_trunk.name, other.algorithm.options.gamma) == ("mlp", 0.99)
    assert configure({"env": "Hopper-v5", "trunk": "mlp"}).critic_trunk.name == "mlp"  # like the policy's
