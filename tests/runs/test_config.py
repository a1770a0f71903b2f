"""Settings: layers, one clear line for an error, and a dump that can be read again."""

import enum
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import pgcontrol
from pgcontrol.options import InputError
from pgcontrol.runs import catalog, recommended
from pgcontrol.runs.config import configure, flat, nested, read_yaml, yaml_of


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63 - 1])
def test_a_large_whole_number_is_kept(seed):
    assert configure({"env": "Hopper-v5", "seed": seed}).seed == seed
    assert configure({"env": "Hopper-v5", "seed": str(seed)}).seed == seed


def test_what_is_said_wins_over_the_recommendation_and_that_over_the_default():
    config = configure({"env": "HalfCheetah-v5", "head": "binned"})
    advice = recommended.of("HalfCheetah-v5", "binned", "ppo")
    assert config.algorithm.options.learning_rate == advice["algorithm.learning_rate"]
    assert config.algorithm.options.clip == 0.2
    assert configure({"env": "HalfCheetah-v5", "algorithm.learning_rate": 5e-5}).algorithm.options.learning_rate == 5e-5


def test_text_is_read_as_the_fields_type():
    config = configure(
        {
            "env": "Hopper-v5",
            "total_steps": "2_000_000",
            "algorithm.learning_rate": "1e-3",
            "hidden": "32,16",
            "video": "off",
            "head": "binned",
            "head.initial_std": "none",
        }
    )
    assert config.total_steps == 2_000_000
    assert config.algorithm.options.learning_rate == 1e-3
    assert config.hidden == (32, 16)
    assert config.video is False
    assert config.head.options.initial_std is None
    assert configure({"env": "Hopper-v5", "total_steps": "1e6"}).total_steps == 1_000_000


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"env": "HalfCheeta-v5"},
            "unknown env 'HalfCheeta-v5'; did you mean 'HalfCheetah-v5'? (to use your own: --plugin",
        ),
        ({"head": "gausian"}, "unknown head 'gausian'; did you mean 'gaussian'?"),
        ({"algorithm": "pppo"}, "unknown algorithm 'pppo'; did you mean 'ppo'?"),
        ({"critic": "nse"}, "unknown critic 'nse'; did you mean 'mse'?"),
        ({"head": "binned", "head.bin": 4}, "unknown setting 'head.bin' of head 'binned'; did you mean 'head.bins'?"),
        ({"head": "binned", "head.bins": 1}, "head.bins = 1: must be at least 2"),
        ({"head": "binned", "head.bins": "many"}, "head.bins = 'many': must be a whole number"),
        ({"head": "binned", "head.bins": 2.5}, "head.bins = 2.5: must be a whole number"),
        (
            {"head": "gaussian", "head.bins": 11},
            "unknown setting 'head.bins' of head 'gaussian'; expected one of: head.initial_std",
        ),
        ({"head.initial_std": -1}, "head.initial_std = -1.0: must be greater than 0"),
        ({"num_envs": -4}, "num_envs = -4: must be at least 1"),
        ({"num_envs": True}, "num_envs = True: must be a whole number"),
        ({"total_stepz": 1}, "unknown setting 'total_stepz'; did you mean 'total_steps'?"),
        ({"algoritm.clip": 0.1}, "unknown setting 'algoritm.clip'; did you mean 'algorithm.clip'?"),
        ({"algorithm.clip": "nan"}, "algorithm.clip = nan: must be"),
        ({"head.std_rate": "1e999"}, "head.std_rate = inf: must be a finite number"),
        ({"algorithm.gamma": 1.5}, "algorithm.gamma = 1.5: must be at most 1"),
        (
            {"algorithm.decay": "linar"},
            "algorithm.decay = 'linar': must be one of linear, none; did you mean 'linear'?",
        ),
        (
            {"algorithm.minibatch": 4096},
            "algorithm.minibatch = 4096: must be at most the rollout's num_envs x rollout_steps",
        ),
        ({"hidden": [64, 0]}, "hidden = (64, 0): must be at least 1"),
        ({"video": "maybe"}, "video = 'maybe': must be true or false"),
    ],
)
def test_what_is_wrong_gets_one_line_that_names_it(settings, line):
    with pytest.raises(InputError) as caught:
        configure({"env": "Hopper-v5"} | settings)
    message = str(caught.value)
    assert message.startswith(line), message
    assert "\n" not in message


def test_a_head_that_is_no_name_gets_the_list_of_all_heads():
    with pytest.raises(InputError) as caught:
        configure({"env": "Hopper-v5", "head": 3})
    assert str(caught.value).startswith(f"unknown head 3; expected one of: {', '.join(catalog.heads())}")


@pytest.mark.parametrize("head", sorted(catalog.heads()))
def test_the_dump_reads_back_as_the_same_config(head, tmp_path):
    config = configure({"env": "Hopper-v5", "head": head, "seed": 7, "algorithm.clip": 0.1, "hidden": [32]})
    (tmp_path / "config.yaml").write_text(yaml_of(config))
    assert configure(read_yaml(tmp_path / "config.yaml")) == config
    assert nested(config) == yaml.safe_load((tmp_path / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("said", "trunk", "hidden"),
    [
        ({}, "residual-layernorm", (32, 32)),
        ({"critic_hidden": 64}, "residual-layernorm", (64,)),
        ({"critic_trunk": "mlp"}, "mlp", (32, 32)),
        ({"critic_trunk": "mlp", "critic_hidden": "64,16"}, "mlp", (64, 16)),
    ],
)
def test_the_critics_network_is_the_policys_unless_it_is_set(said, trunk, hidden):
    policy = {"env": "Hopper-v5", "trunk": "residual-layernorm", "trunk.expansion": 2, "hidden": "32,32"}
    config = configure(policy | said)
    assert (config.critic_trunk.name, config.critic_hidden) == (trunk, hidden)
    assert "critic_trunk" in said or config.critic_trunk == config.trunk
    assert (config.trunk.options.expansion, config.hidden) == (2, (32, 32))


@pytest.mark.parametrize(
    ("said", "every"),
    [
        ({}, 100_000),
        ({"total_steps": 10_000_000}, 100_000),
        ({"total_steps": "60_000"}, 6_000),
        ({"total_steps": 5}, 1),
        ({"total_steps": 60_000, "checkpoint_every": 50_000}, 50_000),
    ],
)
def test_a_short_run_leaves_as_many_moments_to_look_back_on(said, every):
    assert configure({"env": "Hopper-v5"} | said).checkpoint_every == every


@pytest.mark.parametrize("make", [configure, pgcontrol.train])
@pytest.mark.parametrize("settings", [{}, {"head": "binned"}, {"env": None}])
def test_a_task_must_be_named(make, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"env is missing: name a task, such as HalfCheetah-v5; `pgcontrol list`"):
        make(settings)
    assert list(tmp_path.iterdir()) == []


def test_nested_and_dotted_settings_are_one():
    tree = {"head": {"name": "binned", "bins": 5}, "algorithm": "ppo", "total-steps": 10}
    assert flat(tree) == {"head": "binned", "head.bins": 5, "algorithm": "ppo", "total_steps": 10}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("head: [", "not YAML"),
        ("- 1\n- 2", "must contain settings"),
        ("", "must contain settings"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_config(text, line, tmp_path):
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=line) as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_prior_s_settings_are_in_its_json_alone(tmp_path):
    """Its tensors may be large, and a sweep configures each of its cells."""
    policy = {"head": {"name": "binned", "bins": 5}, "hidden": [8], "trunk": {"name": "mlp"}}
    (tmp_path / "meta.json").write_text(json.dumps({"schema": 1, "policy": policy}))
    config = configure({"env": "Hopper-v5", "prior": str(tmp_path)})
    assert (config.head.name, config.head.options.bins, config.hidden) == ("binned", 5, (8,))


class Words(str, enum.Enum):  # noqa: UP042 (older code has them so)
    TASK = "Hopper-v5"
    HEAD = "binned"


class Text(str):
    """A subclass of str, as used by YAML libraries and notebooks."""


@pytest.mark.parametrize(
    "said",
    [
        {"env": Words.TASK, "head": Words.HEAD},
        {"env": np.array(["Hopper-v5"])[0], "head": Text("binned")},
        {"head": np.str_("binned"), "compile": np.str_("auto"), "hidden": np.array([64, 64])},
        {"head": {"name": Text("binned")}, "hidden": torch.tensor([64, 64]), "run_dir": Path("here")},
        {"seed": np.int64(0), "video": np.True_, "hidden": (np.int32(64), np.float64(64)), "run_dir": Text("here")},
        {"critic_hidden": [np.array(64), 64], "logger": range(0), "algorithm.learning_rate": np.float64(3e-4)},
    ],
)
def test_values_of_pythons_many_types_are_what_yaml_would_say(said, tmp_path):
    words = {"env": "Hopper-v5", "head": "binned", "algorithm.learning_rate": 3e-4}
    config = configure(words | said)
    assert config == configure(words | ({"run_dir": "here"} if "run_dir" in said else {}))
    (tmp_path / "config.yaml").write_text(yaml_of(config))
    assert configure(read_yaml(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize("take", [pgcontrol.train, configure, pgcontrol.clone])
@pytest.mark.parametrize("settings", [[], None, "Hopper-v5", 5, [("env", "Hopper-v5")]])
def test_settings_are_a_mapping(take, settings):
    with pytest.raises(InputError, match=r"settings = .*: must be a mapping, such as"):
        take(settings)
