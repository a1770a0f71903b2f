"""Training from Python: an iterator of updates, objects instead of names, settings of a resumed run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import pgcontrol
from pgcontrol.critics.mse import MSE
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.learning.advantages import TD, Estimate
from pgcontrol.learning.algorithms import Algorithm
from pgcontrol.learning.decqn import DecQN
from pgcontrol.learning.score import ScoreAndCritic
from pgcontrol.machine import revisions
from pgcontrol.options import InputError
from pgcontrol.runs import checkpoint
from pgcontrol.training.learner import Learner

SMALL: dict[str, Any] = {
    "env": "InvertedPendulum-v5",
    "total_steps": 2048,
    "num_envs": 4,
    "rollout_steps": 64,
    "hidden": [8, 8],
}
SMALL |= {"video": False, "eval_every": 0, "threads": 1, "compile": "off", "checkpoint_every": 10**6}


class Mine(Gaussian):
    """A Gaussian under another name."""

    name = "mine-from-python"


ROW = Algorithm("td-from-python", "one-step TD", TD, ScoreAndCritic)


def weights(folder: Path):
    tensors, _ = checkpoint.load(checkpoint.latest(folder))
    return torch.cat([tensors[name].flatten().double() for name in sorted(tensors) if name.startswith("policy.")])


def test_iterating_trains_as_train_does(tmp_path):
    run = pgcontrol.train(SMALL | {"run_dir": str(tmp_path / "train")})
    trainer = pgcontrol.Trainer(**SMALL, run_dir=str(tmp_path / "iterated"))
    rows = list(trainer)
    assert [row["time/total_timesteps"] for row in rows] == [256 * (i + 1) for i in range(8)]
    assert trainer.steps == 2048
    assert trainer.rollout is not None
    assert trainer.rollout.reward.shape == (64, 4)
    assert trainer.env.num_envs == 4
    assert trainer.path == tmp_path / "iterated"
    assert trainer.path is not None
    assert weights(trainer.path).equal(weights(run.path))
    assert json.loads((trainer.path / "manifest.json").read_text())["status"] == "finished"
    with pytest.raises(InputError, match=r"has begun; to resume: pgcontrol.resume"):
        next(iter(trainer))


@pytest.mark.parametrize("how", ["break", "error", "on_update"])
def test_leaving_early_leaves_a_run_that_continues_to_the_bit(how, tmp_path):
    whole = pgcontrol.train(SMALL | {"run_dir": str(tmp_path / "whole")})
    path = tmp_path / "left"
    settings: dict[str, Any] = SMALL | {"run_dir": str(path)}
    if how == "on_update":
        run = pgcontrol.train(settings, on_update=lambda row: row["time/total_timesteps"] >= 512)
        assert (run.status, run.steps) == ("stopped", 512)
    elif how == "break":
        for row in pgcontrol.Trainer(**settings):
            if row["time/total_timesteps"] >= 512:
                break
    else:
        with pytest.raises(ZeroDivisionError):
            _ = [1 / (512 - row["time/total_timesteps"]) for row in pgcontrol.Trainer(**settings)]
    assert json.loads((path / "manifest.json").read_text())["status"] == "stopped"
    run = pgcontrol.resume(path)
    assert (run.status, run.steps) == ("finished", 2048)
    assert weights(path).equal(weights(whole.path))


def test_classes_and_rows_stand_for_names(tmp_path):
    parts: dict[str, Any] = {"head": Mine, "critic": MSE, "algorithm": ROW}
    trainer = pgcontrol.Trainer(**SMALL, **parts, run_dir=str(tmp_path / "run"))
    next(iter(trainer))
    assert trainer.policy.head.name == "mine-from-python"
    noted = json.loads((tmp_path / "run/manifest.json").read_text())["plugins"]
    assert [Path(plugin["source"]).stem for plugin in noted.values()] == [__name__] or __name__ in noted


def test_a_run_notes_its_plug_ins_as_they_were_loaded_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("pgcontrol.training.learner.plugins_of", lambda *_, **__: asked.append(1) or {})
    run = pgcontrol.train(SMALL | {"checkpoint_every": 1, "run_dir": str(tmp_path / "run")})
    assert len(checkpoint.find(run.path)) > 1
    assert len(asked) == 1


def test_what_has_no_name_is_refused():
    class Nameless(Gaussian):
        pass

    Nameless.name = None  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="has no name"):
        pgcontrol.configure({"env": "Hopper-v5", "head": Nameless})


def test_a_resumed_run_takes_settings_that_change_no_shape(tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(SMALL | {"run_dir": str(path)}, on_update=lambda row: True)
    pgcontrol.resume(path, settings={"algorithm.learning_rate": 1e-5, "eval_every": 1024, "eval_episodes": 1})
    manifest = json.loads((path / "manifest.json").read_text())
    changed = {"algorithm.learning_rate": 1e-5, "eval_every": 1024, "eval_episodes": 1}
    assert manifest["resumed"] == [{"steps": 256, "settings": changed}]
    assert "learning_rate: 1.0e-05" in (path / "config.yaml").read_text()


def test_a_resumed_run_has_the_revisions_of_all_its_parts(tmp_path, monkeypatch):
    path, seen = tmp_path / "run", []
    for revision in ("abc", "abc", "def+"):
        monkeypatch.setattr(revisions, "revision", lambda now=revision: now)
        if seen:
            pgcontrol.resume(path, total_steps=512 * (1 + len(seen)))
        else:
            pgcontrol.train(SMALL | {"run_dir": str(path), "total_steps": 512})
        seen.append(json.loads((path / "manifest.json").read_text())["git"])
    assert seen == ["abc", "abc", "abc, def+"]
    assert [revisions.unclean(one) for one in seen] == [False, False, True]


def test_a_resumed_run_may_begin_a_fit_of_the_critic(tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(SMALL | {"run_dir": str(path)}, on_update=lambda row: True)
    assert pgcontrol.resume(path, settings={"algorithm.critic_epochs": 1}).status == "finished"


def test_settings_that_do_not_fit_a_checkpoint_are_named(tmp_path, monkeypatch):
    """Also if the rule does not know that its state depends on them."""
    path, kept = tmp_path / "run", {"env": "Hopper-v5", "run_dir": str(tmp_path / "run"), "total_steps": 1024}
    kept |= {"algorithm": "decqn", "num_envs": 4, "rollout_steps": 64, "eval_every": 0, "video": False}
    kept |= {"algorithm.warmup": 256, "algorithm.capacity": 512}
    pgcontrol.train(kept, on_update=lambda row: row["time/total_timesteps"] >= 512)
    with pytest.raises(InputError, match=r"algorithm.capacity = 256: a resumed run keeps its algorithm.capacity, 512"):
        pgcontrol.resume(path, settings={"algorithm.capacity": 256})
    monkeypatch.setattr(DecQN, "stored", classmethod(lambda cls, options: ()))
    with pytest.raises(InputError, match=r"replay.obs has shape .*; changed settings: algorithm.capacity"):
        pgcontrol.resume(path, settings={"algorithm.capacity": 256})


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"head": "binned"}, "head = 'binned': a resumed run keeps its head, 'gaussian'"),
        ({"num_envs": 8}, "num_envs = 8: a resumed run keeps its num_envs, 4"),
        ({"noise_beta": 1.0}, "noise_beta = 1.0: a resumed run keeps its noise_beta, 0.0"),
        ({"seed": 9}, "seed = 9: a resumed run keeps its seed, 0"),
        ({"algorithm.learning_rat": 1}, "did you mean 'algorithm.learning_rate'"),
    ],
)
def test_settings_that_a_run_keeps_are_named(settings, line, tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(SMALL | {"run_dir": str(path)}, on_update=lambda row: True)
    with pytest.raises(InputError, match=line):
        pgcontrol.resume(path, settings=settings)


def test_a_learner_keeps_no_rollout_before_its_first_update():
    learner = Learner(pgcontrol.configure(SMALL))
    assert learner.rollout is None
    learner.close()


WRONG = {
    "no estimate": lambda a, t: a,
    "one more": lambda a, t: (a, t, t),
    "flat": lambda a, t: Estimate(a.flatten(), t),
    "double": lambda a, t: Estimate(a, t.double()),
    "NumPy's": lambda a, t: Estimate(a.numpy(), t),
    "NaN": lambda a, t: Estimate(a, t * torch.nan),
}
LINES = {
    "no estimate": r"expected Estimate\(advantage, target\), got Tensor",
    "one more": r"expected Estimate\(advantage, target\), got tuple",
    "flat": r"the advantage is \(256,\) torch.float32; expected \(64, 4\) torch.float32",
    "double": r"the target is \(64, 4\) torch.float64; expected",
    "NumPy's": "the advantage is ndarray; expected",
    "NaN": "the target is infinite or NaN",
}


class Wrong(TD):
    """Returns the value of `kind`, after some valid estimates."""

    kind, good = "NaN", 0

    def __call__(self, trajectories):
        estimate = super().__call__(trajectories)
        Wrong.good -= 1
        return WRONG[self.kind](*estimate) if self.good < 0 else estimate


WRONG_ROW = Algorithm("wrong-from-python", "a wrong estimator", Wrong, ScoreAndCritic)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("good", [0, 2])
def test_an_estimator_that_is_wrong_is_named_in_one_line(tmp_path, monkeypatch, kind, good):
    monkeypatch.setattr(Wrong, "kind", kind)
    monkeypatch.setattr(Wrong, "good", good)
    folder = tmp_path / "run"
    settings = SMALL | {"algorithm": WRONG_ROW, "run_dir": str(folder), "checkpoint_every": 256}
    broken = FloatingPointError if kind == "NaN" else InputError
    with pytest.raises(broken, match=f"estimator Wrong: {LINES[kind]}") as ended:
        pgcontrol.train(settings)
    assert "\n" not in str(ended.value)
    if good:
        assert str(ended.value).endswith(f"; the last good checkpoint is {folder}/checkpoints/step_000000512")
    elif kind != "NaN":
        assert not folder.exists()
