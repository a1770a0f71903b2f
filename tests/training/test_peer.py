"""Stable-Baselines3's PPO as a run: its policy is stored like ours, and scored like any other."""

import json
import re

import numpy as np
import pytest

import pgcontrol
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError
from pgcontrol.reporting.compare import carry_out
from pgcontrol.runs.config import configure
from pgcontrol.sweep import results
from pgcontrol.sweep.cell import Key, run_of
from pgcontrol.sweep.expected import expected
from pgcontrol.sweep.sweep import read_sweep
from pgcontrol.training import peer
from pgcontrol.training.resume import resume
from tests.sweep.worlds import Asked, InProcess

pytest.importorskip("stable_baselines3")

PEERS = ["sb3", pytest.param("sb3-as-shipped", marks=pytest.mark.slow)]
SIZES = {"num_envs": 4, "rollout_steps": 32, "algorithm.minibatch": 64, "hidden": [8], "critic_hidden": [16, 8]}


HOME = "gym:tests.envs.unruly"
ENVS = {"sb3": "gym:Pendulum-v1?g=9.81&max_episode_steps=20", "sb3-as-shipped": "InvertedPendulum-v5"}


def said_of(which: str) -> dict:
    """A short run of a peer, in an environment whose bounds are not ±1."""
    short = {"env": ENVS[which], "total_steps": 256, "eval_every": 0, "video": False, "seed": 3}
    return short | {"peer": which} | (SIZES if which == "sb3" else {})


@pytest.fixture(scope="module", params=PEERS)
def made(request, tmp_path_factory):
    """A run, its settings, and the model of Stable-Baselines3 that made it."""
    path, models = tmp_path_factory.mktemp("peer") / "run", []
    original = peer.ppo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "ppo", lambda config: models.append(original(config)) or models[0])
        settings = said_of(request.param) | {"run_dir": str(path), "score_episodes": 3}
        return pgcontrol.train(settings), settings, models[0]


def test_its_policy_is_kept_as_one_of_ours(made):
    """The same mode and σ, also where observations lie far outside what normalised ones may be."""
    run, _, model = made
    policy, vec = run.policy(), model.get_vec_normalize_env()
    for scale in (1.0, 1e3):
        obs = scale * np.random.default_rng(0).standard_normal((64, policy.obs_size))
        theirs, _ = model.predict(vec.normalize_obs(obs) if vec else obs, deterministic=True)
        np.testing.assert_allclose(policy.predict(obs), theirs, rtol=1e-5, atol=1e-5)
    half = (model.action_space.high - model.action_space.low) / 2
    params = policy.params(policy.normaliser(policy.normaliser.mean.unsqueeze(0)))
    theirs = model.policy.log_std.detach().exp().numpy()
    np.testing.assert_allclose(params[0, 1].exp().numpy() * half, theirs, rtol=1e-5)


def test_its_run_is_like_any_other(made):
    run, settings, _ = made
    assert run.status == "finished"
    rows = run.metrics()
    assert rows[-1]["time/total_timesteps"] == run.steps >= 256
    assert {"rollout/ep_rew_mean", "train/std", "time/fps"} <= set(rows[-1])
    manifest, outcome = (json.loads((run.path / f"{name}.json").read_text()) for name in ("manifest", "outcome"))
    assert "stable_baselines3" in manifest["versions"]
    assert manifest["verdict"]
    played = pgcontrol.evaluate(run.path, episodes=3).summary()
    assert outcome["return"] == played["mode"]["eval/mean_reward"]
    assert outcome["sampled"] == played["sampled"]["eval/mean_reward"]
    for more in (None, 10_000):  # also where one of ours has finished
        with pytest.raises(InputError, match=f"peer = '{settings['peer']}': a peer's run cannot be resumed"):
            resume(run.path, total_steps=more)


def test_diagnosis_judges_what_its_log_contains(made):
    run, _, _ = made
    judged = {verdict.about: verdict.word for verdict in pgcontrol.diagnose(run.path).verdicts}
    assert judged == {"return": "not judged"}  # it has less than ten updates
    with pytest.raises(InputError, match=r"--branches 2: .* its log has no health/\* measures"):
        pgcontrol.diagnose(run.path, branches=2)


@pytest.mark.filterwarnings("ignore:.*share an object")
def test_it_stops_where_it_is_asked_to(tmp_path):
    run = pgcontrol.train(
        said_of("sb3") | {"env": f"{HOME}:Plain-v0", "run_dir": str(tmp_path / "run")}, on_update=lambda row: True
    )
    assert (run.status, len(run.metrics())) == ("stopped", 1)
    with pytest.raises(InputError, match="holds no checkpoint"):
        run.policy()


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"peer": "sb4"}, "peer = 'sb4': must be"),
        ({"peer": "sb3", "head": "binned"}, "head = 'binned': peer 'sb3' does not support it"),
        (
            {"peer": "sb3", "algorithm.entropy_coef": 0.1},
            "algorithm.entropy_coef = 0.1: peer 'sb3' does not support it",
        ),
        ({"peer": "sb3-as-shipped", "num_envs": 4}, "num_envs = 4: peer 'sb3-as-shipped' does not support it"),
        ({"peer": "sb3", "env": "Fork-v0"}, "env = 'Fork-v0': peer 'sb3' trains only on Gymnasium's eleven"),
        ({"peer": "sb3", "env": "gym:CartPole-v1"}, "gym:CartPole-v1: expected a Box as action space"),
        (
            {"peer": "sb3", "env": f"{HOME}:Matrix-v0"},
            f"env = '{HOME}:Matrix-v0': peer 'sb3' needs vectors of floats as observations and actions; here they are "
            "[4, 5] and [2, 3] whole numbers",
        ),
    ],
)
def test_what_it_cannot_do_is_one_line_and_leaves_nothing(said, line, tmp_path):
    with pytest.raises(InputError, match=f"^{re.escape(line)}"):
        pgcontrol.train({"env": "Reacher-v5", "run_dir": str(tmp_path / "run")} | said)
    assert not (tmp_path / "run").exists()


def test_without_the_extra_it_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(peer, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"peer = 'sb3' needs Stable-Baselines3: pip install 'pgcontrol\[peers\]'"):
        pgcontrol.train(said_of("sb3") | {"run_dir": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


SWEEP = """
budget: 256
episodes: 2
settings: {video: false, eval_every: 0}
arms:
  ours: {num_envs: 4, rollout_steps: 32, algorithm.minibatch: 64, compile: "off"}
  shipped: {peer: sb3-as-shipped}
  alike: {peer: sb3, num_envs: 4, rollout_steps: 32, algorithm.minibatch: 64}
baseline: ours
grid: {env: InvertedPendulum-v5, seed: 1}
"""


@pytest.mark.slow
def test_a_peer_is_an_arm_of_a_sweep(tmp_path):
    (tmp_path / "peers.yaml").write_text(SWEEP)
    sweep = read_sweep(tmp_path / "peers.yaml")
    assert carry_out(sweep, InProcess(), tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    rows = results.read(sweep)
    assert set(rows) == {cell.key for cell in sweep.cells}
    assert {row.episodes for row in rows.values()} == {2}
    shipped, alike = (rows[Key("InvertedPendulum-v5", arm, 0)] for arm in ("shipped", "alike"))
    # a row has only settings that the peer used
    assert set(shipped.config or {}) == {"env", "seed", "total_steps", "peer"}
    assert (alike.config or {})["algorithm.minibatch"] == 64
    assert (alike.provenance["versions"])["stable_baselines3"]
    assert "| InvertedPendulum-v5 | shipped |" in (tmp_path / "peers.md").read_text()
    again = Asked()
    assert carry_out(sweep, again, tmp_path / "runs", Terminal(quiet=True), clips="none").exit_code == 0
    assert again.cells == []
    assert all(0 < seconds < 600 for seconds in expected(sweep.cells).values())


def test_an_arm_with_a_setting_that_a_peer_does_not_take_is_refused(tmp_path):
    (tmp_path / "peers.yaml").write_text(SWEEP.replace("sb3-as-shipped}", "sb3-as-shipped, hidden: [8]}"))
    with pytest.raises(InputError, match="arm 'shipped' on InvertedPendulum-v5: hidden = "):
        read_sweep(tmp_path / "peers.yaml")


def test_what_identifies_a_peers_run_is_what_it_takes():
    plain = run_of(configure({"env": "Reacher-v5", "peer": "sb3-as-shipped"}))
    assert plain == run_of(configure({"env": "Reacher-v5", "peer": "sb3-as-shipped", "video": False}))
    assert plain != run_of(configure({"env": "Reacher-v5", "peer": "sb3-as-shipped", "seed": 1}))
