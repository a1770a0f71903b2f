"""`pgcontrol record`: what is recorded is what was played, and stopping loses nothing."""

import json
import signal

import minari
import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.data import actions
from pgcontrol.data.dataset import Dataset
from pgcontrol.data.record import record
from pgcontrol.machine.signals import Interrupt
from pgcontrol.measures.routes import route_entropy
from pgcontrol.runs.load import make_env
from tests.test_cli import run
from tests.training.test_train import small


def equal(a: Dataset, b: Dataset) -> bool:
    pairs = list(zip(a.episodes(), b.episodes(), strict=True))
    return all(np.array_equal(x, y) for one, other in pairs for x, y in zip(one, other, strict=True))


def test_a_demonstrators_routes_are_balanced_and_minari_reads_them(tmp_path):
    record("Avoiding-v0", tmp_path / "d", 48, seed=0)
    data = minari.MinariDataset(tmp_path / "d")
    names = [str(meta["route"]) for meta in data.storage.get_episode_metadata(range(48))]
    assert route_entropy(np.unique(names, return_inverse=True)[1], 24) == pytest.approx(1)
    assert data.env_spec is not None
    assert data.env_spec.id == "pgcontrol/Avoiding-v0"
    assert data.recover_environment().observation_space.shape == (8,)


def test_episodes_replay_to_the_same_observations(tmp_path):
    """Replays an episode from its recorded seed and actions."""
    record("Fork-v0", tmp_path / "d", 3, seed=5)
    metadata = list(minari.MinariDataset(tmp_path / "d").storage.get_episode_metadata(range(3)))
    for episode, meta in zip(Dataset(tmp_path / "d").episodes(), metadata, strict=True):
        env = make_env("Fork-v0", 1, 0)
        obs = [env.reset(seed=meta["seed"])]
        steps = [env.step(torch.from_numpy(action[None])) for action in episode.action]
        assert np.array_equal(torch.cat(obs + [step.obs for step in steps]).numpy(), episode.obs)
        assert np.array_equal(torch.cat([step.reward for step in steps]).numpy(), episode.reward)
        assert episode.reward.sum() == pytest.approx(meta["return"])
        assert (bool(steps[-1].terminated), bool(steps[-1].truncated)) == (episode.terminated, episode.truncated)


def test_a_policys_samples_or_mode_with_its_metadata(tmp_path):
    trained = pgcontrol.train(small(env="Fork-v0", run_dir=str(tmp_path / "run"), total_steps=256))
    for mode in (False, True):
        record(str(trained.path), tmp_path / f"{mode}", 2, seed=0, mode=mode)
        data = Dataset(tmp_path / f"{mode}")
        episode = next(data.episodes())
        played = trained.policy().predict(episode.obs[:-1])
        assert np.allclose(played, episode.action, atol=1e-6) == mode
        notes = data.metadata["pgcontrol"]
        assert (notes["env"], notes["head"]["name"], notes["algorithm"]) == ("Fork-v0", "gaussian", "ppo")
        assert notes["actions"] == ("mode" if mode else "sampled")
        assert notes["versions"]["mujoco"]


def test_a_longer_dataset_begins_with_the_shorter_one_also_when_it_grew(tmp_path):
    record("Fork-v0", tmp_path / "whole", 40, seed=0)
    for episodes in (10, 20, 40):
        record("Fork-v0", tmp_path / "grown", episodes, seed=0)
    assert equal(Dataset(tmp_path / "whole"), Dataset(tmp_path / "grown"))
    record("Fork-v0", tmp_path / "other", 40, seed=1)
    assert not equal(Dataset(tmp_path / "whole"), Dataset(tmp_path / "other"))


def test_a_signal_leaves_whole_waves_and_the_same_command_continues(tmp_path, monkeypatch, capsys):
    calls, before = iter(range(1000)), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Interrupt, "__bool__", lambda self: next(calls) > 25)  # Fork takes 16 steps: in the second wave
    code, said, _ = run(capsys, "record", "Fork-v0", "--out", str(tmp_path / "d"), "--episodes", "40")
    assert code == 130
    assert "stopped with 16 of 40 episodes; run the same command to continue" in said
    assert len(Dataset(tmp_path / "d")) == 16
    monkeypatch.undo()
    assert record("Fork-v0", tmp_path / "d", 40, seed=0).whole
    record("Fork-v0", tmp_path / "whole", 40, seed=0)
    assert equal(Dataset(tmp_path / "whole"), Dataset(tmp_path / "d"))
    assert signal.getsignal(signal.SIGINT) is before
    assert Dataset(tmp_path / "whole").routes() == {"left": 20, "right": 20}


def test_tokens_from_a_dataset_and_from_a_run_at_the_start(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(actions, "STEPS", 320)
    record("Fork-v0", tmp_path / "d", 10, seed=0)
    assert run(capsys, "tokenize", str(tmp_path / "d"), "--out", str(tmp_path / "t"), "--codes", "8")[0] == 0
    sizes = {"head.codes": 8, "total_steps": 256, "head.horizon": 2}
    first = pgcontrol.train(
        small(env="Fork-v0", head="token", run_dir=str(tmp_path / "a"), **sizes, **{"head.source": str(tmp_path / "d")})
    )
    head = first.policy().head
    assert not head.get_buffer("warm")
    assert head.get_buffer("tokenizer.table").abs().max() > 0.9  # the full push
    again = pgcontrol.train(
        small(env="Fork-v0", head="token", run_dir=str(tmp_path / "b"), **sizes, **{"head.source": str(first.path)})
    )
    assert not again.policy().head.get_buffer("warm")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nowhere --episodes 2 --out o", "nowhere: no such run or checkpoint folder, and no such task"),
        (
            "Frok-v0 --episodes 2 --out o",
            "Frok-v0: no such run or checkpoint folder, and no such task; did you mean",
        ),
        ("Hopper-v5 --episodes 2 --out o", "Hopper-v5 has no scripted demonstrator; record a run of it, or one of"),
        ("Fork-v0 --episodes 0 --out o", "--episodes = 0: must be at least 1"),
        ("Fork-v0 --episodes 2 --out o --noise -1", "--noise = -1.0: must be at least 0"),
        ("Fork-v0 --episodes 2 --out o --mode", "--mode: the demonstrator of Fork-v0 has no mode"),
        ("Hopper-v5 --episodes 2 --out o --mode", "Hopper-v5 has no scripted demonstrator"),
        ("Fork-v0 --episodes 2", "record needs --out DIR"),
        ("Fork-v0 --episodes 2 --out mine", "mine exists and is not a dataset to continue"),
    ],
)
def test_bad_words_get_one_line_and_leave_nothing(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    code, _, error = run(capsys, "record", *words.split())
    assert code == 2
    assert error.startswith(f"pgcontrol: {line}"), error
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_other_episodes_are_not_mixed(capsys, tmp_path):
    record("Fork-v0", tmp_path / "d", 3, seed=0)
    before = json.loads((tmp_path / "d" / "metadata.json").read_text())
    for words, line in (
        (("Fork-v0", "--episodes", "5", "--seed", "1"), "holds other episodes: seed = 0, not 1"),
        (("Bandit-v0", "--episodes", "5"), "holds other episodes: env = 'Fork-v0', not 'Bandit-v0'"),
        (("Fork-v0", "--episodes", "3"), "has 3 episodes already"),
    ):
        code, _, error = run(capsys, "record", *words, "--out", str(tmp_path / "d"))
        assert code == 2
        assert line in error
    assert json.loads((tmp_path / "d" / "metadata.json").read_text()) == before
