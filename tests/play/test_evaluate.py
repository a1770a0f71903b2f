"""Evaluation on tasks with routes: how often an episode succeeds, and how evenly the routes are used."""

import json
import math
import re
from contextlib import closing

import numpy as np
import pgcontrol_envs
import pytest
import torch
from pgcontrol_envs.demonstrators import Demonstrator

import pgcontrol
from pgcontrol.play import evaluate
from pgcontrol.runs import load
from pgcontrol.runs.load import make_env
from tests.test_cli import run as command
from tests.training.test_train import small


@pytest.mark.parametrize(("env_id", "routes"), [("Fork-v0", 2), ("Avoiding-v0", 24)])
def test_demonstrators_succeed_by_all_routes_alike(env_id, routes):
    env = make_env(env_id, 2 * routes, 0)
    outcome = evaluate.episodes(env, evaluate.demonstrator_agent(env, seed=1), 0)
    assert outcome.routes == routes
    row = evaluate.summary(outcome, "")
    assert row["eval/success"] == 1
    assert row["eval/route_entropy"] == pytest.approx(1)


def test_one_route_only_has_no_entropy_and_none_at_all_is_no_number():
    env = make_env("Fork-v0", 8, 0)
    demonstrator = Demonstrator(env, seed=1)
    demonstrator.route[:] = 0
    row = evaluate.summary(evaluate.episodes(env, lambda _: demonstrator.act().unsqueeze(1), 0), "_sampled")
    assert row["eval/success_sampled"] == 1
    assert row["eval/route_entropy_sampled"] == 0
    row = evaluate.summary(evaluate.episodes(env, evaluate.zero_agent(env), 0), "")
    assert row["eval/success"] == 0
    assert math.isnan(row["eval/route_entropy"])


def test_tasks_without_routes_say_nothing_of_them():
    env = make_env("Reacher-v5", 2, 0)
    row = evaluate.summary(evaluate.episodes(env, evaluate.zero_agent(env), 0), "")
    assert not any("success" in key for key in row)


def test_watch_sees_every_step_of_every_episode():
    env = make_env("Fork-v0", 5, 0)
    steps, rewards = torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.float64)

    def watch(played):
        assert played.obs.shape == (5, 4)
        assert played.action.shape == (5, 2)
        steps.add_(played.going)
        rewards.add_(played.step.reward)

    outcome = evaluate.episodes(env, evaluate.random_agent(env, 0), 0, on_step=watch)
    assert steps.tolist() == outcome.lengths.tolist()
    assert rewards.numpy() == pytest.approx(outcome.returns)


def test_eval_shows_success_and_entropy(tmp_path, capsys):
    run = pgcontrol.train(small(env="Fork-v0", run_dir=str(tmp_path / "run"), total_steps=256, eval_every=256))
    assert 0 <= run.metrics()[-1]["eval/success_sampled"] <= 1
    _, out, _ = command(capsys, "eval", str(run.path), "--episodes", "4")
    assert "success" in out
    assert "entropy" in out
    _, out, _ = command(capsys, "eval", str(run.path), "--episodes", "4", "--agent", "zero", "--json")
    row = json.loads(out)["zero"]
    assert row["eval/success"] == 0
    assert row["eval/route_entropy"] is None


def test_the_table_of_many_measures_fits_a_narrow_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = pgcontrol.train(small(env="Go1-v0", run_dir=str(tmp_path / "run"), total_steps=256))
    _, out, _ = command(capsys, "eval", str(run.path), "--episodes", "2")
    assert re.search(r"┃ +┃ +mode ┃ +sampled ┃", out), out
    for measure in ("return", "95 % interval", "speed error, m/s", "fell"):
        assert len(re.findall(rf"^│ {measure} +│ +\S[^│]* │ +\S[^│]* │$", out, re.MULTILINE)) == 1, out


def test_settings_of_the_task_that_are_true_or_false_need_no_value(tmp_path, capsys):
    run = pgcontrol.train(small(env="Hopper-v5", run_dir=str(tmp_path / "run"), total_steps=256, eval_every=0))
    _, out, _ = command(capsys, "eval", str(run.path), "--help")
    assert "settings of Hopper-v5:\n" in out
    assert re.search(r"--env.terminate-when-unhealthy +whether an unhealthy state", out)
    for source in (run.path, next((run.path / "checkpoints").iterdir())):
        _, out, _ = command(
            capsys, "eval", str(source), "--no-env.terminate-when-unhealthy", "--episodes", "1", "--json"
        )
        assert json.loads(out)["env"] == "Hopper-v5?terminate_when_unhealthy=false"
    _, _, error = command(capsys, "eval", str(run.path), "--no-env.terminate-when-unhealthly")
    assert "did you mean '--env.terminate-when-unhealthy'?" in error
    _, _, error = command(capsys, "eval", str(run.path), "--env.frame-skip")
    assert error == "pgcontrol: --env.frame-skip needs a value\n"


def test_a_policy_is_played_under_other_settings_of_its_task(tmp_path, capsys):
    run = pgcontrol.train(small(env="Reacher-v5", run_dir=str(tmp_path / "run"), total_steps=256, eval_every=0))
    _, out, _ = command(capsys, "eval", str(run.path), "--episodes", "2", "--env.frame_skip", "4", "--json")
    said = json.loads(out)
    assert said["env"] == "Reacher-v5?frame_skip=4"
    assert pgcontrol.evaluate(run.path, 2, **{"env.frame_skip": 4}).summary()["mode"] == said["mode"]
    assert pgcontrol.evaluate(run.path, 2).summary()["mode"] != said["mode"]
    _, _, error = command(capsys, "eval", str(run.path), "--env.frame_skop", "4")
    assert "unknown argument 'frame_skop': did you mean frame_skip?" in error
    _, _, error = command(capsys, "eval", str(run.path), "--episods", "4")
    assert "did you mean '--episodes'?" in error
    with pytest.raises(pgcontrol.InputError, match="unknown setting 'episods'"):
        pgcontrol.evaluate(run.path, episods=4)


def test_many_episodes_are_played_in_waves_with_the_numbers_of_all_at_once(tmp_path, monkeypatch):
    """To rounding, because on some processors the network's sums depend on how many observations it gets at once."""
    run = pgcontrol.train(small(env="Fork-v0", run_dir=str(tmp_path / "run"), total_steps=256, eval_every=0))
    together = pgcontrol.evaluate(run.path, episodes=20).agents["mode"]
    made, make = [], pgcontrol_envs.make
    monkeypatch.setattr(load, "AT_ONCE", 8)
    monkeypatch.setattr(pgcontrol_envs, "make", lambda *args: made.append(args[1]) or make(*args))
    result = pgcontrol.evaluate(run.path, episodes=20)
    waves = result.agents["mode"]
    assert made == [8]
    assert waves.returns == pytest.approx(together.returns, rel=1e-5)
    assert waves.lengths.tolist() == together.lengths.tolist()
    assert waves.route is not None
    assert together.route is not None
    assert waves.route.tolist() == together.route.tolist()
    # and an episode does not depend on how many follow
    fewer = pgcontrol.evaluate(run.path, episodes=13).agents["sampled"].returns
    assert fewer.tolist() == result.agents["sampled"].returns[:13].tolist()
    assert len(result.rows()) == 40


def test_a_last_wave_that_is_smaller_measures_its_own_episodes(recwarn):
    """Environments that do not move are not measured, and nothing is divided by their 0 steps."""
    with closing(make_env("Go1-v0", 4, 0)) as env:
        act = evaluate.zero_agent(env)
        waves, whole = (evaluate.episodes(env, act, 0, count=count).metrics for count in (6, 8))
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
    for name, values in waves.items():
        assert np.isfinite(values).all()
        assert values.tolist() == whole[name][:6].tolist()
