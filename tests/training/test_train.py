"""Complete runs: exact resume, the files of a run, and stopping."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.learning.rule import Diverged
from pgcontrol.machine import compiler, files
from pgcontrol.machine.signals import Interrupt
from pgcontrol.options import InputError
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.training.learner import Learner, stream_seeds
from tests.processes import hearing

SMALL = {
    "env": "Hopper-v5",
    "num_envs": 4,
    "rollout_steps": 64,
    "algorithm.minibatch": 64,
    "algorithm.epochs": 2,
    "video": False,
    "threads": 1,
    "compile": "off",
}


def small(**settings):
    return configure(SMALL | {"total_steps": 256 * 6, "eval_every": 0} | settings)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    rule = {f"rule.{k}": v for k, v in learner.rule.state().items()}
    return learner.policy.state_dict() | rule | learner.average.state()


SOON = ("gaussian", "binned", "token", "token-offset")  # the other heads keep no state of another kind


@pytest.mark.parametrize(
    "head", [pytest.param(head, marks=[pytest.mark.slow] * (head not in SOON)) for head in sorted(catalog.heads())]
)
@pytest.mark.parametrize("env", ["Hopper-v5", pytest.param("Ant-v5", marks=pytest.mark.slow)])
def test_n_plus_m_is_n_resume_m_to_the_bit(env, head, tmp_path):
    resumes_to_the_bit(small(env=env, head=head), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ppo", "npg", "a2c"])
def test_compiled_runs_resume_to_the_bit(algorithm, tmp_path):
    shared = {key: value for key, value in SMALL.items() if not key.startswith("algorithm.")}
    fit = {"algorithm.critic_epochs": 2, "algorithm.critic_minibatch": 48}  # the last minibatch is smaller
    asked = {"algorithm": algorithm, "compile": "on", "total_steps": 256 * 6, "eval_every": 0}
    learner = resumes_to_the_bit(configure(shared | fit | asked), tmp_path)
    assert learner.compilation.on


def resumes_to_the_bit(config, tmp_path) -> Learner:
    """Six updates, and three with three more from a checkpoint, are the same run."""
    straight = Learner(config)
    rows = [straight.update() for _ in range(6)]

    first = Learner(config)
    for _ in range(3):
        first.update()
    first.save(tmp_path / "step_3")
    second = Learner(config)
    second.load(tmp_path / "step_3")
    resumed = [second.update() for _ in range(3)]

    for name, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(second)[name]), name
    for a, b in zip(rows[3:], resumed, strict=True):
        timeless = {k: v for k, v in a.items() if not k.startswith("time/")}
        assert timeless == pytest.approx({k: b[k] for k in timeless}, abs=0, rel=0, nan_ok=True)
    assert straight.episodes == second.episodes
    return straight


def test_same_seed_same_run_other_seed_other_run():
    def final(seed):
        learner = Learner(small(seed=seed))
        for _ in range(2):
            learner.update()
        return learner.policy.theta

    assert torch.equal(final(0), final(0))
    assert not torch.equal(final(0), final(1))


def test_neighbouring_seeds_share_no_stream():
    seeds = [s for seed in range(50) for s in stream_seeds(seed).values()]
    assert len(set(seeds)) == len(seeds)


def test_a_run_leaves_what_it_promises(tmp_path):
    path = tmp_path / "run"
    run = pgcontrol.train(small(run_dir=str(path), eval_every=512, eval_episodes=2, score_episodes=3))
    assert run.status == "finished"
    assert run.steps == 1536
    rows = run.metrics()
    assert [row["time/total_timesteps"] for row in rows] == [256 * i for i in range(1, 7)]
    promised = (
        "rollout/ep_rew_mean rollout/ep_len_mean time/fps train/approx_kl train/clip_fraction train/entropy_loss"
        " train/explained_variance train/policy_gradient_loss train/value_loss train/std head/std"
    )
    assert set(promised.split()) <= set(rows[-1])
    assert {"eval/mean_reward", "eval/mean_reward_sampled"} <= set(rows[1])
    assert "eval/mean_reward" not in rows[0]
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    outcome = json.loads((path / "outcome.json").read_text())
    played = pgcontrol.evaluate(path, episodes=3).summary()
    assert (outcome["steps"], outcome["return"]) == (1536, played["mode"]["eval/mean_reward"])
    assert outcome["sampled"] == played["sampled"]["eval/mean_reward"]
    assert outcome["curves"]["steps"] == [row["time/total_timesteps"] for row in rows]
    assert outcome["maps"]["steps"][-1] == 1536
    assert manifest["seeds"] == stream_seeds(0)
    assert manifest["versions"]["mujoco"]
    assert list((path / "tensorboard").iterdir())
    from pgcontrol.runs.folder import RunFolder

    assert RunFolder.open(path).config() == small(run_dir=str(path), eval_every=512, eval_episodes=2, score_episodes=3)


def test_predict_gives_the_same_from_run_and_checkpoint(tmp_path):
    run = pgcontrol.train(small(run_dir=str(tmp_path / "run")))
    policy = pgcontrol.load(run.path)
    again = pgcontrol.load(checkpoint.latest(run.path))
    obs = np.random.default_rng(0).normal(size=(5, policy.obs_size))
    assert np.array_equal(policy.predict(obs), again.predict(obs))
    assert policy.predict(obs).shape == (5, 3)
    assert policy.predict(obs[0]).shape == (3,)
    assert np.abs(policy.predict(obs[0]) - policy.predict(obs)[0]).max() < 1e-6
    sampled = policy.predict(obs, deterministic=False, seed=1)
    assert np.array_equal(sampled, policy.predict(obs, deterministic=False, seed=1))
    assert not np.array_equal(sampled, policy.predict(obs, deterministic=False))
    with pytest.raises(ValueError, match=r"obs has shape \(5,\): must be \(11,\) or \(N, 11\)"):
        policy.predict(np.zeros(5))


def test_evaluation_does_not_change_training(tmp_path):
    with_eval = pgcontrol.train(small(run_dir=str(tmp_path / "a"), eval_every=256, eval_episodes=2, score_episodes=2))
    without = pgcontrol.train(small(run_dir=str(tmp_path / "b")))
    assert torch.equal(with_eval.policy().theta, without.policy().theta)
    assert torch.equal(with_eval.policy().normaliser.mean, without.policy().normaliser.mean)


def test_resume_replaces_rows_that_a_crash_left_behind(tmp_path):
    path = tmp_path / "run"
    straight = pgcontrol.train(small(run_dir=str(tmp_path / "straight")))
    pgcontrol.train(small(run_dir=str(path), checkpoint_every=512))
    for folder in checkpoint.find(path)[1:]:  # as if killed just before the second checkpoint was written
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    run = pgcontrol.resume(path)
    steps = [row["time/total_timesteps"] for row in run.metrics()]
    assert steps == sorted(set(steps))
    assert len(steps) == 6
    assert torch.equal(run.policy().theta, straight.policy().theta)


def test_a_run_that_was_killed_behind_its_last_checkpoint_is_ended_by_resume(tmp_path):
    path = tmp_path / "run"
    before = pgcontrol.train(small(run_dir=str(path)))
    folder = RunFolder(path)
    ended = folder.manifest()
    folder.write_manifest(status="running", seconds=0.0, verdict=None, diagnosis=None)
    rows = before.metrics()
    after = pgcontrol.resume(path)
    assert (after.status, after.metrics()) == ("finished", rows)
    changing = {name: ended[name] for name in ("seconds", "load")}
    assert folder.manifest() | changing == ended


def test_resume_of_a_finished_run_is_reported_and_a_larger_budget_continues(tmp_path):
    path = tmp_path / "run"
    pgcontrol.train(small(run_dir=str(path)))
    with pytest.raises(
        InputError, match=r"has finished: 1,536 steps of 1,536; to train longer: pgcontrol resume .*--total-steps"
    ):
        pgcontrol.resume(path)
    assert pgcontrol.resume(path, total_steps=2048).steps == 2048
    assert json.loads((path / "outcome.json").read_text())["steps"] == 2048
    with pytest.raises(InputError, match="2,048 steps of 2,048"):
        pgcontrol.resume(path)


def test_a_run_folder_that_exists_is_unchanged(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(InputError, match="exists already; choose another folder"):
        pgcontrol.train(small(run_dir=str(tmp_path)))
    assert [f.name for f in tmp_path.iterdir()] == ["precious"]


def test_any_gymnasium_env_trains_and_resumes(tmp_path):
    config = configure(
        SMALL
        | {
            "env": "gym:Pendulum-v1",
            "total_steps": 512,
            "eval_every": 512,
            "eval_episodes": 2,
            "run_dir": str(tmp_path / "r"),
        }
    )
    run = pgcontrol.train(config)
    assert run.status == "finished"
    assert "eval/mean_reward" in run.metrics()[-1]
    assert pgcontrol.resume(run.path, total_steps=1024).steps == 1024


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_checkpoints_and_leaves_cleanly(number, tmp_path):
    path = tmp_path / "run"
    words = ["train", "Hopper-v5", "--run-dir", str(path), "--num-envs", "4", "--eval-every", "0", "--threads", "1"]
    words += ["--compile", "off"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pgcontrol", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # under nohup the tests inherit an ignored SIGHUP, and a run respects that
        preexec_fn=hearing(number),
    )
    deadline = time.monotonic() + 180
    while not (path / "metrics.jsonl").exists() or not (path / "metrics.jsonl").read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert f"to resume: pgcontrol resume {path}" in out
    steps = checkpoint.steps_of(checkpoint.latest(path))
    assert json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])["time/total_timesteps"] == steps
    assert json.loads((path / "manifest.json").read_text())["status"] == "stopped"
    assert not (path / "outcome.json").exists()
    assert pgcontrol.resume(path, total_steps=steps + 1).status == "finished"


def test_a_second_interrupt_stops_at_once():
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_divergence_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    updates = 0
    update = Learner.update

    def poisoned(self: Learner):
        nonlocal updates
        updates += 1
        if updates == 4:
            self.policy.theta[0] = float("nan")
        return update(self)

    monkeypatch.setattr(Learner, "update", poisoned)
    path: Path = tmp_path / "run"
    with pytest.raises(FloatingPointError, match=r"the last good checkpoint is .*step_000000768"):
        pgcontrol.train(small(run_dir=str(path), checkpoint_every=256))
    assert json.loads((path / "manifest.json").read_text())["status"] == "diverged"
    assert json.loads((path / "outcome.json").read_text())["maps"]["steps"] == [256, 512, 768]
    assert checkpoint.steps_of(checkpoint.latest(path)) == 768
    assert pgcontrol.load(path).theta.isfinite().all()


@pytest.mark.parametrize(
    ("poison", "line"),
    [
        (lambda learner: learner.policy.theta, "weights became infinite or NaN; the checkpoint is not saved"),
        (lambda learner: learner.policy.normaliser.mean, "moments of observations: mean became"),
        (lambda learner: learner.collector.reward_scale.carry, "moments of rewards: carry became"),
    ],
)
def test_nothing_that_is_not_finite_is_saved(poison, line, tmp_path, monkeypatch):
    update = Learner.update

    def poisoned(self: Learner):
        row = update(self)
        if self.steps == 768:
            poison(self)[0] = float("inf")
        return row

    monkeypatch.setattr(Learner, "update", poisoned)
    path: Path = tmp_path / "run"
    with pytest.raises(FloatingPointError, match=f"{line}.*the last good checkpoint is .*step_000000512"):
        pgcontrol.train(small(run_dir=str(path), checkpoint_every=256))
    assert checkpoint.steps_of(checkpoint.latest(path)) == 512
    assert json.loads((path / "manifest.json").read_text())["status"] == "diverged"


@pytest.mark.parametrize("diverges", [False, True])
def test_an_outcome_that_cannot_be_measured_changes_nothing_about_the_run(diverges, tmp_path, monkeypatch):
    def broken(folder, episodes):
        raise FloatingPointError("the policy cannot be played")

    def poisoned(self: Learner):
        raise Diverged("train/loss became nan")

    monkeypatch.setattr("pgcontrol.training.outcome.write", broken)
    path, ending = tmp_path / "run", nullcontext()
    if diverges:
        monkeypatch.setattr(Learner, "update", poisoned)
        ending = pytest.raises(Diverged, match="train/loss became nan; there is no checkpoint yet")
    with ending, pytest.warns(UserWarning, match="the outcome could not be computed: the policy cannot be played"):
        pgcontrol.train(small(run_dir=str(path)))
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["status"] == ("diverged" if diverges else "finished")
    assert manifest["diagnosis"]
    assert not (path / "outcome.json").exists()


def test_the_decision_to_compile_follows_from_the_length_and_the_compiler_alone(monkeypatch):
    assert compiler.decide("on", 0)
    assert not compiler.decide("off", 10**9)
    monkeypatch.setattr(compiler, "compiler", lambda: "g++")
    assert [compiler.decide("auto", steps) for steps in (1_000, 39_000)] == [False, True]
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    assert not compiler.decide("auto", 39_000)


def test_what_a_policy_is_made_of_survives_json_also_with_tuples():
    learner = Learner(small(hidden=(8, 8)))
    assert json.loads(json.dumps(learner.spec)) == learner.spec


def test_resume_checks_a_new_budget_like_any_setting(tmp_path):
    run = pgcontrol.train(small(run_dir=str(tmp_path / "run"), total_steps=256))
    with pytest.raises(InputError, match=r"total_steps = 512.5: must be a whole number"):
        pgcontrol.resume(run.path, total_steps=512.5)  # pyright: ignore[reportArgumentType]
    assert pgcontrol.resume(run.path, total_steps=512).steps == 512


def test_training_leaves_torchs_threads_as_they_were(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    pgcontrol.train(small(run_dir=str(tmp_path / "run"), total_steps=256))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_clip_that_cannot_be_saved_does_not_end_the_run(tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pgcontrol.rendering.recording.Recording.save", full)
    run = pgcontrol.train(small(run_dir=str(tmp_path / "run"), eval_every=512, eval_episodes=1, video=True))
    assert run.status == "finished"


@pytest.mark.parametrize("steps", [None, "x", [1]])
def test_a_checkpoint_whose_counters_are_no_numbers_is_damaged(steps, tmp_path):
    learner = Learner(small())
    learner.save(tmp_path / "step_0")
    file = tmp_path / "step_0" / "meta.json"
    files.write_json(file, files.read_json(file) | {"steps": steps})
    with pytest.raises(InputError, match="is damaged"):
        Learner(small()).load(tmp_path / "step_0")
