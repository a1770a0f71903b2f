"""Minari datasets: any with Box spaces can be read; an error names whatever does not fit."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from pgcontrol.data.actions import chunks, of
from pgcontrol.data.dataset import Dataset, found
from pgcontrol.data.tokenize import tokenize
from pgcontrol.data.writer import Episode, Writer
from pgcontrol.options import InputError
from pgcontrol.training.clone import clone

OBS, ACTION = Box(-np.inf, np.inf, (2, 3), np.float32), Box(np.array([-2, 0], np.float32), np.array([2, 1], np.float32))
PENDULUM: dict[str, Any] = {"obs": Box(-8, 8, (3,), np.float32), "action": Box(-2, 2, (1,), np.float32)}


def foreign(folder, episodes=(4, 3), obs=OBS, action=ACTION, env: str | None = "Pendulum-v1", scale=1.0):
    """A dataset like those of others: observations of any shape, actions with other bounds."""
    spec = gymnasium.spec(env) if env else None
    folder.mkdir(parents=True)
    storage = MinariStorage.new(folder, observation_space=obs, action_space=action, env_spec=spec)
    storage.update_metadata({"dataset_id": "some/one-v0", "minari_version": minari.__version__})
    rng = np.random.default_rng(0)
    for steps in episodes:
        arrays = {
            "observations": rng.normal(size=(steps + 1, *(obs.shape or ()))).astype(np.float32),
            "actions": (scale * rng.uniform(size=(steps, *(action.shape or ())))).astype(np.float32),
            "rewards": np.ones(steps),
            "terminations": np.arange(steps) == steps - 1,
            "truncations": np.zeros(steps, bool),
        }
        storage.update_episodes([EpisodeBuffer(**arrays)])
    return folder


def test_any_boxes_are_read_flat(tmp_path):
    data = Dataset(foreign(tmp_path / "d"))
    assert (data.obs_size, data.low.tolist(), data.high.tolist()) == (6, [-2, 0], [2, 1])
    assert data.env == "gym:Pendulum-v1"
    episodes = list(data.episodes())
    assert [len(episode.reward) for episode in episodes] == [4, 3]
    assert episodes[0].obs.shape == (5, 6)
    assert episodes[0].action.shape == (4, 2)
    assert episodes[0].terminated
    assert not episodes[0].truncated


def test_our_task_replaces_gymnasiums_of_the_same_name(tmp_path):
    assert Dataset(foreign(tmp_path / "d", env="HalfCheetah-v5")).env == "HalfCheetah-v5"
    assert Dataset(foreign(tmp_path / "e", env=None)).env is None


def test_a_dataset_is_found_by_its_parent_and_by_minaris_id(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    foreign(tmp_path / "some" / "one-v0" / "data")
    assert len(Dataset("some/one-v0")) == len(Dataset(tmp_path / "some" / "one-v0")) == 2
    assert found("some/two-v0") is None


def test_actions_become_chunks_within_episodes(tmp_path):
    folder = foreign(tmp_path / "d")
    assert of(folder, 1).unit.shape == (7, 1, 2)
    assert of(folder, 1).unit.abs().max() <= 1
    assert chunks(str(folder), 3).shape == (3, 3, 2)  # two in four steps, one in three
    with pytest.raises(InputError, match="no episode has 5 actions in a row"):
        chunks(str(folder), 5)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        ({"action": Discrete(3)}, r"its action space is Discrete\(3\); must be a Box"),
        ({"obs": Dict({"a": OBS})}, r"its observation space is Dict\('a': Box"),
        ({"action": Box(-np.inf, np.inf, (2,), np.float32)}, "its actions have no bounds"),
        ({"episodes": ()}, "has no episodes"),
    ],
)
def test_what_no_policy_can_learn_from_is_refused(make, line, tmp_path):
    if "episodes" in make or isinstance(make.get("action"), Box):
        foreign(tmp_path / "d", **make)
    else:  # the spaces are enough
        foreign(tmp_path / "d", episodes=(), **make)
    with pytest.raises(InputError, match=line):
        Dataset(tmp_path / "d")


def test_sizes_and_bounds_are_compared_by_name(tmp_path):
    data = Dataset(foreign(tmp_path / "d", scale=5.0))
    bounds = np.array([-1, -1], np.float32), np.array([1, 1], np.float32)
    with pytest.raises(InputError, match="observations have 6 numbers, but 11 in Hopper-v5"):
        data.require_env("Hopper-v5", 11, *bounds)
    with pytest.raises(InputError, match="actions have 2 numbers, but 3 in Hopper-v5"):
        data.require_env("Hopper-v5", 6, *(np.ones(3, np.float32) * s for s in (-1, 1)))
    data.require_env("Other-v0", 6, *bounds)
    with pytest.raises(InputError, match="beyond the task's bounds"):
        list(data.episodes())


def test_damage_is_one_line(tmp_path):
    folder = foreign(tmp_path / "d")
    (folder / "main_data.hdf5").write_bytes(b"no such thing")
    with pytest.raises(InputError, match="is a damaged dataset"):
        list(Dataset(folder).episodes())
    (folder / "metadata.json").write_text("{")
    with pytest.raises(InputError, match="is a damaged dataset"):
        Dataset(folder)


def test_what_a_killed_process_left_is_dropped(tmp_path):
    low, high = np.array([-1], np.float32), np.array([1], np.float32)
    episode = Episode(np.zeros((3, 4)), np.zeros((2, 1), np.float32), np.ones(2), False, True)
    writer = Writer.create(tmp_path / "d", "Bandit-v0", low, high, 4, {"env": "Bandit-v0"})
    writer.add([episode, episode], [{}, {}])
    metadata = json.loads((tmp_path / "d" / "metadata.json").read_text()) | {"total_episodes": 1, "total_steps": 2}
    (tmp_path / "d" / "metadata.json").write_text(json.dumps(metadata))  # died before it said so
    again = Writer.reopen(tmp_path / "d")
    again.add([episode], [{"seed": 3}])
    data = Dataset(tmp_path / "d")
    assert [one.obs.shape for one in data.episodes()] == [(3, 4), (3, 4)]
    assert data.metadata["total_steps"] == 4
    assert data.env == "Bandit-v0"
    with pytest.raises(InputError, match="is not a dataset to continue"):
        Writer.reopen(foreign(tmp_path / "theirs"))


def test_a_folder_may_be_named_from_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    low, high = np.array([-1], np.float32), np.array([1], np.float32)
    episode = Episode(np.zeros((3, 4)), np.zeros((2, 1), np.float32), np.ones(2), False, True)
    Writer.create(Path("d"), "Bandit-v0", low, high, 4, {"env": "Bandit-v0"}).add([episode], [{}])
    Writer.reopen(Path("d")).add([episode], [{}])
    assert len(list(Dataset("d").episodes())) == 2


def test_actions_beyond_the_bounds_are_clipped_and_counted_on_request(tmp_path):
    folder, out = foreign(tmp_path / "d", scale=5.0), tmp_path
    raw = np.concatenate([np.asarray(one.actions) for one in minari.MinariDataset(folder).iterate_episodes()])
    many = int((np.clip(raw, ACTION.low, ACTION.high) != raw).any(1).sum())
    assert 0 < many <= 7
    data = Dataset(folder, clip=True)
    with pytest.warns(UserWarning, match=f"{many} of 7 actions exceeded the task's bounds and were clipped"):
        read = np.concatenate([episode.action for episode in data.episodes()])
    assert data.clipped == many
    np.testing.assert_array_equal(read, raw.clip(ACTION.low, ACTION.high))
    with pytest.raises(InputError, match="use --clip-actions"):
        tokenize(folder, out / "t", codes=2)
    with pytest.warns(UserWarning, match="clipped"):
        assert tokenize(folder, out / "t", codes=2, clip_actions=True).tokenizer.joints == 2


def test_a_clone_of_clipped_actions_says_how_many(tmp_path):
    folder = foreign(tmp_path / "d", **PENDULUM, scale=5.0)
    settings = {"dataset": str(folder), "steps": 2, "minibatch": 2, "eval_episodes": 0, "run_dir": tmp_path / "c"}
    with pytest.raises(InputError, match="clip-actions"):
        clone(settings)
    with pytest.warns(UserWarning, match="clipped"):
        made = clone(settings | {"clip_actions": True})
    assert json.loads((made.path / "manifest.json").read_text())["clipped_actions"] > 0
