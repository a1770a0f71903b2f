"""Cloning: any head, by its own log-probability, with the best held-out weights kept."""

import json
import shutil

import numpy as np
import pytest
import torch

import pgcontrol
from pgcontrol.data.dataset import Dataset
from pgcontrol.data.record import record
from pgcontrol.data.writer import Episode
from pgcontrol.machine.compiler import Graph
from pgcontrol.machine.signals import Interrupt
from pgcontrol.machine.trees import leaves
from pgcontrol.options import InputError
from pgcontrol.rendering.still import Still
from pgcontrol.runs import catalog, checkpoint
from pgcontrol.runs.cloning import configure_clone
from pgcontrol.runs.load import load, make_env
from pgcontrol.training import clone as module
from pgcontrol.training.clone import clone, split, weigh, windows
from pgcontrol.training.likelihood import Likelihood, Samples
from tests.test_cli import run


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "fork"
    record("Fork-v0", folder, 12, seed=0)
    return folder


def config(demonstrations, **settings):
    quick = {"steps": 60, "minibatch": 64, "hidden": "16", "learning_rate": 3e-3, "eval_episodes": 2, "seed": 1}
    return configure_clone(quick | {"dataset": str(demonstrations)} | settings)


def episode(steps: int, start: int = 0) -> Episode:
    """Observations and actions count the steps."""
    count = np.arange(start, start + steps + 1, dtype=float)[:, None]
    return Episode(count, count[:-1].astype(np.float32) / 100, np.ones(steps), True, False)


@pytest.mark.parametrize(
    ("head", "settings"),
    [(name, {"head.codes": 8} if name == "token-residual" else {}) for name in catalog.heads()]  # 170 samples to fit
    + [("token", {"head.tokenizer": "rvq", "head.codes": 8, "head.levels": 2, "head.horizon": 3})],
)
def test_every_head_becomes_likelier_and_leaves_a_run(head, settings, demonstrations, tmp_path):
    made = clone(config(demonstrations, head=head, run_dir=str(tmp_path / "c"), **settings), quiet=True)
    rows = made.metrics()
    assert min(row["eval/nll"] for row in rows) < rows[0]["eval/nll"] - 0.2
    assert rows[-1]["eval/success_sampled"] >= 0
    policy = load(made.path)
    assert policy.head.name == head
    assert policy.predict(np.zeros(4)).shape[-1] == 2
    assert json.loads((tmp_path / "c" / "manifest.json").read_text())["status"] == "finished"
    # the checkpoint's likelihood is that of its row
    data = Dataset(demonstrations)
    data.require_env("Fork-v0", 4, data.low, data.high)
    _, held_out = split(list(data.episodes()), 0.1, module.stream_seeds(1)["sampling"])
    obs, action = windows(held_out, policy.head.horizon, "d")
    samples = Samples(policy.normaliser(obs), policy.head.encode(action), torch.ones(len(obs)))
    measured = Likelihood(policy, 1.0).measure(policy.theta, samples)
    assert measured == pytest.approx(min(row["eval/nll"] for row in rows), abs=1e-4)
    assert rows[-1]["eval/nll"] == pytest.approx(measured, abs=1e-4)


def test_the_same_seed_gives_the_same_clone(demonstrations, tmp_path):
    def weights(name, **settings):
        return load(clone(config(demonstrations, run_dir=str(tmp_path / name), **settings), quiet=True).path).theta

    first = weights("a")
    assert torch.equal(first, weights("b"))
    assert not torch.equal(first, weights("c", seed=2))


def test_the_step_can_be_traced_as_one_graph(demonstrations, tmp_path):
    """As in a run that is long enough to compile; the compiler itself is tested with the rules."""
    policy = load(clone(config(demonstrations, run_dir=str(tmp_path / "a"), steps=10), quiet=True).path)
    fit = Likelihood(policy, 1.0)
    traced = Graph(fit.step.gradient).trace(policy.theta, _noise(policy))
    theta, samples = policy.theta + 0.1, _noise(policy)
    expected = leaves(fit.step.gradient(theta, samples))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(traced(theta, *samples), expected, strict=True))


def _noise(policy) -> Samples:
    return Samples(torch.randn(8, 4), policy.head.encode(torch.rand(8, 1, 2)), torch.rand(8))


def test_two_peaks_are_cloned_by_bins_and_averaged_by_a_gaussian(tmp_path):
    """A small example: a Gaussian's mode lies in the valley between the demonstrations, that of bins on a peak."""
    record("Bandit-v0", tmp_path / "d", 160, seed=0)
    env, blocked = make_env("Bandit-v0", 200, 0), {}
    obs, task = env.reset(seed=9), env.task
    assert task is not None
    for head in ("gaussian", "binned"):
        settings = {"steps": 400, "patience": 100, "held_out": 0.3, "run_dir": str(tmp_path / head)}
        policy = load(clone(config(tmp_path / "d", head=head, **settings), quiet=True).path)
        blocked[head] = np.mean(task.blocked(policy.predict(obs)))
    assert blocked["gaussian"] > 0.9
    assert blocked["binned"] < 0.1


def test_no_better_for_long_ends_it_and_a_signal_keeps_the_best(demonstrations, tmp_path, monkeypatch):
    slow = {"steps": 400, "learning_rate": 0.3, "patience": 5, "eval_episodes": 0}
    made = clone(config(demonstrations, run_dir=str(tmp_path / "a"), **slow), quiet=True)
    rows = made.metrics()
    assert rows[-2]["time/total_timesteps"] < 400
    assert made.steps == rows[-2]["time/total_timesteps"] - 5 * 4
    calls = iter(range(1000))
    monkeypatch.setattr(Interrupt, "__bool__", lambda self: next(calls) > 20)
    made = clone(config(demonstrations, run_dir=str(tmp_path / "b")), quiet=True)
    assert made.status == "stopped"
    assert made.exit_code == 130
    assert load(made.path)


@pytest.mark.parametrize("head", ["gaussian", pytest.param("token", marks=pytest.mark.slow)])
@pytest.mark.parametrize("after", [2, *(pytest.param(after, marks=pytest.mark.slow) for after in (3, 90, 250))])
def test_a_stopped_clone_continues_to_the_bit(head, after, demonstrations, tmp_path, monkeypatch):
    settings = {"head": head, "steps": 300, "eval_episodes": 2, "patience": 100}
    whole = clone(config(demonstrations, run_dir=str(tmp_path / "a"), **settings))
    calls = iter(range(10_000))
    with monkeypatch.context() as patched:
        patched.setattr(Interrupt, "__bool__", lambda self: next(calls) >= after)
        stopped = clone(config(demonstrations, run_dir=str(tmp_path / "b"), **settings))
    assert stopped.status == "stopped"
    made = pgcontrol.resume(stopped.path)
    assert made.status == "finished"
    assert made.steps == whole.steps
    (before, _), (after_it, _) = (checkpoint.load(checkpoint.latest(one.path)) for one in (whole, made))
    assert before.keys() == after_it.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after_it.items())
    rows = [[{k: v for k, v in row.items() if "time/fps" not in k} for row in one.metrics()] for one in (whole, made)]
    assert rows[0] == rows[1]


def test_a_clone_of_data_that_have_changed_does_not_continue(demonstrations, tmp_path, monkeypatch):
    shutil.copytree(demonstrations, tmp_path / "d")
    with monkeypatch.context() as patched:
        patched.setattr(Interrupt, "__bool__", lambda self: True)
        made = clone(config(tmp_path / "d", run_dir=str(tmp_path / "c")))
    with pytest.raises(InputError, match="a clone; its settings cannot be changed"):
        pgcontrol.resume(made.path, 1000)
    record("Fork-v0", tmp_path / "d", len(Dataset(tmp_path / "d")) + 2, seed=0, quiet=True)
    with pytest.raises(InputError, match=r"has changed since .* was fitted to it: other .*episodes"):
        pgcontrol.resume(made.path)


def test_windows_stay_within_episodes():
    obs, action = windows([episode(4), episode(2), episode(3, start=10)], 3, "d")
    assert obs[:, 0].tolist() == [0, 1, 10]
    assert (100 * action[..., 0]).round().tolist() == [[0, 1, 2], [1, 2, 3], [10, 11, 12]]


def test_episodes_are_held_out_whole():
    episodes = [episode(3, start=10 * i) for i in range(10)]
    fitted, held_out = split(episodes, 0.25, seed=0)
    starts = [int(e.obs[0, 0]) for e in fitted], [int(e.obs[0, 0]) for e in held_out]
    assert sorted(starts[0] + starts[1]) == list(range(0, 100, 10))
    assert len(held_out) == 2
    assert split(episodes, 0.01, seed=0)[1]


def test_weights_of_returns():
    """Returns 3 and 5, deviation 1: at temperature 1 the better episode's samples weigh e² times the other's."""
    fitted = [episode(3), episode(5)]
    weight = weigh(fitted, fitted, 1.0, horizon=1)
    assert len(weight) == 8
    assert weight.mean() == pytest.approx(1)
    assert weight[3] / weight[0] == pytest.approx(np.exp(2))
    assert weigh(fitted, fitted, None, horizon=2).tolist() == [1.0] * 6


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("clone nowhere", "nowhere: no Minari dataset there"),
        ("clone", "name a dataset: pgcontrol clone"),
        ("clone DATA --head gausian", "unknown head 'gausian'; did you mean 'gaussian'?"),
        (
            "clone DATA --head.bins 3",
            "unknown setting 'head.bins' of head 'gaussian'; expected one of: head.initial_std",
        ),
        ("clone DATA --step 3", "unknown setting 'step'; did you mean 'steps'?"),
        ("clone DATA --held-out 1", "held_out = 1.0: must be less than 1"),
        ("clone DATA --env Hopper-v5", "DATA: observations have 4 numbers, but 11 in Hopper-v5"),
        ("clone DATA --head token --head.horizon 40", "head.horizon = 40: longer than the episodes of DATA"),
    ],
)
def test_bad_words_get_one_line_and_leave_nothing(words, line, capsys, tmp_path, monkeypatch, demonstrations):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, *words.replace("DATA", str(demonstrations)).split())
    assert code == 2
    assert error.startswith(f"pgcontrol: {line.replace('DATA', str(demonstrations))}"), error
    assert list(tmp_path.iterdir()) == []


def test_commands_work_on_a_clone_and_resume_names_the_command_that_does(demonstrations, capsys, tmp_path):
    path = tmp_path / "c"
    words = ("--run-dir", str(path), "--steps", "40", "--hidden", "16", "--eval-episodes", "0")
    code, said, _ = run(capsys, "clone", str(demonstrations), "--head", "binned", *words)
    assert code == 0
    assert f"pgcontrol train Fork-v0 --prior {path}" in said
    assert run(capsys, "eval", str(path), "--episodes", "2")[0] == 0
    assert run(capsys, "record", str(path), "--episodes", "2", "--out", str(tmp_path / "d"))[0] == 0
    code, _, error = run(capsys, "resume", str(path))
    assert code == 2
    assert "is a clone" in error
    code, out, _ = run(capsys, "clone", "--head", "binned", "--help")
    assert code == 0
    assert "--head.bins" in out
    assert "--patience" in out
    assert pgcontrol.load(path).head.name == "binned"


def test_a_clone_is_diagnosed_without_a_training(demonstrations, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("pgcontrol.diagnosis.diagnose.still", lambda *_: Still(np.zeros((48, 64, 3), np.uint8)))
    path = clone(config(demonstrations, run_dir=str(tmp_path / "c")), quiet=True).path
    code, _, error = run(capsys, "diagnose", str(path), "--branches", "2")
    assert code == 2
    assert "there is no training to branch from" in error
    assert run(capsys, "diagnose", str(path), "--against", str(path))[0] == 0
    written = json.loads((path / "diagnosis.json").read_text())
    assert "the spread of a clone is that of its data" in written["verdicts"][0]["why"]
    assert written["reference"]["of"] == "gaussian in c"
    assert "![curves]" not in (path / "diagnosis.md").read_text()
    assert json.loads((path / "manifest.json").read_text())["verdict"] == written["verdict"]


def test_weights_are_numbers_however_cold_it_is():
    """An episode held out that is better than all fitted ones does not overflow."""
    fitted = [episode(3), episode(3)._replace(reward=np.array([1.0, 1.0, 1.0 + 1e-9]))]
    assert weigh(fitted, fitted, 1e-3, horizon=1).isfinite().all()
    assert weigh([episode(5000)], fitted, 1e-3, horizon=1).isfinite().all()
